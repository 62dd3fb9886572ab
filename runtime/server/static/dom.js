// Elements of the page: found by id, made, written to, saved from.

import { CLASSES } from "./beats.js";

/**
 * The element with an id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {{new (): T}} [type] what the caller relies on
 * @returns {T}
 * @throws {Error} it is not on the page, or another kind of element
 */
export function $(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof (type ?? HTMLElement))) throw new Error(`the page has no such #${id}`);
  return /** @type {T} */ (found);
}

/** @param {string} id */
export const select = (id) => $(id, HTMLSelectElement);
/** @param {string} id */
export const input = (id) => $(id, HTMLInputElement);

/**
 * Set an element's text; the same text is not laid out again, nor read out again.
 * @param {string} id
 * @param {string} text
 */
export function put(id, text) {
  const to = $(id);
  if (to.textContent !== text) to.textContent = text;
}

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Partial<HTMLElementTagNameMap[K]>} fields its properties
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(name, fields = {}, ...children) {
  const made = Object.assign(document.createElement(name), fields);
  made.append(...children);
  return made;
}

/**
 * @param {string} id of a button
 * @returns {boolean} true if it is pressed
 */
export function isPressed(id) {
  return $(id).getAttribute("aria-pressed") === "true";
}

/**
 * @param {string} id of a button
 * @param {boolean} yes
 */
export function press(id, yes) {
  $(id).setAttribute("aria-pressed", String(yes));
}

/**
 * Let the browser save a file.
 * @param {string} name
 * @param {BlobPart[]} parts
 * @param {string} [type] media type
 */
export function save(name, parts, type = "text/csv") {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** @type {Record<string, string>} Outlines, as `traceShape` draws them. */
const PATHS = {
  dot: "M8 4a4 4 0 1 0 .01 0z", triangle: "M8 1l7 13H1z", square: "M2 2h12v12H2z",
  diamond: "M8 0l8 8-8 8-8-8z", cross: "M6 1h4v5h5v4h-5v5H6v-5H1V6h5z",
  event: "M8 0a8 8 0 1 0 .01 0zM6.800 3h2.400v6H6.800zm0 7.500h2.400V13H6.800z",
};

/**
 * The mark of a class, or of a rhythm event.
 * @param {string} label N, S, V, F, Q or "event"
 */
export function shape(label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `shape class-${label}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("fill-rule", "evenodd"); // the event's mark has a hole
  path.setAttribute("d", PATHS[CLASSES[label]?.shape ?? "event"]);
  svg.append(path);
  return svg;
}
