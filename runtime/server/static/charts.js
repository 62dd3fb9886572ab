// uPlot (https://github.com/leeoniya/uPlot, MIT, served from here) in the page's colours.

/** @typedef {import("uplot")} uPlot */
/** @typedef {import("uplot").Options} Options */

/** The class itself, which its own script has made a global. @returns {typeof import("uplot")} */
const library = () => /** @type {any} */ (window).uPlot;

/**
 * A colour of the page.
 * @param {string} name
 */
export const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/**
 * An axis in the page's colours.
 * @param {import("uplot").Axis} [more]
 * @returns {import("uplot").Axis}
 */
export function axis(more = {}) {
  return { stroke: () => ink("quiet"), font: `11px ${ink("font")}`, size: 44,
    grid: { stroke: () => ink("line"), width: 1 }, ticks: { stroke: () => ink("line"), size: 4 }, ...more };
}

/**
 * A chart that fills its box, also when that changes.
 * @param {HTMLElement} box
 * @param {Omit<Options, "width"|"height">} options
 */
export function chart(box, options) {
  const size = () => ({ width: Math.max(80, box.clientWidth), height: Math.max(60, box.clientHeight) });
  const plot = new (library())({ legend: { show: false }, ...options, ...size() },
    /** @type {any} */ (options.series.map(() => [])), box);
  new ResizeObserver(() => plot.setSize(size())).observe(box);
  return plot;
}
