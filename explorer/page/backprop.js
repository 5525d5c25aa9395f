// The tape, step by step. Python gives its rows, values and gradients; this only reveals them.

import { call } from "./engine.js";
import { choice, make, strip, svg } from "./tools.js";

const WIDE = 70;  // pixels of the arrows beside the rows
const high = () => (matchMedia("(min-width: 760px)").matches ? 46 : 74);  // of a row, as in style.css
const PACE = 1100;           // ms of a step that plays
const EXAMPLES = [
  ["x * w + b", { x: "2", w: "-3", b: "1" }, "The smallest network: one product, one sum."],
  ["(a + x) * a", { a: "2", x: "1" }, "a is used twice: on the way back two parts arrive at it, and are added."],
  ["tanh(x @ w + b)", { x: "[[1, 2]]", w: "[[0.1, 0.2, 0], [0.1, -0.1, 0.3]]", b: "[0, 0, 1]" }, "A layer of a network, on one row x."],
  ["mse(sigmoid(x @ w), t)", { x: "[[1, 2], [0, 1]]", w: "[[1], [-1]]", t: "[[1], [0]]" }, "A loss: what a training makes small."],
  ["softmax_cross_entropy(z, k)", { z: "[[1, 2, 3]]", k: "[1]" }, "The gradient of z is softmax(z), less 1 at the class k. A class has no gradient."],
  ["gaussian_kl(mu, log_var)", { mu: "[[1, 0]]", log_var: "[[0, -2]]" }, "The KL of a VAE, in nats."],
  ["sum(relu(x))", { x: "[-1, 2, 0]" }, "Where relu is flat the gradient is 0. At the kink, x = 0, differences see half a slope."],
  ["mean((e - detach(z)) ** 2)", { e: "[1, 2]", z: "[1.5, 1]" }, "A codebook's loss: detach, the papers' sg[.], keeps the gradient from z."],
  ["sum(straight_through(e, z) * w)", { e: "[1, 2]", z: "[1.5, 1]", w: "[2, 3]" }, "This derivative is declared, not derived: the differences do not agree, and are not meant to."],
];

export async function show(root, { runs, values, set, say, fail }) {
  const able = runs.filter((run) => !run.error), given = make("div", { class: "form" }), place = make("div"), hint = make("p", { class: "soft" });
  let expression = values.expression || EXAMPLES[0][0], texts = fromAddress(values.leaves) || EXAMPLES[0][1], end = () => {}, asks = 0;
  root.append(make("h1", {}, "Backprop: the tape, forward and back"),
    make("p", {}, "Each row is an operation that the engine recorded. Step forward, and its value appears; step back, and it hands its gradient to what it was made of."),
    make("div", { class: "row" }, choice("tape of", [["", "an expression"], ...able.map((run) => [run.name, `the loss of ${run.name}`])], values.run || "", (run) => {
      set({ run, step: undefined, image: undefined });
      begin().catch(fail);
    })), given, place);
  const begin = () => (values.run ? ofRun() : ofExpression());

  async function ofExpression() {
    const field = make("input", { type: "text", value: expression, size: 30, maxlength: 200, spellcheck: "false", "aria-label": "expression" });
    const fields = make("div", { class: "row" }), functions = make("p", { class: "soft" });
    async function read(step) {
      expression = field.value;
      const mine = asks += 1;
      set({ expression, step });
      hint.textContent = (EXAMPLES.find(([words]) => words === expression) || [])[2] || "";
      const found = await call("expression_leaves", { expression });
      if (mine !== asks) return;
      functions.textContent = `Functions: ${found.functions.join(", ")}. Operators: + - * / ** @.`;
      const leaves = Object.fromEntries(found.leaves.map((name) => [name, texts[name] || "1"]));
      fields.replaceChildren(...found.leaves.map((name) => {
        const value = make("input", { type: "text", value: leaves[name], size: 12, onchange: () => { texts = { ...texts, [name]: value.value }; again(); } });
        return make("label", {}, `${name} =`, value);
      }));
      set({ leaves: JSON.stringify(leaves) });
      const told = await call("tape", { expression, leaves });
      if (mine !== asks) return;
      tape(told, true);
      say("");
    }
    const again = () => read().catch(fail);
    const examples = choice("example", [["", "choose"], ...EXAMPLES.map(([words]) => words)], "", (words) => {
      if (!words) return;
      field.value = words;
      texts = { ...EXAMPLES.find((one) => one[0] === words)[1] };
      again();
    });
    given.replaceChildren(make("form", { class: "row", onsubmit: (event) => { event.preventDefault(); again(); } },
      make("label", {}, "expression", field), make("button", {}, "record"), examples),
    fields, hint, make("details", {}, make("summary", {}, "what can be in it"), functions,
      make("p", { class: "soft" }, "A leaf is a number such as 2, a list [1, 2], or rows [[1, 2], [3, 4]].")));
    await read(values.step);
  }

  async function ofRun() {
    const mine = asks += 1, { images } = await call("examples", { run: values.run, count: 12 });
    if (mine !== asks) return;
    const read = async (image) => {
      const mine = asks += 1;
      say("Recording the tape...");
      const found = await call("loss_tape", { run: values.run, image });
      if (mine !== asks) return;
      set({ image });
      tape(found, false);
      say("");
    };
    given.replaceChildren(make("p", { class: "soft" }, "The loss on one test image. Choose it. Large arrays are told by their range and norm."),
      strip(images, (image) => read(image).catch(fail), (k) => `test image ${k}`));
    end();
    place.replaceChildren();
    await read(Number(values.image) || 0);
  }

  function tape(found, small) {
    end();
    const one = stepper(found, small, Number(values.step) || 0, (step) => set({ step }));
    end = one.end;
    place.replaceChildren(one.element, small ? differences(found) : parameters(found));
  }

  function parameters(found) {
    const rows = found.leaves.map(({ name, shape, none }) => {
      const gradient = make("td", {}, none ? "none" : ""), numeric = make("td"), verdict = make("td");
      const button = make("button", { disabled: none, onclick: async () => {
        button.disabled = true;
        numeric.textContent = "computing...";
        try {
          const one = await call("loss_difference", { run: values.run, name, image: Number(values.image) || 0 });
          gradient.textContent = one.gradient;
          numeric.textContent = one.numeric;
          verdict.textContent = agreed(one);
        } catch (error) { numeric.textContent = ""; fail(error); }
        button.disabled = false;
        if (document.activeElement === document.body) button.focus();
      } }, "compare");
      return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, shape), gradient, numeric, verdict, make("td", {}, button));
    });
    return make("div", { class: "card spaced" }, make("h2", {}, "Finite differences"),
      make("p", { class: "soft" }, "Along one random direction d of length 1 the slope of the loss is <gradient, d>. Compare it with (L(p + eps d) - L(p - eps d)) / (2 eps), eps = 1e-5, in float64. Before the codes of a VQ-VAE the gradient is declared, not derived: there they do not agree."),
      make("div", { class: "wide" }, table(["parameter", "shape", "<gradient, d>", "differences", "apart", ""], rows)));
  }

  await begin();
  return () => end();
}

function fromAddress(text) {
  try {
    const found = JSON.parse(text);
    return found && typeof found === "object" ? found : null;
  } catch { return null; }
}

const table = (heads, rows) => make("table", { class: "compact" }, make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, rows));
const agreed = ({ agrees, apart }) => (apart && `${agrees ? "✓" : "✗"} ${apart}`);

function differences(found) {
  const rows = found.differences.map((one) => make("tr", {}, make("th", { scope: "row" }, one.name),
    make("td", {}, one.gradient === "none" ? "gets no gradient" : one.gradient), make("td", {}, one.numeric), make("td", {}, agreed(one))));
  return make("div", { class: "card spaced" }, make("h2", {}, "Finite differences"),
    make("p", { class: "soft" }, "Each number of each leaf is moved by eps = 1e-5 up and down: (L(x + eps) - L(x - eps)) / (2 eps), in float64. It must agree with the gradient, but for kinks and declared derivatives."),
    make("div", { class: "wide" }, table(["leaf", "gradient", "differences", "apart"], rows)));
}

// ---------------------------------------------------------------- the rows, revealed step by step

function stepper(found, small, first, onstep) {
  const { rows, back } = found, ops = rows.map((row, k) => k).filter((k) => rows[k].op !== "leaf");
  const total = 2 * ops.length + 1, last = rows.length - 1;
  let step = Math.trunc(Math.max(0, Math.min(first, total))), playing = null;
  const lines = rows.map((row) => line(row));
  const arrows = make("div", { class: "arrows" });
  const list = make("ol", { class: "tape", tabindex: 0, "aria-label": "the tape; arrow keys step" }, lines.map((one) => one.element));
  const told = make("p", { class: "told", role: "status" }), doc = make("pre", { class: "doc" });
  const lonely = found.leaves.filter((leaf) => leaf.none);

  function reveal() {
    const forward = Math.min(step, ops.length), done = Math.max(0, step - ops.length - 1), sums = {}, now = {};
    if (step > ops.length) sums[last] = { words: rows[last].gradient_words, count: 1, from: 1 };
    back.slice(0, done).forEach((one, k) => one.parts.forEach((part) => {
      const before = sums[part.to] || { count: 0, parts: [] };
      sums[part.to] = { words: part.sum_words, count: before.count + 1, from: part.from, parts: [...before.parts, part.part_words] };
      if (k === done - 1) now[part.to] = part;
    }));
    const current = step <= ops.length ? ops[step - 1] : done ? back[done - 1].row : last;
    rows.forEach((row, k) => {
      lines[k].value.textContent = row.op === "leaf" || ops.indexOf(k) < forward ? row.value_words : "";
      lines[k].gradient.textContent = sums[k] ? sumWords(sums[k], row) : "";
      for (const shown of [lines[k].value, lines[k].gradient]) shown.title = shown.textContent;
      lines[k].element.classList.toggle("now", k === current && step > 0);
      lines[k].element.classList.toggle("reached", Boolean(now[k]));
    });
    arrows.replaceChildren(drawn(rows, current, step > ops.length, now));
    told.textContent = sentence(current, done, now);
    doc.textContent = step && step !== ops.length + 1 ? rows[current].doc : "";
    doc.hidden = !doc.textContent;
    if (step && playing) lines[current].element.scrollIntoView({ block: "nearest" });
  }

  function sentence(k, done, now) {
    if (!step) return `${ops.length} operations on ${rows.length - ops.length} leaves. They keep ${found.kept} for the way back.`;
    if (step <= ops.length) return `Forward ${step} of ${ops.length}: ${rows[k].op} gives ${rows[k].value_words}${rows[k].kept ? `, and keeps ${rows[k].kept} for the way back` : ""}.`;
    if (!done) return `The way back begins at the end: the gradient of ${found.result === "a number" ? "the result by itself" : "the sum of the result"} is ${found.seed}.`;
    const gifts = back[done - 1].parts.map((part) => `${title(rows[part.to])}: ${part.part_words} (by ${part.by})`).join("; ");
    return `Back ${done} of ${ops.length}: ${rows[k].op} has all of its gradient, ${rows[k].gradient_words}, and gives ${gifts}.`;
  }

  function sumWords({ words, count, from, parts = [] }, row) {
    if (row.times > 1) return row.gradient_words;
    const sum = from > 1 && count === from && parts.join().length < 34 ? `${parts.join(" + ")} = ` : "";
    return `${sum}${words}${count < from ? ` (${count} of ${from} parts)` : ""}`;
  }

  function go(to) {
    step = Math.max(0, Math.min(total, to));
    if (step === total) stop();
    reveal();
    onstep(step);
  }
  function stop() {
    clearInterval(playing);
    playing = null;
    play.textContent = "play";
  }
  const play = make("button", { onclick: () => {
    if (playing) return stop();
    if (step === total) go(0);
    playing = setInterval(() => go(step + 1), PACE);
    play.textContent = "pause";
  } }, "play");
  const moved = (to) => () => { stop(); go(to()); };
  list.addEventListener("keydown", (event) => {
    const to = { ArrowRight: step + 1, ArrowDown: step + 1, ArrowLeft: step - 1, ArrowUp: step - 1, Home: 0, End: total }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    stop();
    go(to);
  });
  const buttons = make("div", { class: "row" }, make("button", { onclick: moved(() => 0) }, "to the start"),
    make("button", { onclick: moved(() => step - 1), "aria-label": "one step less" }, "◀ step"),
    make("button", { class: "main", onclick: moved(() => step + 1), "aria-label": "one step more" }, "step ▶"),
    matchMedia("(prefers-reduced-motion: reduce)").matches ? null : play,
    make("button", { onclick: moved(() => ops.length) }, "forward: all values"),
    make("button", { onclick: moved(() => total) }, "back: all gradients"));
  const element = make("div", { class: "card spaced" }, buttons, told, doc, make("div", { class: "taped" }, arrows, list),
    lonely.length ? make("p", {}, `Gets no gradient: ${lonely.map((leaf) => leaf.name).join(", ")}.`) : null,
    make("p", { class: "soft" }, small ? "In float64, to compare with finite differences." : "In float32, as it trains. A row marked \"times\" stands for as many alike; its numbers are those of the first."));
  reveal();
  addEventListener("resize", reveal);
  return { element, end: () => { stop(); removeEventListener("resize", reveal); } };
}

const title = (row) => row.name || row.op;

function line(row) {
  const value = make("span", { class: "value" }), gradient = make("span", { class: "gradient" });
  const about = [row.shape === "a number" ? "" : row.shape, row.times > 1 && `${row.times} times`,
    ...row.without.map((shape) => `no gradient: ${shape}`), row.kept && `keeps ${row.kept}`].filter(Boolean).join(", ");
  const element = make("li", { class: row.op === "leaf" ? "leaf" : "" },
    make("span", { class: "name", title: `${title(row)} ${row.op} ${about}` }, make("b", {}, title(row)), row.op === "leaf" ? " leaf" : row.name ? ` ${row.op}` : "", about ? make("small", {}, ` ${about}`) : null),
    make("span", { class: "number" }, make("i", {}, "value "), value), make("span", { class: "number" }, make("i", {}, "gradient "), gradient));
  return { element, value, gradient };
}

// The arrows from inputs to what is made of them; those of this step thick, on the way back turned.
function drawn(rows, current, backward, now) {
  const y = (k) => high() * (k + 0.5), paths = [], over = [];
  rows.forEach((row, k) => row.sources.forEach((i) => {
    const on = k === current && (!backward || now[i]), far = WIDE - 12 - Math.min(WIDE - 16, 12 + 7 * (k - i));
    const [from, to] = backward ? [k, i] : [i, k];
    const path = svg("path", { d: `M${WIDE - 6},${y(from) + (from < to ? 8 : -8)}C${far},${y(from)} ${far},${y(to)} ${WIDE - 6},${y(to) + (from < to ? -8 : 8)}`,
      class: on ? (backward ? "on back" : "on") : "", "marker-end": on ? "url(#arrow)" : "" });
    (on ? over : paths).push(path);
  }));
  return svg("svg", { width: WIDE, height: high() * rows.length, "aria-hidden": "true" },
    svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 5, markerHeight: 5, orient: "auto" }, svg("path", { d: "M0,0L8,4L0,8z", class: "tip" })),
    paths, over);
}
