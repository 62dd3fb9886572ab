// ECG on paper: a moving sweep and a standing strip, both to scale.

import { firstFrom, traceShape } from "./beats.js";
import { level } from "./signal.js";

const MM_CSS = 96 / 25.4; // CSS says an inch is 96 pixels
const GAP_MM = 6; // erased ahead of the pen
const MARK_MM = 5; // a mark's width to the right of its beat
const BAND_MM = 2.5; // to either side of a beat that is not normal
const PEN = 1.6; // width of the trace, px
const LANE_MM = 5; // of the beats' marks, at the top
const LAG_S = 0.3; // the pen stays behind the newest sample, so that it never has to wait for one
const LOST_S = 1.5; // further off than this the pen jumps
// A canvas that changes is painted anew whole, so only the one under the pen should; but every
// canvas costs something in every frame, so they are few.
const TILE_MM = 60;

/** Paper, pen and marks: the grid is the box's background, the trace is on canvases above it. */
class Paper {
  /** @param {number} tileMm width of a canvas */
  constructor(box, tileMm = Infinity) {
    this.box = box;
    this.tileMm = tileMm;
    this.tiles = []; // {ink, left, right}: a canvas and the stretch of paper that it covers
    this.speed = 25; // mm/s
    this.gain = 10; // mm/mV
    this.fit();
    new ResizeObserver(() => (this.fit(), this.redraw())).observe(box);
  }

  /** Take over size, resolution and colours. */
  fit() {
    this.ratio = window.devicePixelRatio || 1;
    // A millimetre is a whole number of device pixels, so that every line of the grid is crisp.
    this.mm = Math.max(1, Math.round(MM_CSS * this.ratio)) / this.ratio;
    this.width = this.box.clientWidth;
    this.height = this.box.clientHeight;
    const wide = Math.min(this.width, this.tileMm * this.mm);
    const count = wide ? Math.ceil(this.width / wide) : 0;
    for (const { ink } of this.tiles.splice(count)) ink.canvas.remove();
    for (let i = 0; i < count; i++) {
      this.tiles[i] ??= { ink: document.createElement("canvas").getContext("2d") };
      const left = i * wide;
      Object.assign(this.tiles[i], { left, right: Math.min(left + wide, this.width) });
      this.#place(this.tiles[i]);
    }
    const style = getComputedStyle(this.box);
    const names = ["trace", "font", "n", "s", "v", "f", "q"];
    const colours = new Map(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.colour = (name) => colours.get(name);
    // The grid counts from the trace's level, so that a millivolt can be read off.
    const level = Math.round(this.middle * this.ratio) / this.ratio;
    for (const [name, value] of [["mm", this.mm], ["thin", 1 / this.ratio], ["level", level]]) {
      this.box.style.setProperty(`--${name}`, `${value}px`);
    }
  }

  /** Lay a tile's canvas over its stretch; it is drawn on in the paper's own coordinates. */
  #place({ ink, left, right }) {
    const { canvas } = ink;
    canvas.width = Math.round((right - left) * this.ratio);
    canvas.height = Math.round(this.height * this.ratio);
    canvas.setAttribute("aria-hidden", "true");
    Object.assign(canvas.style, { left: `${left}px`, width: `${right - left}px` });
    ink.setTransform(this.ratio, 0, 0, this.ratio, -left * this.ratio, 0);
    if (!canvas.isConnected) this.box.append(canvas);
  }

  /** The tiles that have something of a stretch. */
  under(from, to) {
    return this.tiles.filter(({ left, right }) => left <= to && right >= from);
  }

  clear() {
    for (const { ink, left, right } of this.tiles) ink.clearRect(left, 0, right - left, this.height);
  }

  get secondsWide() {
    return this.width / (this.speed * this.mm);
  }

  /** Height of the trace's level: a little low, because QRS complexes mostly point up. */
  get middle() {
    return LANE_MM * this.mm + (this.height - LANE_MM * this.mm) * 0.56;
  }

  y(millivolts) {
    return this.middle - (millivolts - this.level) * this.gain * this.mm;
  }

  /** Draw a line through points that go from left to right; NaN is a gap in it. */
  line(xs, ys) {
    for (const { ink, left, right } of this.under(xs[0] - PEN, xs.at(-1) + PEN)) {
      ink.strokeStyle = this.colour("trace");
      ink.lineWidth = PEN;
      ink.lineJoin = ink.lineCap = "round";
      ink.beginPath();
      let away = false;
      for (let i = 0; i < xs.length; i++) {
        const before = xs[Math.max(0, i - 1)];
        const after = xs[Math.min(i + 1, xs.length - 1)];
        if (after < left - PEN || before > right + PEN) continue;
        const gap = !Number.isFinite(ys[i]);
        if (!gap) ink[away ? "moveTo" : "lineTo"](xs[i], ys[i]);
        away = gap;
      }
      ink.stroke();
    }
  }

  /** A beat's mark in the lane, with its letter, and a band behind it if it is not normal. */
  mark(beat, x) {
    for (const { ink } of this.under(x - BAND_MM * this.mm, x + MARK_MM * this.mm)) {
      this.#mark(ink, beat, x);
    }
  }

  #mark(ink, beat, x) {
    const { mm } = this;
    const colour = this.colour(beat.label.toLowerCase());
    const y = LANE_MM * mm * 0.62;
    const r = 1.25 * mm;
    if (beat.label !== "N") {
      ink.save();
      ink.globalCompositeOperation = "destination-over";
      ink.globalAlpha = 0.16;
      ink.fillStyle = colour;
      ink.fillRect(x - BAND_MM * mm, 0, 2 * BAND_MM * mm, this.height);
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

/** The monitor's picture: a pen that runs left to right and wipes the trace of the sweep before. */
export class Sweep extends Paper {
  constructor(box) {
    super(box, TILE_MM);
    this.show(null, []);
  }

  /** Show another source. */
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

  /** Move the pen on by `dt` seconds. */
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

  /** Write again the part in sight. */
  redraw() {
    this.clear();
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
    const { signal } = this;
    const last = Math.min(signal.end - 1, Math.floor(this.head * signal.fs));
    if (last <= this.drawn) return;
    const perSample = (this.speed * this.mm) / signal.fs;
    let x = this.x(this.drawn / signal.fs);
    this.#wipe(x, (last - this.drawn) * perSample);
    let xs = [x];
    let ys = [this.y(signal.at(this.drawn))];
    let low = Infinity;
    let high = -Infinity;
    while (this.drawn < last) {
      this.drawn += 1;
      x += perSample;
      const y = this.y(signal.at(this.drawn));
      xs.push(x);
      ys.push(y);
      if (Number.isFinite(y)) {
        low = Math.min(low, y);
        high = Math.max(high, y);
      }
      if (x >= this.width) { // the next sweep; a trace that has wandered off is centred again
        this.line(xs, ys);
        this.#centre(this.drawn - Math.round(2 * signal.fs), this.drawn);
        x -= this.width;
        xs = [x];
        ys = [this.y(signal.at(this.drawn))];
      }
    }
    this.line(xs, ys);
    if (low < Infinity && (low > this.height || high < 0)) this.#centre(last - Math.round(signal.fs / 2), last);
  }

  /** Clear the paper under the pen's next stretch and the gap ahead, around the edge. */
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
    const { signal } = this;
    this.clear();
    if (!signal || !this.width || !signal.end) return;
    const { from } = this;
    const to = from + this.secondsWide;
    const first = Math.ceil(from * signal.fs);
    const samples = signal.slice(first, Math.ceil(to * signal.fs));
    const perSecond = this.speed * this.mm;
    this.level = level(samples);
    if (samples.length) {
      this.line(Array.from(samples, (_, i) => ((first + i) / signal.fs - from) * perSecond),
        Array.from(samples, (value) => this.y(value)));
    }
    for (let i = firstFrom(this.beats, from); this.beats[i]?.time < to; i++) {
      this.mark(this.beats[i], (this.beats[i].time - from) * perSecond);
    }
  }
}
