// A stretch of stored signal, with its beats.

import { firstFrom } from "./beats.js";
import { Paper } from "./paper.js";
import { level } from "./signal.js";

/** @typedef {import("./link.js").Beat} Beat */
/** @typedef {import("./signal.js").Signal} Signal */

export class Strip extends Paper {
  /** @type {Signal|null} */
  signal = null;
  /** @type {Beat[]} */
  beats = [];
  centre = 0; // s

  /**
   * Show the signal around a moment, s.
   * @param {Signal|null} signal
   * @param {Beat[]} beats
   * @param {number} centre
   */
  show(signal, beats, centre) {
    Object.assign(this, { signal, beats, centre });
    this.redraw();
  }

  get from() {
    const { signal, secondsWide } = this;
    if (!signal) return 0;
    const first = signal.start / signal.fs;
    return Math.max(first, Math.min(this.centre - secondsWide / 2, signal.seconds - secondsWide / 4));
  }

  redraw() {
    const { signal, from } = this;
    this.clear();
    if (!signal || !this.width || !signal.end) return;
    const to = from + this.secondsWide;
    const first = Math.ceil(from * signal.fs);
    const samples = signal.slice(first, Math.ceil(to * signal.fs));
    const row = { ...this.row(0, 1), level: level(samples) };
    this.line(Array.from(samples, (_, i) => ((first + i) / signal.fs - from) * this.pixelsPerSecond),
      Array.from(samples, (value) => this.y(value, row)));
    for (let i = firstFrom(this.beats, from); this.beats[i]?.time < to; i++) {
      this.mark(this.beats[i], (this.beats[i].time - from) * this.pixelsPerSecond);
    }
  }
}
