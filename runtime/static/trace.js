// ECG on paper: a moving sweep and a standing strip, both to scale.

import { firstFrom, traceShape } from "./beats.js";
import { level } from "./signal.js";

const MM_CSS = 96 / 25.4; // CSS says an inch is 96 pixels
const GAP_MM = 6; // erased ahead of the pen
const MARK_MM = 5; // a mark's width to the right of its beat
const LANE_MM = 5; // of the beats' marks, at the top
const LAG_S = 0.3; // the pen stays behind the newest sample, so that it never has to wait for one
const LOST_S = 1.5; // further off than this the pen jumps

/** Paper, pen and marks on two canvases: the grid is drawn once, the trace on top of it. */
class Paper {
  constructor(box) {
    this.box = box;
    [this.grid, this.ink] = ["grid", "ink"].map((name) => {
      const canvas = document.createElement("canvas");
      canvas.className = name;
      canvas.setAttribute("aria-hidden", "true");
      box.append(canvas);
      return canvas.getContext("2d");
    });
    this.speed = 25; // mm/s
    this.gain = 10; // mm/mV
    this.fit();
    new ResizeObserver(() => (this.fit(), this.redraw())).observe(box);
  }

  /** Take over size, resolution and colours. */
  fit() {
    const { clientWidth, clientHeight } = this.box;
    this.ratio = window.devicePixelRatio || 1;
    // A millimetre is a whole number of device pixels, so that every line of the grid is crisp.
    this.mm = Math.max(1, Math.round(MM_CSS * this.ratio)) / this.ratio;
    this.width = clientWidth;
    this.height = clientHeight;
    for (const context of [this.grid, this.ink]) {
      context.canvas.width = Math.round(clientWidth * this.ratio);
      context.canvas.height = Math.round(clientHeight * this.ratio);
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    }
    const style = getComputedStyle(this.box);
    this.colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.#drawGrid();
  }

  get secondsWide() {
    return this.width / (this.speed * this.mm);
  }

  /** Where the trace's level stands: a little low, because QRS complexes mostly point up. */
  get middle() {
    return LANE_MM * this.mm + (this.height - LANE_MM * this.mm) * 0.56;
  }

  y(millivolts) {
    return this.middle - (millivolts - this.level) * this.gain * this.mm;
  }

  #drawGrid() {
    const { grid, mm, width, height } = this;
    grid.clearRect(0, 0, width, height);
    const thin = 1 / this.ratio;
    for (const [every, name] of [[1, "grid-fine"], [5, "grid-bold"]]) {
      grid.fillStyle = this.colour(name);
      for (let x = 0; x < width; x += every * mm) grid.fillRect(x, 0, thin, height);
      // Counted from the trace's level, so that a millivolt can be read off.
      const top = Math.round((this.middle % (every * mm)) * this.ratio) / this.ratio;
      for (let y = top; y < height; y += every * mm) grid.fillRect(0, y, width, thin);
    }
  }

  pen() {
    const { ink } = this;
    ink.strokeStyle = this.colour("trace");
    ink.lineWidth = 1.6;
    ink.lineJoin = ink.lineCap = "round";
  }

  /** A beat's mark in the lane, with its letter, and a band behind what is not normal. */
  mark(beat, x) {
    const { ink, mm } = this;
    const colour = this.colour(beat.label.toLowerCase());
    const y = LANE_MM * mm * 0.62;
    const r = 1.25 * mm;
    if (beat.label !== "N") {
      ink.save();
      ink.globalCompositeOperation = "destination-over";
      ink.globalAlpha = 0.16;
      ink.fillStyle = colour;
      ink.fillRect(x - 2.5 * mm, 0, 5 * mm, this.height);
      ink.restore();
    }
    ink.fillStyle = colour;
    traceShape(ink, beat.label, x - 1.2 * mm, y, r);
    ink.fill();
    ink.font = `600 ${3.1 * mm}px ${this.colour("font")}`;
    ink.textBaseline = "middle";
    ink.fillText(beat.label, x + 0.7 * mm, y + 0.15 * mm);
  }
}

/** The monitor's picture: a pen that runs left to right and wipes what it wrote a sweep ago. */
export class Sweep extends Paper {
  constructor(box) {
    super(box);
    this.show(null, []);
  }

  /** Another source. */
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

  /** Move the pen on to where it is `dt` seconds later. */
  advance(dt) {
    if (!this.signal || !this.width || this.frozen) return;
    const target = Math.max(0, this.signal.seconds - (this.ended ? 0 : LAG_S));
    const error = target - this.head;
    if (Math.abs(error) > LOST_S) {
      this.head = target;
      this.redraw();
      return;
    }
    // A little faster or slower brings the pen back to its lag without being seen.
    const step = dt * (1 + Math.max(-0.5, Math.min(0.5, error)));
    this.head = Math.max(this.head, Math.min(this.head + step, this.signal.seconds));
    this.#write();
    this.#markNew();
  }

  /** Write again what is in sight. */
  redraw() {
    this.ink.clearRect(0, 0, this.width, this.height);
    if (!this.signal || !this.width) return;
    const from = Math.max(this.signal.start / this.signal.fs,
      this.head - this.secondsWide + (GAP_MM * this.mm) / (this.speed * this.mm));
    this.drawn = Math.max(0, Math.floor(from * this.signal.fs));
    this.#centre(this.drawn, Math.floor(this.head * this.signal.fs));
    this.#write();
    this.marked = firstFrom(this.beats, from);
    this.#markNew();
  }

  x(time) {
    return ((time * this.speed * this.mm) % this.width + this.width) % this.width;
  }

  #centre(from, to) {
    this.level = level(this.signal.slice(from, Math.max(to, from + Math.round(this.signal.fs))));
  }

  #write() {
    const { signal, ink } = this;
    const last = Math.min(signal.end - 1, Math.floor(this.head * signal.fs));
    if (last <= this.drawn) return;
    const perSample = (this.speed * this.mm) / signal.fs;
    let x = this.x(this.drawn / signal.fs);
    this.#wipe(x, (last - this.drawn) * perSample);
    this.pen();
    ink.beginPath();
    ink.moveTo(x, this.y(signal.at(this.drawn)));
    let low = Infinity;
    let high = -Infinity;
    while (this.drawn < last) {
      this.drawn += 1;
      x += perSample;
      const y = this.y(signal.at(this.drawn));
      ink.lineTo(x, y);
      low = Math.min(low, y);
      high = Math.max(high, y);
      if (x >= this.width) { // the next sweep; a trace that has wandered off is centred again
        ink.stroke();
        this.#centre(this.drawn - Math.round(2 * signal.fs), this.drawn);
        x -= this.width;
        ink.beginPath();
        ink.moveTo(x, this.y(signal.at(this.drawn)));
      }
    }
    ink.stroke();
    if (low > this.height || high < 0) this.#centre(last - Math.round(signal.fs / 2), last);
  }

  /** Clear the paper under the pen's next stretch and the gap ahead, around the edge. */
  #wipe(x, length) {
    const wide = Math.min(this.width, length + GAP_MM * this.mm);
    this.ink.clearRect(x + 1, 0, wide, this.height);
    if (x + wide > this.width) this.ink.clearRect(0, 0, x + wide - this.width, this.height);
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

  /** The page drops old beats from the front of the array. */
  dropped(count) {
    this.marked = Math.max(0, this.marked - count);
  }
}

/** A stretch of stored signal, with times and beats. */
export class Strip extends Paper {
  constructor(box) {
    super(box);
    this.show(null, [], 0);
  }

  /** Show the signal around a moment, s. */
  show(signal, beats, centre) {
    Object.assign(this, { signal, beats, centre });
    this.redraw();
  }

  get from() {
    const { signal, secondsWide } = this;
    const first = signal.start / signal.fs;
    return Math.max(first, Math.min(this.centre - secondsWide / 2, signal.seconds - secondsWide / 4));
  }

  redraw() {
    const { ink, signal } = this;
    ink.clearRect(0, 0, this.width, this.height);
    if (!signal || !this.width || !signal.end) return;
    const { from } = this;
    const to = from + this.secondsWide;
    const first = Math.ceil(from * signal.fs);
    const samples = signal.slice(first, Math.ceil(to * signal.fs));
    const perSecond = this.speed * this.mm;
    this.level = level(samples);
    this.pen();
    ink.beginPath();
    samples.forEach((value, i) => {
      ink.lineTo(((first + i) / signal.fs - from) * perSecond, this.y(value));
    });
    ink.stroke();
    for (let i = firstFrom(this.beats, from); this.beats[i]?.time < to; i++) {
      this.mark(this.beats[i], (this.beats[i].time - from) * perSecond);
    }
  }
}
