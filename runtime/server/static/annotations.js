// Annotations of beats in WFDB's format: those of others to compare with, and ours to hand on.
// https://physionet.org/physiotools/wag/annot-5.htm

import { KINDS } from "./kinds.js"; // written by the server from its registry of events

/** @typedef {{time: number, label: string}} Mark s; AAMI class */

const [SKIP, NUM, SUB, CHN, AUX] = [59, 60, 61, 62, 63];
const NOTE = 22;
const RHYTHM = 28;
const LONGEST_STEP = 1023; // samples that fit into ten bits
/** AAMI classes of WFDB's codes of beats, as EC57 groups them. @type {Record<number, string>} */
const AAMI = { 1: "N", 2: "N", 3: "N", 34: "N", 11: "N", 25: "N",
  8: "S", 4: "S", 7: "S", 9: "S", 35: "S",
  5: "V", 10: "V", 41: "V", 6: "F", 12: "Q", 38: "Q", 13: "Q", 30: "Q" };
/** @type {Record<string, number>} */
const CODES = { N: 1, S: 9, V: 5, F: 6, Q: 13 };

/**
 * The beats of an annotation file.
 * @param {Uint8Array} bytes
 * @param {number} fs Hz of the record; the file may state another resolution of its times
 * @param {string} name of the file
 * @returns {Mark[]} in order
 * @throws {Error} it is cut off, or holds no beat
 */
export function readAnnotations(bytes, fs, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {Mark[]} */
  const marks = [];
  let at = 0;
  let sample = 0;
  let code = 0;
  let ended = false;
  while (at + 2 <= bytes.length) {
    const word = view.getUint16(at, true);
    const [kind, value] = [word >> 10, word & 1023];
    at += 2;
    if (word === 0) {
      ended = true;
      break;
    }
    if (kind === SKIP) {
      if (at + 4 > bytes.length) break;
      sample += (view.getInt16(at, true) << 16) + view.getUint16(at + 2, true);
      at += 4;
    } else if (kind === AUX) {
      const text = String.fromCharCode(...bytes.subarray(at, at + value));
      const stated = /^## time resolution: ([\d.]+)/.exec(text);
      if (stated && code === NOTE && sample === 0) fs = Number(stated[1]);
      at += value + (value % 2);
    } else if (![NUM, SUB, CHN].includes(kind)) {
      sample += value;
      code = kind;
      if (AAMI[kind]) marks.push({ time: sample / fs, label: AAMI[kind] });
    }
  }
  if (!ended && at !== bytes.length) throw new Error(`${name} is cut off; expected a WFDB annotation file.`);
  if (!marks.length) throw new Error(`${name} holds no beat; expected a WFDB annotation file.`);
  return marks.sort((a, b) => a.time - b.time);
}

/**
 * An annotation file with beats and events, the same that `ekg annotate` writes.
 * @param {{time: number, label: string}[]} beats
 * @param {{start: number, end: number, lasts?: boolean, kind?: string}[]} events
 * @param {number} fs Hz
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function writeAnnotations(beats, events, fs) {
  const found = beats.map(({ time, label }) => ({ at: toEven(time * fs), code: CODES[label], text: "" }));
  const marks = [...rhythmMarks(events, fs, found.map(({ at }) => at)), ...found].sort((a, b) => a.at - b.at);
  /** @type {number[]} */
  const bytes = [];
  const word = (/** @type {number} */ value) => bytes.push(value & 255, (value >> 8) & 255);
  const note = (/** @type {string} */ text) => {
    word((AUX << 10) | text.length);
    for (const letter of text) bytes.push(letter.charCodeAt(0));
    if (text.length % 2) bytes.push(0);
  };
  word(NOTE << 10); // the times' resolution stands in a comment at sample 0
  note(`## time resolution: ${fs}`);
  let sample = 0;
  for (const { at, code, text } of marks) {
    let step = at - sample;
    if (step > LONGEST_STEP) {
      word(SKIP << 10);
      word(step >> 16);
      word(step);
      step = 0;
    }
    word((code << 10) | step);
    if (text) note(text);
    sample = at;
  }
  word(0);
  return Uint8Array.from(bytes);
}

/**
 * Each change of rhythm, in WFDB's code, and a comment for each event of a kind without one. If rhythms
 * overlap, the gravest is written. A mark stands one sample before its beat, or on the next that is
 * free, as in runtime/records/outputs/wfdb_annotations.py.
 * @param {{start: number, end: number, lasts?: boolean, kind?: string}[]} events
 * @param {number} fs
 * @param {number[]} beats samples
 */
function rhythmMarks(events, fs, beats) {
  const taken = new Set(beats);
  /** @type {(moment: number, code: number, text: string) => {at: number, code: number, text: string}} */
  const placed = (moment, code, text) => {
    let at = Math.max(1, toEven(moment * fs) - 1);
    while (taken.has(at)) at += 1;
    taken.add(at);
    return { at, code, text };
  };
  const codes = Object.entries(KINDS).filter(([, { wfdb }]) => wfdb); // the gravest first
  const codeOf = (/** @type {string} */ kind) => KINDS[kind]?.wfdb;
  const coded = events.filter(({ kind = "", lasts }) => codeOf(kind) && !lasts);
  const changes = [];
  let written = "(N";
  for (const moment of [...new Set(coded.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b)) {
    const lasting = coded.filter(({ start, end }) => start <= moment && moment < end).map(({ kind }) => kind);
    const code = codes.find(([kind]) => lasting.includes(kind))?.[1].wfdb ?? "(N";
    if (code !== written) changes.push(placed(moment, RHYTHM, code));
    written = code;
  }
  return [...changes, ...events.filter(({ kind = "" }) => !codeOf(kind))
    .map(({ start, kind = "" }) => placed(start, NOTE, kind))];
}

/** The nearest whole number, of two the even one, as Python rounds. @param {number} value */
const toEven = (value) => (value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));

/** True for a file that may hold annotations. @param {string} name */
export const isAnnotations = (name) => /\.(?:atr|ekg|qrs|ecg|ari|ann)$/i.test(name);

const SAME_S = 0.15; // EC57's window between two that are one beat

/**
 * Compare the beats that were found with a reference's.
 * @param {Mark[]} found
 * @param {Mark[]} reference
 */
export function compare(found, reference) {
  /** @type {{mark: Mark, found: Mark|null}[]} */
  const pairs = [];
  /** @type {Mark[]} */
  const extra = [];
  let i = 0;
  for (const mark of reference) {
    while (i < found.length && found[i].time < mark.time - SAME_S) extra.push(found[i++]);
    const near = i < found.length && found[i].time <= mark.time + SAME_S ? found[i] : null;
    const next = near ? found[i + 1] : undefined;
    if (near && next && Math.abs(next.time - mark.time) < Math.abs(near.time - mark.time)) {
      extra.push(near);
      pairs.push({ mark, found: next });
      i += 2;
      continue;
    }
    pairs.push({ mark, found: near });
    if (near) i += 1;
  }
  extra.push(...found.slice(i));
  const matched = pairs.filter((pair) => pair.found);
  const same = matched.filter((pair) => pair.found?.label === pair.mark.label);
  return { pairs, extra, matched: matched.length, same: same.length };
}
