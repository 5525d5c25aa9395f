// What the engine is asked: over HTTP, or as messages to a worker that runs it by Pyodide.
// call(name, args) is one answer; stream(name, args, part) is several, and returns a function that
// ends it. An answer with {error} in it is thrown as an Error.

export const overHttp = document.documentElement.dataset.engine === "http";
const site = new URL("../", import.meta.url);
const token = kept("token", new URLSearchParams(location.search).get("token"));

// A value of this browser's, now this one if it is given; "" if there is none.
export function kept(name, value) {
  try {
    if (value !== null && value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name) || "";
  } catch { return value || ""; }  // storage is switched off
}

// As call(), with an end: explore.py ends what takes too long itself, a worker is ended here.
export async function callFor(seconds, name, args) {
  const late = setTimeout(() => overHttp || endWorker(`it was stopped after ${seconds} s`), 1000 * seconds);
  try { return await call(name, args); } finally { clearTimeout(late); }
}

// While an answer takes long, body.busy says so (style.css).
const late = new Set();
export async function call(name, args = {}) {
  const own = {}, timer = setTimeout(() => busy(late.add(own)), 600);
  try { return await answered(name, args); } finally {
    clearTimeout(timer);
    if (late.delete(own)) busy();
  }
}
const busy = () => document.body.classList.toggle("busy", late.size > 0);

async function answered(name, args) {
  let last;
  if (overHttp) {
    const reply = await post("ask", name, args);
    last = await reply.json();
  } else {
    await new Promise((done) => ask(name, args, (part) => { last = part; }, done));
  }
  return checked(last);
}

export function stream(name, args, part, done = () => {}, failed = (error) => { throw error; }) {
  if (!overHttp) {
    const number = ask(name, args, (found) => {
      try { part(checked(found)); } catch (error) { failed(error); }
    }, done);
    return () => { if (asked.has(number)) worker.postMessage({ end: number }); };
  }
  const stop = new AbortController();
  (async () => {
    const reply = await post("stream", name, args, stop.signal);
    if (!reply.ok) return void checked(await reply.json());  // refused: an error
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done: over } = await reader.read();
      if (over) break;
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) part(checked(JSON.parse(event.slice("data: ".length))));
    }
    done();
  })().catch((error) => { if (error.name !== "AbortError") failed(error); });
  return () => stop.abort();
}

function post(kind, name, args, signal) {
  return fetch(new URL(`${kind}/${name}`, site), {
    method: "POST", body: JSON.stringify(args), signal, headers: { "X-Token": token },
    keepalive: name === "end_session",  // also when the page is closed
  }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("explore.py does not answer any more; start it again"), { lost: true });
  });
}

function checked(answer) {
  if (answer.error) throw new Error(answer.error);
  return withArrays(answer);
}

const KINDS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

// {shape, dtype, data: base64} becomes {shape, data: a typed array}, wherever it is.
function withArrays(value) {
  if (Array.isArray(value)) return value.map(withArrays);
  if (value === null || typeof value !== "object") return value;
  if (value.dtype && value.shape) {
    const bytes = Uint8Array.from(atob(value.data), (c) => c.charCodeAt(0));
    return { shape: value.shape, data: new KINDS[value.dtype](bytes.buffer) };
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withArrays(item)]));
}

// ---------------------------------------------------------------- the worker

const asked = new Map();
let worker, started, stopped = () => {}, number = 0;

function ask(name, args, part, done) {
  asked.set(number += 1, { part, done });
  worker.postMessage({ number, name, args: JSON.stringify(args) });
  return number;
}

// End the worker and what it is at; start() begins another. Over HTTP there is nothing to end.
export function endWorker(why) {
  if (worker) worker.terminate();
  worker = started = undefined;
  stopped(new Error(why));
  for (const { part, done } of asked.values()) { part({ error: why }); if (done) done(); }
  asked.clear();
}

// Start the worker, unless it is; progress(words, share from 0 to 1). Over HTTP there is none.
export function start(progress) {
  if (overHttp) return Promise.resolve();
  if (!started) {
    const mine = begun(progress).catch((error) => { if (started === mine) endWorker(error.message); throw error; });
    started = mine;
  }
  return started;
}

function begun(progress) {
  worker = new Worker(new URL("worker.js", import.meta.url));
  return new Promise((ready, failed) => {
    stopped = failed;
    worker.onerror = (event) => failed(new Error(event.message || "The engine could not be started: worker.js cannot be loaded"));
    worker.onmessage = ({ data }) => {
      if (data.ready) return ready();
      if (data.failed) return failed(new Error(data.failed));
      if (data.progress) return progress(data.progress, data.share);
      const { part, done } = asked.get(data.number) || {};
      if (data.part && part) part(JSON.parse(data.part));
      if (data.over) { asked.delete(data.number); if (done) done(); }
    };
  });
}
