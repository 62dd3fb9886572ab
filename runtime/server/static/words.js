// Words to the user: the page's state, problems, and what a screen reader reads out.

import { $, put } from "./dom.js";

const SAY_EVERY_MS = 4000; // a screen reader gets sentences no more often

/**
 * Show the page's state.
 * @param {string} kind "on", "away" or empty
 * @param {string} text
 */
export function state(kind, text) {
  $("state").className = `pill ${kind}`;
  // Only a change of state is worth reading out, not every second of a countdown.
  put("state", text);
  $("state").ariaLive = kind === "away" ? "off" : "polite";
}

/**
 * Show a sentence until it is dismissed; an empty one hides it.
 * @param {string} text
 */
export function problem(text) {
  if ($("problem").textContent === text) return;
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

let announcedAt = -Infinity;
/** @type {string[]} */
let waiting = [];

/**
 * Let a screen reader read a sentence; those that come too quickly are joined.
 * @param {string} sentence
 * @param {boolean} [atOnce]
 */
export function say(sentence, atOnce = false) {
  if (atOnce) {
    $("announce").textContent = sentence;
    return;
  }
  waiting.push(sentence);
  if (waiting.length > 1) return;
  setTimeout(() => {
    const more = waiting.length - 3;
    $("announce").textContent = waiting.slice(0, 3).join("; ") + (more > 0 ? `; and ${more} more` : "");
    announcedAt = performance.now();
    waiting = [];
  }, Math.max(0, announcedAt + SAY_EVERY_MS - performance.now()));
}

/**
 * Interrupt a screen reader.
 * @param {string} sentence
 */
export function alarm(sentence) {
  $("alarm").textContent = sentence;
}

$("problem").addEventListener("click", () => problem(""));
addEventListener("keydown", (press) => {
  if (press.key === "Escape") problem("");
});
