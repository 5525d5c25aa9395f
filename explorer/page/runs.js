// Runs beside each other: what differs, their curves over each other, their pictures.

import { call, overHttp } from "./engine.js";
import { curves, legend, look } from "./curves.js";
import { choice, make } from "./tools.js";

const EVERY = 2000;  // ms between two looks at the files
const MOST = 10;     // runs over each other

export async function show(root, { values, set, fail }) {
  let left = false, asks = 0, found = (await call("compare")), timer = null, drawn = "", wanted = "";
  const good = () => found.runs.filter((run) => !run.error);
  if (!good().length) throw new Error("There is no run here yet: python train_mnist.py --model vae --z-dim 2");
  const model = make("div", { class: "row" }), table = make("div", { class: "wide" }), canvas = make("canvas", { class: "drawn", role: "img" });
  const column = make("span"), names = make("div"), told = make("p", { class: "soft" }), units = make("p", { class: "soft" }), file = make("div"), pictures = make("div"), bad = make("div");
  root.append(make("h1", {}, "Runs beside each other"),
    make("p", {}, `Tick the runs that you want to compare. ${overHttp ? "While one trains, its curve grows here: the page looks every 2 s." :
      "These are trained already; python explore.py shows your own runs, also while they train."}`), model,
    make("div", { class: "card" }, table, units), make("div", { class: "columns spaced" },
      make("div", { class: "card" }, make("h2", {}, "Curves"), column, canvas, names, told),
      make("div", { class: "card" }, make("h2", {}, "Pictures"), file, pictures)), bad);
  const many = (name) => good().filter((run) => run.model === name).length;
  let kind = values.model || good().map((run) => run.model).reduce((best, name) => (many(name) > many(best) ? name : best));
  const ofKind = () => good().filter((run) => kind === "all" || run.model === kind);
  let ticked = new Set(values.runs ? values.runs.split(",") : ofKind().slice(0, MOST).map((run) => run.name));
  let shown = values.column || "", which = values.picture || "";

  function kinds() {
    const all = [...new Set(good().map((run) => run.model))];
    if (kind !== "all" && !all.includes(kind)) [kind] = all;
    chooser(model, "runs of", [...all.map((name) => [name, name]), ["all", "all models"]], kind, (name) => {
      kind = name;
      ticked = new Set(ofKind().slice(0, MOST).map((run) => run.name));
      shown = which = "";
      keep();
      draw().catch(fail);
    });
  }
  const keep = () => set({ model: kind, runs: [...ticked].join(","), column: shown, picture: which });
  const chosen = () => ofKind().filter((run) => ticked.has(run.name)).slice(0, MOST);

  function rows() {
    const flags = found.differ[kind] || [], figures = [...new Set(ofKind().flatMap((run) => Object.keys(run.figures)))];
    const held = table.contains(document.activeElement) && document.activeElement.value;
    table.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ["run", "epochs", ...figures, ...flags.map((flag) => `--${flag.replaceAll("_", "-")}`)].map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ofKind().map((run) => make("tr", {}, make("th", { scope: "row" }, tick(run)),
        make("td", {}, `${run.done}${run.epochs ? ` of ${run.epochs}` : ""}`),
        figures.map((name) => make("td", {}, run.figures[name] === undefined ? "–" : Number(run.figures[name].toPrecision(4)))),
        flags.map((name) => make("td", {}, run.flags[name] || "–")))))));
    if (held) [...table.querySelectorAll("input")].find((box) => box.value === held)?.focus();
    units.textContent = kind === "all" ? "" : `Losses in ${[...new Set(ofKind().map((run) => run.units))].join("; or ")}. Flags: those that differ.`;
  }

  function tick(run) {
    const box = make("input", { type: "checkbox", value: run.name, checked: ticked.has(run.name), onchange: () => {
      if (box.checked) ticked.add(run.name); else ticked.delete(run.name);
      keep();
      seen().catch(fail);
    } });
    return make("label", { title: run.title }, box, run.name);
  }

  async function lines() {
    const all = Object.assign({}, ...chosen().map((run) => run.columns));
    if (!all[shown]) shown = Object.keys(all).find((name) => !name.startsWith("train_")) || Object.keys(all)[0] || "";
    chooser(column, "figure", Object.entries(all), shown, (name) => { shown = name; keep(); lines().catch(fail); });
    const with_ = chosen().filter((run) => run.columns[shown]);
    const mine = asks += 1, answers = await Promise.all(with_.map((run) => call("curves", { run: run.name, column: shown })));
    if (left || mine !== asks) return;
    canvas.hidden = !with_.length;
    names.replaceChildren(legend(with_.map((run) => run.name)));
    told.textContent = with_.length ? ofKind().filter((run) => ticked.has(run.name)).length > MOST ? `The first ${MOST} of those ticked are drawn.` : "" : chosen().length ? "No curve yet: a run writes its first point after an epoch." : "Tick a run.";
    const plot = () => curves(canvas, answers.map(({ steps, values: ys }, k) => ({ xs: steps, ys, ...look(k) })), { x: "training step", y: all[shown] || "", ratio: 0.6 });
    canvas.setAttribute("aria-label", `${all[shown]} over the steps of ${with_.map((run) => run.name).join(", ")}`);
    canvas.replot = plot;
    if (with_.length) plot();
  }

  async function images() {
    const all = [...new Set(chosen().flatMap((run) => run.pictures))];
    if (!all.includes(which)) which = all.includes("reconstructions.png") ? "reconstructions.png" : all[0] || "";
    const with_ = chosen().filter((run) => run.pictures.includes(which));
    const state = JSON.stringify([which, all, with_.map((run) => [run.name, run.drawn])]);
    wanted = state;
    if (state === drawn) return;
    const answers = await Promise.all(with_.map((run) => call("picture", { run: run.name, name: which }).catch((error) => ({ error: error.message }))));
    if (left || state !== wanted) return;
    drawn = state;
    chooser(file, "picture", all, which, (name) => { which = name; keep(); images().catch(fail); });
    pictures.replaceChildren(all.length ? "" : make("p", { class: "soft" }, overHttp ?
      "These runs have no pictures yet: they are drawn at the end, or by generate.py." :
      "This page has no pictures of runs with it. python explore.py shows those of your own runs."),
    make("div", { class: "pictures" }, answers.map(({ png, error }, k) => make("figure", {}, png ? make("img", { src: `data:image/png;base64,${png}`, alt: `${which} of ${with_[k].name}` }) : "",
      make("figcaption", {}, with_[k].name + (error ? `: ${error}` : ""))))));
  }

  async function draw() {
    kinds();
    rows();
    const wrong = found.runs.filter((run) => run.error);
    bad.replaceChildren(...(wrong.length ? [make("h2", {}, "Runs that cannot be shown"), make("ul", {}, wrong.map((run) => make("li", {}, `${run.name}: ${run.error}`)))] : []));
    await seen();
  }
  const seen = () => Promise.all([lines(), images()]);

  async function look_() {
    try {
      const before = JSON.stringify(found);
      found = await call("compare");
      if (!left && JSON.stringify(found) !== before) await draw();
    } catch (error) { fail(error); }
    if (!left) timer = setTimeout(look_, EVERY);
  }
  const again = () => canvas.replot && !canvas.hidden && canvas.replot();
  addEventListener("themechange", again);
  addEventListener("resize", again);
  draw().catch(fail);
  if (overHttp) timer = setTimeout(look_, EVERY);
  return () => {
    left = true;
    clearTimeout(timer);
    removeEventListener("themechange", again);
    removeEventListener("resize", again);
  };
}

// A choice that stays, and keeps the focus, while its options are the same.
function chooser(place, label, options, value, onchange) {
  const key = JSON.stringify(options);
  if (place.dataset.options !== key) place.replaceChildren(options.length ? choice(label, options, value, onchange) : "");
  place.dataset.options = key;
  const select = place.querySelector("select");
  if (select) select.value = value;
}
