// A VQ-VAE: an image as a grid of codes, which can be changed one by one.

import { call } from "./engine.js";
import { bars, cellOf, grid, pad, padButtons, patch } from "./grids.js";
import { anew, choice, latest, make, natural, paint, strip } from "./tools.js";

export async function show(root, { runs, values, set, fail }) {
  const names = runs.filter((run) => !run.error && run.model === "vqvae");
  if (!names.length) throw new Error("There is no run of a VQ-VAE here: python train_mnist.py --model vqvae");
  const first = names.find((run) => run.name === values.run) || names.find((run) => run.name === "vqvae-mnist") || names[0];
  root.append(make("h1", {}, "An image as a grid of codes"),
    make("p", {}, "A VQ-VAE cuts an image into cells, and writes one number into each: which vector of its codebook is nearest to what its encoder found there. The decoder sees these numbers alone. Change one, and see what it says."));
  const place = make("div");
  root.append(make("p", {}, choice("run", names.map((run) => [run.name, `${run.name}: ${run.title}`]), first.name, (name) => {
    set({ run: name, image: undefined, drawing: undefined, seed: undefined, codes: undefined, cell: undefined });
    open(name).catch(fail);
  })), place);
  async function open(name) {
    const [root, now] = anew(place);
    await panel(root, name, values, now(set), now(fail));
  }
  await open(first.name);
}

async function panel(root, name, values, set, fail) {
  const about = await call("about", { run: name });
  const [palette, { images, title }, { priors }] = await Promise.all([call("palette", { run: name }),
    call("examples", { run: name, count: 20 }), call("priors", { run: name })]);
  const [H, W, C] = about.shape, h = H / 4, w = W / 4;
  const patches = Array.from({ length: about.codes }, (_, k) => patch(palette.images, k));
  let codes = [], encoded = [], before = 0, compared = null, changes = [];

  // ---------------------------------------------------------------- the image

  const board = pad(about.shape, drawn);
  let newest = null;
  const asking = latest(async (wanted) => {  // the codes of an image, or those that a prior draws
    const { image, seed } = wanted;
    const found = await (seed === undefined ? call("codes", { run: name, image }) : call("draw_codes", { run: name, prior: priors[0], seed }));
    if (wanted !== newest && typeof image !== "object") return;  // it would replace what is drawn by hand
    compared = seed === undefined ? image : null;
    if (typeof image === "number") board.show(found.image);
    if (compared === null) board.show(found.decoded);
    begin(found);
  }, fail);
  const ask = (wanted) => { newest = wanted; return asking(wanted); };
  const encode = (image) => ask({ image });
  function begin(found) {  // another image
    encoded = Array.from(found.codes.data);
    before = found.recon_error;
    changes = changes.filter(([cell, k]) => cell >= 0 && cell < h * w && k >= 0 && k < about.codes);
    codes = [...encoded];
    if (changes.length) change();
    else show(found);
    near();
  }
  function drawn(done) {
    forget();
    if (done) set({ image: undefined, seed: undefined, drawing: board.text() });
    encode(board.nested());
  }
  function forget() {
    changes = [];
    set({ codes: undefined });
  }
  function pick(k) {
    forget();
    set({ image: k, drawing: undefined, seed: undefined });
    encode(k);
  }
  function fromPrior(seed) {
    set({ image: undefined, drawing: undefined, seed });
    return ask({ seed });
  }

  // ---------------------------------------------------------------- its codes

  const whole = make("canvas");
  const picture = grid(h, w, "the decoded image", select), map = grid(h, w, "the codes", select);
  const grids = [picture, map];
  picture.paint = (pen, cell) => {
    pen.drawImage(whole, 0, 0, w * cell, h * cell);
    pen.fillStyle = "#8888";
    for (let k = 1; k < h; k += 1) pen.fillRect(0, k * cell, w * cell, 1);
    for (let k = 1; k < w; k += 1) pen.fillRect(k * cell, 0, 1, h * cell);
  };
  map.paint = (pen, cell) => {
    pen.font = `bold ${Math.round(cell / 3.6)}px sans-serif`;
    pen.lineJoin = "round";
    codes.forEach((k, n) => {
      const x = (n % w) * cell, y = Math.floor(n / w) * cell;
      pen.drawImage(patches[k], x, y, cell - 2, cell - 2);
      if (cell >= 36) {  // else no number can be read
        pen.strokeStyle = "#000";
        pen.lineWidth = 4;
        pen.strokeText(k, x + 4, y + cell - 8);
        pen.fillStyle = "#fff";
        pen.fillText(k, x + 4, y + cell - 8);
      }
      if (k !== encoded[n]) corner(pen, x + cell - 2, y, cell / 3);
    });
  };
  function corner(pen, x, y, side) {
    pen.fillStyle = "#ffa90e";
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x, y + side);
    pen.lineTo(x - side, y);
    pen.closePath();
    pen.stroke();
    pen.fill();
  }
  const told = make("p", { class: "soft", "aria-live": "polite" }), chosen = make("h2", { "aria-live": "polite" });
  function show(found) {
    paint(whole, found.decoded);
    for (const one of grids) one.redraw();
    map.canvas.dataset.codes = codes.join(",");
    const changed = codes.filter((k, n) => k !== encoded[n]).length;
    told.replaceChildren(found.recon_error === undefined ? `The prior drew these codes${Number.isInteger(found.label) ? `, told the class ${found.label}` : ""}; no image was encoded. `
      : `Reconstruction error ${found.recon_error.toFixed(4)}${changed ? `, with the encoder's own codes ${before.toFixed(4)}` : ""} (${found.units}). `,
    changed ? `Codes changed: ${changed}. ` : "",
    `This image uses ${found.used} codes, with perplexity ${found.perplexity.toFixed(1)}; the ${palette.examples} test images use ${palette.used} of ${about.codes}, with perplexity ${palette.perplexity.toFixed(1)}.`);
    undo.disabled = reset.disabled = !changes.length;
    mark();
  }
  const decode = latest(async () => {
    const rows = Array.from({ length: h }, (_, i) => codes.slice(i * w, i * w + w));
    const mine = codes, found = await call("decode_codes", { run: name, codes: rows, ...(compared === null ? {} : { image: compared }) });
    if (mine === codes) show(found);
  }, fail);
  function change() {
    codes = [...encoded];
    for (const [cell, k] of changes) codes[cell] = k;
    decode();
    set({ codes: changes.map((one) => one.join(".")).join(",") });
  }
  const here = () => map.at[0] * w + map.at[1];
  function give(k) {
    if (codes[here()] === k) return;
    changes.push([here(), k]);
    change();
  }
  function select(i, j) {
    for (const one of grids) { one.at = [i, j]; one.redraw(); }
    set({ cell: `${i},${j}` });
    mark();
    near();
  }
  map.canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter") buttons[codes[here()]].focus();
  });
  const undo = make("button", { onclick: () => { changes.pop(); change(); } }, "undo");
  const reset = make("button", { onclick: () => { changes = []; change(); } }, "reset");

  // ---------------------------------------------------------------- the palette

  const order = Array.from(palette.order.data), buttons = [];
  const box = make("div", { class: "palette", role: "group", "aria-label": "all codes, the most used first: arrow keys move, Enter gives the code to the cell" },
    order.map((k) => {
      const part = (100 * palette.usage.data[k]).toFixed(1);
      buttons[k] = make("button", { onclick: () => give(k), tabindex: -1, title: `code ${k}: ${part} % of the cells of the test images`,
        "aria-label": `code ${k}, ${part} %` }, patches[k], make("span", {}, String(k)));
      return buttons[k];
    }));
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key], at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    buttons[order[(order.indexOf(at) + step + order.length) % order.length]].focus();
  });
  function mark() {
    const k = codes[here()];
    buttons.forEach((button, n) => { button.tabIndex = n === k ? 0 : -1; button.setAttribute("aria-pressed", String(n === k)); });
    const words = `Row ${map.at[0]}, column ${map.at[1]}: code ${k}`;
    if (chosen.textContent !== words) chosen.textContent = words;  // it is read aloud
  }

  // ---------------------------------------------------------------- the distances

  const list = make("div"), near = latest(async () => {
    if (compared === null) return void list.replaceChildren(make("p", { class: "soft" }, "Codes that a prior drew come from no encoder: there is no vector to measure from."));
    const found = await call("distances", { run: name, image: compared, at: map.at });
    const far = Math.max(...found.distances.data);
    list.replaceChildren(make("p", { class: "soft" }, "The ten codes nearest to the encoder's vector in this cell, and their distances. The encoder takes the first."), bars(Array.from(found.codes.data, (k, n) => {
      const d = found.distances.data[n];
      return [patch(palette.images, k), `code ${k}`, d, d.toFixed(3)];
    }), far));
  }, fail);

  root.replaceChildren(make("div", { class: "columns narrow" },
    make("div", { class: "card" }, make("h2", {}, C === 1 ? "1. An image: choose one, or draw" : "1. An image: choose one"),
      board.canvas, make("div", { class: "row" }, C === 1 ? padButtons(board, drawn) : [],
        priors.length ? make("button", { onclick: () => { forget(); fromPrior(Math.floor(Math.random() * 1e6)); } }, "draw a new one by the prior") : null),
      make("p", { class: "soft" }, C === 1 ? "Draw with the pointer, or with the arrow keys and the space bar: the codes follow. " : "", `Test images of ${title}:`), strip(images, pick, (k) => `test image ${k}`)),
    make("div", { class: "card" }, make("h2", {}, "2. Its codes: choose a cell"),
      make("figure", {}, map.canvas, make("figcaption", {}, `${h} x ${w} codes: the number, over what the code decodes to among codes of its own kind. An orange corner marks a code that you changed.`)),
      make("div", { class: "row" }, undo, reset)),
    make("div", { class: "card" }, make("h2", {}, "3. The codebook: choose another code"), box,
      make("p", { class: "soft" }, `All ${about.codes} codes, those first that the ${palette.examples} test images use most.`)),
    make("div", { class: "card" }, make("h2", {}, "4. What the decoder says"), picture.canvas, told, chosen, list)));

  for (const one of grids) one.at = cellOf(values.cell, h, w);
  changes = (values.codes || "").split(",").map((one) => one.split(".").map(Number)).filter((one) => one.length === 2 && one.every(Number.isInteger));
  if (values.drawing && C === 1 && board.read(values.drawing)) encode(board.nested());
  else if (priors.length && natural(values.seed, 1e9, -1) >= 0) await fromPrior(Number(values.seed));
  else encode(natural(values.image, about.examples - 1, 0));
}
