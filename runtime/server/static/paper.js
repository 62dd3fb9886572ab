// ECG paper: the grid is a box's background, the traces and marks lie on canvases above it.

import { traceShape } from "./beats.js";
import { level } from "./signal.js";

/** @typedef {import("./link.js").Beat} Beat */
/** @typedef {import("./signal.js").Signal} Signal */
/**
 * A canvas and the stretch of paper that it covers, px.
 * @typedef {{ink: CanvasRenderingContext2D, left: number, right: number}} Tile
 */
/**
 * Where a trace lies: its level in mV is drawn at `middle` px.
 * @typedef {{top: number, height: number, middle: number, level: number}} Row
 */

const MM_CSS = 96 / 25.4; // CSS says an inch is 96 pixels
const BAND_MM = 2.5; // to either side of a beat that is not normal
const PEN = 1.6; // width of the trace, px
const GAINS = [2.5, 5, 10, 20, 40]; // mm/mV
const FILLED = 0.86; // of a row's height may be the trace's
const OUTLIERS = 0.002; // share of samples above and below that need not fit

export const MARK_MM = 5; // a mark's width to the right of its beat
export const LANE_MM = 5; // height of the beats' marks, at the top

export class Paper {
  /**
   * @param {HTMLElement} box
   * @param {number} [tileMm] width of a canvas
   */
  constructor(box, tileMm = Infinity) {
    this.box = box;
    this.tileMm = tileMm;
    /** @type {Tile[]} */
    this.tiles = [];
    this.speed = 25; // mm/s
    this.gain = 10; // mm/mV
    this.ratio = 1;
    this.mm = MM_CSS;
    this.width = this.height = 0; // px
    /** @type {Map<string, string>} */
    this.colours = new Map();
    this.fit();
    new ResizeObserver(() => (this.fit(), this.redraw())).observe(box);
  }

  redraw() {}

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
      this.tiles[i] ??= newTile();
      const left = i * wide;
      Object.assign(this.tiles[i], { left, right: Math.min(left + wide, this.width) });
      this.#place(this.tiles[i]);
    }
    const style = getComputedStyle(this.box);
    const names = ["trace", "font", "text", "quiet", "accent", "alarm", "panel", "n", "s", "v", "f", "q"];
    this.colours = new Map(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    // The grid counts from the trace's level, so that a millivolt can be read off.
    const at = Math.round(this.row(0, 1).middle * this.ratio) / this.ratio;
    for (const [name, value] of Object.entries({ mm: this.mm, thin: 1 / this.ratio, level: at })) {
      this.box.style.setProperty(`--${name}`, `${value}px`);
    }
  }

  /** @param {string} name of a colour, or the font */
  colour(name) {
    return this.colours.get(name) ?? "";
  }

  /**
   * Lay a tile's canvas over its stretch; it is drawn on in the paper's own coordinates.
   * @param {Tile} tile
   */
  #place({ ink, left, right }) {
    const { canvas } = ink;
    canvas.width = Math.round((right - left) * this.ratio);
    canvas.height = Math.round(this.height * this.ratio);
    canvas.setAttribute("aria-hidden", "true");
    Object.assign(canvas.style, { left: `${left}px`, width: `${right - left}px` });
    ink.setTransform(this.ratio, 0, 0, this.ratio, -left * this.ratio, 0);
    if (!canvas.isConnected) this.box.append(canvas);
  }

  /**
   * The tiles that have something of a stretch.
   * @param {number} from px
   * @param {number} to
   */
  under(from, to) {
    return this.tiles.filter(({ left, right }) => left <= to && right >= from);
  }

  clear() {
    for (const { ink, left, right } of this.tiles) ink.clearRect(left, 0, right - left, this.height);
  }

  get pixelsPerSecond() {
    return this.speed * this.mm;
  }

  get secondsWide() {
    return this.width / this.pixelsPerSecond;
  }

  /**
   * One of several rows below each other. Its level lies a little low, because QRS complexes mostly
   * point up, and on the grid: bold lines run through the level of every row.
   * @param {number} index
   * @param {number} count
   * @param {number} [whole] px of all rows and the lane of marks above them
   * @returns {Row}
   */
  row(index, count, whole = this.height) {
    const lane = LANE_MM * this.mm;
    const bold = 5 * this.mm;
    const height = count > 1 ? Math.floor((whole - lane) / count / bold) * bold : whole - lane;
    const top = lane + index * height;
    return { top, height, middle: lane + height * 0.56 + index * height, level: 0 };
  }

  /**
   * @param {number} millivolts
   * @param {Row} row
   */
  y(millivolts, row) {
    return row.middle - (millivolts - row.level) * this.gain * this.mm;
  }

  /**
   * The largest usual gain at which samples fit a row; the smallest if none does.
   * @param {Float32Array|Float64Array} samples
   * @param {number} height px
   * @param {number} most mm/mV
   */
  fittingGain(samples, height, most) {
    const step = Math.max(1, Math.floor(samples.length / 4000));
    const some = samples.filter((value, i) => i % step === 0 && Number.isFinite(value)).sort();
    if (!some.length) return Math.min(10, most);
    const edge = Math.floor(OUTLIERS * some.length);
    const middle = level(samples);
    const up = (some[some.length - 1 - edge] - middle) / (0.56 * FILLED);
    const down = (middle - some[edge]) / (0.44 * FILLED);
    const room = height / this.mm / Math.max(up, down, 1e-6);
    return GAINS.findLast((gain) => gain <= Math.min(room, most)) ?? GAINS[0];
  }

  /**
   * Draw a line through points that go from left to right; NaN is a gap in it.
   * @param {number[]} xs px
   * @param {number[]} ys px
   * @param {string} [colour]
   * @param {number} [width] px
   */
  line(xs, ys, colour = this.colour("trace"), width = PEN) {
    if (!xs.length) return;
    for (const { ink, left, right } of this.under(xs[0] - PEN, xs[xs.length - 1] + PEN)) {
      ink.strokeStyle = colour;
      ink.lineWidth = width;
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

  /**
   * A beat's mark in the lane, with its letter, and a band behind it if it is not normal.
   * @param {{label: string}} beat
   * @param {number} x px
   */
  mark(beat, x) {
    for (const { ink } of this.under(x - BAND_MM * this.mm, x + MARK_MM * this.mm)) {
      this.#mark(ink, beat.label, x);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} ink
   * @param {string} label
   * @param {number} x px
   */
  #mark(ink, label, x) {
    const { mm } = this;
    const colour = this.colour(label.toLowerCase());
    const y = LANE_MM * mm * 0.62;
    if (label !== "N") this.#band(ink, colour, x - BAND_MM * mm, 2 * BAND_MM * mm);
    ink.fillStyle = colour;
    traceShape(ink, label, x - 1.2 * mm, y, 1.25 * mm);
    ink.fill();
    ink.font = `600 ${3.1 * mm}px ${this.colour("font")}`;
    ink.textBaseline = "middle";
    ink.fillText(label, x + 0.7 * mm, y + 0.15 * mm);
  }

  /**
   * A soft band behind the trace.
   * @param {CanvasRenderingContext2D} ink
   * @param {string} colour
   * @param {number} left px
   * @param {number} width px
   */
  #band(ink, colour, left, width) {
    ink.save();
    ink.globalCompositeOperation = "destination-over";
    ink.globalAlpha = 0.16;
    ink.fillStyle = colour;
    ink.fillRect(left, 0, width, this.height);
    ink.restore();
  }
}

/** @returns {Tile} */
function newTile() {
  const ink = document.createElement("canvas").getContext("2d");
  if (!ink) throw new Error("this browser draws on no canvas");
  return { ink, left: 0, right: 0 };
}
