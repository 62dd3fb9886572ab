// Speed, gain and colours of the picture.

import { $, press, put, select } from "./dom.js";

/** @typedef {import("./paper.js").Paper} Paper */
/** @typedef {import("./sweep.js").Sweep} Sweep */
/** @typedef {import("./strip.js").Strip} Strip */

const THEMES = ["system", "light", "dark"];

/**
 * Let the controls change the papers.
 * @param {Sweep} sweep
 * @param {Strip} strip
 * @param {() => void} changed also the colours
 */
export function watchDisplay(sweep, strip, changed) {
  const refit = () => {
    for (const paper of [sweep, strip]) {
      paper.fit();
      paper.redraw();
    }
    changed();
  };
  const scale = () => put("scale", `${sweep.speed} mm/s · ${sweep.gain} mm/mV`);
  const apply = () => {
    const gain = select("gain").value;
    sweep.speed = strip.speed = Number(select("speed").value);
    sweep.fits = gain === "auto";
    if (!sweep.fits) sweep.gain = Number(gain);
    strip.wanted = gain === "auto" ? "auto" : Number(gain);
    sweep.redraw();
    changed();
    scale();
  };
  sweep.onGain = scale;
  for (const id of ["speed", "gain"]) $(id).addEventListener("change", apply);
  apply();

  let theme = localStorage.getItem("theme") ?? "system";
  const paint = () => {
    document.documentElement.dataset.theme = theme;
    put("theme", `Theme: ${theme}`);
    press("theme", theme !== "system");
    refit();
  };
  $("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem("theme", theme);
    paint();
  });
  paint();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refit);
  (function watchRatio() { // another screen may have another resolution
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => {
      refit();
      watchRatio();
    }, { once: true });
  }());
}
