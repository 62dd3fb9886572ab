// EDF, EDF+ and BDF files. Their headers and calibration are read by edfjs; their data records here,
// because it takes neither BDF nor recordings with pauses (EDF+D), and rounds samples to float32.
import EDF from "./edfjs/edf.js";

const MAGIC = { 0: 2, "\xffBIOSEMI": 3 }; // bytes of a sample
const HEADER = 256; // bytes, and as many for each signal
const MAX_SIGNALS = 4096;
const ANNOTATIONS = ["EDF Annotations", "BDF Annotations"];
const MISSING_TEXT = "signal missing: "; // what `ekg convert` writes before a lead's name
const ONSET = /^([+-]\d+(?:\.\d*)?)\x14\x14/; // of a data record, in its first annotation
// A pause may make a recording so many times as long as its signal, or this long in any case.
const MAX_LENGTHENING = 10;
const MAX_LENGTH_S = 86400;

export const isEdf = (bytes) => latin1(bytes.subarray(0, 8)).trim() in MAGIC && bytes.length >= HEADER;

/** The leads of a file, and when it began, by the recorder's clock. */
export function readEdf(buffer, name) {
  const bytes = new Uint8Array(buffer);
  const refuse = (why) => {
    throw new Error(`${name} is not a whole EDF file: ${why}`);
  };
  const edf = new EDF();
  edf.read_header_from_string(latin1(bytes.subarray(0, HEADER)));
  const number = (what, value, least, most) => {
    if (!(Number.isInteger(value) && value >= least && value <= most))
      refuse(`the ${what} in its header is ${value}; expected a number from ${least} to ${most}.`);
    return value;
  };
  const count = number("number of signals", edf.num_channels, 1, MAX_SIGNALS);
  const begin = HEADER * (1 + count);
  if (bytes.length < begin) refuse(`its header of ${count} signals takes ${begin} bytes, and the file has ${bytes.length}.`);
  const records = number("number of data records", edf.num_records, -1, 1e9);
  if (!(edf.record_duration > 0)) refuse(`its data records last ${edf.record_duration} s; expected more than 0.`);
  edf.read_channel_header_from_string(latin1(bytes.subarray(HEADER, begin)));
  const width = MAGIC[edf.version];
  let size = 0; // of a data record
  const channels = edf.channels.map((channel, i) => {
    const samples = number(`samples a record of signal ${i + 1}`, channel.num_samples_per_record, 1, 1e8);
    const at = size;
    size += width * samples;
    return { channel, at, samples };
  });
  const held = (bytes.length - begin) / size;
  const whole = Math.floor(held);
  if (records !== -1 && records !== whole)
    refuse(`its header promises ${records} data records, and it holds ${Number(held.toPrecision(4))}.`);
  if (held !== whole) refuse("its last data record is cut off.");
  if (!whole) throw new Error(`${name} holds no whole data record.`);
  const data = { view: new DataView(buffer), begin, size, whole, width };
  const marks = channels.find(({ channel }) => channel.label === ANNOTATIONS[width - 2]);
  const texts = marks ? Array.from({ length: whole }, (_, i) => latin1(bytes.subarray(begin + i * size + marks.at).subarray(0, width * marks.samples))) : [];
  const leads = channels
    .filter((one) => one !== marks)
    .map((one, i) => ({
      name: one.channel.label || String(i),
      unit: one.channel.physical_dimension,
      fs: one.samples / edf.record_duration,
      load: () => {
        const values = samplesOf(one, data);
        return /\+D/.test(edf.type)
          ? placed(values, one.samples, onsets(texts, name), edf.record_duration, name)
          : withoutMissing(values, one, missing(texts), edf.record_duration);
      },
    }));
  if (!leads.length) throw new Error(`${name} holds no signals.`);
  return { leads, start: began(edf) };
}

/** Date and time, or the time alone if the date is left out for privacy; null if neither is known. */
function began({ startdatetime, rid }) {
  if (Number.isNaN(startdatetime.getTime())) return null;
  const [day, time] = startdatetime.toISOString().slice(0, 19).split("T");
  if (!/^Startdate X\b/.test(rid)) return `${day} ${time}`;
  return time === "00:00:00" ? null : time;
}

const latin1 = (bytes) => {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
};

/** A channel's samples in its unit. */
function samplesOf({ channel, at, samples }, { view, begin, size, whole, width }) {
  channel.init(0, 1); // only its calibration
  if (!(Number.isFinite(channel.scale) && channel.scale && Number.isFinite(channel.offset)))
    throw new Error(`cannot be read: lead ${channel.label} has no calibration.`);
  const values = new Float64Array(whole * samples);
  for (let record = 0, i = 0; record < whole; record += 1)
    for (let from = begin + record * size + at, end = from + width * samples; from < end; from += width, i += 1)
      values[i] = channel.digital2physical(
        width === 2 ? view.getInt16(from, true) : view.getUint16(from, true) + (view.getInt8(from + 2) << 16),
      );
  return values;
}

/** When each data record begins, s. */
function onsets(texts, name) {
  if (!texts.length)
    throw new Error("is a discontinuous recording (EDF+D) without the times of its data records.");
  return texts.map((text, i) => {
    const match = ONSET.exec(text);
    if (!match) throw new Error(`is a discontinuous recording (EDF+D), and its data record ${i + 1} does not say when it begins.`);
    return Number(match[1]);
  });
}

/** The records at their times; pauses between them are missing samples. */
function placed(values, size, times, duration) {
  const starts = [0];
  for (let i = 1; i < times.length; i += 1) {
    const lost = roundHalfEven(((times[i] - times[i - 1]) * size) / duration) - size;
    if (lost < 0)
      throw new Error(`is damaged: its data record ${i + 1} begins at ${times[i]} s, before the one in front of it has ended.`);
    starts.push(starts[i - 1] + size + lost);
  }
  const [signalS, wholeS] = [duration * times.length, times.at(-1) - times[0]];
  if (wholeS > Math.max(MAX_LENGTHENING * signalS, MAX_LENGTH_S))
    throw new Error(`has ${signalS} s of signal spread over ${wholeS} s; expected one recording.`);
  const found = new Float64Array(starts.at(-1) + size).fill(NaN);
  starts.forEach((start, i) => found.set(values.subarray(i * size, (i + 1) * size), start));
  return found;
}

/** Of annotations those that say where samples are missing. */
function missing(texts) {
  return texts.flatMap((text) =>
    text.split("\0").flatMap((mark) => {
      const [time, ...words] = mark.split("\x14");
      const [onset, length] = time.split("\x15").map(Number);
      return words
        .filter((word) => word.startsWith(MISSING_TEXT))
        .map((word) => ({ onset, length: length || 0, lead: word.slice(MISSING_TEXT.length) }));
    }),
  );
}

/** Missing samples as NaN; what only fills the last data record is left out. */
function withoutMissing(values, { channel, samples }, marks, duration) {
  const fs = samples / duration;
  let end = values.length;
  for (const { onset, length, lead } of marks) {
    if (lead !== channel.label) continue;
    const first = roundHalfEven(onset * fs);
    const last = roundHalfEven((onset + length) * fs);
    values.fill(NaN, Math.max(0, first), Math.max(0, last));
    if (last >= values.length && first > 0 && first < values.length) end = Math.min(end, first);
  }
  return values.subarray(0, end);
}

const roundHalfEven = (value) => {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 ? near - 1 : near;
};
