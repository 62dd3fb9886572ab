// Any rate from 100 to 1000 Hz to the network's: a sinc in a Kaiser window, as the runtime has it.

const MODEL_FS = 360;
const LOBES = 8; // zero crossings to either side
const KAISER_BETA = 6;

/** One signal, piece by piece; its ends are held. */
export class Resampler {
  #step;
  #half;
  #rows = new Map(); // weights by phase: the usual rates have few phases
  #line = null; // samples, and if each is missing, that are still needed
  #gone = null;
  #start; // number of the first of these
  #taken = 0; // samples
  #given = 0;

  constructor(fs) {
    if (!(fs >= 100 && fs <= 1000))
      throw new Error(`the sampling rate is ${fs} Hz; expected 100 to 1000 Hz.`);
    this.#step = fs / MODEL_FS;
    this.#half = this.#step === 1 ? 0 : Math.ceil(LOBES * Math.max(1, this.#step));
    this.#start = 1 - this.#half;
  }

  /** The samples at 360 Hz that these complete, and 1 for each of which a part is missing. */
  push(samples, missing = new Uint8Array(samples.length)) {
    if (!samples.length) return { signal: new Float64Array(0), missing: new Uint8Array(0) };
    this.#taken += samples.length;
    if (!this.#half) return { signal: samples, missing };
    this.#line ??= new Float64Array(this.#half - 1).fill(samples[0]);
    this.#gone ??= new Uint8Array(this.#half - 1);
    this.#line = joined(this.#line, samples);
    this.#gone = joined(this.#gone, missing);
    return this.#complete(Infinity);
  }

  /** The last ones. */
  finish() {
    if (!this.#half || !this.#line) return { signal: new Float64Array(0), missing: new Uint8Array(0) };
    this.#line = joined(this.#line, new Float64Array(this.#half).fill(this.#line.at(-1)));
    this.#gone = joined(this.#gone, new Uint8Array(this.#half));
    return this.#complete(Math.floor((this.#taken - 1) / this.#step) + 1);
  }

  #complete(most) {
    const end = this.#start + this.#line.length;
    const last = Math.floor((end - this.#half) / this.#step) + 1; // about so many are complete
    const room = Math.max(0, Math.min(most, last) - this.#given);
    const signal = new Float64Array(room);
    const missing = new Uint8Array(room);
    let count = 0;
    for (; count < room; count += 1) {
      const position = (this.#given + count) * this.#step;
      const before = Math.floor(position + 1e-9);
      if (before + this.#half >= end) break;
      const phase = Math.round((position - before) * 7200) / 7200;
      if (!this.#rows.has(phase))
        this.#rows.set(phase, weights(phase, this.#half, Math.min(1, 1 / this.#step)));
      const row = this.#rows.get(phase);
      const from = before + 1 - this.#half - this.#start;
      let sum = 0;
      for (let i = 0; i < row.length; i += 1) sum += row[i] * this.#line[from + i];
      signal[count] = sum;
      missing[count] = this.#isGone(position);
    }
    this.#given += count;
    const used = Math.floor(this.#given * this.#step + 1e-9) + 1 - this.#half - this.#start;
    this.#line = this.#line.slice(Math.max(0, used));
    this.#gone = this.#gone.slice(Math.max(0, used));
    this.#start += Math.max(0, used);
    return { signal: signal.subarray(0, count), missing: missing.subarray(0, count) };
  }

  /** 1 if a sample is missing that lasts into the one at this position. */
  #isGone(position) {
    const last = Math.ceil(position + this.#step - 1e-9) - 1;
    for (let i = Math.floor(position - 1 + 1e-9) + 1; i <= last; i += 1)
      if (this.#gone[i - this.#start]) return 1;
    return 0;
  }
}

/** A whole signal at 360 Hz. */
export function resampled(ecg, fs) {
  const resampler = new Resampler(fs);
  return joined(resampler.push(ecg).signal, resampler.finish().signal);
}

function joined(first, second) {
  const both = new first.constructor(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function weights(phase, half, cutoff) {
  const row = Array.from({ length: 2 * half }, (_, i) => {
    const distance = 1 - half + i - phase;
    const inside = Math.sqrt(Math.max(0, 1 - (distance / half) ** 2));
    const angle = Math.PI * cutoff * distance;
    return (angle ? Math.sin(angle) / angle : 1) * bessel(KAISER_BETA * inside);
  });
  const total = row.reduce((sum, one) => sum + one, 0);
  return row.map((one) => one / total);
}

/** The modified Bessel function of order 0, by its series. */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-12 * sum; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
