// @ts-nocheck
// Recordings dropped on the page: CSV, or a WFDB record's .hea and .dat (formats 16 and 212,
// https://physionet.org/physiotools/wag/signal-5.htm). Read here; the file itself is not uploaded.
// The rules are those of runtime/records/tables.py and times.py, so that the page and `annotate` see
// the same signal.

import { chooseLead, doubt, millivolts, usualRange } from "./leads.js";

const TIME = new Set(["time", "t", "seconds", "elapsed time"]);
const TIME_UNITS = { s: 1, sec: 1, seconds: 1, ms: 1000 }; // how many make a second
const CLOCK = /^(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)$/; // a time as [hours:]minutes:seconds
const CLOCK_UNIT = /^h+:m+:s+(\.m+)?$/i; // as PhysioNet's rdsamp writes its unit
const MAX_JITTER_SAMPLES = 3; // between a time and its place on an even grid
// Gaps may make a recording so many times as long as its rows, or this long in any case.
const MAX_LENGTHENING = 10;
const MAX_LENGTH_S = 3600;

/**
 * @typedef {{name: string, fs: number, timed: boolean, leads: string[],
 *   first: number, read: (lead: number) => Float32Array}} Recording `fs` in Hz; `timed` if the
 *   file states it; `first` is the lead that is the ECG; `read` gives a lead in mV, gaps filled with
 *   the value before them
 */

/**
 * @param {File[]} files
 * @param {number} fs Hz, for a CSV file without times
 * @returns {Promise<Recording>}
 * @throws {Error} with a sentence for the user
 */
export async function readRecording(files, fs) {
  const endsWith = (...ends) => files.find((file) =>
    ends.some((end) => file.name.toLowerCase().endsWith(end)));
  const header = endsWith(".hea");
  if (header) {
    const text = await decoded(header).catch(() => decoded(header, "latin1")); // as µ often is
    return readWfdb(text, header.name, files);
  }
  const table = endsWith(".csv", ".txt");
  if (table) return readCsv(await decoded(table), table.name, fs);
  if (endsWith(".dat")) {
    throw new Error("A .dat file needs its .hea header: choose or drop both together.");
  }
  throw new Error("Expected a .csv file, or a WFDB record's .hea and .dat files together.");
}

/** The text of a file: in another encoding a unit's µ, say, would be another sign. */
async function decoded(file, encoding = "utf-8") {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} is no text in UTF-8; expected a table saved as that.`);
  }
}

/** The lead that is shown first. */
export function firstLead({ first }) {
  return first;
}

export function readCsv(text, name, fs) {
  const [head = "", ...after] = text.split(/\r\n?|\n/).filter((line) => line.trim());
  const lines = [head, ...after.filter((line) => !line.trimStart().startsWith("#"))]; // comments
  const first = (lines[0] ?? "").split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/).map(unquoted);
  const named = first.some((cell) => cell && !isNumber(cell)); // an empty cell is a missing sample
  let leads = named ? first.map(column) : first.map((_, i) => [`column ${i + 1}`, ""]);
  const units = named ? unitsIn(lines[1] ?? "") : [];
  if (units.length) leads = leads.map(([lead, unit], i) => [lead, units[i] ?? unit]);
  const rows = lines.slice(named ? (units.length ? 2 : 1) : 0);
  if (rows.length < 2) throw new Error(`${name} has no table of numbers in it.`);
  let columns = leads.map(() => new Float64Array(rows.length));
  rows.forEach((row, i) => {
    const cells = row.replaceAll('"', "").split(",");
    if (cells.length !== leads.length) {
      throw new Error(`${name}, row ${i + 1}: ${cells.length} columns; expected ${leads.length}.`);
    }
    cells.forEach((cell, k) => {
      columns[k][i] = isNumber(cell) ? Number(cell) : k === 0 ? clock(cell) : NaN;
    });
  });
  const [times, unit] = leads[0];
  let hasTimes = false;
  if (TIME.has(times.toLowerCase())) {
    if (!Object.hasOwn(TIME_UNITS, unit)) {
      throw new Error(`${name}: the column '${times}' is in '${unit}'; expected s, ms or hh:mm:ss.`);
    }
    columns[0] = columns[0].map((t) => t / TIME_UNITS[unit]);
    ({ fs, columns } = timed(columns, `${name}: the column '${times}'`, name));
    hasTimes = true;
    leads = leads.slice(1);
  }
  const usable = leads.map(([lead, unit], i) => (
    { lead, stated: unit !== "", scale: unit ? millivolts(unit) : 1, values: columns[i] }))
    .filter(({ scale }) => scale);
  if (!usable.length) throw new Error(`${name} has times but no lead.`);
  columns = usable.map(({ scale, values }) => values.map((v) => v * scale));
  leads = usable.map(({ lead }) => lead);
  return { name: stem(name), fs: checkedRate(fs, name), leads, timed: hasTimes,
    first: theEcg(usable, (i) => columns[i], fs, name),
    read(i) {
      const values = columns[i];
      // Times or a count: no ECG, but it would be read.
      if (values.length >= fs && values.at(-1) > values[0]
          && values.every((v, k) => k === 0 || v >= values[k - 1])) {
        throw new Error(`${name}: the column '${leads[i]}' never falls, as times or a count do not;`
          + " expected ECG (a column of times is called 'time').");
      }
      if (!usable[i].stated) checkSize(values, fs, name, leads[i]);
      return checked(Float32Array.from(values), `${name}: lead ${leads[i]}`);
    } };
}

/** A column's name, bare of what PhysioNet's and numpy's tables put around it, and its unit. */
function column(cell) {
  const name = bareOf(cell.replace(/^[#\s]+/, ""));
  const [, bare, unit] = /^(.+?)[\s_]*[([]\s*(.*?)\s*[)\]]$/.exec(name) ?? [];
  if (bare && (millivolts(unit) !== null || TIME.has(bare.toLowerCase()))) {
    return [bare, CLOCK_UNIT.test(unit) ? "s" : unit];
  }
  const [, plain, behind] = /^(.+?)(?:[\s_/,;-]|\bin\b)+([^\s_/,;-]{2,})$/.exec(name) ?? [];
  if (plain && millivolts(behind) !== null) return [plain, behind];
  return [name, TIME.has(name.toLowerCase()) ? "s" : ""];
}

/** The units of the columns if the row names them; else empty. */
function unitsIn(line) {
  const cells = line.replaceAll('"', "").split(",").map(bareOf);
  if (cells.some((cell) => isNumber(cell) || CLOCK.test(cell))) return [];
  const units = cells.map((cell) => (CLOCK_UNIT.test(cell) ? "s" : cell));
  const known = (unit) => Object.hasOwn(TIME_UNITS, unit) || millivolts(unit) !== null;
  return units.some(known) ? units : [];
}

/** The seconds of a cell such as '1:02:03.456'; NaN if it is no clock's time. */
function clock(cell) {
  const [whole, hours, minutes, seconds] = CLOCK.exec(bareOf(cell)) ?? [];
  return whole ? Number((3600 * (hours ?? 0) + 60 * minutes + Number(seconds)).toFixed(9)) : NaN;
}

/** The rate in Hz, derived from the first column, and the other columns, NaN in its gaps. */
function timed([times, ...values], column, name) {
  const steps = times.slice(1).map((t, i) => t - times[i]);
  if (!steps.every((step) => step > 0 && step < Infinity)) {
    throw new Error(`${column} does not rise; expected numbers of s.`);
  }
  // Times are rounded: to ms, the steps at 360 Hz are 2 or 3 ms. Between jumps the steps still add
  // up to the true duration, but for the rounding of both ends. Within that uncertainty a whole
  // rate is taken. Times of arrival jitter by more than rounding explains: some steps are as much
  // too short as others are too long. In these no jump can be recognised, and they must stay near
  // an even grid.
  const digits = [0, 1, 2, 3, 4, 5, 6, 7, 8].find((d) =>
    times.every((t) => Math.round(t * 10 ** d) / 10 ** d === t)) ?? 9;
  const largest = Math.max(Math.abs(times[0]), Math.abs(times.at(-1)));
  const grain = Math.max(10 ** -digits, Number.EPSILON * largest);
  const usual = median(steps);
  const margin = Math.max(0.5 * usual, 1.01 * grain);
  const jittered = steps.some((step) => step < usual - margin);
  const longest = jittered ? Infinity : usual + margin;
  const even = steps.filter((step) => step <= longest);
  const duration = even.reduce((sum, step) => sum + step, 0);
  const meanRate = even.length / duration;
  const largestError = even.reduce(
    (largest, step) => Math.max(largest, Math.abs(step - 1 / meanRate)), grain);
  const uncertainty = 1.01 * largestError * (steps.length - even.length + 1);
  const whole = Math.round(meanRate);
  const fs = Math.abs(even.length / whole - duration) <= uncertainty ? whole : meanRate;
  if (jittered && times.some((t, i) =>
    Math.abs(t - times[0] - i / meanRate) > MAX_JITTER_SAMPLES / meanRate)) {
    throw new Error(`${name}: its times are uneven, so gaps cannot be recognised; if there are`
      + " none, leave the times out and set the rate.");
  }

  let lost = 0;
  const places = times.map((t, i) => {
    if (steps[i - 1] > longest) lost = Math.max(lost, Math.round((t - times[0]) * fs) - i);
    return i + lost;
  });
  const length = times.length + lost;
  if (length > Math.max(MAX_LENGTHENING * times.length, MAX_LENGTH_S * fs)) {
    throw new Error(`${name} has ${(times.length / fs).toFixed(1)} s of signal spread over `
      + `${(length / fs).toFixed(1)} s; expected one recording.`);
  }
  const columns = values.map((column) => {
    const placed = new Float64Array(length).fill(NaN);
    places.forEach((place, i) => { placed[place] = column[i]; });
    return placed;
  });
  return { fs, columns };
}

export async function readWfdb(text, name, files) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() && !line.startsWith("#"));
  const [record, count, rate = "250", length = "0"] = (lines[0] ?? "").trim().split(/\s+/);
  const signals = Number(count);
  if (!record || !(signals > 0)) throw new Error(`${name} is no WFDB header, or lists no signals.`);
  if (record.includes("/")) throw new Error(`${name} is a record of many segments: open one of them.`);
  const fs = checkedRate(parseFloat(rate), name);
  const specs = lines.slice(1, 1 + signals).map((line, i) => wfdbSignal(line, i, name));
  if (specs.length < signals) throw new Error(`${name} is cut off: it lists fewer signals than it says.`);
  const usable = specs.filter((spec) => spec.scale);
  if (!usable.length) throw new Error(`${name}: lead 1 is in ${specs[0].units}; expected mV, uV or V.`);
  const bytes = new Map();
  for (const file of new Set(specs.map((spec) => spec.file))) {
    const given = files.find((one) => one.name === file);
    if (!given) throw new Error(`${name} needs ${file}: choose or drop both together.`);
    bytes.set(file, new Uint8Array(await given.arrayBuffer()));
    const of = specs.filter((spec) => spec.file === file);
    const size = of[0].skip
      + Math.ceil((of[0].format === 16 ? 2 : 1.5) * Number(length) * of.length);
    if (bytes.get(file).length < size) {
      throw new Error(`${file} is cut off: it has ${bytes.get(file).length} bytes; expected ${size}`
        + ` for the ${length} samples that ${name} states.`);
    }
  }
  const physical = (lead) => {
    const spec = usable[lead];
    const together = specs.filter((one) => one.file === spec.file); // interleaved in one file
    const data = bytes.get(spec.file).subarray(spec.skip);
    const digital = (spec.format === 16 ? wfdb16 : wfdb212)(data, together.length,
      together.indexOf(spec)).subarray(0, Number(length) || undefined); // 0: not stated
    return digital.map((value) => ((value - spec.baseline) / spec.gain) * spec.scale);
  };
  return {
    name: record, fs, leads: usable.map((spec) => spec.lead), timed: true,
    first: theEcg(usable, physical, fs, name),
    read(lead) {
      const values = physical(lead);
      if (!usable[lead].stated) checkSize(values, fs, name, usable[lead].lead);
      return checked(values, `${name}: lead ${usable[lead].lead}`);
    },
  };
}

/** One signal's line of a header. */
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
    scale: units ? millivolts(units) : 1,
    lead: fields.slice(8).join(" ") || `lead ${index + 1}`,
  };
}

function wfdb16(data, signals, which) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const out = new Float32Array(Math.floor(data.length / 2 / signals));
  for (let i = 0; i < out.length; i++) {
    const value = view.getInt16(2 * (i * signals + which), true);
    out[i] = value === -32768 ? NaN : value;
  }
  return out;
}

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

/** The samples, NaN where one is missing; there is one at least. */
function checked(samples, lead) {
  if (!samples.some(Number.isFinite)) throw new Error(`${lead} has no sample; expected numbers.`);
  return samples;
}

/** The lead that is the ECG; a file without one is refused. */
function theEcg(leads, values, fs, name) {
  const chosen = chooseLead(leads, values, fs);
  if (chosen >= 0) return chosen;
  throw new Error(`${name} has no ECG: its leads are ${leads.map(({ lead }) => lead).join(", ")}.`);
}

/** Numbers without a unit are mV, if they can be. */
function checkSize(values, fs, name, lead) {
  const likely = doubt(values, fs);
  if (likely === null) return;
  const span = usualRange(values.filter(Number.isFinite), fs).toPrecision(3);
  throw new Error(`${name}: lead ${lead} has no unit, and its numbers span ${Number(span)} in two`
    + ` seconds, as no ECG in mV does; they are likely ${likely}: put the unit behind the name, as in`
    + " 'ECG (uV)'.");
}

function checkedRate(fs, name) {
  if (fs >= 100 && fs <= 1000) return fs;
  throw new Error(`${name} is sampled at ${fs} Hz; expected 100 to 1000 Hz.`);
}

const stem = (name) => name.replace(/\.[^.]*$/, "");
const unquoted = (cell) => cell.trim().replace(/^"(.*)"$/, "$1").replaceAll('""', '"').trim();
const bareOf = (cell) => cell.replace(/^[\s']+|[\s']+$/g, ""); // PhysioNet quotes words and times
const isNumber = (cell) => /^\s*nan\s*$/i.test(cell)
  || (cell.trim() !== "" && !Number.isNaN(Number(cell)));
const median = (values) => Float64Array.from(values).sort()[values.length >> 1];
