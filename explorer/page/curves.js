// Curves over each other on a canvas, with axes; the legend shows dashes beside the colours.

import { COLOURS, colour, make, svg } from "./tools.js";

const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4]];
const LEFT = 52, BELOW = 36, ABOVE = 26, RIGHT = 12;

export const look = (k) => ({ colour: COLOURS[k % COLOURS.length], dash: DASHES[k % DASHES.length] });

// The pen of a canvas that has as many pixels as it is shown with, and its size: nothing is blurred.
export function sized(canvas, ratio) {
  const wide = Math.max(200, canvas.clientWidth), high = Math.round(wide * ratio), by = devicePixelRatio || 1;
  canvas.width = wide * by;
  canvas.height = high * by;
  const pen = canvas.getContext("2d");
  pen.scale(by, by);
  return [pen, wide, high];
}

// lines: [{xs, ys, colour, dash}]; x, y: what the axes are called.
export function curves(canvas, lines, { x, y, ratio = 0.5 }) {
  const [pen, wide, high] = sized(canvas, ratio);
  const all = lines.flatMap((line) => line.ys).filter(Number.isFinite);
  const [left, right] = ends(lines.flatMap((line) => line.xs)), [low, top] = ends(all);
  const toX = (v) => LEFT + (wide - LEFT - RIGHT) * (v - left) / (right - left);
  const toY = (v) => high - BELOW - (high - BELOW - ABOVE) * (v - low) / (top - low);
  pen.font = "12px system-ui, sans-serif";
  pen.lineWidth = 1;
  for (const tick of ticks(low, top, high / 36)) {
    pen.strokeStyle = colour("--line");
    path(pen, [[LEFT, toY(tick)], [wide - RIGHT, toY(tick)]]);
    words(pen, short(tick), LEFT - 6, toY(tick) + 4, "right");
  }
  for (const tick of ticks(left, right, wide / 80)) {
    const half = pen.measureText(short(tick)).width / 2;
    words(pen, short(tick), Math.min(toX(tick), wide - half), high - BELOW + 16, "center");
  }
  words(pen, x, (LEFT + wide - RIGHT) / 2, high - 4, "center");
  words(pen, y, 2, 12, "left");
  for (const { xs, ys, colour, dash } of lines) {
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.setLineDash(dash);
    path(pen, Array.from(xs, (v, k) => [toX(v), toY(ys[k])]).filter(([, v]) => Number.isFinite(v)));
    pen.setLineDash([]);
    if (xs.length === 1) pen.strokeRect(toX(xs[0]) - 2, toY(ys[0]) - 2, 4, 4);
  }
}

export function legend(names) {
  return make("ul", { class: "legend" }, names.map((name, k) => {
    const { colour, dash } = look(k);
    return make("li", {}, svg("svg", { width: 34, height: 10, "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 34, y1: 5, y2: 5, stroke: colour, "stroke-width": 3, "stroke-dasharray": dash.join(" ") })), name);
  }));
}

function path(pen, points) {
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.stroke();
}

function words(pen, text, x, y, align) {
  pen.fillStyle = colour("--soft");
  pen.textAlign = align;
  pen.fillText(text, x, y);
}

function ends(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  if (low > high) return [0, 1];
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(2, wanted), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((by) => by * power >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step / 1e6; tick += step) found.push(tick);
  return found;
}

const short = (value) => String(Number(value.toPrecision(3)));
