// The cells of a page of the book: their code can be changed and run, by the engine itself.

import { call, callFor, endWorker, start } from "./engine.js";
import { editor, make, paint } from "./tools.js";
import "./theme.js";

const session = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
const state = make("output");
const all = make("button", { class: "main", onclick: () => run(cells.length - 1) }, "run all");
const stop = make("button", { onclick: () => end("it was stopped"), disabled: true }, "stop");
const cells = Array.from(document.querySelectorAll(".cell"), cell);
let busy = false, used = false, ended = "";  // ended: why, if what runs was

// What the page shows of a cell becomes: its code in an editor, a button, both outputs.
function cell(place, k) {
  const code = place.querySelector(".in").textContent.replace(/\n$/, "").split("\n").map((line) => line.slice(4)).join("\n");
  const out = place.querySelector(".out");
  const text = editor(code, `cell ${k + 1}`, () => run(k), () => stale(k));
  const mark = make("span", { class: "mark" }), now = make("div", { class: "now" });
  const button = make("button", { onclick: () => run(k), "aria-label": `run cell ${k + 1}` }, "run");
  place.replaceChildren(text, make("div", { class: "row" }, button, mark),
    make("div", { class: "outputs" }, out ? make("div", {}, make("p", { class: "soft" }, "the book:"), out) : null, now));
  return { code, text, mark, now, button, want: out ? out.textContent : "", fresh: false };
}

// The cells from number k on have not run since something before them changed.
function stale(k) {
  for (const cell of cells.slice(k)) {
    if (cell.fresh) cell.mark.textContent = "not run since the change";
    cell.fresh = false;
  }
}

// Run cell number `last`, and before it those above that have not run.
async function run(last) {
  if (busy) return;
  busy = used = true;
  ended = "";
  stop.disabled = false;
  for (const cell of cells) cell.button.disabled = true;
  try {
    await start(starting);
    const first = cells.findIndex((cell) => !cell.fresh);
    for (let k = first < 0 ? last : Math.min(first, last); k <= last; k += 1) {
      state.textContent = `cell ${k + 1} of ${cells.length} runs`;
      const isNew = await runOne(cells[k]);
      if (isNew && k) { stale(0); k = -1; }  // its session had ended: all again
    }
    state.textContent = summary();
  } catch (error) {
    stale(0);
    state.textContent = ended || error.message;
  }
  busy = false;
  stop.disabled = true;
  for (const cell of cells) cell.button.disabled = false;
}

async function runOne(cell) {
  cell.mark.textContent = "runs ...";
  let found;
  try {
    found = await callFor(60, "run_cell", { session, code: cell.text.value, want: cell.want });
    if (ended) throw new Error(ended);
  } catch (error) { cell.mark.textContent = ended || error.message; throw error; }
  const printed = found.printed + (found.raised ? `${found.line ? `line ${found.line}: ` : ""}${found.raised}` : "");
  cell.now.replaceChildren(...found.figures.map(picture), ...(printed ? [make("p", { class: "soft" }, "now:"),
    make("pre", { class: found.raised ? "out raised" : "out" }, make("samp", {}, printed))] : []));
  cell.same = found.same;
  cell.mark.textContent = !found.same ? "≠ not as in the book" : cell.want ? "✓ as in the book" : "✓ ran";
  cell.fresh = true;
  return found.new;
}

function picture({ picture: { shape: [h, w, c = 1], data }, title }) {
  const canvas = paint(make("canvas", { class: "pixels shown", role: "img", "aria-label": title }), { shape: [h, w, c], data });
  return make("figure", {}, canvas, make("figcaption", {}, title));
}

function starting(words, share) {
  state.replaceChildren(`Starting Python: ${words} `, make("progress", { max: 1, value: share }));
}

function summary() {
  const ran = cells.filter((cell) => cell.fresh), other = ran.filter((cell) => !cell.same).length;
  return `${ran.length} of ${cells.length} cells ran, ${other ? `${other} not ` : "all "}as in the book`;
}

// End what runs, and forget what was computed.
function end(why) {
  if (busy) ended = why;
  stale(0);
  if (used) call("end_session", { session }).catch(() => {});
  if (busy) endWorker(why);
}

function reset() {
  end("it was reset");
  for (const cell of cells) {
    cell.text.write(cell.code);
    cell.now.replaceChildren();
    cell.mark.textContent = "";
  }
  state.textContent = "as in the book again";
}

for (const link of document.querySelectorAll('a[href*="source/exercises/"]')) {
  const number = /\/(\d+)_/.exec(link.getAttribute("href"));
  if (number) link.href = new URL(`../index.html#exercises?n=${Number(number[1])}`, import.meta.url);
}
if (cells.length) {
  document.getElementById("main").prepend(make("div", { class: "row tools" }, all, stop,
    make("button", { onclick: reset }, "reset"), state));
  state.textContent = "The code on this page can be changed and run: here, or by Ctrl+Enter in a cell.";
}
addEventListener("pagehide", () => { if (used) call("end_session", { session }).catch(() => {}); });
addEventListener("pageshow", (event) => { if (event.persisted) stale(0); });
