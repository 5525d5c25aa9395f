// Which panel is shown, and its state, stand in the address: #vae?run=vae2-mnist&at=0.3,-1

import { call, start } from "./engine.js";
import { make, settled } from "./tools.js";
import "./theme.js";

const PANELS = {
  vae: ["VAE", () => import("./vae.js"), "Drag over a plane of codes: the decoder draws what lies there."],
  vqvae: ["VQ-VAE", () => import("./vqvae.js"), "Draw an image, see the codes that stand for it, and change them."],
  pixelcnn: ["PixelCNN", () => import("./pixelcnn.js"), "Draw half an image: the model completes it, pixel after pixel, and says what each pixel cost."],
  backprop: ["Backprop", () => import("./backprop.js"), "Type an expression, and step through its values and its gradients."],
  training: ["Training", () => import("./training.js"), "Watch a VAE arrange digits, or a codebook settle on points."],
  runs: ["Runs", () => import("./runs.js"), "Lay the curves and pictures of runs side by side, also while they train."],
  exercises: ["Exercises", () => import("./exercises.js"), "Write the lines of the book's formulas, and have them checked."],
};

const main = document.getElementById("main"), state = document.getElementById("state");
let runs = [], leave = () => {}, shown = "", rounds = 0;

function say(words, bad = false) {
  state.textContent = words;
  state.classList.toggle("error", bad);
}
const fail = (error) => say(error.message, true);

function read() {
  const [name, query] = location.hash.slice(1).split("?");
  return [name, Object.fromEntries(new URLSearchParams(query || ""))];
}

function write(name, values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined
    && value !== null && value !== "")).toString().replaceAll("%2C", ",");
  shown = `#${name}${query ? `?${query}` : ""}`;
  history.replaceState(null, "", shown);
  if (state.classList.contains("error")) say("");  // of what was done before
}

// A panel that comes late, when another is already wanted, draws into what nobody sees, and is left.
async function show() {
  if (location.hash === shown && shown) return;
  if (location.hash === "#main" && shown) {  // "to the content"
    history.replaceState(null, "", shown);
    return void main.focus();
  }
  const [name, values] = read(), mine = rounds += 1, here = () => mine === rounds;
  shown = location.hash;
  leave();
  leave = () => {};
  for (const tab of document.querySelectorAll("#tabs a")) {
    if (tab.hash === `#${name}`) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const root = make("div"), now = (work) => (...args) => { if (here()) work(...args); };
  main.replaceChildren(root);
  const known = Object.hasOwn(PANELS, name);
  document.title = known ? `${PANELS[name][0]}: scratchnet` : "scratchnet: VAE, VQ-VAE and PixelCNN, to touch";
  if (!known) root.append(welcome());  // to be read while the engine starts
  try {
    await ready;
    now(say)("");
    ({ runs } = await call("runs"));  // another may have begun
    if (!known) return void root.replaceChildren(welcome());
    const panel = await PANELS[name][1]();
    if (!here()) return;
    const put = settled(now(() => write(name, values)));  // Chromium asks for the icon again each time
    const set = (changed) => { Object.assign(values, changed); put(); };
    const end = await panel.show(root, { runs, values, set, say: now(say), fail: now(fail) });
    if (here()) leave = end || leave;
    else end?.();  // it was left before it was there
  } catch (error) { now(fail)(error); }
}

function welcome() {
  const broken = runs.filter((run) => run.error);
  return make("div", {}, make("h1", {}, "VAE, VQ-VAE and PixelCNN, to touch"),
    make("p", {}, "The engine that trains these models answers this page: nothing here is a recording."),
    make("div", { class: "columns" }, Object.entries(PANELS).map(([name, [title, , words]]) => make("div", { class: "card" },
      make("h2", {}, make("a", { href: `#${name}` }, title)), make("p", { class: "soft" }, words))),
    make("div", { class: "card" }, make("h2", {}, make("a", { href: "book/index.html" }, "The book")),
      make("p", { class: "soft" }, "Eleven chapters from the chain rule to a PixelCNN, with code that runs on the page."))),
    broken.length ? make("div", {}, make("h2", {}, "Runs that cannot be shown"), make("ul", {}, broken.map((run) =>
      make("li", {}, `${run.name}: ${run.error}`)))) : null);
}

document.getElementById("tabs").append(...Object.entries(PANELS).map(([name, [title]]) => make("a", { href: `#${name}` }, title)));
const bar = make("progress", { max: 1, value: 0.02, "aria-label": "how far it is" });
state.replaceChildren("Starting the engine: ", bar);
const ready = start((words, share) => { bar.value = share; state.replaceChildren(`Starting the engine: ${words} `, bar); });
addEventListener("hashchange", show);
show();
