// WFDB records in formats 16 and 212 (https://physionet.org/physiotools/wag/signal-5.htm).

import { checked, checkedRate, checkSize, theEcg } from "./checks.js";
import { millivolts } from "./leads.js";

/** @typedef {import("./files.js").Recording} Recording */

/**
 * @param {string} text
 * @param {string} name
 * @param {File[]} files
 * @returns {Promise<Recording>}
 */
export async function readWfdb(text, name, files) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() && !line.startsWith("#"));
  const [record, count, rate = "250", length = "0", clock = "", date = ""] = (lines[0] ?? "").trim().split(/\s+/);
  const signals = Number(count);
  if (!record || !(signals > 0)) throw new Error(`${name} is no WFDB header, or lists no signals.`);
  if (record.includes("/")) throw new Error(`${name} is a record of many segments: open one of them.`);
  const fs = checkedRate(parseFloat(rate), name);
  const specs = lines.slice(1, 1 + signals).map((line, i) => wfdbSignal(line, i, name));
  if (specs.length < signals) throw new Error(`${name} is cut off: it lists fewer signals than it says.`);
  const usable = specs.filter((spec) => spec.scale);
  if (!usable.length) throw new Error(`${name}: lead 1 is in ${specs[0].units}; expected mV, uV or V.`);
  /** @type {Map<string, Uint8Array>} */
  const bytes = new Map();
  for (const file of new Set(specs.map((spec) => spec.file))) {
    const given = files.find((one) => one.name === file);
    if (!given) throw new Error(`${name} needs ${file}: choose or drop both together.`);
    const data = new Uint8Array(await given.arrayBuffer());
    bytes.set(file, data);
    const of = specs.filter((spec) => spec.file === file);
    const size = of[0].skip
      + Math.ceil((of[0].format === 16 ? 2 : 1.5) * Number(length) * of.length);
    if (data.length < size) {
      throw new Error(`${file} is cut off: it has ${data.length} bytes; expected ${size}`
        + ` for the ${length} samples that ${name} states.`);
    }
  }
  const physical = (/** @type {number} */ lead) => {
    const spec = usable[lead];
    const together = specs.filter((one) => one.file === spec.file); // interleaved in one file
    const data = (bytes.get(spec.file) ?? new Uint8Array()).subarray(spec.skip);
    const digital = (spec.format === 16 ? wfdb16 : wfdb212)(data, together.length,
      together.indexOf(spec)).subarray(0, Number(length) || undefined); // 0: not stated
    for (let i = 0; i < digital.length; i++) { // in place: a day has 31 million samples
      digital[i] = ((digital[i] - spec.baseline) / spec.gain) * spec.scale;
    }
    return digital;
  };
  return {
    name: record, fs, leads: usable.map((spec) => spec.lead), timed: true,
    startsAt: startOf(clock, date),
    first: theEcg(usable, physical, fs, name),
    read: (lead) => {
      const values = physical(lead);
      if (!usable[lead].stated) checkSize(values, fs, name, usable[lead].lead);
      return checked(values, `${name}: lead ${usable[lead].lead}`);
    },
  };
}

/**
 * When the record begins, ms since 1970 as if its clock were UTC's.
 * @param {string} clock of the header, as 8:04:00.5
 * @param {string} date as 31/12/1999; the first day of 1970 if there is none
 */
function startOf(clock, date) {
  const [, hours = "0", minutes = "0", seconds] = /^(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)$/.exec(clock) ?? [];
  if (seconds === undefined) return undefined;
  const [, day, month, year] = /^(\d+)\/(\d+)\/(\d{4})$/.exec(date) ?? [];
  const midnight = year ? Date.UTC(Number(year), Number(month) - 1, Number(day)) : 0;
  return midnight + 1000 * (3600 * Number(hours) + 60 * Number(minutes) + Number(seconds));
}

/**
 * One signal's line of a header.
 * @param {string} line
 * @param {number} index
 * @param {string} name
 */
function wfdbSignal(line, index, name) {
  const fields = line.trim().split(/\s+/);
  const coded = /^(\d+)(x\d+)?(?::0+)?(?:\+(\d+))?$/.exec(fields[1] ?? "");
  if (!coded || !["16", "212"].includes(coded[1]) || (coded[2] && coded[2] !== "x1")) {
    throw new Error(`${name}: format ${fields[1] ?? "missing"} is not read here; expected 16 or 212.`
      + " `python -m runtime annotate` reads the others.");
  }
  const scale = /^([-+\d.eE]+)?(?:\((-?\d+)\))?(?:\/(\S+))?$/.exec(fields[2] ?? "");
  if (!scale) throw new Error(`${name}: the gain ${fields[2]} is not read; expected one like 200(0)/mV.`);
  const units = scale[3] ?? "";
  return {
    file: fields[0], format: Number(coded[1]), skip: Number(coded[3] ?? 0),
    gain: Number(scale[1]) || 200, // 0 means uncalibrated; WFDB then takes 200
    baseline: Number(scale[2] ?? fields[4] ?? 0), units, stated: units !== "",
    scale: units ? millivolts(units) ?? 0 : 1, // 0: it is no voltage
    lead: fields.slice(8).join(" ") || `lead ${index + 1}`,
  };
}

/**
 * @param {Uint8Array} data
 * @param {number} signals
 * @param {number} which
 */
function wfdb16(data, signals, which) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const out = new Float32Array(Math.floor(data.length / 2 / signals));
  for (let i = 0; i < out.length; i++) {
    const value = view.getInt16(2 * (i * signals + which), true);
    out[i] = value === -32768 ? NaN : value;
  }
  return out;
}

/**
 * @param {Uint8Array} data
 * @param {number} signals
 * @param {number} which
 */
function wfdb212(data, signals, which) {
  const total = Math.floor(data.length / 3) * 2 + (data.length % 3 === 2 ? 1 : 0);
  const out = new Float32Array(Math.floor(total / signals));
  for (let i = 0; i < out.length; i++) {
    const sample = i * signals + which;
    const at = (sample >> 1) * 3;
    const raw = sample % 2
      ? data[at + 2] | ((data[at + 1] & 0xf0) << 4)
      : data[at] | ((data[at + 1] & 0x0f) << 8);
    const value = raw > 2047 ? raw - 4096 : raw;
    out[i] = value === -2048 ? NaN : value;
  }
  return out;
}
