// A PixelCNN, or a prior over codes: it completes an image row by row, and says of each pixel what
// it expected there and what it looked at.

import { call, stream } from "./engine.js";
import { bars, cellOf, grid, legend, nested, pad, padButtons, paintHeat, patch } from "./grids.js";
import { anew, choice, colour, latest, make, natural, paint, settled, slider, strip } from "./tools.js";

const COUNT = 6;  // completions at once
const COLOURS = ["red", "green", "blue"];
const BEYOND = {
  pixelcnn: " The others are out of its reach, some of them in the blind spot that the plain PixelCNN has to its upper right. The gated one has none.",
  others: " The others are out of its reach.",
};

export async function show(root, { runs, values, set, fail }) {
  const names = runs.filter((run) => !run.error && /pixelcnn$|^prior$/.test(run.model));
  if (!names.length) throw new Error("There is no run of a PixelCNN here: python train_mnist.py --model pixelcnn");
  const first = names.find((run) => run.name === values.run) || names.find((run) => run.name === "gated-pixelcnn-mnist") || names[0];
  root.append(make("h1", {}, "An image, one pixel after another"),
    make("p", {}, "A PixelCNN reads an image like a text: row by row, from the left. At each pixel it gives a probability to each value, knowing the pixels before it alone. To draw, it takes a value by these probabilities, and goes on."));
  const place = make("div");
  let leave = () => {};
  async function open(name) {
    leave();
    leave = () => {};
    const [root, now, here] = anew(place), left = await panel(root, name, values, now(set), now(fail));
    if (here()) leave = left; else left();
  }
  root.append(make("p", {}, choice("run", names.map((run) => [run.name, `${run.name}: ${run.title}`]), first.name, (name) => {
    set({ run: name, image: undefined, drawing: undefined, keep: undefined, at: undefined, label: undefined, pick: undefined });
    open(name).catch(fail);
  })), place);
  await open(first.name);
  return () => { place.replaceChildren(); leave(); };
}

async function panel(root, name, values, set, fail) {
  const about = await call("about", { run: name });
  const { images, labels, title } = await call("examples", { run: name, count: 20 });
  const [H, W, C] = about.shape, [h, w] = about.grid, codes = about.codes > 0;
  const one = codes ? "code" : "pixel", times = H / h;
  let keep = natural(values.keep, h - 1, h >> 1), label = natural(values.label, about.classes - 1, 0);
  let seed = natural(values.seed, 1e9, 1), temperature = Number(values.temperature) || 1;
  temperature = Math.max(0.1, Math.min(2, temperature));

  // ---------------------------------------------------------------- the image

  let image = 0, looked = 0, drawnHere = null;  // what is completed; what is looked at; completions
  const board = pad(about.shape, drawn);
  function source(found, done) {  // another image to be completed
    image = found;
    set({ pick: undefined });
    look(found);
    if (done && values.completed) complete();
    else if (values.completed) unmark();
  }
  function drawn(done) {
    if (done) set({ image: undefined, drawing: board.text() });
    source(board.nested(), done);
  }
  function pickExample(k) {
    board.show({ data: images.data.slice(k * H * W * C, (k + 1) * H * W * C) });
    if (about.classes) setLabel(labels.data[k]);
    set({ image: k, drawing: undefined });
    source(k, true);
  }
  function limit() {
    board.limit = keep * times;
    board.redraw();
  }

  // ---------------------------------------------------------------- completions

  let end = () => {}, round = 0;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const films = Array.from({ length: COUNT }, (_, k) => make("canvas", { class: "hatched", width: W, height: H, role: "img",
    "aria-label": `completion ${k + 1}` }));
  const film = make("div", { class: "strip completions" }, films.map((canvas, k) =>
    make("button", { title: `look at completion ${k + 1}`, "aria-pressed": "false", onclick: () => pickCompletion(k) }, canvas)));
  const rows = make("p", { class: "soft", role: "status" });
  film.hidden = true;
  function complete() {
    if (!root.isConnected) return;  // it was left meanwhile
    end();
    const mine = round += 1;
    set({ completed: 1, keep, seed, temperature: temperature === 1 ? undefined : temperature });
    film.hidden = false;
    film.dataset.rows = film.dataset.first = "";
    rows.textContent = "drawing";
    drawnHere = null;
    const started = performance.now();
    end = stream("complete", { run: name, image, keep, count: COUNT, seed, temperature, label }, (part) => {
      if (mine !== round) return;
      if (!film.dataset.first) film.dataset.first = performance.now() - started;
      film.dataset.rows = part.rows;
      if (still && !part.values) return;
      films.forEach((canvas, k) => {
        paint(canvas, part.images, k);
        canvas.getContext("2d").clearRect(0, part.rows * times, W, H);  // what is not drawn yet
      });
      rows.textContent = `row ${part.rows} of ${part.of}`;
      if (!part.values) return;
      drawnHere = part.values;
      rows.textContent = `Choose one to see what each of its ${one}s cost.`;
      const k = natural(values.pick, COUNT - 1, null);
      if (k !== null) pickCompletion(k);
    }, () => { if (mine === round && !drawnHere) broken(new Error("the drawing broke off; press complete again")); }, broken);
  }
  function broken(error) {
    round += 1;  // what else comes of it is not looked at: after an error the stream ends, too
    rows.textContent = "";
    fail(error);
  }
  function pickCompletion(k) {
    if (!drawnHere) return;
    set({ pick: k });
    look({ values: nested(drawnHere, k) });
    film.childNodes.forEach((button, n) => button.setAttribute("aria-pressed", String(n === k)));
  }
  function unmark() {
    film.childNodes.forEach((button) => button.setAttribute("aria-pressed", "false"));
  }
  const restart = settled(complete);
  function again() {  // with other settings
    unmark();
    set({ pick: undefined });
    if (values.completed) restart();
  }
  const seeds = make("input", { type: "number", min: 0, max: 1e9, value: seed, "aria-label": "seed", onchange: () => {
    seed = natural(seeds.value, 1e9, 1);
    seeds.value = seed;
    again();
  } });
  const classes = about.classes ? choice("class", Array.from({ length: about.classes }, (_, k) => k), label, (k) => {
    setLabel(Number(k));
    look(looked);
    again();
  }) : null;
  function setLabel(k) {
    label = k;
    classes.querySelector("select").value = k;
    set({ label });
  }

  // ---------------------------------------------------------------- what is looked at

  const whole = make("canvas"), cost = make("p", { class: "soft", "aria-live": "polite" }), key = make("div");
  const grids = [`the image, a ${one} at a time`, `bits of each ${one}`, `what the ${one} depends on`].map((words) => grid(h, w, words, (i, j) => {
    to(i, j);
    set({ at: picture.at.join(",") });
  }, true));
  const [picture, heat, field] = grids;
  picture.paint = (pen, cell) => pen.drawImage(whole, 0, 0, w * cell, h * cell);
  const look = latest(async (asked) => {
    looked = asked;
    if (asked === image) unmark();
    const found = await call("pixel_bits", { run: name, image: asked, label });
    paint(whole, found.image);
    heat.paint = (pen, cell) => paintHeat(pen, cell, found.shade);
    bits = found.bits;
    cost.textContent = `The whole image costs ${found.nats.toFixed(1)} nats = ${found.total.toFixed(1)} bits, ${found.each.toFixed(3)} bits for each ${codes ? "code" : C > 1 ? "colour of a pixel" : "pixel"}.`;
    heat.canvas.dataset.nats = found.nats;
    key.replaceChildren(legend("0", `${found.most.toFixed(1)} bits`));
    for (const g of grids) g.redraw();
    next();
  }, fail);
  let bits = null;
  function to(i, j) {
    for (const g of grids) { g.at = [i, j]; g.redraw(); }
    next();
  }
  const said = make("p", { "aria-live": "polite" }), chances = make("div"), seen = make("p", { class: "soft" });
  const next = latest(async () => {
    const [i, j] = picture.at, image = looked;
    const found = await call("next_pixel", { run: name, image, at: [i, j], label });
    field.paint = (pen, cell) => paintHeat(pen, cell, found.shade, (n) => found.gradient.data[n] === 0);
    field.redraw();
    field.canvas.dataset.at = `${i},${j}`;
    const paid = bits ? ` It costs ${bits.data[i * w + j].toFixed(2)} bits.` : "";
    seen.textContent = `${found.before} ${one}s come before it; it depends on ${found.seen} of them.${found.seen === found.before ? "" : BEYOND[about.model] || BEYOND.others}`;
    said.textContent = `Row ${i}, column ${j}: ${told(found)}${paid}`;
    chances.replaceChildren(...shown(found));
  }, fail);
  function told(found) {
    const p = found.p.data, value = found.value.data;
    if (codes) return `the code is ${value[0]}, of probability ${found.own.toFixed(3)}.`;
    if (about.levels === 2 && C === 1) return `white has the probability ${p[1].toFixed(3)}; the pixel is ${value[0] ? "white" : "black"}.`;
    return `${Array.from(value, (v, c) => `${C === 3 ? COLOURS[c] : "the value"} ${v} has the probability ${p[c * about.levels + v].toFixed(3)}`).join(", ")}.`;
  }
  function shown(found) {
    const p = found.p.data, L = about.levels;
    if (codes) {
      return [bars(Array.from(found.codes.data, (k, n) => [patch(found.patches, n), `code ${k}`, p[n], p[n].toFixed(3)]), p[0])];
    }
    return Array.from({ length: C }, (_, c) => {
      const part = p.slice(c * L, (c + 1) * L), words = C === 3 ? COLOURS[c] : "value";
      if (L === 2 && C === 1) return bars([[null, "white", part[1], part[1].toFixed(3)]], 1);
      if (L <= 8) return bars(Array.from(part, (x, k) => [null, `${words} ${k}`, x, x.toFixed(3)]), 1);
      return curve(part, words);
    });
  }

  // ---------------------------------------------------------------- the page

  root.replaceChildren(make("div", { class: "columns" },
    make("div", { class: "card" }, make("h2", {}, C === 1 ? "1. An image: choose one, or draw" : "1. An image: choose one"),
      board.canvas, make("div", { class: "row" }, C === 1 ? padButtons(board, drawn) : [],
        slider(codes ? "rows of codes kept" : "rows kept", 0, h - 1, 1, keep, (x) => { keep = x; set({ keep }); limit(); again(); })),
      make("p", { class: "soft" }, `The model draws what is pale, and sees what is above the line.${C === 1 ? " Draw there with the pointer, or with the arrow keys and the space bar." : ""}${codes ? " The image is encoded first: it sees codes, not pixels." : ""} Test images of ${title}:`),
      strip(images, pickExample, (k) => `test image ${k}`)),
    make("div", { class: "card" }, make("h2", {}, "2. Completions"),
      make("div", { class: "row" }, make("button", { class: "main", onclick: () => { unmark(); set({ pick: undefined }); complete(); } }, "complete"),
        make("button", { onclick: () => { seed = Math.floor(Math.random() * 1e6); seeds.value = seed; set({ pick: undefined, completed: 1 }); again(); } }, "other draws"), make("label", {}, "seed", seeds)),
      make("div", { class: "row" }, classes, slider("temperature", 0.1, 2, 0.05, temperature, (x) => { temperature = x; set({ temperature }); again(); })),
      make("p", { class: "soft" }, `${COUNT} draws at once, each by its own random numbers. The same seed gives the same images. A temperature below 1 makes likely values likelier still; above 1 all become more alike.`),
      film, rows)),
  make("div", { class: "card spaced" }, make("h2", {}, `3. Point at a ${one}: what was expected there?`), cost,
    make("div", { class: "columns" },
      make("figure", {}, picture.canvas, make("figcaption", {}, codes ? "The image that these codes decode to." : "The image, as the model sees it."), said, chances),
      make("figure", {}, heat.canvas, make("figcaption", {}, `Bits: how surprised the model is by each ${one}. A value of probability 1/2 costs one bit, one of 1/4 two.`, key)),
      make("figure", {}, field.canvas, make("figcaption", {}, `What the ${one} depends on: the gradient of its logit with respect to each ${one} before it. Each quarter of the scale is a factor of ten. Hatched: no influence at all.`, legend("1/10000", "largest")), seen))));

  const recolour = () => { limit(); next(); };
  addEventListener("themechange", recolour);
  for (const g of grids) g.at = cellOf(values.at, h, w);
  const k = natural(values.image, images.shape[0] - 1, 0);
  if (values.drawing && C === 1 && board.read(values.drawing)) image = board.nested();
  else {
    board.show({ data: images.data.slice(k * H * W * C, (k + 1) * H * W * C) });
    if (about.classes && values.label === undefined) setLabel(labels.data[k]);
    image = k;
  }
  limit();
  look(image);
  if (values.completed) complete();
  return () => { end(); round += 1; removeEventListener("themechange", recolour); };
}

// The probabilities of many values: a bar each, the highest as high as the canvas.
function curve(p, words) {
  const canvas = make("canvas", { class: "curve", width: 4 * p.length, height: 120, role: "img", "aria-label": `probabilities of ${words}` });
  const pen = canvas.getContext("2d"), most = Math.max(...p);
  pen.fillStyle = colour("--accent");
  p.forEach((x, k) => pen.fillRect(4 * k, 120 - 118 * x / most, 4, 118 * x / most));
  return make("figure", {}, canvas, make("figcaption", {}, `${words}, from 0 to ${p.length - 1}; the likeliest has ${most.toFixed(3)}`));
}
