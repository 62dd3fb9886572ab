// From the leads of a file to one ECG in mV, as runtime/records/reading.py does.
import { chooseLead, doubt, isEcg, millivolts, usualRange } from "./devices/leads.js";

const LARGEST_ECG_MV = 20;
const SMALLEST_ECG_MV = 0.05;
const LARGEST_OFFSET_MV = 300; // of electrodes; half a supply's voltage is more
const LOOKED_AT = 100_000; // samples, of which a median is nearly that of all
const FASTEST = 1000; // Hz, that the resampler takes; of faster signals means are taken

/** The recording: its name, lead, rate (Hz), ECG (mV, NaN if missing), and when it began, if known. */
export function recordingOf(name, leads, start = null) {
  const { lead, values } = chosen(name, leads);
  const scale = millivolts(lead.unit);
  if (scale === null && lead.unit.trim())
    throw new Error(`${name}: lead ${lead.name} is in "${lead.unit}"; expected mV, uV or V.`);
  const likely = scale === null ? doubt(values, lead.fs) : null;
  if (likely)
    throw new Error(`${name}: lead ${lead.name} says no unit and is no ECG in mV, but likely ${likely}; name its unit, as in "ECG (uV)".`);
  const ecg = scale === null || scale === 1 ? values : values.map((value) => value * scale);
  const size = usualRange(ecg, lead.fs);
  if (scale !== null && (size > LARGEST_ECG_MV || (size < SMALLEST_ECG_MV && doubt(ecg, lead.fs))))
    throw new Error(`${name}: lead ${lead.name} is said to be in ${lead.unit}, and spans ${size.toPrecision(3)} mV in two seconds, as no ECG does.`);
  const offset = size > LARGEST_ECG_MV ? 0 : level(ecg);
  const whole = Math.abs(offset) > LARGEST_OFFSET_MV ? ecg.map((value) => value - offset) : ecg;
  return { name, lead: lead.name, start, ...thinned(whole, lead.fs) };
}

/** The lead and its values; of one that never moves, another that is an ECG. */
function chosen(name, leads) {
  const choose = (among) => {
    try {
      const lead = chooseLead(among);
      return { lead, values: lead.load() };
    } catch (error) {
      throw new Error(`${name} ${error.message}`);
    }
  };
  const preferred = choose(leads);
  let [found, left] = [preferred, leads];
  while (isFlat(found.values)) {
    left = left.filter((lead) => lead !== found.lead);
    if (!left.some((lead) => isEcg(lead.name))) return preferred; // all are
    found = choose(left);
  }
  if (found.values.some(Number.isFinite)) return found;
  throw new Error(`${name}: lead ${found.lead.name} has no sample; expected numbers.`);
}

function isFlat(values) {
  const present = values.filter(Number.isFinite);
  return present.length > 0 && present.every((value) => value === present[0]);
}

/** The median; 0 if most samples are one value, which then stands for missing ones. */
function level(ecg) {
  const present = ecg.filter(Number.isFinite);
  const step = Math.max(1, Math.floor(ecg.length / LOOKED_AT));
  return levelOf(present.filter((_, i) => i % step === 0).sort());
}

function levelOf(present) {
  const half = present.length >> 1;
  const median = present.length % 2 ? present[half] : (present[half - 1] + present[half]) / 2;
  return 2 * present.filter((value) => value === median).length < present.length ? median : 0;
}

/** Of rates above 1000 Hz means of a few samples, as runtime/signal/resample.py has them. */
function thinned(ecg, fs) {
  const size = Math.max(1, Math.ceil(fs / FASTEST));
  if (size === 1) return { fs, ecg };
  const means = new Float64Array(Math.floor(ecg.length / size));
  for (let i = 0; i < means.length; i += 1) {
    const first = ecg[size * i];
    let sum = 0;
    for (let j = 1; j < size; j += 1) sum += ecg[size * i + j] - first;
    means[i] = first + sum / size;
  }
  return { fs: fs / size, ecg: means };
}
