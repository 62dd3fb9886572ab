// Time of which no interval, rate, shape or line on the list is made: ventricular fibrillation,
// standstill, and signal in which beats are in doubt or may hide.

import { KINDS } from "./kinds.js";

/** @typedef {{start: number, end: number}} Stretch s */

const DOUBTS = ["flat", "clipped", "baseline", "noise", "missing"]; // of a live answer's quality

/**
 * Stretches of a run, joined, in order of time.
 * @param {{findings: import("./run.js").Finding[], unreadable: Stretch[]}} run
 * @returns {Stretch[]}
 */
export function leftOut({ findings, unreadable }) {
  /** @type {Stretch[]} */
  const joined = [];
  const all = [...unreadable, ...findings.filter(({ kind }) => hasNoBeats(kind))].sort((a, b) => a.start - b.start);
  for (const { start, end } of all) {
    const before = joined.at(-1);
    if (before && start <= before.end) before.end = Math.max(before.end, end);
    else joined.push({ start, end });
  }
  return joined;
}

/**
 * A test whether one of the stretches is touched; of moments in order of time.
 * @param {Stretch[]} stretches as of `leftOut`
 * @returns {(from: number, to: number) => boolean}
 */
export function touching(stretches) {
  let at = 0;
  return (from, to) => {
    while (at < stretches.length && stretches[at].end <= from) at += 1;
    return at < stretches.length && stretches[at].start <= to;
  };
}

/** @param {string} [kind] of an event */
export function hasNoBeats(kind = "") {
  return KINDS[kind]?.noBeats ?? false;
}

/**
 * What an answer says cannot be read.
 * @param {import("./link.js").Answer} answer
 * @param {number} from s, where the signal that it answers for begins
 * @returns {Stretch[]}
 */
export function unreadable({ unreadable: stated, quality, to }, from) {
  if (stated) return stated.map(([start, end]) => ({ start, end }));
  return quality && !quality.ok && DOUBTS.some((name) => Number(quality[name]) > 0) ? [{ start: from, end: to }] : [];
}
