// Recordings that are dropped on the page: tables of numbers, WFDB records, and EDF files.
// What is missing is NaN in what is read.
import { millivolts } from "./devices/leads.js";
import { recordingOf } from "./recording.js";

const SECONDS = { s: 1, sec: 1, ms: 1e-3, us: 1e-6, "µs": 1e-6 };
const WFDB_NO_SAMPLE = { 16: -32768, 212: -2048 };

/** The recording among some files: see `recordingOf`. */
export async function readFiles(files, fs) {
  const header = files.find(({ name }) => name.endsWith(".hea"));
  if (header) return readWfdb(header, files);
  if (files.some(({ name }) => name.endsWith(".dat")))
    throw new Error("a .dat file needs its header: drop the .hea file with it.");
  const [file] = files;
  const begin = String.fromCharCode(...new Uint8Array(await file.slice(0, 256).arrayBuffer()));
  const looksSo = /^(0 {7}|\xffBIOSEMI)/.test(begin) && /^ *\d+ *$/.test(begin.slice(252));
  if (looksSo || /\.(edf|bdf|rec)$/i.test(file.name)) return readEdfFile(file);
  return readTable(await file.text(), file.name, fs);
}

/** An EDF, EDF+ or BDF file; what reads it is loaded with the first. */
async function readEdfFile(file) {
  const { isEdf, readEdf } = await import("./edf.js");
  const buffer = await file.arrayBuffer();
  if (!isEdf(new Uint8Array(buffer)))
    throw new Error(`${file.name} is not a whole EDF file: expected its header of at least 256 bytes.`);
  const { leads, start } = readEdf(buffer, file.name);
  return recordingOf(file.name, leads, start);
}

/** A table: columns of numbers, with names and units in a first line if there is one. */
export function readTable(text, name, fs) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() && !line.startsWith("#"));
  const columns = (line) => line.split(/[,;\t]| +/).map((cell) => cell.trim());
  const isNumber = (cell) => cell !== "" && Number.isFinite(Number(cell));
  let names = [];
  if (lines.length && !columns(lines[0]).some(isNumber))
    names = lines.shift().split(/[,;\t]/).map((cell) => cell.trim());
  if (lines.length < 2) throw new Error(`${name} has no column of numbers.`);
  const width = columns(lines[0]).length;
  if (names.length !== width) names = Array.from({ length: width }, (_, i) => names[i] ?? "");
  const isTime = (cell) => /^(time|t|elapsed|seconds|timestamp)\b/i.test(cell);
  const time = names.findIndex(isTime);
  const rows = lines.map(columns);
  const take = (i) => Float64Array.from(rows, (row) => (isNumber(row[i] ?? "") ? Number(row[i]) : NaN));
  if (time >= 0) {
    const times = take(time);
    const unit = SECONDS[unitOf(names[time]).toLowerCase()] ?? 1;
    fs = (times.length - 1) / ((times[times.length - 1] - times[0]) * unit);
    if (Math.abs(fs - Math.round(fs)) < 1e-3 * fs) fs = Math.round(fs);
  }
  if (!fs) throw new Error(`${name} does not say its sampling rate; enter it above, in Hz.`);
  const leads = names.map((title, i) => {
    const unit = millivolts(unitOf(title)) === null ? "" : unitOf(title);
    const lead = unit ? title.slice(0, title.search(ENDING)) : title;
    return { name: lead || `column ${i + 1}`, unit, fs, load: () => take(i) };
  });
  if (leads.length < 2 && time === 0) throw new Error("the table has a column of times and no other.");
  return recordingOf(name, leads.filter((_, i) => i !== time));
}

const ENDING = /[([_ ]\s*([µa-zA-Z]+)\s*[)\]]?$/;
const unitOf = (name) => ENDING.exec(name)?.[1] ?? "";

/** A WFDB record of one segment, its signals in one file, format 16 or 212. */
async function readWfdb(header, files) {
  const lines = (await header.text()).split(/\r?\n/).filter((line) => line && !line.startsWith("#"));
  const [record, count, rate] = lines[0].split(/\s+/);
  if (record.includes("/")) throw new Error(`${header.name} has several segments; drop one of them.`);
  const signals = lines.slice(1, 1 + Number(count)).map((line) => {
    const [file, format, gain, , zero, , , , ...description] = line.split(/\s+/);
    const [, perMv, baseline, unit] = /^([\d.eE+-]+)(?:\((-?\d+)\))?(?:\/(\S+))?/.exec(gain ?? "200") ?? [];
    return {
      file,
      format,
      perMv: Number(perMv) || 200,
      unit: unit ?? "mV",
      baseline: Number(baseline ?? zero ?? 0),
      name: description.join(" "),
    };
  });
  if (!signals.length) throw new Error(`${header.name} holds no signals.`);
  const [{ file, format }] = signals;
  if (!(format in WFDB_NO_SAMPLE) || signals.some((one) => one.file !== file || one.format !== format))
    throw new Error(`${header.name} is of format ${format}; 16 and 212 in one file can be read here.`);
  const data = files.find((one) => one.name === file);
  if (!data) throw new Error(`${header.name} needs ${file}: drop it with it.`);
  const samples = (format === "16" ? of16 : of212)(await data.arrayBuffer());
  const missing = WFDB_NO_SAMPLE[format];
  const fs = Number(rate?.split("/")[0] ?? 250);
  const leads = signals.map(({ name, unit, perMv, baseline }, lead) => ({
    name,
    unit,
    fs,
    load: () =>
      Float64Array.from({ length: Math.floor(samples.length / signals.length) }, (_, i) => {
        const value = samples[i * signals.length + lead];
        return value === missing ? NaN : (value - baseline) / perMv;
      }),
  }));
  return recordingOf(record, leads);
}

function of16(buffer) {
  const view = new DataView(buffer);
  return Int16Array.from({ length: buffer.byteLength >> 1 }, (_, i) => view.getInt16(2 * i, true));
}

/** Two samples of twelve bits in three bytes. */
function of212(buffer) {
  const bytes = new Uint8Array(buffer);
  const samples = new Int16Array(2 * Math.floor(bytes.length / 3));
  for (let i = 0, at = 0; at + 2 < bytes.length; i += 2, at += 3) {
    samples[i] = ((bytes[at + 1] & 0x0f) << 8) | bytes[at];
    samples[i + 1] = ((bytes[at + 1] & 0xf0) << 4) | bytes[at + 2];
  }
  return samples.map((sample) => (sample << 20) >> 20); // the sign of twelve bits
}
