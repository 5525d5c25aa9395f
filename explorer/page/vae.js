// The latent plane of a VAE or an autoencoder: drag, and the decoded image follows.

import { call } from "./engine.js";
import { anew, COLOURS, choice, latest, make, paint, slider, strip } from "./tools.js";

const SIDE = 640;  // pixels of the plane's canvas

export async function show(root, { runs, values, set, fail }) {
  const names = runs.filter((run) => !run.error && /vae$|autoencoder/.test(run.model) && run.model !== "vqvae");
  if (!names.length) throw new Error("There is no run of a VAE here: python train_mnist.py --model vae --z-dim 2");
  const first = names.find((run) => run.name === values.run) || names.find((run) => run.name === "vae2-mnist") || names[0];
  root.append(make("h1", {}, "A latent space"),
    make("p", {}, "Each dot is a test image, where the encoder puts it. Drag over the plane: the decoder draws what lies there."));
  const places = [make("div"), make("div")];
  const options = names.map((run) => [run.name, `${run.name} (${run.model})`]);
  const beside = choice("beside it", [["", "nothing"], ...options], values.beside || "", (name) => { set({ beside: name }); second(name).catch(fail); });
  root.append(make("div", { class: "row" }, choice("run", options, first.name, (name) => {
    set({ run: name, at: undefined, image: undefined, label: undefined });
    main(name).catch(fail);
  }), beside), make("div", { class: "columns" }, places));
  async function main(name) {
    const [place, now] = anew(places[0]);
    await panel(place, name, values, now(set), now(fail));
  }
  async function second(name) {
    const [place, now] = anew(places[1]);
    if (name) await panel(place, name, {}, () => {}, now(fail));
  }
  const redraw = () => root.querySelectorAll(".plane").forEach((plane) => plane.redraw());
  addEventListener("themechange", redraw);
  main(first.name).catch(fail);
  second(values.beside).catch(fail);
  return () => removeEventListener("themechange", redraw);
}

async function panel(root, name, values, set, fail) {
  const about = await call("about", { run: name });
  const { at: codes, labels, spread } = await call("plane", { run: name });
  const d = codes.shape[1], axes = [0, Math.min(1, d - 1)];
  let at = (values.at || "").split(",").map(Number), label = Number(values.label) || 0, path = null, picked = null;
  if (at.length !== d || !at.every((v) => Math.abs(v) <= 100)) at = Array(d).fill(0);
  if (!Number.isInteger(label) || label < 0 || label >= Math.max(1, about.classes)) label = 0;
  const plane = make("canvas", { class: "plane", width: SIDE, height: SIDE, tabindex: 0, role: "application",
    "aria-label": "latent plane: arrow keys move the point" });
  const image = make("canvas", { class: "big pixels", role: "img", "aria-label": "decoded image" });
  const where = make("output"), told = make("div", { "aria-live": "polite" }), film = make("div");

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
    const pen = plane.getContext("2d"), style = getComputedStyle(document.documentElement);
    pen.fillStyle = style.getPropertyValue("--card");
    pen.fillRect(0, 0, SIDE, SIDE);
    pen.font = "11px sans-serif";
    pen.textAlign = "center";
    for (let n = 0; n < codes.shape[0]; n += 1) {
      const [x, y] = toPixel(codes.data[n * d + axes[0]], codes.data[n * d + axes[1]]);
      pen.fillStyle = COLOURS[labels.data[n] % 10];
      pen.fillText(labels.data[n], x, y + 4);
    }
    pen.strokeStyle = pen.fillStyle = style.getPropertyValue("--ink");
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
    const { image: found } = await call("decode", { run: name, at, label });
    paint(image, found);
    image.dataset.at = at.map((v) => v.toFixed(4)).join(",");
  }, fail);
  function move(x, y) {
    at[axes[0]] = x;
    if (d > 1) at[axes[1]] = y;
    moved();
  }
  function moved() {
    where.value = `(${axes.map((k) => at[k].toFixed(2)).join(", ")})`;
    sliders.forEach((one, k) => one.set(at[k]));
    drawPlane();
    decode();
    set({ at: at.map((v) => Number(v.toFixed(3))).join(",") });
  }
  const pointer = (event) => {
    const box = plane.getBoundingClientRect();
    return [middle(0) + half() * (2 * (event.clientX - box.left) / box.width - 1),
      middle(1) + half() * (1 - 2 * (event.clientY - box.top) / box.height)];
  };
  let drawing = false;
  plane.addEventListener("pointerdown", (event) => {
    plane.setPointerCapture(event.pointerId);
    drawing = pen.getAttribute("aria-pressed") === "true";
    path = drawing ? [] : path;
    dragged(event);
  });
  plane.addEventListener("pointermove", (event) => { if (event.buttons || !event.pointerType.startsWith("t") && !drawing) dragged(event); });
  function dragged(event) {
    move(...pointer(event));
    if (drawing && event.buttons) path.push([...at]);
  }
  plane.addEventListener("pointerup", () => { if (drawing) { drawing = false; walk(path); } });
  plane.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(at[axes[0]] + step[0] * half() / 50, at[axes[1]] + step[1] * half() / 50);
  });

  const pen = make("button", { "aria-pressed": "false", onclick: () => {
    pen.setAttribute("aria-pressed", String(pen.getAttribute("aria-pressed") !== "true"));
  } }, "draw a path");
  const walk = latest(async (points) => {
    const n = 12, chosen = Array.from({ length: n }, (_, k) => points[Math.round(k * (points.length - 1) / (n - 1))]);
    const { images } = await call("interpolate", { run: name, path: chosen, label });
    film.replaceChildren(make("h2", {}, "Along the path"), strip(images, (k) => { at = [...chosen[k]]; moved(); }));
  }, fail);

  const sliders = d > 2 ? Array.from({ length: d }, (_, k) => slider(`${k + 1}`, -3 * spread.data[k] - 1, 3 * spread.data[k] + 1, 0.01, at[k], (x) => { at[k] = x; moved(); })) : [];
  const axisChoice = d > 2 ? [0, 1].map((i) => choice(i ? "up: axis" : "across: axis", Array.from({ length: d }, (_, k) => [k, k + 1]), axes[i], (k) => { axes[i] = Number(k); fit(); drawPlane(); })) : [];
  const classes = about.classes ? choice("class", Array.from({ length: about.classes }, (_, k) => k), label, (k) => { label = Number(k); set({ label }); decode(); }) : null;
  const { images, title } = await call("examples", { run: name, count: 20 });

  const pick = latest(async (k) => {
    set({ image: k });
    picked = await call("encode", { run: name, image: k, draws: 8 });
    at = [...picked.at.data];
    if (about.classes) { label = picked.label; classes.lastChild.value = label; }
    told.replaceChildren(make("h2", {}, `Image ${k}`), strip({ shape: [2, ...picked.image.shape], data: join(picked.image.data, picked.reconstruction.data) }, null, (i) => i ? "its reconstruction" : "the image"),
      make("p", { class: "soft" }, picked.sigma
        ? `mu = (${axes.map((a) => picked.at.data[a].toFixed(2)).join(", ")}), sigma = (${axes.map((a) => picked.sigma.data[a].toFixed(3)).join(", ")}); KL ${picked.kl.toFixed(2)} nats, -ELBO ${picked.neg_elbo.toFixed(1)} nats${picked.grey ? " (of grey pixels: a loss)" : ""}. The ellipse is two sigma wide.`
        : `code = (${axes.map((a) => picked.at.data[a].toFixed(2)).join(", ")}): a point, no distribution.`),
      picked.draws ? make("h2", {}, "Eight draws from q(z|x), decoded") : null, picked.draws ? strip(picked.draws) : null);
    moved();
  }, fail);
  const noise = latest(async () => {
    const found = await call("sample_latent", { run: name, count: 16, seed: Math.floor(Math.random() * 1e6), label });
    film.replaceChildren(make("h2", {}, "Sixteen draws of z from N(0, I), decoded"), strip(found.images, (k) => {
      at = Array.from(found.at.data.slice(k * d, k * d + d)); moved();
    }));
  }, fail);
  root.replaceChildren(make("div", { class: "card" }, make("h2", {}, about.title), make("div", { class: "columns" }, make("div", {},
    plane,
    make("p", { class: "soft" }, d > 2 ? `${d} dimensions; axes are the codes' principal directions. ` : "", about.posterior && d === 2 ? "The dashed circle has the radius 2: 86 % of the prior are inside. " : "", `Digits: ${codes.shape[0]} test images of ${title}.`),
    make("div", { class: "row" }, axisChoice, pen, make("button", { onclick: () => noise() }, "draw from N(0, I)"),
      classes),
    sliders.length ? make("details", {}, make("summary", {}, "all axes"), make("div", { class: "row" }, sliders)) : null), make("div", {},
    make("figure", {}, image, make("figcaption", {}, "decoded at ", where)), film,
    make("h2", {}, "Test images: choose one"), strip(images, (k) => pick(k), (k) => `test image ${k}`), told))));
  plane.redraw = drawPlane;
  fit();
  moved();
  if (values.image !== undefined) pick(Number(values.image));
}

function join(a, b) {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
