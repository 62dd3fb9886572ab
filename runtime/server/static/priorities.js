// Priorities of alarms, as monitors have them (after IEC 60601-1-8), and what calls for which. This
// table is the only place: a kind of event that is not in it alarms by its gravity.

import { KINDS } from "./kinds.js";

/** @typedef {"high"|"medium"|"low"} Priority */

/** @type {Priority[]} the gravest first */
export const PRIORITIES = ["high", "medium", "low"];

/** @type {Record<Priority, string>} beside a colour, so that nothing depends on colour alone */
export const SIGNS = { high: "!!!", medium: "!!", low: "!" };

/** @type {Record<string, Priority|null>} null: listed, but no alarm */
export const PRIORITY = {
  ventricular_fibrillation: "high",
  asystole: "high",
  ventricular_tachycardia: "high",
  ventricular_run: "medium",
  pause: "medium",
  atrial_fibrillation: "medium",
  supraventricular_run: "medium",
  // The limits of each patient's heart rate alarm instead of the detector's, which are everyone's.
  tachycardia: null,
  bradycardia: null,
  couplet: "low",
  bigeminy: "low",
  trigeminy: "low",
  // What is no event of the detector: a limit that is passed, and faults of the technique.
  "rate-low": "medium",
  "rate-high": "medium",
  "no-signal": "medium",
  unreadable: "low",
};

/**
 * The priority of a kind of event or condition; null if it is no alarm.
 * @param {string} kind
 * @returns {Priority|null}
 */
export function priorityOf(kind) {
  if (kind in PRIORITY) return PRIORITY[kind];
  return KINDS[kind]?.critical ? "high" : "medium";
}

/** @param {Priority|null} priority @returns {number} larger is graver, 0 for none */
export function weight(priority) {
  return priority ? PRIORITIES.length - PRIORITIES.indexOf(priority) : 0;
}
