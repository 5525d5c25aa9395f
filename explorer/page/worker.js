// The engine itself, by Pyodide, in a worker of its own: Python answers, JavaScript hands it on.
// The folder of the page has site.json: {pyodide: where, hashes: {file: SHA-256}}, and engine.zip.

const SITE = new URL("../", self.location);
const ended = new Set();
let asked;

async function got(address) {
  const reply = await fetch(address);
  if (!reply.ok) throw new Error(`${address} cannot be fetched: ${reply.status}`);
  return reply;
}

async function begin() {
  const { pyodide: where, hashes } = await (await got(new URL("site.json", SITE))).json();
  const base = new URL(where, SITE);
  postMessage({ progress: "Python", share: 0.1 });
  const zip = got(new URL("engine.zip", SITE)).then((reply) => reply.arrayBuffer());
  zip.catch(() => {});  // is said where it is awaited
  const source = await (await got(new URL("pyodide.js", base))).arrayBuffer();
  const found = [...new Uint8Array(await crypto.subtle.digest("SHA-256", source))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== hashes["pyodide.js"]) throw new Error("pyodide.js is not the one that this page was made with");
  importScripts(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const python = await loadPyodide({ indexURL: base.href, packages: ["numpy"] });
  postMessage({ progress: "the models", share: 0.8 });
  python.unpackArchive(await zip, "zip", { extractDir: "/site" });
  asked = await python.runPythonAsync("import sys; sys.path.insert(0, '/site')\nfrom explorer.wasm import parts\nparts");
  postMessage({ ready: true });
}

const begun = begin().catch((error) => {
  const lines = error.message.trim().split("\n"), why = lines.findLast((line) => /^\w+Error/.test(line)) || lines[0];
  postMessage({ failed: `The engine could not be started (${why}). Load the page again; the book can be read all the same.` });
  throw error;
});

self.onmessage = async ({ data }) => {
  await begun;
  if (data.end) return void ended.add(data.end);
  const { number, name, args } = data;
  try {
    const parts = asked(name, args);
    for (;;) {
      const { value, done } = parts.next();
      if (done) break;
      postMessage({ number, part: value });
      await new Promise((turn) => setTimeout(turn));  // other messages, an end among them
      if (ended.delete(number)) { parts.return(); break; }
    }
    parts.destroy();
  } catch (error) {  // of Pyodide itself: Python's own are answers
    postMessage({ number, part: JSON.stringify({ error: `Python broke off, reset it: ${error.message}` }) });
  }
  postMessage({ number, over: true });
};
