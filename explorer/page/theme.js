// Dark or light: as the system has it, or as it was chosen here before.

import { kept } from "./engine.js";

const root = document.documentElement, button = document.getElementById("theme");
if (kept("theme")) root.dataset.theme = kept("theme");
button.hidden = false;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
button.addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  kept("theme", root.dataset.theme);
  dispatchEvent(new Event("themechange"));
});
