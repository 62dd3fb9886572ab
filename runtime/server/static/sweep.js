// The monitor's picture: a pen that runs left to right and wipes the trace of the sweep before.

import { firstFrom } from "./beats.js";
import { LANE_MM, MARK_MM, Paper } from "./paper.js";
import { level } from "./signal.js";

/** @typedef {import("./link.js").Beat} Beat */
/** @typedef {import("./signal.js").Signal} Signal */

const GAP_MM = 6; // erased ahead of the pen
const LAG_S = 0.3; // the pen stays behind the newest sample, so that it never has to wait for one
const LOST_S = 1.5; // further off than this the pen jumps
// A canvas that changes is painted anew whole, so only the one under the pen should; but every
// canvas costs something in every frame, so they are few.
const TILE_MM = 60;
const LARGEST_GAIN = 40; // mm/mV, that is chosen by itself

export class Sweep extends Paper {
  /** @type {Signal|null} */
  signal = null;
  /** @type {Beat[]} */
  beats = [];
  head = 0; // s, where the pen is
  drawn = 0; // samples
  marked = 0; // beats
  level = 0; // mV
  frozen = false;
  ended = false;
  lag = LAG_S; // more where signal comes in longer pieces
  fits = false; // the gain is chosen by itself
  /** @type {() => void} the gain was changed */
  onGain = () => {};

  /** @param {HTMLElement} box */
  constructor(box) {
    super(box, TILE_MM);
  }

  /**
   * Show another source.
   * @param {Signal|null} signal
   * @param {Beat[]} beats
   */
  show(signal, beats) {
    Object.assign(this, { signal, beats, head: 0, drawn: 0, marked: 0, level: 0, frozen: false,
      ended: false });
    this.redraw();
  }

  /** No more signal comes: run to the very end. */
  end() {
    this.ended = true;
    this.redraw();
  }

  /** Whether the pen stands still until more signal comes or it is let go on. */
  get isResting() {
    return !this.signal || this.frozen || this.head >= this.signal.seconds;
  }

  /**
   * Move the pen on by `dt` seconds.
   * @param {number} dt
   */
  advance(dt) {
    if (!this.signal || !this.width || this.frozen) return;
    const target = Math.max(0, this.signal.seconds - (this.ended ? 0 : this.lag));
    const error = target - this.head;
    if (Math.abs(error) > LOST_S) {
      this.head = target;
      this.redraw();
      return;
    }
    // A little faster or slower brings the pen back to its lag without being seen.
    const step = dt * (1 + Math.max(-0.5, Math.min(0.5, error)));
    this.head = Math.max(this.head, Math.min(this.head + step, this.signal.seconds));
    this.#write(this.signal);
    this.#markNew();
  }

  /** Write again the part in sight. */
  redraw() {
    this.clear();
    if (!this.signal || !this.width) return;
    const from = Math.max(this.signal.start / this.signal.fs,
      this.head - this.secondsWide + GAP_MM / this.speed);
    this.drawn = Math.max(0, Math.floor(from * this.signal.fs));
    this.#centre(this.signal, this.drawn, Math.floor(this.head * this.signal.fs));
    this.#write(this.signal);
    this.marked = firstFrom(this.beats, from);
    this.#markNew();
  }

  /**
   * The page drops old beats from the front of the array.
   * @param {number} count
   */
  dropped(count) {
    this.marked = Math.max(0, this.marked - count);
  }

  /** @param {number} time s */
  x(time) {
    return ((time * this.pixelsPerSecond) % this.width + this.width) % this.width;
  }

  /**
   * Take the trace's level, and if wished the gain, from a stretch of samples.
   * @param {Signal} signal
   * @param {number} from
   * @param {number} to
   */
  #centre(signal, from, to) {
    const samples = signal.slice(from, Math.max(to, from + Math.round(signal.fs)));
    this.level = level(samples);
    if (!this.fits || samples.length < signal.fs) return;
    const gain = this.fittingGain(samples, this.height - LANE_MM * this.mm, LARGEST_GAIN);
    if (gain === this.gain) return;
    this.gain = gain;
    this.onGain();
  }

  /** @param {Signal} signal */
  #write(signal) {
    const last = Math.min(signal.end - 1, Math.floor(this.head * signal.fs));
    if (last <= this.drawn) return;
    const row = { ...this.row(0, 1), level: this.level };
    const perSample = this.pixelsPerSecond / signal.fs;
    let x = this.x(this.drawn / signal.fs);
    this.#wipe(x, (last - this.drawn) * perSample);
    let xs = [x];
    let ys = [this.y(signal.at(this.drawn), row)];
    let low = Infinity;
    let high = -Infinity;
    while (this.drawn < last) {
      this.drawn += 1;
      x += perSample;
      const y = this.y(signal.at(this.drawn), row);
      xs.push(x);
      ys.push(y);
      if (Number.isFinite(y)) {
        low = Math.min(low, y);
        high = Math.max(high, y);
      }
      if (x >= this.width) { // the next sweep; a trace that has wandered off is centred again
        this.line(xs, ys);
        this.#centre(signal, this.drawn - Math.round(this.secondsWide * signal.fs), this.drawn);
        row.level = this.level;
        x -= this.width;
        xs = [x];
        ys = [this.y(signal.at(this.drawn), row)];
      }
    }
    this.line(xs, ys);
    if (low < Infinity && (low > this.height || high < 0)) {
      this.level = level(signal.slice(last - Math.round(signal.fs / 2), last));
    }
  }

  /**
   * Clear the paper under the pen's next stretch and the gap ahead, around the edge.
   * @param {number} x px
   * @param {number} length px
   */
  #wipe(x, length) {
    const wide = Math.min(this.width, length + GAP_MM * this.mm);
    for (const from of [x + 1, x + 1 - this.width]) {
      for (const { ink } of this.under(from, from + wide)) ink.clearRect(from, 0, wide, this.height);
    }
  }

  #markNew() {
    const oldest = this.head - this.secondsWide + (GAP_MM + 3) / this.speed;
    for (; this.marked < this.beats.length; this.marked++) {
      const beat = this.beats[this.marked];
      // Known before the pen is past it, which would wipe the mark.
      if (!this.ended && beat.time > this.head - MARK_MM / this.speed) return;
      if (beat.time > oldest) this.mark(beat, this.x(beat.time));
    }
  }
}
