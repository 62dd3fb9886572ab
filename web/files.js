// Recordings that are dropped on the page: tables of numbers, and WFDB records.
// What is missing is NaN in what is read, and `bridged` holds the level over it.

const USUAL_LEADS = ["MLII", "II", "ECG", "EKG", "I"];
const MV = { mv: 1, uv: 1e-3, "µv": 1e-3, v: 1e3 };
const SECONDS = { s: 1, sec: 1, ms: 1e-3, us: 1e-6, "µs": 1e-6 };
const LARGEST_MV = 20; // beyond it numbers without a unit are hardly mV
const WFDB_NO_SAMPLE = { 16: -32768, 212: -2048 };

/** The recording among some files: its name, lead, rate (Hz) and ECG (mV, NaN if missing). */
export async function readFiles(files, fs) {
  const header = files.find(({ name }) => name.endsWith(".hea"));
  if (header) return readWfdb(header, files);
  if (files.some(({ name }) => name.endsWith(".dat")))
    throw new Error("a .dat file needs its header: drop the .hea file with it.");
  return readTable(await files[0].text(), files[0].name, fs);
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
  const lead = chooseLead(names, time);
  const rows = lines.map(columns);
  const take = (i) => Float64Array.from(rows, (row) => (isNumber(row[i] ?? "") ? Number(row[i]) : NaN));
  const ecg = take(lead);
  if (time >= 0) {
    const times = take(time);
    const unit = SECONDS[unitOf(names[time])] ?? 1;
    fs = (times.length - 1) / ((times[times.length - 1] - times[0]) * unit);
    if (Math.abs(fs - Math.round(fs)) < 1e-3 * fs) fs = Math.round(fs);
  }
  if (!fs) throw new Error(`${name} does not say its sampling rate; enter it above, in Hz.`);
  const unit = unitOf(names[lead]);
  const factor = MV[unit] ?? 1;
  const scaled = ecg.map((value) => value * factor);
  if (!(unit in MV) && scaled.filter((value) => Math.abs(value) > LARGEST_MV).length > ecg.length / 2)
    throw new Error(`${name} says no unit and is no ECG in mV; name the column "ECG (uV)" or so.`);
  return { name, lead: names[lead] || `column ${lead + 1}`, fs, ecg: scaled };
}

function unitOf(name) {
  return (/[([_ ]\s*([µa-zA-Z]+)\s*[)\]]?$/.exec(name)?.[1] ?? "").toLowerCase();
}

/** The column or signal that is the ECG: by its name, else the first that is not the time. */
function chooseLead(names, time) {
  const plain = names.map((name) => name.replace(/[([_ ].*$/, "").toUpperCase());
  for (const usual of USUAL_LEADS) if (plain.includes(usual)) return plain.indexOf(usual);
  const first = names.findIndex((_, i) => i !== time);
  if (first < 0) throw new Error("the table has a column of times and no other.");
  return first;
}

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
      gain: (Number(perMv) || 200) / (MV[(unit ?? "mV").toLowerCase()] ?? NaN),
      baseline: Number(baseline ?? zero ?? 0),
      name: description.join(" "),
    };
  });
  const lead = chooseLead(signals.map(({ name }) => name), -1);
  const { file, format, gain, baseline, name } = signals[lead];
  if (!(format in WFDB_NO_SAMPLE) || signals.some((one) => one.file !== file || one.format !== format))
    throw new Error(`${header.name} is of format ${format}; 16 and 212 in one file can be read here.`);
  if (!Number.isFinite(gain)) throw new Error(`${name} of ${header.name} is in no unit of voltage.`);
  const data = files.find((one) => one.name === file);
  if (!data) throw new Error(`${header.name} needs ${file}: drop it with it.`);
  const samples = (format === "16" ? of16 : of212)(await data.arrayBuffer());
  const missing = WFDB_NO_SAMPLE[format];
  const ecg = new Float64Array(Math.floor(samples.length / signals.length));
  for (let i = 0; i < ecg.length; i += 1) {
    const value = samples[i * signals.length + lead];
    ecg[i] = value === missing ? NaN : (value - baseline) / gain;
  }
  return { name: record, lead: name, fs: Number(rate?.split("/")[0] ?? 250), ecg };
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
