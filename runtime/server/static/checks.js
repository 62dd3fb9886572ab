// What every recording is checked for, whatever file it comes from. The rules are those of
// runtime/records/reading.py.

import { chooseLead, doubt, usualRange } from "./leads.js";

/**
 * The samples, NaN where one is missing; there is one at least.
 * @param {Float32Array} samples
 * @param {string} lead
 */
export function checked(samples, lead) {
  if (!samples.some(Number.isFinite)) throw new Error(`${lead} has no sample; expected numbers.`);
  return samples;
}

/**
 * The lead that is the ECG; a file without one is refused.
 * @param {{lead: string, stated: boolean}[]} leads
 * @param {(lead: number) => Float32Array|Float64Array} values
 * @param {number} fs
 * @param {string} name
 */
export function theEcg(leads, values, fs, name) {
  const chosen = chooseLead(leads, values, fs);
  if (chosen >= 0) return chosen;
  throw new Error(`${name} has no ECG: its leads are ${leads.map(({ lead }) => lead).join(", ")}.`);
}

/**
 * Numbers without a unit are mV, if they can be.
 * @param {Float32Array|Float64Array} values
 * @param {number} fs
 * @param {string} name
 * @param {string} lead
 */
export function checkSize(values, fs, name, lead) {
  const likely = doubt(values, fs);
  if (likely === null) return;
  const span = usualRange(values.filter(Number.isFinite), fs).toPrecision(3);
  throw new Error(`${name}: lead ${lead} has no unit, and its numbers span ${Number(span)} in two`
    + ` seconds, as no ECG in mV does; they are likely ${likely}: put the unit behind the name, as in`
    + " 'ECG (uV)'.");
}

/**
 * @param {number} fs
 * @param {string} name
 */
export function checkedRate(fs, name) {
  if (fs >= 100 && fs <= 1000) return fs;
  throw new Error(`${name} is sampled at ${fs} Hz; expected 100 to 1000 Hz.`);
}

/** @param {string} name of a file */
export const stem = (name) => name.replace(/\.[^.]*$/, "");
