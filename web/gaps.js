// Missing samples at rates other than the network's, before the signal is resampled: found, and the level
// held over them, sample by sample as runtime/signal/missing.py does. At 360 Hz ekg.onnx does it itself.

const LARGEST_MV = 500; // of an ECG with its electrodes' offset
const STEEPEST_MV_S = 1000; // no heart is steeper
const LARGEST_STEP_MV = 12; // however long samples are missing
const BACK_MV = 2; // from a value that no heart can make the signal comes back to where it was
const BACK_S = 0.1;
const NEW_LEVEL_S = 0.5; // after so long a signal elsewhere is at another level
const GAP_S = 0.08; // so much missing signal can hide a beat
const EASE_S = 0.3; // time constant of the way back after it, and what of it counts no more
const EASED_MV = 1e-4;
const CONSTANT_S = 1; // so long a signal that has moved repeats no value, unless that stands for none
const NOWHERE = -4 * LARGEST_MV; // stands for a sample that is no number
const [NONE_YET, STILL, MOVING] = [0, 1, 2];

/** One signal, piece by piece. */
export class Bridge {
  #fs;
  #step;
  #most;
  #begun = NONE_YET;
  #offset = 0; // taken off, at another level than where the signal began
  #recent = [0, 0, 0]; // the last three samples that are not missing, the latest first
  #came = NOWHERE;
  #away = 0; // missing samples in a row, and if one of them was a number
  #jumped = false;
  #repeats = 0;
  #ease = 0;
  #level = 0;

  constructor(fs) {
    this.#fs = fs;
    this.#step = Math.min(LARGEST_STEP_MV, STEEPEST_MV_S / fs);
    this.#most = Math.trunc(CONSTANT_S * fs);
  }

  /** The samples held, and 1 for each that was missing when it came; none before the first number. */
  push(samples) {
    const first = this.#begun ? 0 : samples.findIndex((one) => Math.abs(one) <= LARGEST_MV);
    if (first < 0) return { held: new Float64Array(0), missing: new Uint8Array(0) };
    const held = new Float64Array(samples.length - first);
    const missing = new Uint8Array(held.length);
    for (let i = 0; i < held.length; i += 1) {
      const there = this.#take(samples[first + i]);
      missing[i] = Number(!there);
      held[i] = there ? samples[first + i] - this.#offset + this.#eased() : this.#level;
    }
    return { held, missing };
  }

  /** True if a sample is there. */
  #take(sample) {
    const value = Math.abs(sample) <= LARGEST_MV ? sample : NOWHERE;
    const [last] = this.#recent;
    const slope = value - this.#came;
    this.#repeats = slope === 0 ? this.#repeats + 1 : 0;
    const constant = this.#begun === MOVING && this.#repeats === this.#most + 1;
    const plain = this.#begun && value !== NOWHERE && Math.abs(slope) <= this.#step && !constant;
    const found = this.#away ? this.#isBack(value) : plain || this.#isFirst(value);
    if (!this.#away && !found) this.#level = median(this.#recent) - this.#offset + this.#ease;
    this.#came = value;
    if (!found) {
      this.#jumped ||= value !== NOWHERE;
      this.#away += 1;
      return false;
    }
    if (this.#begun === STILL && value !== last && this.#recent[0] === last) this.#begun = MOVING;
    if (this.#away >= GAP_S * this.#fs && this.#begun === MOVING)
      this.#ease = this.#level - (value - this.#offset);
    this.#recent = [value, ...this.#recent.slice(0, 2)];
    this.#away = 0;
    this.#jumped = false;
    return true;
  }

  /** True for the signal's first number, and as long as nothing has moved for any. */
  #isFirst(value) {
    if (value === NOWHERE || this.#begun === MOVING) return false;
    if (this.#begun === NONE_YET) {
      this.#begun = STILL;
      this.#recent.fill(value);
    } else if (Math.abs(value - this.#recent[0]) > this.#step) this.#goTo(value, this.#recent[0]);
    return true;
  }

  /** True for a value that this heart can have made after what was missing. */
  #isBack(value) {
    if (value === NOWHERE) return false;
    if (this.#begun !== MOVING) return this.#isFirst(value);
    if (value === this.#came) return false; // what is repeated exactly stands for a gap
    const most = this.#jumped && this.#away < BACK_S * this.#fs ? BACK_MV : LARGEST_STEP_MV;
    const allowed = Math.min(most, (STEEPEST_MV_S * (this.#away + 1)) / this.#fs);
    if (Math.abs(value - this.#recent[0]) <= allowed) return true;
    if (this.#away < NEW_LEVEL_S * this.#fs || Math.abs(value - this.#came) > this.#step) return false;
    this.#goTo(value, median(this.#recent));
    return true;
  }

  #goTo(value, from) {
    this.#offset += value - from;
    this.#recent.fill(value);
  }

  /** What is added to this sample, to ease the signal back. */
  #eased() {
    const now = Math.abs(this.#ease) < EASED_MV ? 0 : this.#ease;
    this.#ease = now * Math.exp(-1 / (EASE_S * this.#fs));
    return now;
  }
}

const median = (three) => three.toSorted((a, b) => a - b)[1];

/** The same of a whole recording, in which a repeated value is missing from its first sample on. */
export function bridged(ecg, fs) {
  const first = ecg.findIndex((one) => Math.abs(one) <= LARGEST_MV);
  if (first < 0) throw new Error("the recording has no sample.");
  const rest = new Bridge(fs).push(ecg);
  const held = new Float64Array(ecg.length).fill(ecg[first]);
  held.set(rest.held, first);
  const missing = new Uint8Array(ecg.length).fill(1);
  missing.set(rest.missing, first);
  const most = Math.trunc(CONSTANT_S * fs) + 1;
  for (let from = first, end = first; from < ecg.length; from = end) {
    while (end < ecg.length && ecg[end] === ecg[from]) end += 1;
    if (end === from) end += 1;
    else if (end - from > most && missing[from + most]) missing.fill(1, from, from + most);
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
