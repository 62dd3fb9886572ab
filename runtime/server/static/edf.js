// EDF and EDF+ without pauses (https://www.edfplus.info/specs/edfplus.html), with their annotations.

import { checked, checkedRate, stem, theEcg } from "./checks.js";
import { millivolts } from "./leads.js";

/** @typedef {import("./files.js").Recording} Recording */
/** @typedef {import("./annotations.js").Mark} Mark */
/**
 * @typedef {object} EdfSignal
 * @property {string} lead
 * @property {number} scale mV of a unit; 0 if it is no voltage
 * @property {boolean} stated true if the file names the unit
 * @property {number} gain units of a step
 * @property {number} offset units at 0
 * @property {number} count samples in a data record
 * @property {number} at where they begin in it, samples
 */

const ANNOTATIONS = "EDF Annotations";
const FIXED = 256; // bytes of a header, and as many for each signal
/** AAMI classes of the words that annotations of beats use. @type {Record<string, string>} */
const BEATS = { N: "N", L: "N", R: "N", B: "N", e: "N", j: "N", S: "S", A: "S", a: "S", J: "S", n: "S",
  V: "V", E: "V", F: "F", Q: "Q", "/": "Q", f: "Q" };

/**
 * @param {Uint8Array} data
 * @param {string} name
 * @returns {Recording}
 */
export function readEdf(data, name) {
  const text = (/** @type {number} */ from, /** @type {number} */ to) =>
    new TextDecoder("latin1").decode(data.subarray(from, to)).trim();
  if (text(0, 8) !== "0" || data.length < FIXED) throw new Error(`${name} is no EDF file.`);
  if (text(192, 236).startsWith("EDF+D")) {
    throw new Error(`${name} is EDF+D, with pauses, which is not read here; \`ekg convert\` fills them.`);
  }
  const [headerBytes, records, seconds, count] = [[184, 192], [236, 244], [244, 252], [252, 256]]
    .map(([from, to]) => Number(text(from, to)));
  if (!(count > 0 && seconds > 0 && headerBytes === FIXED * (count + 1))) {
    throw new Error(`${name} is no EDF file with signals: its header is damaged.`);
  }
  const signals = signalsOf(count, text);
  const recordSamples = signals.reduce((sum, signal) => sum + signal.count, 0);
  const whole = Math.floor((data.length - headerBytes) / (2 * recordSamples));
  if (records > whole) {
    throw new Error(`${name} is cut off: it holds ${whole} of ${records} data records.`);
  }
  const used = records > 0 ? records : whole; // -1 while it is recorded
  const view = new DataView(data.buffer, data.byteOffset + headerBytes);
  const volts = signals.filter(({ scale, gain, lead }) => scale && Number.isFinite(gain) && lead !== ANNOTATIONS);
  if (!volts.length) throw new Error(`${name} has no lead in mV, uV or V.`);
  const samples = (/** @type {number} */ index) => {
    const { count: each, at, gain, offset, scale } = volts[index];
    const out = new Float32Array(used * each);
    for (let record = 0, to = 0; record < used; record++) {
      const from = 2 * (record * recordSamples + at);
      for (let i = 0; i < each; i++) out[to++] = (view.getInt16(from + 2 * i, true) * gain + offset) * scale;
    }
    return out;
  };
  const rate = (/** @type {number} */ index) => volts[index].count / seconds;
  const first = theEcg(volts, samples, rate(0), name);
  const fs = checkedRate(rate(first), name);
  const leads = volts.filter((_, i) => rate(i) === fs); // others have no place in the same strip
  const words = signals.filter(({ lead }) => lead === ANNOTATIONS).flatMap(({ at, count: each }) =>
    Array.from({ length: used }, (_, record) => listed(data.subarray(
      headerBytes + 2 * (record * recordSamples + at), headerBytes + 2 * (record * recordSamples + at + each)))).flat());
  const begin = words.find(({ text: word }) => word === "")?.onset ?? 0; // of the first data record
  const marks = words.filter(({ text: word }) => word in BEATS)
    .map(({ onset, text: word }) => ({ time: onset - begin, label: BEATS[word] }))
    .sort((a, b) => a.time - b.time);
  return {
    name: stem(name), fs, timed: true, leads: leads.map(({ lead }) => lead),
    first: leads.indexOf(volts[first]), startsAt: startOf(text(168, 176), text(176, 184)),
    reference: marks.length ? { name, marks } : undefined,
    read: (index) => checked(samples(volts.indexOf(leads[index])), `${name}: lead ${leads[index].lead}`),
  };
}

/**
 * @param {number} count
 * @param {(from: number, to: number) => string} text of the header
 * @returns {EdfSignal[]}
 */
function signalsOf(count, text) {
  let start = FIXED;
  const fields = [16, 80, 8, 8, 8, 8, 8, 80, 8].map((width) => {
    const from = start;
    start += width * count;
    return Array.from({ length: count }, (_, i) => text(from + i * width, from + (i + 1) * width));
  });
  let at = 0;
  return fields[0].map((lead, i) => {
    const [unit, low, high, digitalLow, digitalHigh, each] = [2, 3, 4, 5, 6, 8].map((k) => fields[k][i]);
    const gain = (Number(high) - Number(low)) / (Number(digitalHigh) - Number(digitalLow));
    const signal = { lead, scale: unit ? millivolts(unit) ?? 0 : 1, stated: unit !== "", gain,
      offset: Number(low) - gain * Number(digitalLow), count: Number(each), at };
    at += signal.count;
    return signal;
  });
}

/**
 * The annotations of one data record: onset, 0x15, length, 0x14, texts, each with 0x14 behind it.
 * @param {Uint8Array} bytes
 */
function listed(bytes) {
  return new TextDecoder().decode(bytes).split("\0").filter(Boolean).flatMap((list) => {
    const [times, ...texts] = list.split("\x14");
    return texts.slice(0, -1).map((text) => ({ onset: Number(times.split("\x15")[0]), text }));
  });
}

/**
 * @param {string} date as 31.12.99
 * @param {string} clock as 23.59.59
 */
function startOf(date, clock) {
  const [day, month, year] = date.split(".").map(Number);
  const [hours, minutes, seconds] = clock.split(".").map(Number);
  const at = Date.UTC(year + (year < 85 ? 2000 : 1900), month - 1, day, hours, minutes, seconds);
  return Number.isFinite(at) ? at : undefined;
}
