// Tables of numbers. The rules are those of runtime/records/tables.py and times.py, so that the page
// and `annotate` see the same signal.

import { checked, checkedRate, checkSize, stem, theEcg } from "./checks.js";
import { millivolts } from "./leads.js";

/** @typedef {import("./files.js").Recording} Recording */

const TIME = new Set(["time", "t", "seconds", "elapsed time"]);
/** @type {Record<string, number>} */
const TIME_UNITS = { s: 1, sec: 1, seconds: 1, ms: 1000 }; // how many make a second
const CLOCK = /^(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)$/; // a time as [hours:]minutes:seconds
const CLOCK_UNIT = /^h+:m+:s+(\.m+)?$/i; // as PhysioNet's rdsamp writes its unit
const MAX_JITTER_SAMPLES = 3; // between a time and its place on an even grid
// Gaps may make a recording so many times as long as its rows, or this long in any case.
const MAX_LENGTHENING = 10;
const MAX_LENGTH_S = 3600;

/**
 * @param {string} text
 * @param {string} name
 * @param {number} fs
 * @returns {Recording}
 */
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
    { lead, stated: unit !== "", scale: unit ? millivolts(unit) ?? 0 : 1, values: columns[i] }))
    .filter(({ scale }) => scale);
  if (!usable.length) throw new Error(`${name} has times but no lead.`);
  columns = usable.map(({ scale, values }) => values.map((v) => v * scale));
  const names = usable.map(({ lead }) => lead);
  return { name: stem(name), fs: checkedRate(fs, name), leads: names, timed: hasTimes,
    first: theEcg(usable, (i) => columns[i], fs, name),
    read: (i) => {
      const values = columns[i];
      // Times or a count: no ECG, but it would be read.
      if (values.length >= fs && values[values.length - 1] > values[0]
          && values.every((v, k) => k === 0 || v >= values[k - 1])) {
        throw new Error(`${name}: the column '${names[i]}' never falls, as times or a count do not;`
          + " expected ECG (a column of times is called 'time').");
      }
      if (!usable[i].stated) checkSize(values, fs, name, names[i]);
      return checked(Float32Array.from(values), `${name}: lead ${names[i]}`);
    } };
}

/**
 * A column's name, bare of what PhysioNet's and numpy's tables put around it, and its unit.
 * @param {string} cell
 */
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

/**
 * The units of the columns if the row names them; else empty.
 * @param {string} line
 */
function unitsIn(line) {
  const cells = line.replaceAll('"', "").split(",").map(bareOf);
  if (cells.some((cell) => isNumber(cell) || CLOCK.test(cell))) return [];
  const units = cells.map((cell) => (CLOCK_UNIT.test(cell) ? "s" : cell));
  const known = (/** @type {string} */ unit) => Object.hasOwn(TIME_UNITS, unit) || millivolts(unit) !== null;
  return units.some(known) ? units : [];
}

/**
 * The seconds of a cell such as '1:02:03.456'; NaN if it is no clock's time.
 * @param {string} cell
 */
function clock(cell) {
  const [whole, hours, minutes, seconds] = CLOCK.exec(bareOf(cell)) ?? [];
  return whole ? Number((3600 * Number(hours ?? 0) + 60 * Number(minutes) + Number(seconds)).toFixed(9)) : NaN;
}

/**
 * The rate in Hz, derived from the first column, and the other columns, NaN in its gaps.
 * @param {Float64Array[]} columns
 * @param {string} column
 * @param {string} name
 */
function timed([times, ...values], column, name) {
  const steps = Array.from(times.subarray(1),(t, i) => t - times[i]);
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
  const largest = Math.max(Math.abs(times[0]), Math.abs(times[times.length - 1]));
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
  const places = Array.from(times, (t, i) => {
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

/** @param {string} cell */
const unquoted = (cell) => cell.trim().replace(/^"(.*)"$/, "$1").replaceAll('""', '"').trim();
/** @param {string} cell as PhysioNet quotes words and times */
const bareOf = (cell) => cell.replace(/^[\s']+|[\s']+$/g, "");
/** @param {string} cell */
const isNumber = (cell) => /^\s*nan\s*$/i.test(cell)
  || (cell.trim() !== "" && !Number.isNaN(Number(cell)));
/** @param {number[]} values */
const median = (values) => Float64Array.from(values).sort()[values.length >> 1];
