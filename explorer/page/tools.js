// Small things that every panel uses.

// A colour of the page, as style.css names it: "--accent".
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

// The whole number of a text, from 0 to most; else what is usual.
export const natural = (text, most, usual) => (/^\d{1,9}$/.test(text) && Number(text) <= most ? Number(text) : usual);

export function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...inside.flat().filter((part) => part !== null && part !== undefined));
  return element;
}

// Draw image number k of an array (n, H, W, C) or (H, W, C), floats from 0 to 1 or bytes, on a canvas.
export function paint(canvas, images, k = 0) {
  const [h, w, c] = images.shape.slice(-3);
  const scale = images.data instanceof Uint8Array ? 1 : 255, start = k * h * w * c;
  canvas.width = w;
  canvas.height = h;
  const picture = new ImageData(w, h);
  for (let i = 0; i < h * w; i += 1) {
    for (let j = 0; j < 3; j += 1) {
      picture.data[4 * i + j] = scale * images.data[start + i * c + (c === 3 ? j : 0)];
    }
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

// A row of small images; with onpick each is a button.
export function strip(images, onpick, title = (k) => `image ${k}`) {
  const all = Array.from({ length: images.shape[0] }, (_, k) => {
    const canvas = paint(make("canvas", { role: "img", "aria-label": title(k) }), images, k);
    return onpick ? make("button", { onclick: () => onpick(k), title: title(k) }, canvas) : canvas;
  });
  return make("div", { class: "strip" }, all);
}

// Only one at work: while it runs, the last call is kept, and the others are forgotten.
export function latest(work, failed) {
  let busy = false, next = null;
  return async function again(...args) {
    if (busy) { next = args; return; }
    busy = true;
    try { await work(...args); } catch (error) { failed(error); }
    busy = false;
    if (next) { const kept = next; next = null; again(...kept); }
  };
}

// A new, empty part of the page in the place of what it holds; here() tells whether it is still that.
// What comes late, when another run was chosen, is for nobody.
export function anew(place) {
  const root = make("div"), here = () => root.parentNode === place;
  place.replaceChildren(root);
  return [root, (work) => (...args) => { if (here()) work(...args); }, here];
}

// Work that is done when nothing more was asked for a moment.
export function settled(work, wait = 150) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(work, wait); };
}

// Work that is done with the next frame, once, however often it was asked for.
export function framed(work) {
  let wanted = false;
  return () => {
    if (!wanted) requestAnimationFrame(() => { wanted = false; work(); });
    wanted = true;
  };
}

// A pointer that moves, as soon as the browser knows it: a pointermove waits for the next frame.
export const MOVES = "onpointerrawupdate" in window ? "pointerrawupdate" : "pointermove";

export function choice(label, options, value, onchange) {
  const select = make("select", { onchange: () => onchange(select.value) }, options.map((option) => {
    const [name, words] = Array.isArray(option) ? option : [option, option];
    return make("option", { value: name, selected: String(name) === String(value) }, String(words));
  }));
  return make("label", {}, label, select);
}

export function slider(label, low, high, step, value, oninput) {
  const digits = Number.isInteger(step) ? 0 : 2, shown = make("output", {}, Number(value).toFixed(digits));
  const input = make("input", { type: "range", min: low, max: high, step, value, "aria-label": label,
    oninput: () => { shown.value = Number(input.value).toFixed(digits); oninput(Number(input.value)); } });
  const whole = make("label", {}, label, input, shown);
  whole.set = (x) => { input.value = x; shown.value = Number(x).toFixed(digits); };
  return whole;
}

// Ten colours that the colour-blind can tell apart: Petroff 2021, arXiv:2107.02270.
export const COLOURS = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300",
  "#b9ac70", "#717581", "#92dadd"];

// Code to write in: as tall as its lines; Ctrl+Enter runs it. write(text) replaces it.
export function editor(code, label, onrun, onchange) {
  const text = make("textarea", { class: "code", "aria-label": label, spellcheck: "false", autocapitalize: "off",
    autocomplete: "off", wrap: "off", oninput: () => { fit(); onchange(); },
    onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); onrun(); } } });
  const fit = () => { text.rows = text.value.split("\n").length; };
  text.write = (value) => { text.value = value; fit(); };
  text.write(code);
  return text;
}

// The same as make, of an SVG.
export function svg(tag, attributes = {}, ...inside) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside.flat());
  return element;
}

// A slider over given values, whatever their steps.
export function ladder(label, values, value, oninput) {
  const shown = make("output", {}, String(value)), at = Math.max(0, values.indexOf(value));
  const input = make("input", { type: "range", min: 0, max: values.length - 1, step: 1, value: at, "aria-label": label,
    "aria-valuetext": value, oninput: () => {
      const found = values[input.value];
      shown.value = found;
      input.setAttribute("aria-valuetext", found);
      oninput(found);
    } });
  return make("label", {}, label, input, shown);
}
