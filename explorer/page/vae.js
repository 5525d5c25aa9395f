// The latent plane of a VAE or an autoencoder: drag, and the decoded image follows.

import { call } from "./engine.js";
import { COLOURS, MOVES, choice, colour, framed, latest, make, natural, paint, slider, strip } from "./tools.js";

const SIDE = 640;  // pixels of the plane's canvas
const FRAMES = 12;  // images along a path

const short = (v) => Number(v.toFixed(3));

export async function show(root, { runs, values, set, fail }) {
  const names = runs.filter((run) => !run.error && /vae$|autoencoder/.test(run.model) && run.model !== "vqvae");
  if (!names.length) throw new Error("There is no run of a VAE here: python train_mnist.py --model vae --z-dim 2");
  const first = names.find((run) => run.name === values.run) || names.find((run) => run.name === "vae2-mnist") || names[0];
  root.append(make("h1", {}, "A latent space"),
    make("p", {}, "Each digit in the plane is a test image, where the encoder puts it. Move over the plane: the decoder draws what lies there."));
  const place = make("div", { class: "columns" }), leave = [() => {}, () => {}];
  const clear = { at: undefined, image: undefined, label: undefined, axes: undefined, path: undefined, seed: undefined };
  const options = names.map((run) => [run.name, `${run.name} (${run.model})`]);
  const beside = choice("beside it", [["", "nothing"], ...options], values.beside || "", (name) => { set({ beside: name }); second(name); });
  root.append(make("div", { class: "row" }, choice("run", options, first.name, (name) => {
    set({ run: name, ...clear });
    open(0, name, values, set).catch(fail);
  }), beside), place);
  place.append(make("div"), make("div"));
  async function open(k, name, its, keep) {
    leave[k]();
    leave[k] = () => {};
    const box = make("div");
    place.childNodes[k].replaceWith(box);
    const here = () => box.isConnected, now = (work) => (...args) => { if (here()) work(...args); };
    if (!name) return;
    const end = await panel(box, name, its, now(keep), now(fail));
    if (here()) leave[k] = end;
    else end();  // another was chosen meanwhile
  }
  const second = (name) => open(1, name, {}, () => {}).catch(fail);
  await open(0, first.name, values, set);
  second(values.beside);
  return () => leave.forEach((end) => end());
}

async function panel(root, name, values, set, fail) {
  const about = await call("about", { run: name });
  const { at: codes, labels, spread } = await call("plane", { run: name });
  const d = codes.shape[1], axes = chosenAxes(values.axes, d);
  let at = (values.at || "").split(",").map(Number), label = Number(values.label) || 0, path = null, picked = null;
  if (at.length !== d || !at.every((v) => Math.abs(v) <= 100)) at = Array(d).fill(0);
  const plane = make("canvas", { class: "plane", width: SIDE, height: SIDE, tabindex: 0, role: "application",
    "aria-label": "latent plane: arrow keys move the point" });
  const image = make("canvas", { class: "big pixels", role: "img", "aria-label": "decoded image" });
  const where = make("output"), told = make("div", { "aria-live": "polite" }), film = make("div");
  const redraw = framed(drawPlane);

  // the window: all codes and the prior's circle
  const ends = axes.map(() => [-2.2, 2.2]);
  function fit() {
    axes.forEach((axis, i) => {
      const along = Array.from({ length: codes.shape[0] }, (_, n) => codes.data[n * d + axis]);
      ends[i] = [Math.min(-2.2, ...along), Math.max(2.2, ...along)];
    });
  }
  const half = () => 0.53 * Math.max(...ends.map(([low, high]) => high - low));
  const middle = (i) => (ends[i][0] + ends[i][1]) / 2;
  const toPixel = (x, y) => [SIDE / 2 * (1 + (x - middle(0)) / half()), SIDE / 2 * (1 - (y - middle(1)) / half())];

  function drawPlane() {
    const pen = plane.getContext("2d");
    pen.fillStyle = colour("--card");
    pen.fillRect(0, 0, SIDE, SIDE);
    pen.font = `${Math.min(22, Math.round(11 * SIDE / (plane.clientWidth || SIDE)))}px sans-serif`;
    pen.textAlign = "center";
    for (let n = 0; n < codes.shape[0]; n += 1) {
      const [x, y] = toPixel(codes.data[n * d + axes[0]], codes.data[n * d + axes[1]]);
      pen.fillStyle = COLOURS[labels.data[n] % 10];
      pen.fillText(labels.data[n], x, y + 4);
    }
    pen.strokeStyle = pen.fillStyle = colour("--ink");
    if (about.posterior && d === 2) circle(pen, 0, 0, 2, 2, [6, 6]);
    if (picked && picked.sigma) circle(pen, picked.at.data[axes[0]], picked.at.data[axes[1]], 2 * picked.sigma.data[axes[0]], 2 * picked.sigma.data[axes[1]], []);
    pen.lineWidth = 2.5;
    if (path) { pen.beginPath(); path.forEach((p) => pen.lineTo(...toPixel(p[axes[0]], p[axes[1]]))); pen.stroke(); }
    const [x, y] = toPixel(at[axes[0]], at[axes[1]]);
    pen.beginPath();
    pen.moveTo(x - 12, y); pen.lineTo(x + 12, y); pen.moveTo(x, y - 12); pen.lineTo(x, y + 12);
    pen.stroke();
    pen.lineWidth = 1;
  }
  function circle(pen, x, y, a, b, dashes) {
    const [cx, cy] = toPixel(x, y);
    pen.setLineDash(dashes);
    pen.beginPath();
    pen.ellipse(cx, cy, a * SIDE / 2 / half(), b * SIDE / 2 / half(), 0, 0, 2 * Math.PI);
    pen.stroke();
    pen.setLineDash([]);
  }

  const decode = latest(async () => {
    const asked = plane.dataset.at;
    const { image: found } = await call("decode", { run: name, at, label });
    paint(image, found);
    image.dataset.at = asked;
  }, fail);
  function move(x, y) {
    at[axes[0]] = x;
    if (d > 1) at[axes[1]] = y;
    moved();
  }
  function moved() {
    plane.dataset.at = at.join(",");
    decode();  // first: the engine is at work meanwhile
    where.value = `(${axes.map((k) => at[k].toFixed(2)).join(", ")})`;
    sliders.forEach((one, k) => one.set(at[k]));
    redraw();
    set({ at: at.map(short).join(",") });
  }

  // ---------------------------------------------------------------- a pointer, or keys

  const pointer = (event) => {
    const box = plane.getBoundingClientRect();
    return [middle(0) + half() * (2 * (event.clientX - box.left) / box.width - 1),
      middle(1) + half() * (1 - 2 * (event.clientY - box.top) / box.height)];
  };
  let stroke = false;  // the pointer draws a path
  const drawing = () => pen.getAttribute("aria-pressed") === "true";
  plane.addEventListener("pointerdown", (event) => {
    plane.setPointerCapture(event.pointerId);
    stroke = drawing();
    if (stroke) path = [];
    dragged(event);
  });
  plane.addEventListener(MOVES, (event) => {
    if (event.buttons || event.pointerType === "mouse" && !drawing()) dragged(event);
  });
  function dragged(event) {
    move(...pointer(event));
    if (stroke) path.push([...at]);
  }
  for (const end of ["pointerup", "pointercancel"]) plane.addEventListener(end, () => { if (stroke) finish(); });
  plane.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Enter" && drawing() && path) finish();
    if (!step) return;
    event.preventDefault();
    if (drawing() && !byKeys) { path = [[...at]]; byKeys = true; }
    const far = half() / (event.shiftKey ? 10 : 50);
    move(at[axes[0]] + step[0] * far, at[axes[1]] + step[1] * far);
    if (drawing()) path.push([...at]);
  });
  let byKeys = false;
  const hint = make("p", { class: "soft", role: "status" });
  const pen = make("button", { "aria-pressed": "false", onclick: () => press(!drawing()) }, "draw a path");
  function press(on) {
    byKeys = false;
    pen.setAttribute("aria-pressed", String(on));
    hint.textContent = on ? "Draw a line over the plane with the pointer pressed; or move with the arrow keys, and press Enter at its end." : "";
  }
  function finish() {
    stroke = false;
    press(false);
    path = Array.from({ length: FRAMES }, (_, k) => path[Math.round(k * (path.length - 1) / (FRAMES - 1))]);
    set({ path: path.map((p) => axes.map((a) => short(p[a])).join(",")).join(","), seed: undefined });
    walk().catch(fail);
  }

  // ---------------------------------------------------------------- what is asked of a point, a path, an image

  let again = () => {}, films = 0, picks = 0;  // what fills the film; an answer to an older one is late
  async function walk(along = path) {
    again = () => walk(along).catch(fail);
    drawPlane();
    const mine = films += 1, { images } = await call("interpolate", { run: name, path: along, label });
    if (mine !== films) return;
    film.replaceChildren(make("h2", {}, "Along the path"), strip(images, (k) => { at = [...along[k]]; moved(); }, (k) => `${k + 1} of ${FRAMES} along the path`));
  }
  async function noise(seed) {
    again = () => noise(seed).catch(fail);
    path = null;
    drawPlane();
    set({ seed, path: undefined });
    const mine = films += 1, found = await call("sample_latent", { run: name, count: 16, seed, label });
    if (mine !== films) return;
    film.replaceChildren(make("h2", {}, "Sixteen draws of z from N(0, I), decoded"), strip(found.images, (k) => {
      at = Array.from(found.at.data.slice(k * d, k * d + d)); moved();
    }, (k) => `draw ${k + 1}: go there`));
  }
  async function pick(k, stay = false) {
    set({ image: k });
    const mine = picks += 1, from = String(at), found = await call("encode", { run: name, image: k });
    if (mine !== picks) return;
    picked = found;
    if (!stay && String(at) === from) {  // and it was not dragged away meanwhile
      at = [...picked.at.data];
      if (about.classes) { tell(picked.label); again(); }
    }
    told.replaceChildren(make("h2", {}, `Image ${k}, and its reconstruction`), strip({ shape: [2, ...picked.image.shape], data: join(picked.image.data, picked.reconstruction.data) }, null, (i) => (i ? "its reconstruction" : `image ${k}`)),
      make("p", { class: "soft" }, picked.sigma
        ? `mu = (${axes.map((a) => picked.at.data[a].toFixed(2)).join(", ")}), sigma = (${axes.map((a) => picked.sigma.data[a].toFixed(3)).join(", ")})${d > 2 ? " along the two axes shown" : ""}. KL ${picked.kl.toFixed(2)} nats, -ELBO ${picked.neg_elbo.toFixed(1)} nats${picked.grey ? " (of grey pixels: a loss)" : ""}. The ellipse in the plane lies two sigma around mu.`
        : `code = (${axes.map((a) => picked.at.data[a].toFixed(2)).join(", ")}): a point, no distribution.`),
      picked.draws ? make("h2", {}, "Eight draws from q(z|x), decoded") : "", picked.draws ? strip(picked.draws, null, (i) => `draw ${i + 1}`) : "");
    told.dataset.kl = picked.kl ?? "";
    moved();
  }
  function tell(k) {  // the class
    label = k;
    classes.querySelector("select").value = k;
    set({ label });
  }

  const sliders = d > 2 ? Array.from({ length: d }, (_, k) => slider(`${k + 1}`, -3 * spread.data[k] - 1, 3 * spread.data[k] + 1, 0.01, at[k], (x) => { at[k] = x; moved(); })) : [];
  const axisChoice = d > 2 ? [0, 1].map((i) => choice(i ? "up: axis" : "across: axis", Array.from({ length: d }, (_, k) => [k, k + 1]), axes[i], (k) => {
    axes[i] = Number(k);
    path = null;
    set({ axes: axes.join(","), path: undefined });
    fit();
    moved();
  })) : [];
  const classes = about.classes ? choice("class", Array.from({ length: about.classes }, (_, k) => k), label, (k) => { tell(Number(k)); decode(); again(); }) : null;
  const { images, title } = await call("examples", { run: name, count: 20 });
  root.replaceChildren(make("div", { class: "card" }, make("h2", {}, `${about.title}, ${d} dimensions`), make("div", { class: "latent" }, plane,
    make("figure", {}, image, make("figcaption", {}, "decoded at ", where)),
    make("div", {},
      make("div", { class: "row" }, axisChoice, classes, pen, make("button", { onclick: () => noise(Math.floor(Math.random() * 1e6)).catch(fail) }, "draw from N(0, I)")), hint,
      sliders.length ? make("details", {}, make("summary", {}, "all axes"), make("div", { class: "row" }, sliders)) : null,
      make("p", { class: "soft" }, `Digits: where ${codes.shape[0]} test images of ${title} lie. `, d > 2 ? `Of the ${d} axes two are shown, and the cross is the point in all of them; axes are the codes' principal directions, the widest first. ` : "", about.posterior && d === 2 ? "The dashed circle has the radius 2: 86 % of the prior are inside. " : ""),
      film),
    make("div", {}, make("h2", {}, "Test images: choose one"), strip(images, (k) => pick(k).catch(fail), (k) => `test image ${k}`), told))));
  const events = ["themechange", "resize"];
  for (const event of events) addEventListener(event, drawPlane);
  fit();
  path = pathOf(values.path);
  const stay = values.at !== undefined;
  moved();
  if (path) await walk();
  else if (natural(values.seed, 1e9, -1) >= 0) await noise(Number(values.seed));
  const k = natural(values.image, about.examples - 1, -1);
  if (k >= 0) await pick(k, stay);
  return () => events.forEach((event) => removeEventListener(event, drawPlane));

  function pathOf(text) {  // its points have the other axes of this one
    const found = (text || "").split(",").map(Number);
    if (found.length !== FRAMES * axes.length || !found.every(Number.isFinite)) return null;
    return Array.from({ length: FRAMES }, (_, n) => {
      const point = [...at];
      axes.forEach((a, i) => { point[a] = found[n * axes.length + i]; });
      return point;
    });
  }
}

function chosenAxes(text, d) {
  const found = (text || "").split(",").map(Number);
  const fits = found.length === 2 && found.every((k) => Number.isInteger(k) && k >= 0 && k < d);
  return fits ? found : [0, Math.min(1, d - 1)];
}

function join(a, b) {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
