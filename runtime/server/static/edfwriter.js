// A recording as EDF+, of one lead. Missing samples are held, and marked by an annotation that
// `ekg` reads and every viewer shows, as runtime/records/signals/edf_signals.py writes them.
// https://www.edfplus.info/specs/edfplus.html

const MISSING = "signal missing: ";
const DIGITAL = 32767;
const EXACT_MV = 1e-3; // samples in whole µV, as a strap gives them, are stored as they are
const LONGEST_RECORD_S = 60;
const NO_DATE = Date.UTC(1985, 0, 1); // EDF's for none; files may have a clock without a date
const DAY_MS = 86_400_000;
const MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ");

/**
 * @param {object} recording
 * @param {Float32Array|Float64Array} recording.samples mV, NaN where one is missing
 * @param {number} recording.fs Hz
 * @param {string} recording.lead
 * @param {string} recording.device
 * @param {number} [recording.startsAt] ms since 1970, as the recorder's clock would read in UTC
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function writeEdf({ samples, fs, lead, device, startsAt }) {
  const label = ascii(lead, 16) || "ECG";
  const { seconds, size } = dataRecord(fs);
  const records = Math.max(1, Math.ceil(samples.length / size));
  const rate = size / seconds;
  const notes = notesOf(gapsOf(samples, records * size), label, { records, seconds, size, rate });
  const noteBytes = 2 * Math.ceil(Math.max(...notes.map((note) => note.length)) / 2);
  const most = scaleOf(samples);
  const head = header({ label, seconds, size, records, noteBytes, most, device, startsAt });
  const file = new Uint8Array(head.length + records * (2 * size + noteBytes));
  file.set(bytesOf(head));
  const view = new DataView(file.buffer);
  const step = most / DIGITAL;
  let held = samples.find(Number.isFinite) ?? 0;
  let at = head.length;
  for (let record = 0; record < records; record++) {
    for (let i = record * size; i < (record + 1) * size; i++, at += 2) {
      const value = samples[i]; // undefined behind the end, which is missing too
      if (Number.isFinite(value)) held = value;
      view.setInt16(at, Math.round(held / step), true);
    }
    file.set(bytesOf(notes[record]), at);
    at += noteBytes;
  }
  return file;
}

/**
 * How long a data record is, so that it holds whole samples.
 * @param {number} fs
 */
function dataRecord(fs) {
  for (let seconds = 1; seconds <= LONGEST_RECORD_S; seconds++) {
    const size = Math.round(fs * seconds);
    if (Math.abs(fs * seconds - size) <= 1e-7 * size) return { seconds, size };
  }
  const size = Math.round(fs * 10);
  return { seconds: Number((size / fs).toPrecision(7)), size };
}

/** @param {Float32Array|Float64Array} samples @returns {number} mV, the largest that can be stored */
function scaleOf(samples) {
  let most = 0;
  let exact = true;
  for (const value of samples) {
    if (!Number.isFinite(value)) continue;
    most = Math.max(most, Math.abs(value));
    exact &&= Math.abs(value / EXACT_MV - Math.round(value / EXACT_MV)) < 0.01;
  }
  if (exact && most <= DIGITAL * EXACT_MV) return DIGITAL * EXACT_MV;
  return Number((Math.max(1, most) * 1.0001).toPrecision(6));
}

/**
 * Stretches of missing samples, [from, to).
 * @param {Float32Array|Float64Array} samples
 * @param {number} length with what only fills the last data record
 */
function gapsOf(samples, length) {
  /** @type {[number, number][]} */
  const gaps = [];
  let from = -1;
  for (let i = 0; i <= length; i++) {
    const missing = i < length && !Number.isFinite(samples[i]);
    if (missing && from < 0) from = i;
    if (!missing && from >= 0) {
      gaps.push([from, i]);
      from = -1;
    }
  }
  return gaps;
}

/**
 * The annotations of each data record: its time, and the gaps that begin in it.
 * @param {[number, number][]} gaps
 * @param {string} label
 * @param {{records: number, seconds: number, size: number, rate: number}} form
 */
function notesOf(gaps, label, { records, seconds, size, rate }) {
  const notes = Array.from({ length: records }, (_, i) => `+${decimal(i * seconds)}\x14\x14\0`);
  for (const [from, to] of gaps) {
    notes[Math.floor(from / size)] += `+${decimal(from / rate)}\x15${decimal((to - from) / rate)}\x14`
      + `${MISSING}${label}\x14\0`;
  }
  return notes;
}

/**
 * @param {{label: string, seconds: number, size: number, records: number, noteBytes: number, most: number,
 *   device: string, startsAt?: number}} of the file
 */
function header({ label, seconds, size, records, noteBytes, most, device, startsAt }) {
  const dated = startsAt !== undefined && startsAt >= NO_DATE;
  const start = new Date(dated ? startsAt : NO_DATE + (startsAt === undefined ? 0
    : startsAt - DAY_MS * Math.floor(startsAt / DAY_MS))).toISOString();
  const [year, month, day] = start.slice(0, 10).split("-");
  const named = !dated ? "X" : `${day}-${MONTHS[Number(month) - 1]}-${year}`;
  /** @type {[string|number, number][]} text and its width */
  const fields = [["0", 8], ["X X X X", 80],
    [`Startdate ${named} X X ${ascii(device, 40).replaceAll(" ", "_") || "X"}`, 80],
    [`${day}.${month}.${year.slice(2)}`, 8], [start.slice(11, 19).replaceAll(":", "."), 8], [256 * 3, 8],
    ["EDF+C", 44], [records, 8], [seconds, 8], [2, 4],
    [label, 16], ["EDF Annotations", 16], ["", 160], ["mV", 8], ["", 8],
    [-most, 8], [-1, 8], [most, 8], [1, 8], [-DIGITAL, 8], [-32768, 8], [DIGITAL, 8], [32767, 8],
    ["", 160], [size, 8], [noteBytes / 2, 8], ["", 64]];
  return fields.map(([text, width]) => String(text).slice(0, width).padEnd(width)).join("");
}

/** @param {number} seconds without an exponent */
const decimal = (seconds) => String(Number(seconds.toFixed(6)));

/**
 * @param {string} text
 * @param {number} most letters
 */
const ascii = (text, most) => text.replaceAll("µ", "u").replace(/[^\x20-\x7e]/g, "?").trim().slice(0, most);

/** @param {string} text */
const bytesOf = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
