// The exercises: chosen from a list, written in an editor, checked by the engine. What was written
// and what is done stays in this browser.

import { call, callFor, kept, start } from "./engine.js";
import { editor, make } from "./tools.js";

const WORDS = { passed: "✓ right", failed: "✗ not right yet", unwritten: "not written yet" };

function written() {
  try {
    return JSON.parse(kept("exercises") || "{}") || {};
  } catch { return {}; }
}

export async function show(root, { values, set, say, fail }) {
  const { exercises, chapters, kinds } = await call("exercises");
  let states = written();  // {number: {text, failed, passed}}
  const list = make("nav", { class: "exercises", "aria-label": "exercises" }), place = make("div");
  root.append(make("h1", {}, "Exercises"), make("p", {}, "Write the missing lines of the book's formulas. A check tells what is wrong, and where."),
    make("div", { class: "beside" }, list, place));

  function keep(number, changed) {
    states = written();  // another window may have changed it
    states[number] = { failed: 0, ...states[number], ...changed };
    kept("exercises", JSON.stringify(states));
    drawList();
  }

  function drawList() {
    const done = exercises.filter(({ number }) => states[number]?.passed).length;
    list.replaceChildren(make("p", { class: "soft" }, `${done} of ${exercises.length} done. ✓ done, / begun`),
      ...Object.entries(chapters).map(([chapter, title]) => {
        const inside = exercises.filter((one) => one.chapter === Number(chapter));
        return make("details", { open: inside.some(({ number }) => number === chosen().number) },
          make("summary", {}, `${chapter}. ${title} (${inside.filter(({ number }) => states[number]?.passed).length}/${inside.length})`),
          inside.map(({ number, title: name }) => {
            const state = states[number], mark = state?.passed ? "✓" : state ? "/" : "\u2007";
            return make("a", { href: `#exercises?n=${number}`, "aria-current": number === chosen().number && "page" },
              `${mark} ${number}. ${name}`);
          }));
      }));
  }

  const chosen = () => exercises.find(({ number }) => number === Number(values.n)) || exercises[0];

  function open({ number, title, kind, read, text }) {
    const told = make("div", { "aria-live": "polite" }), state = states[number];
    const code = editor(state?.text ?? text, `your lines for exercise ${number}`, check, () => keep(number, { text: code.value }));
    const button = make("button", { class: "main", onclick: check }, "check");
    place.replaceChildren(make("h2", {}, `${number}. ${title}`),
      make("p", { class: "soft" }, `To do: ${kinds[kind]}. `, make("a", { href: `book/${read}.html` }, "The chapter"), "."), code,
      make("div", { class: "row" }, button, make("button", { onclick: anew }, "begin anew"),
        make("button", { onclick: solution }, "show the solution")), told);
    if (state?.passed) told.append(make("p", {}, WORDS.passed));

    async function check() {
      if (button.disabled) return;
      button.disabled = true;
      told.replaceChildren("checks ...");
      let found;
      try {
        found = await callFor(10, "check_exercise", { number, source: code.value, failed: states[number]?.failed || 0 });
      } catch (error) { found = { state: error.lost ? "" : "failed", message: error.message }; }
      button.disabled = false;
      if (document.activeElement === document.body) button.focus();
      if (!found.state) return void told.replaceChildren(found.message);  // nothing was checked
      keep(number, { text: code.value, passed: found.state === "passed",
        failed: (states[number]?.failed || 0) + (found.state === "failed") });
      const next = exercises.find((one) => one.number > number && !states[one.number]?.passed);
      told.replaceChildren(make("p", { class: "verdict" }, WORDS[found.state]),
        ...(found.message ? [make("pre", { class: found.state === "failed" ? "raised" : "" }, found.message)] : []),
        ...(found.hint ? [make("p", {}, make("b", {}, "Hint: "), found.hint)] : []),
        ...(found.state === "passed" && next ? [make("p", {}, make("a", { href: `#exercises?n=${next.number}` }, `next: ${next.number}. ${next.title}`))] : []));
      start((words) => say(`Starting the engine again: ${words}`)).then(() => say("")).catch(fail);  // if it was ended
    }

    function anew() {
      if (!confirm("Put the page back as it was? What you wrote is lost.")) return;
      code.write(text);
      keep(number, { text, passed: false });
      told.replaceChildren();
    }

    async function solution() {
      if (!confirm(`Show the solution of ${number}?`)) return;
      try {
        const found = await call("exercise_solution", { number });
        told.replaceChildren(...(found.library ? [make("p", {}, "The library's lines:"), make("pre", {}, found.library.trim())] : []),
          make("p", {}, "On the page:"), make("pre", {}, found.page.slice(found.page.lastIndexOf('"""') + 3).trim()));
      } catch (error) { fail(error); }
    }
  }

  set({ n: chosen().number });
  drawList();
  open(chosen());
}
