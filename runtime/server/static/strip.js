// A stretch of stored signal: leads below each other, beats with their intervals, time at the foot.

import { clock, firstFrom } from "./beats.js";
import { element } from "./dom.js";
import { LANE_MM, Paper } from "./paper.js";
import { level } from "./signal.js";

/** @typedef {import("./link.js").Beat} Beat */
/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./annotations.js").Mark} Mark */

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 12.5, 25, 50, 100, 200]; // mm/s
const READABLE = 5; // mm/s, slower than which marks are ticks
const LARGEST_GAIN = 10; // mm/mV, that is chosen by itself
const FOOT = 18; // px, of the time axis
const TICKS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
const LABEL_PX = 84; // between two times at least
const REFERENCE_PX = 15; // of the row of reference beats, above the foot
const NEAR_PX = 14; // of a beat is on it

export class Strip extends Paper {
  /** @type {Run|null} */
  run = null;
  start = 0; // s, the left edge
  /** @type {number|"auto"} mm/mV */
  wanted = "auto";
  /** @type {Beat|null} the one that the user works on */
  selected = null;
  /** @type {{mark: Mark, found: Mark|null}[]} the reference's beats, each with ours */
  reference = [];
  /** @type {() => void} it was drawn anew */
  onDrawn = () => {};
  /** @type {HTMLElement[]} names of the leads */
  labels = [];

  /** @param {Run} run another one */
  show(run) {
    this.run = run;
    this.start = 0;
    this.selected = null;
    this.reference = [];
    this.redraw();
  }

  /** Where time is left for the axis, and for the reference if there is one. */
  get foot() {
    return this.height - FOOT - (this.reference.length ? REFERENCE_PX : 0);
  }

  get centre() {
    return this.start + this.secondsWide / 2;
  }

  /** @param {number} x px @returns {number} s */
  timeAt(x) {
    return this.start + x / this.pixelsPerSecond;
  }

  /** @param {number} time s @returns {number} px */
  xOf(time) {
    return (time - this.start) * this.pixelsPerSecond;
  }

  /**
   * Begin at a moment, or as near to it as there is signal.
   * @param {number} start s
   */
  moveTo(start) {
    if (!this.run) return;
    const { signal } = this.run;
    const first = signal.start / signal.fs;
    this.start = Math.max(first, Math.min(start, signal.seconds - this.secondsWide / 4));
    this.redraw();
  }

  /**
   * Take the next slower or faster speed; a moment keeps its place.
   * @param {number} steps faster, or slower if negative
   * @param {number} [x] px of that moment; the middle by default
   */
  zoom(steps, x = this.width / 2) {
    const at = SPEEDS.findIndex((speed) => speed >= this.speed - 1e-9);
    const moment = this.timeAt(x);
    this.speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (at < 0 ? 7 : at) + steps))];
    this.moveTo(moment - x / this.pixelsPerSecond);
  }

  /**
   * @param {number} x px
   * @returns {Beat|null} the beat there
   */
  beatAt(x) {
    const beats = this.run?.beats ?? [];
    const time = this.timeAt(x);
    const i = firstFrom(beats, time);
    const near = [beats[i - 1], beats[i]].filter(Boolean)
      .sort((a, b) => Math.abs(a.time - time) - Math.abs(b.time - time))[0];
    return near && Math.abs(this.xOf(near.time) - x) <= NEAR_PX ? near : null;
  }

  /** Rows of the leads; the last ends above the foot. */
  rows() {
    const leads = this.run?.leads ?? [];
    return leads.map((_, i) => this.row(i, leads.length, this.foot));
  }

  redraw() {
    this.clear();
    const { run } = this;
    if (!run || !this.width || !run.signal.end) return;
    const rows = this.rows();
    const windows = run.leads.map(({ signal }) => {
      const first = Math.max(0, Math.floor(this.start * signal.fs));
      return { first, fs: signal.fs,
        samples: signal.slice(first, Math.ceil((this.start + this.secondsWide) * signal.fs) + 1) };
    });
    this.gain = this.wanted === "auto"
      ? Math.min(...windows.map(({ samples }, i) => this.fittingGain(samples, rows[i].height, LARGEST_GAIN)))
      : this.wanted;
    windows.forEach(({ first, fs, samples }, i) => {
      const row = { ...rows[i], level: level(samples) };
      const [xs, ys] = this.#outline(samples, first, fs, row);
      this.line(xs, ys);
    });
    this.#drawBeats(run);
    this.#drawReference();
    this.#drawTimes(run);
    this.#nameLeads(run, rows);
    this.onDrawn();
  }

  /**
   * Points of a trace: each sample, or the least and greatest of each pixel if they are many.
   * @param {Float32Array|Float64Array} samples
   * @param {number} first
   * @param {number} fs
   * @param {import("./paper.js").Row} row
   * @returns {[number[], number[]]}
   */
  #outline(samples, first, fs, row) {
    const perPixel = fs / this.pixelsPerSecond;
    /** @type {number[]} */
    const xs = [];
    /** @type {number[]} */
    const ys = [];
    if (perPixel <= 3) {
      samples.forEach((value, i) => {
        xs.push(this.xOf((first + i) / fs));
        ys.push(this.y(value, row));
      });
      return [xs, ys];
    }
    for (let x = 0; x < this.width; x++) {
      const from = Math.floor(x * perPixel);
      const to = Math.min(samples.length, Math.floor((x + 1) * perPixel));
      if (from >= to) break;
      let low = Infinity;
      let high = -Infinity;
      for (let i = from; i < to; i++) {
        if (samples[i] < low) low = samples[i];
        if (samples[i] > high) high = samples[i];
      }
      xs.push(x, x + 0.5);
      ys.push(low < Infinity ? this.y(high, row) : NaN, low < Infinity ? this.y(low, row) : NaN);
    }
    return [xs, ys];
  }

  /** @param {Run} run */
  #drawBeats({ beats }) {
    const ink = this.tiles[0].ink;
    const to = this.start + this.secondsWide;
    for (let i = firstFrom(beats, this.start - 1); beats[i]?.time < to; i++) {
      const beat = beats[i];
      const x = this.xOf(beat.time);
      if (beat === this.selected) this.#frame(ink, x);
      if (this.speed >= READABLE) this.mark(beat, x);
      else if (beat.label !== "N") {
        ink.fillStyle = this.colour(beat.label.toLowerCase());
        ink.fillRect(x - 0.75, 0, 1.5, LANE_MM * this.mm);
      }
      const before = beats[i - 1];
      if (before) this.#interval(ink, x, this.xOf(before.time), beat.time - before.time);
    }
  }

  /**
   * Write the interval between two beats, ms, where there is room.
   * @param {CanvasRenderingContext2D} ink
   * @param {number} x px
   * @param {number} before px
   * @param {number} seconds
   */
  #interval(ink, x, before, seconds) {
    if (x - before < 58) return;
    ink.font = `11px ${this.colour("font")}`;
    ink.fillStyle = this.colour("quiet");
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.fillText(String(Math.round(1000 * seconds)), (x + before) / 2 + 4, LANE_MM * this.mm * 0.62);
    ink.textAlign = "start";
  }

  /**
   * @param {CanvasRenderingContext2D} ink
   * @param {number} x px
   */
  #frame(ink, x) {
    ink.strokeStyle = this.colour("accent");
    ink.lineWidth = 2;
    ink.strokeRect(x - 3 * this.mm, 1, 8 * this.mm, this.foot - 2);
  }

  /** Letters of the reference in a row of their own; framed where it disagrees with ours. */
  #drawReference() {
    if (!this.reference.length) return;
    const ink = this.tiles[0].ink;
    const y = this.foot + REFERENCE_PX / 2;
    const marks = this.reference.map(({ mark }) => mark);
    ink.font = `600 11px ${this.colour("font")}`;
    ink.textBaseline = "middle";
    ink.textAlign = "center";
    const to = this.start + this.secondsWide;
    for (let i = firstFrom(marks, this.start); marks[i]?.time < to; i++) {
      const { mark, found } = this.reference[i];
      const x = this.xOf(mark.time);
      const agrees = found?.label === mark.label;
      ink.fillStyle = ink.strokeStyle = this.colour(agrees ? "quiet" : "alarm");
      if (this.speed >= READABLE) ink.fillText(mark.label, x, y);
      if (!agrees) {
        ink.lineWidth = 1.5;
        ink.strokeRect(x - 7, this.foot + 1, 14, REFERENCE_PX - 2);
      }
    }
    ink.textAlign = "start";
  }

  /** @param {Run} run */
  #drawTimes(run) {
    const ink = this.tiles[0].ink;
    const step = TICKS_S.find((s) => s * this.pixelsPerSecond >= LABEL_PX) ?? 3600;
    const y = this.height - FOOT;
    ink.fillStyle = this.colour("panel");
    ink.fillRect(0, y, this.width, FOOT);
    ink.fillStyle = this.colour("quiet");
    ink.font = `11px ${this.colour("font")}`;
    ink.textBaseline = "middle";
    const to = Math.min(this.start + this.secondsWide, run.signal.seconds);
    for (let i = Math.ceil(this.start / step - 1e-6); i * step <= to; i++) {
      const x = this.xOf(i * step);
      ink.fillRect(x, y, 1, 5);
      const text = timeText(run, i * step, step < 1 ? 1 : 0);
      if (x + 4 + ink.measureText(text).width < this.width) ink.fillText(text, x + 4, y + FOOT / 2 + 1);
    }
  }

  /**
   * @param {Run} run
   * @param {import("./paper.js").Row[]} rows
   */
  #nameLeads(run, rows) {
    for (const label of this.labels.splice(rows.length)) label.remove();
    run.leads.forEach(({ name }, i) => {
      if (!this.labels[i]) this.box.append(this.labels[i] = element("span", { className: "lead" }));
      this.labels[i].textContent = `${name} · ${this.speed} mm/s · ${this.gain} mm/mV`;
      this.labels[i].style.top = `${rows[i].top + rows[i].height - 20}px`;
    });
  }
}

/**
 * A moment as people say it: by the recorder's clock if the file has it, else since the start.
 * @param {Run} run
 * @param {number} seconds since the start
 * @param {number} [digits] behind the point
 */
export function timeText({ source: { startsAt } }, seconds, digits = 0) {
  if (startsAt === undefined) return clock(seconds, digits);
  const text = new Date(startsAt + 1000 * seconds + 0.5).toISOString().slice(11, 21 + digits);
  return digits ? text.slice(0, 9 + digits) : text.slice(0, 8);
}
