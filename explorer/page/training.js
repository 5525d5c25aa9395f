// A training that is watched. The page asks for the next steps, each time with what the sliders say.

import { call } from "./engine.js";
import { curves, look, sized } from "./curves.js";
import { COLOURS, choice, colour, ladder, make, paint, slider, strip } from "./tools.js";

const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3], CODES = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 64];
const PAUSE = 40;  // ms between two pictures at least
const TRAIL = 150, JUMP = 0.5;  // pictures that a code's way is drawn for; what is moved farther at once was put there

export async function show(root, { values, set, say, fail }) {
  const state = { what: "vae", lr: 0.003, beta: 1, gamma: 0.95, K: 8, codebook: "ema", moving: "yes", seed: 0, pace: 5 };
  for (const name of Object.keys(state)) {
    if (typeof state[name] === "string") state[name] = values[name] ?? state[name];
    else if (Number.isFinite(Number(values[name] ?? NaN))) state[name] = Number(values[name]);
  }
  if (!["vae", "codebook"].includes(state.what)) state.what = "vae";
  let training = null, last = 0, running = 0, loops = 0, begins = 0, view, loss, left = false, turn = null;
  const place = make("div"), controls = make("div", { class: "row" }), told = make("p", { class: "told" });
  const startButton = make("button", { class: "main", onclick: () => (running ? pause() : go()) }, "start");
  const bar = make("div", { class: "row" }, startButton,
    make("button", { onclick: () => { pause(); turn = Promise.resolve(turn).then(() => steps(1)).catch(stopped); } }, "one step"),
    make("button", { onclick: () => { pause(); begin().catch(stopped); } }, "start anew"),
    choice("steps for each picture", [1, 5, 20], state.pace, (pace) => change({ pace: Number(pace) })));
  root.append(make("h1", {}, "A training, live"),
    make("p", {}, "Press start. The engine takes real training steps while you watch; move a slider, and the next step obeys."),
    make("div", { class: "row" }, choice("train", [["vae", "a VAE on digits"], ["codebook", "a codebook on points"]], state.what, (what) => {
      change({ what });
      pause();
      begin().catch(stopped);
    })), bar, controls, told, place);

  function change(changed, anew = false) {
    set(Object.assign(state, changed));
    if (anew) { pause(); begin().catch(stopped); }
  }

  const only = { gamma: () => state.codebook === "ema", rate: () => state.what === "vae" || state.codebook === "gradient" };
  let built = "", sliders = {};
  function settings() {
    if (built !== state.what) {  // once, so that the focus stays
      built = state.what;
      const seed = make("input", { type: "number", min: 0, max: 1000000, value: state.seed, onchange: () => change({ seed: Number(seed.value) }, true) });
      sliders = { rate: ladder("learning rate", RATES, state.lr, (lr) => change({ lr })),
        gamma: slider("gamma", 0, 0.99, 0.01, state.gamma, (gamma) => change({ gamma })) };
      controls.replaceChildren(...(state.what === "vae" ? [sliders.rate, slider("beta", 0, 8, 0.25, state.beta, (beta) => change({ beta }))] : [
        choice("learned by", [["ema", "running means (EMA)"], ["gradient", "gradient"]], state.codebook, (codebook) => change({ codebook }, true)),
        sliders.gamma, sliders.rate, ladder("codes K", CODES, state.K, (K) => change({ K }, true)),
        choice("unused codes", [["yes", "are moved onto points"], ["no", "stay"]], state.moving, (moving) => change({ moving }, true)),
      ]), make("label", {}, "seed", seed));
    }
    for (const [name, shown] of Object.entries(only)) sliders[name].hidden = !shown();
  }

  async function begin() {
    settings();
    if (training) call("end_training", { training }).catch(() => {});
    training = null;
    const mine = begins += 1;
    const found = await call("begin_training", { what: state.what, seed: state.seed, K: state.K, codebook: state.codebook, moving: state.moving === "yes" });
    if (left || mine !== begins) return void call("end_training", { training: found.training }).catch(() => {});
    ({ training, last } = found);
    loss = { xs: [], ys: [] };
    view = (state.what === "vae" ? digits : points)(place, found);
    draw(found);
    say("");
  }

  async function steps(n) {
    if (!training) await begin();
    if (!training) return;  // another was begun meanwhile
    const asked = training;
    const found = await call("train", { training, steps: n, lr: state.lr, beta: state.beta, gamma: state.gamma });
    if (asked !== training || left) return;
    loss.ys.push(...found.losses);
    loss.xs = loss.ys.map((_, k) => k + 1);
    draw(found);
    if (found.step >= last) { pause(); say(`${last} steps: this training is over. Start anew with other settings.`); }
  }

  function draw(found) {
    place.dataset.step = found.step;
    told.textContent = `Step ${found.step}. ${view(found, loss)}`;
  }

  async function go() {
    const mine = running = loops += 1;  // 0: it rests
    startButton.textContent = "pause";
    say("");
    try {
      while (running === mine) {
        const begun = performance.now();
        await steps(state.pace);
        await new Promise((next) => setTimeout(next, Math.max(0, PAUSE - performance.now() + begun)));
        await new Promise((next) => requestAnimationFrame(next));  // none while the page is hidden
      }
    } catch (error) { stopped(error); }
  }

  function pause() {
    running = 0;
    startButton.textContent = "start";
  }
  function stopped(error) { pause(); if (!left) fail(error); }
  const again = () => view && view(null, loss);
  addEventListener("themechange", again);
  addEventListener("resize", again);
  begin().catch(stopped);
  return () => {
    left = true;
    pause();
    removeEventListener("themechange", again);
    removeEventListener("resize", again);
    if (training) call("end_training", { training }).catch(() => {});
  };
}

const soft = (words) => make("p", { class: "soft" }, words);
const card = (title, words, ...inside) => make("div", { class: "card" }, make("h2", {}, title), soft(words), inside);
const picture = (label) => make("canvas", { class: "drawn", role: "img", "aria-label": label });

// ---------------------------------------------------------------- a VAE on digits: (parts, loss) => words

function digits(place, { labels, images, title, trained_on: many, reach }) {
  const plane = picture("the means of the images by class"), grid = picture("decoded images over the plane"), curve = picture("the loss at each step");
  const seen = make("div");
  place.replaceChildren(make("div", { class: "columns" },
    card("The latent plane", `Where the encoder puts ${labels.shape[0]} images that it is not trained on, each drawn as its digit. The dashed circle has the radius 2: 86 % of the prior lie inside. The square is what the next picture shows.`, plane),
    card("What the decoder draws", `The image of each point of a grid over the square, from -${reach} to ${reach}.`, grid),
    make("div", { class: "card" }, make("h2", {}, "The loss"), soft("-ELBO with beta before its KL, in nats for an image: of each step's batch of 32. It falls, and trembles, as each batch is another."), curve,
      make("h2", {}, "Reconstructions"), soft(`Above the image, below what the decoder makes of its mean. It learns from ${many} ${title}.`), strip(images), seen)));
  let shown;
  return (found, loss) => {
    shown = found || shown;
    dots(plane, shown.means, labels, reach);
    tiles(grid, shown.grid);
    curves(curve, [{ ...loss, ...look(0) }], { x: "step", y: "nats", ratio: 0.62 });
    seen.replaceChildren(strip(shown.reconstructions, null, (k) => `reconstruction ${k}`));
    return `${lossWords(loss, "nats")}, mean sigma ${shown.sigma.toFixed(2)}.`;
  };
}

const lossWords = ({ ys }, unit) => (ys.length ? `Loss ${ys[ys.length - 1].toPrecision(4)} ${unit}` : "Nothing is learned yet");

function framed(canvas) {
  const [pen, wide, high] = sized(canvas, 1);
  pen.strokeStyle = colour("--line");
  pen.strokeRect(0.5, 0.5, wide - 1, high - 1);
  return [pen, wide];
}

function dots(canvas, means, labels, reach) {
  const [pen, wide] = framed(canvas);
  const half = Math.max(3, Math.ceil(means.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0)));
  const to = (v) => wide / 2 * (1 + v / half);
  pen.strokeRect(to(-reach), to(-reach), to(reach) - to(-reach), to(reach) - to(-reach));
  pen.strokeStyle = colour("--soft");
  pen.setLineDash([5, 5]);
  pen.beginPath();
  pen.arc(wide / 2, wide / 2, wide / half, 0, 2 * Math.PI);
  pen.stroke();
  pen.font = "bold 13px system-ui, sans-serif";
  pen.textAlign = "center";
  for (let n = 0; n < means.shape[0]; n += 1) {
    pen.fillStyle = COLOURS[labels.data[n] % 10];
    pen.fillText(labels.data[n], to(means.data[2 * n]), to(-means.data[2 * n + 1]) + 4);
  }
  pen.fillStyle = colour("--soft");
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "left";
  pen.fillText(`from -${half} to ${half}`, 6, wide - 6);
}

function tiles(canvas, images) {
  const side = Math.round(Math.sqrt(images.shape[0])), [pen, wide] = sized(canvas, 1);
  const one = make("canvas");
  for (let k = 0; k < images.shape[0]; k += 1) {
    paint(one, images, k);
    pen.drawImage(one, (k % side) * wide / side, Math.floor(k / side) * wide / side, wide / side, wide / side);
  }
}

// ---------------------------------------------------------------- a codebook on points

function points(place, { points: all, edge }) {
  const map = picture("the codes among the points"), curve = picture("the distance at each step"), usage = picture("how many points choose each code");
  place.replaceChildren(make("div", { class: "columns" },
    card("The codebook", "Each point is drawn to its nearest code, a numbered disc. The lines are the borders between the codes' cells. A crossed disc is a code that no point chooses. The trail is the way that a code came.", map),
    card("The loss", "The mean squared distance from a point to its code, in each step's batch of 32 points.", curve),
    card("Usage", "The share of the points that choose each code. Perplexity is the number of codes in use, were all used equally.", usage)));
  let shown;
  const trail = [];
  return (found, loss) => {
    shown = found || shown;
    if (found) trail.push(found.codes.data);
    if (trail.length > TRAIL) trail.shift();
    codebook(map, all, shown, trail, edge);
    curves(curve, [{ ...loss, ...look(0) }], { x: "step", y: "squared distance", ratio: 0.62 });
    bars(usage, shown.usage);
    const K = shown.usage.shape[0];
    return `${loss.ys.length ? "M" : "Nothing is learned yet; m"}ean squared distance ${shown.distance.toPrecision(3)}. ${shown.used} of ${K} codes used, perplexity ${shown.perplexity.toFixed(1)}.`;
  };
}

function codebook(canvas, { data, shape: [n] }, { codes, chosen, cells, usage }, trail, edge) {
  const [pen, wide] = framed(canvas), to = (v) => wide / 2 * (1 + v / edge);
  const line = (x0, y0, x1, y1) => { pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1); pen.stroke(); };
  const side = cells.shape[0], size = wide / side;
  pen.strokeStyle = colour("--line");
  pen.lineWidth = 2;
  for (let i = 0; i < side; i += 1) {
    for (let j = 0; j < side; j += 1) {
      const k = cells.data[i * side + j];
      if (j + 1 < side && cells.data[i * side + j + 1] !== k) line((j + 1) * size, i * size, (j + 1) * size, (i + 1) * size);
      if (i + 1 < side && cells.data[(i + 1) * side + j] !== k) line(j * size, (i + 1) * size, (j + 1) * size, (i + 1) * size);
    }
  }
  pen.lineWidth = 0.5;
  for (let p = 0; p < n; p += 1) {
    const k = chosen.data[p], x = to(data[2 * p]), y = to(-data[2 * p + 1]);
    pen.strokeStyle = pen.fillStyle = COLOURS[k % 10];
    line(x, y, to(codes.data[2 * k]), to(-codes.data[2 * k + 1]));
    pen.fillRect(x - 1.5, y - 1.5, 3, 3);
  }
  pen.textAlign = "center";
  pen.font = "bold 11px system-ui, sans-serif";
  for (let k = 0; k < codes.shape[0]; k += 1) {
    const x = to(codes.data[2 * k]), y = to(-codes.data[2 * k + 1]);
    pen.strokeStyle = colour("--ink");
    pen.lineWidth = 1;
    pen.beginPath();
    trail.forEach((now, t) => {
      const before = trail[t - 1] || now, far = Math.hypot(now[2 * k] - before[2 * k], now[2 * k + 1] - before[2 * k + 1]);
      pen[far > JUMP ? "moveTo" : "lineTo"](to(now[2 * k]), to(-now[2 * k + 1]));
    });
    pen.stroke();
    pen.beginPath();
    pen.arc(x, y, 9, 0, 2 * Math.PI);
    pen.fillStyle = colour(usage.data[k] ? "--ink" : "--card");
    pen.fill();
    pen.stroke();
    if (!usage.data[k]) line(x - 6, y + 6, x + 6, y - 6);
    pen.fillStyle = colour(usage.data[k] ? "--card" : "--ink");
    pen.fillText(k, x, y + 4);
  }
}

function bars(canvas, usage) {
  const [pen, wide, high] = sized(canvas, 0.62), K = usage.shape[0], most = Math.max(...usage.data);
  const each = wide / K;
  pen.textAlign = "center";
  pen.font = "11px system-ui, sans-serif";
  for (let k = 0; k < K; k += 1) {
    const up = (high - 40) * usage.data[k] / most;
    pen.fillStyle = COLOURS[k % 10];
    pen.fillRect(k * each + 1, high - 18 - up, Math.max(1, each - 2), up);
    pen.fillStyle = colour("--soft");
    if (each >= 14) pen.fillText(k, (k + 0.5) * each, high - 4);
    if (each >= 32) pen.fillText(`${(100 * usage.data[k]).toFixed(0)} %`, (k + 0.5) * each, high - 22 - up);
  }
}
