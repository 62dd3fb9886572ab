// The strip on paper: leads, grid and beats to scale, as a picture or as a page of PDF.

import { CLASSES, clock, firstFrom } from "./beats.js";
import { PdfPage } from "./pdf.js";
import { level } from "./signal.js";
import { timeText } from "./strip.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./strip.js").Strip} Strip */
/** @typedef {import("./pdf.js").Line} Line */
/**
 * What is drawn on; all in mm.
 * @typedef {object} Page
 * @property {number} width
 * @property {number} height
 * @property {(lines: Line[], pen: number, colour: number[]) => void} lines
 * @property {(x: number, y: number, text: string, size: number, colour: number[]) => void} text
 */

const [WIDE, HIGH] = [297, 210]; // A4, landscape
const MARGIN = 11;
const HEAD = 16; // of title and scale
const LANE = 6; // of the beats' letters
const LARGEST_ROW = 60;
const PULSE = { mv: 1, s: 0.2 }; // a calibration mark
const PULSE_WIDE = 8;
const DOTS = 300 / 25.4; // a mm, of a picture
const INK = [0.08, 0.12, 0.17];
const QUIET = [0.33, 0.39, 0.44];
const FINE = [0.98, 0.86, 0.85];
const BOLD = [0.93, 0.7, 0.69];
/** @type {Record<string, number[]>} */
const COLOURS = { S: [0.56, 0.32, 0], V: [0.7, 0.15, 0.12], F: [0.48, 0.18, 0.62], Q: [0.04, 0.36, 0.68] };

/**
 * @param {Run} run
 * @param {Strip} strip
 */
export function asPdf(run, strip) {
  const page = new PdfPage(WIDE, HIGH);
  draw(page, run, strip);
  return page.file(`${run.name}, ${clock(strip.start, 1)}`);
}

/**
 * @param {Run} run
 * @param {Strip} strip
 * @returns {Promise<Blob>}
 */
export async function asPng(run, strip) {
  const page = new Picture(WIDE, heightOf(run.leads.length));
  draw(page, run, strip);
  return page.file();
}

/** A canvas of so many dots a mm. */
class Picture {
  /**
   * @param {number} width mm
   * @param {number} height mm
   */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.canvas = document.createElement("canvas");
    this.canvas.width = Math.round(width * DOTS);
    this.canvas.height = Math.round(height * DOTS);
    const ink = this.canvas.getContext("2d");
    if (!ink) throw new Error("the browser has no canvas");
    this.ink = ink;
    ink.scale(DOTS, DOTS);
    ink.fillStyle = "#fff";
    ink.fillRect(0, 0, width, height);
    ink.lineJoin = "round";
  }

  /** @type {Page["lines"]} */
  lines(lines, pen, colour) {
    const { ink } = this;
    ink.strokeStyle = css(colour);
    ink.lineWidth = pen;
    ink.beginPath();
    for (const line of lines) line.forEach(([x, y], i) => (i ? ink.lineTo(x, y) : ink.moveTo(x, y)));
    ink.stroke();
  }

  /** @type {Page["text"]} */
  text(x, y, text, size, colour) {
    this.ink.fillStyle = css(colour);
    this.ink.font = `${size}px Helvetica, Arial, sans-serif`;
    this.ink.fillText(text, x, y);
  }

  /** @returns {Promise<Blob>} */
  file() {
    return new Promise((resolve, reject) => {
      this.canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture is too large"))), "image/png");
    });
  }
}

/** @param {number[]} colour */
const css = (colour) => `rgb(${colour.map((part) => Math.round(255 * part)).join(" ")})`;

/** Height of a lead's row, mm, in whole squares of the grid. @param {number} count of leads */
const rowOf = (count) => 5 * Math.floor(Math.min(LARGEST_ROW, (HIGH - 2 * MARGIN - HEAD - LANE) / count) / 5);

/** @param {number} leads @returns {number} mm */
const heightOf = (leads) => 2 * MARGIN + HEAD + LANE + leads * rowOf(leads);

/**
 * @param {Page} page
 * @param {Run} run
 * @param {Strip} strip
 */
function draw(page, run, { start, speed, gain, secondsWide }) {
  const row = rowOf(run.leads.length);
  const squares = 5 * Math.floor((page.width - 2 * MARGIN) / 5);
  const [left, top] = [MARGIN, MARGIN + HEAD];
  const bottom = top + 5 * Math.ceil((LANE + run.leads.length * row) / 5);
  const traceLeft = left + PULSE_WIDE;
  const end = Math.min(run.signal.seconds, start + Math.min(secondsWide, (squares - PULSE_WIDE) / speed));
  page.text(left, MARGIN + 4, run.name, 4.5, INK);
  const { startsAt } = run.source;
  const date = startsAt === undefined || startsAt < 0 ? "" : new Date(startsAt + 1000 * start).toISOString().slice(0, 10);
  const when = startsAt === undefined ? "" : `, ${date} ${timeText(run, start)}`;
  page.text(left, MARGIN + 10, `${clock(start, 1)} to ${clock(end, 1)}${when}  |  ${speed} mm/s  |  ${gain} mm/mV  |  `
    + `leads ${run.leads.map(({ name }) => name).join(", ")} in mV  |  ${run.signal.fs} Hz, unfiltered`, 3.2, QUIET);
  page.text(left, bottom + 5, "Print at 100 %: a small square is 1 mm. Beats by EKG; not a medical device.", 2.8, QUIET);
  for (const [step, pen, colour] of /** @type {[number, number, number[]][]} */ ([[1, 0.1, FINE], [5, 0.2, BOLD]])) {
    /** @type {Line[]} */
    const lines = [];
    for (let x = 0; x <= squares; x += step) lines.push([[left + x, top], [left + x, bottom]]);
    for (let y = top; y <= bottom; y += step) lines.push([[left, y], [left + squares, y]]);
    page.lines(lines, pen, colour);
  }
  run.leads.forEach(({ name, signal }, i) => {
    const rowTop = top + LANE + i * row;
    const middle = rowTop + 5 * Math.round(0.56 * row / 5) - LANE % 5;
    const first = Math.max(0, Math.ceil(start * signal.fs));
    const samples = signal.slice(first, Math.floor(end * signal.fs) + 1);
    const zero = level(samples);
    const y = (/** @type {number} */ mv) => Math.max(top, Math.min(bottom, middle - (mv - zero) * gain));
    page.lines(traces(samples, (k) => traceLeft + ((first + k) / signal.fs - start) * speed, y), 0.3, INK);
    const pulse = left + 1;
    page.lines([[[pulse, middle], [pulse + 1, middle], [pulse + 1, middle - PULSE.mv * gain],
      [pulse + 1 + Math.min(5, PULSE.s * speed), middle - PULSE.mv * gain],
      [pulse + 1 + Math.min(5, PULSE.s * speed), middle], [pulse + 7, middle]]], 0.3, INK);
    page.text(left + 1, rowTop + row - 2, name, 3.2, INK);
  });
  for (let i = firstFrom(run.beats, start); run.beats[i]?.time < end; i++) {
    const { time, label } = run.beats[i];
    page.text(traceLeft + (time - start) * speed - 1, top + 4, label in CLASSES ? label : "?", 3.2, COLOURS[label] ?? QUIET);
  }
}

/**
 * Lines through samples, none across a gap.
 * @param {Float32Array|Float64Array} samples
 * @param {(index: number) => number} x
 * @param {(mv: number) => number} y
 * @returns {Line[]}
 */
function traces(samples, x, y) {
  /** @type {Line[]} */
  const lines = [];
  /** @type {Line|null} */
  let open = null;
  samples.forEach((value, i) => {
    if (!Number.isFinite(value)) open = null;
    else if (open) open.push([x(i), y(value)]);
    else lines.push(open = [[x(i), y(value)]]);
  });
  return lines;
}
