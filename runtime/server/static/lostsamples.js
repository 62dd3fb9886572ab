// Samples that a device's own times or counts leave out. The rules are those of runtime/cli/feed_times.py,
// but that it is the first lines which show the column, and none is looked for in these.

const LOOKED_AT = 12; // lines
const UNITS_PER_S = [1, 1e3, 1e6, 1e9];
const LONGEST_S = 3600; // a longer jump is a clock that was set, and loses
const UNKNOWN_S = 1; // so much: nobody knows how long

export class LostSamples {
  /** @type {number[][]} */
  #first = [];
  #column = -1;
  #step = 0;
  /** @type {number|null} */
  #last = null;
  #rows = 0; // since that time

  /**
   * @param {number} fs Hz
   * @param {number} ecg the column that is the signal
   */
  constructor(fs, ecg) {
    this.fs = fs;
    this.ecg = ecg;
  }

  /** The device was away: the time without it is counted elsewhere. */
  restart() {
    this.#last = null;
  }

  /**
   * @param {number[]} values a line's, NaN for what is no number
   * @returns {number} samples that are missing between the last line and this
   */
  before(values) {
    if (this.#column < 0) {
      if (this.#first.length < LOOKED_AT && this.#first.push(values) === LOOKED_AT) this.#learn();
      return 0;
    }
    this.#rows += 1;
    const now = values[this.#column];
    if (!Number.isFinite(now)) return 0; // a line that is cut has none
    const rows = this.#rows;
    const last = this.#last;
    this.#rows = 0;
    this.#last = now;
    if (last === null || now - last < (rows + 1) * (1 - 1e-6) * this.#step) return 0;
    const lost = Math.round((now - last) / this.#step) - rows;
    return lost <= LONGEST_S * this.fs ? lost : Math.round(UNKNOWN_S * this.fs);
  }

  #learn() {
    for (let column = 0; column < this.#first[0].length; column += 1) {
      const times = this.#first.map((values) => values[column]);
      const step = column === this.ecg ? null : sampleStep(times, this.fs);
      if (step === null) continue;
      this.#column = column;
      this.#step = step;
      this.#last = times[LOOKED_AT - 1];
      return;
    }
  }
}

/**
 * By how much times or counts rise from sample to sample; null if these are none.
 * @param {number[]} times
 * @param {number} fs
 */
function sampleStep(times, fs) {
  const steps = times.slice(1).map((time, i) => time - times[i]);
  const mean = (times[times.length - 1] - times[0]) / steps.length;
  return [1, ...UNITS_PER_S.map((unit) => unit / fs)].find((step) =>
    steps.every((one) => Math.abs(one - step) <= 0.5 * step) && Math.abs(mean - step) < 0.1 * step) ?? null;
}
