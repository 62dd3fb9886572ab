// Missing samples: the level is held over them, as the runtime does (docs/embed.md).

const GAP_S = 0.08; // so much missing signal can hide a beat
const EASE_S = 0.3; // time constant of the way back after it, and what of it counts no more
const EASED_MV = 1e-4;
const CONSTANT_S = 1; // so long a signal that has moved repeats no value, unless that stands for none

/**
 * One signal, piece by piece: its level is held where samples are missing, and eased back after gaps
 * that can hide a beat, because the network takes a step for one.
 */
export class Bridge {
  #fs;
  #most;
  #recent = null; // the last three samples; null before the first
  #previous = NaN;
  #run = 0; // samples of one value in a row
  #moved = false;
  #since = 0; // missing samples in a row
  #level = 0;
  #ease = 0;

  constructor(fs) {
    this.#fs = fs;
    this.#most = Math.trunc(CONSTANT_S * fs) + 1;
  }

  /** The samples held, and 1 for each that was missing when it came; none before the first number. */
  push(samples) {
    const first = this.#recent ? 0 : samples.findIndex((one) => !Number.isNaN(one));
    if (first < 0) return { held: new Float64Array(0), missing: new Uint8Array(0) };
    const held = Float64Array.from(first ? samples.subarray(first) : samples);
    const missing = Uint8Array.from(held, (sample) => Number(this.#isMissing(sample)));
    this.#recent ??= [held[0], held[0], held[0]];
    for (let i = 0; i < held.length; i += 1) held[i] = this.#next(held[i], missing[i]);
    return { held, missing };
  }

  #isMissing(sample) {
    if (sample !== this.#previous) {
      this.#moved ||= this.#run > 0;
      this.#run = 0;
    }
    this.#previous = sample;
    this.#run += 1;
    return Number.isNaN(sample) || (this.#moved && this.#run > this.#most);
  }

  #next(sample, missing) {
    if (missing) {
      if (!this.#since) this.#level = this.#recent.toSorted((a, b) => a - b)[1] + this.#ease;
      this.#since += 1;
      return this.#level;
    }
    if (this.#since >= GAP_S * this.#fs) this.#ease = this.#level - sample;
    this.#since = 0;
    const eased = sample + this.#ease;
    this.#ease = Math.abs(this.#ease) < EASED_MV ? 0 : this.#ease * Math.exp(-1 / (EASE_S * this.#fs));
    this.#recent = [sample, ...this.#recent.slice(0, 2)];
    return eased;
  }
}

/** The same of a whole recording, in which a repeated value is missing from its first sample on. */
export function bridged(ecg, fs) {
  const first = ecg.findIndex((one) => !Number.isNaN(one));
  if (first < 0) throw new Error("the recording has no sample.");
  const rest = new Bridge(fs).push(ecg);
  const held = new Float64Array(ecg.length).fill(ecg[first]);
  held.set(rest.held, first);
  const missing = Uint8Array.from(ecg, Number.isNaN);
  const most = Math.trunc(CONSTANT_S * fs) + 1;
  for (let from = first, end = first; from < ecg.length; from = end) {
    while (end < ecg.length && ecg[end] === ecg[from]) end += 1;
    if (end === from) end += 1;
    else if (from > first && end - from > most) missing.fill(1, from, end);
  }
  return { held, missing };
}

/** The samples at another rate of which a part is missing. */
export function missingAt(missing, fs, rate, length) {
  const found = new Uint8Array(length);
  missing.forEach((one, i) => {
    if (one) found.fill(1, Math.floor((i * rate) / fs), Math.ceil(((i + 1) * rate) / fs));
  });
  return found;
}
