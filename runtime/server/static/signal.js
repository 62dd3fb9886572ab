// The signal the page holds: a ring of fixed size, so that a live source can run for weeks.

export const HOLD_S = 3600; // of a live source; about 10 MB at 360 Hz

export const RECORDED_S = 8 * 3600; // of a sensor: a night; 30 MB at 130 Hz

export const STALE_S = 5; // after so long without a sample or an answer vital signs are out of date

/** Now, as a clock on the wall would read in UTC, ms since 1970. */
export const localClock = () => Date.now() - 60_000 * new Date().getTimezoneOffset();

export class Signal {
  /**
   * @param {number} fs Hz
   * @param {number} capacity samples to hold; older ones are overwritten
   */
  constructor(fs, capacity = Math.ceil(fs * HOLD_S)) {
    this.fs = fs;
    this.end = 0; // samples taken so far
    /** @type {Float64Array} */
    this.ring = new Float64Array(Math.max(1, capacity));
  }

  /**
   * A signal that is there from the beginning, not copied.
   * @param {Float64Array} samples mV
   * @param {number} fs Hz
   */
  static of(samples, fs) {
    const signal = new Signal(fs, 1);
    signal.ring = samples;
    signal.end = samples.length;
    return signal;
  }

  /** The oldest sample still held. */
  get start() {
    return Math.max(0, this.end - this.ring.length);
  }

  get seconds() {
    return this.end / this.fs;
  }

  /** @param {Float32Array|Float64Array} samples mV */
  append(samples) {
    const size = this.ring.length;
    const kept = samples.subarray(Math.max(0, samples.length - size));
    const at = (this.end + samples.length - kept.length) % size;
    const first = kept.subarray(0, size - at);
    this.ring.set(first, at);
    this.ring.set(kept.subarray(first.length), 0);
    this.end += samples.length;
  }

  /**
   * One sample, mV; NaN if it is not held.
   * @param {number} index
   */
  at(index) {
    return index >= this.start && index < this.end ? this.ring[index % this.ring.length] : NaN;
  }

  /**
   * A copy of [from, to), cut to what is held.
   * @param {number} from
   * @param {number} to
   */
  slice(from, to) {
    const low = Math.max(from, this.start);
    const high = Math.max(low, Math.min(to, this.end));
    const samples = new Float64Array(high - low);
    const size = this.ring.length;
    const at = low % size;
    const first = this.ring.subarray(at, Math.min(size, at + samples.length));
    samples.set(first);
    samples.set(this.ring.subarray(0, samples.length - first.length), first.length);
    return samples;
  }
}

/**
 * The level a trace is centred on, mV: the median, which no QRS moves.
 * @param {Float32Array|Float64Array} samples
 */
export function level(samples) {
  const step = Math.max(1, Math.floor(samples.length / 400));
  const few = [];
  for (let i = 0; i < samples.length; i += step) {
    if (Number.isFinite(samples[i])) few.push(samples[i]);
  }
  few.sort((a, b) => a - b);
  return few.length ? few[few.length >> 1] : 0;
}
