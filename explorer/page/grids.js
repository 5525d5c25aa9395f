// What the panels of pixels and codes share: a pad to draw on, grids of cells, heat maps, bars.

import { MOVES, colour, make, natural, paint } from "./tools.js";

const SIDE = 448;  // pixels of a canvas, about
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const WIDTH = 1.6;  // of the brush: pixels from its middle to where it has no ink

const within = (x, n) => Math.max(0, Math.min(n - 1, x));

// Which cell of h x w a pointer is in, and where within the canvas, in cells.
function place(canvas, event, h, w) {
  const box = canvas.getBoundingClientRect();
  return [h * (event.clientY - box.top) / box.height, w * (event.clientX - box.left) / box.width];
}

// The cell "i,j" of an address; in the middle where that has none.
export const cellOf = (text = "", h, w) => [h, w].map((n, k) => natural(text.split(",")[k], n - 1, n >> 1));

// A canvas of h x w cells, one of which is chosen by the pointer or the arrow keys. What it shows is
// drawn by own.paint(pen, cell), cell being the pixels of one. hover: the pointer need not press.
export function grid(h, w, label, onmove, hover = false) {
  const cell = Math.floor(SIDE / Math.max(h, w));
  const canvas = make("canvas", { class: "cells hatched", width: w * cell, height: h * cell,
    tabindex: 0, role: "application", "aria-label": `${label}: arrow keys choose a cell` });
  const own = { canvas, at: [0, 0], paint: () => {} };
  own.redraw = () => {
    const pen = canvas.getContext("2d"), [i, j] = own.at;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingEnabled = false;
    own.paint(pen, cell);
    for (const [ink, wide] of [["#000", 6], ["#fff", 3]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = wide;
      pen.strokeRect(j * cell, i * cell, cell, cell);
    }
  };
  own.move = (i, j) => {
    const [row, column] = [within(i, h), within(j, w)];
    if (row === own.at[0] && column === own.at[1]) return;
    onmove(row, column);
  };
  const pointed = (event) => own.move(...place(canvas, event, h, w).map(Math.floor));
  canvas.addEventListener("pointerdown", pointed);
  canvas.addEventListener(MOVES, (event) => { if (hover || event.buttons) pointed(event); });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    own.move(own.at[0] + step[0], own.at[1] + step[1]);
  });
  return own;
}

// A pad that shows an image (H, W, C), and can be drawn on if it is grey. onchange(done): after each
// stroke of the pointer or of a key; done: the pointer has left it. pad.limit: rows from there on
// are pale. What was drawn has sixteen levels, so that it is short as text.
export function pad([h, w, c], onchange) {
  const cell = Math.floor(SIDE / Math.max(h, w)), shown = make("canvas");
  const canvas = make("canvas", { class: "cells pad", width: w * cell, height: h * cell,
    tabindex: c === 1 ? 0 : undefined, role: c === 1 ? "application" : "img",
    "aria-label": c === 1 ? "a pad to draw on: arrow keys move, the space bar draws" : "the image" });
  const own = { canvas, limit: h, erasing: false, values: new Float32Array(h * w * c) };
  let cursor = null, last = null;
  own.redraw = () => {
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(paint(shown, { shape: [h, w, c], data: own.values }), 0, 0, w * cell, h * cell);
    if (own.limit < h) {
      pen.globalAlpha = 0.75;
      pen.fillStyle = colour("--card");
      pen.fillRect(0, own.limit * cell, w * cell, (h - own.limit) * cell);
      pen.globalAlpha = 1;
      pen.fillStyle = colour("--accent");
      pen.fillRect(0, own.limit * cell - 2, w * cell, 4);
    }
    if (cursor) {
      pen.strokeStyle = colour("--accent");
      pen.lineWidth = 3;
      pen.strokeRect(cursor[1] * cell, cursor[0] * cell, cell, cell);
    }
  };
  own.show = (image) => {
    const scale = image.data instanceof Uint8Array ? 255 : 1;
    own.values = Float32Array.from(image.data, (x) => x / scale);
    own.redraw();
  };
  own.clear = () => { own.values.fill(0); own.redraw(); };
  own.nested = () => nested({ shape: [1, h, w, c], data: own.values }, 0);
  // a hexadecimal digit for each pixel; three zeros or more are z, their count and a dot
  own.text = () => Array.from(own.values, (x) => Math.round(15 * x).toString(16)).join("")
    .replace(/0{3,}/g, (zeros) => `z${zeros.length}.`);
  own.read = (text) => {
    const digits = text.replace(/z(\d{1,4})\./g, (_, n) => "0".repeat(Number(n)));
    if (!/^[0-9a-f]+$/.test(digits) || digits.length !== h * w) return false;
    own.values = Float32Array.from(digits, (digit) => parseInt(digit, 16) / 15);
    own.redraw();
    return true;
  };
  if (c !== 1) return own;

  function dot(y, x) {  // middle of the brush, in pixels
    for (let i = 0; i < h; i += 1) {
      for (let j = 0; j < w; j += 1) {
        const ink = Math.max(0, Math.min(1, WIDTH - Math.hypot(i + 0.5 - y, j + 0.5 - x)));
        const before = own.values[i * w + j];
        const after = own.erasing ? Math.min(before, 1 - ink) : Math.max(before, ink);
        own.values[i * w + j] = Math.round(15 * after) / 15;
      }
    }
  }
  function stroke(to) {
    const from = last || to, steps = 1 + Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1]));
    for (let k = 1; k <= steps; k += 1) {
      dot(from[0] + (to[0] - from[0]) * k / steps, from[1] + (to[1] - from[1]) * k / steps);
    }
    last = to;
    own.redraw();
    onchange(false);
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    cursor = last = null;
    stroke(place(canvas, event, h, w));
  });
  canvas.addEventListener("pointermove", (event) => { if (last && event.buttons) stroke(place(canvas, event, h, w)); });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => { if (last) { last = null; onchange(true); } });
  }
  canvas.addEventListener("focus", () => { if (canvas.matches(":focus-visible")) { cursor ||= [h >> 2, w >> 1]; own.redraw(); } });
  canvas.addEventListener("blur", () => { cursor = null; own.redraw(); });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    cursor ||= [h >> 2, w >> 1];
    if (step) cursor = [within(cursor[0] + step[0], h), within(cursor[1] + step[1], w)];
    if (!step || event.shiftKey) {
      last = null;
      stroke([cursor[0] + 0.5, cursor[1] + 0.5]);
      last = null;
      onchange(true);
    }
    own.redraw();
  });
  return own;
}

// The pad's buttons.
export function padButtons(own, onchange) {
  const erase = make("button", { "aria-pressed": "false", onclick: () => {
    own.erasing = !own.erasing;
    erase.setAttribute("aria-pressed", String(own.erasing));
  } }, "erase");
  return [make("button", { onclick: () => { own.clear(); onchange(true); } }, "empty pad"), erase];
}

// Number k of an array (n, h, w, c), as lists.
export function nested({ shape: [, h, w, c], data }, k) {
  const at = (i, j) => k * h * w * c + (i * w + j) * c;
  return Array.from({ length: h }, (_, i) => Array.from({ length: w }, (_, j) => Array.from(data.slice(at(i, j), at(i, j) + c))));
}

// ---------------------------------------------------------------- heat maps

const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

function heat(shade) {
  const x = 4 * Math.max(0, Math.min(1, shade)), k = Math.min(3, Math.floor(x)), t = x - k;
  return `rgb(${VIRIDIS[k].map((low, i) => Math.round(low + t * (VIRIDIS[k + 1][i] - low))).join(" ")})`;
}

// shade (h, w) from 0 to 1; cells that `left` says are left out.
export function paintHeat(pen, cell, shade, left = () => false) {
  const w = shade.shape[1];
  shade.data.forEach((value, n) => {
    if (left(n)) return;
    pen.fillStyle = heat(value);
    pen.fillRect((n % w) * cell, Math.floor(n / w) * cell, cell, cell);
  });
}

export function legend(low, high) {
  const canvas = make("canvas", { class: "scale", width: 64, height: 1, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  for (let k = 0; k < 64; k += 1) { pen.fillStyle = heat(k / 63); pen.fillRect(k, 0, 1, 1); }
  return make("span", { class: "row soft" }, low, canvas, high);
}

// ---------------------------------------------------------------- bars

// rows: [picture or null, words, value from 0 to most, what is written behind it].
export function bars(rows, most) {
  return make("table", { class: "bars" }, make("tbody", {}, rows.map(([picture, words, value, written]) =>
    make("tr", {}, make("td", {}, picture), make("td", {}, words),
      make("td", {}, make("meter", { min: 0, max: most || 1, value, "aria-label": String(words) })), make("td", {}, written)))));
}

// A small picture of what code k decodes to, of images (K, h, w, C).
export function patch(images, k) {
  return paint(make("canvas", { class: "patch", "aria-hidden": "true" }), images, k);
}
