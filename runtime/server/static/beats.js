// Names of beats and events, and the shapes they are drawn in. Every class has its own shape and
// letter as well as its colour, so that nothing depends on colour alone.

import { KINDS } from "./kinds.js"; // written by the server from its registry of events

/** @type {Record<string, {name: string, many: string, shape: string}>} AAMI classes */
export const CLASSES = {
  N: { name: "Normal", many: "normal", shape: "dot" },
  S: { name: "Supraventricular", many: "supraventricular", shape: "triangle" },
  V: { name: "Ventricular", many: "ventricular", shape: "square" },
  F: { name: "Fusion", many: "fusion", shape: "diamond" },
  Q: { name: "Paced or unknown", many: "paced or unknown", shape: "cross" },
};

export const SAME_S = 0.01; // two moments that are one

/** @type {Record<string, string>} */
const CALM = { regular: "Regular", unreadable: "Signal unreadable" };

/** @type {Record<string, string>} */
const FAULTS = { flat: "Flat line or electrode off", clipped: "Clipped", powerline: "Mains hum",
  baseline: "Baseline wander", noise: "Muscle or motion noise",
  missing: "Samples missing", fast: "Too fast for all beats to be found",
  noisy: "Noise throughout" };
const LARGEST_RANGE_MV = 20;

/**
 * True for an event that consists of these beats, or in which none counts: they need no line of their own.
 * @param {{kind?: string, start: number, end: number}} event
 * @param {{label?: string, start: number, end: number}} beats
 */
export function covers(event, beats) {
  const kind = KINDS[event.kind ?? ""];
  return (kind?.madeOf === beats.label || kind?.noBeats) && event.start <= beats.start + SAME_S
    && event.end >= beats.end - SAME_S;
}

/**
 * A rhythm's or event's name, from the server's word for it.
 * @param {string} kind
 */
export function kindName(kind) {
  const plain = kind.replaceAll("_", " ");
  return CALM[kind] ?? KINDS[kind]?.title ?? plain[0].toUpperCase() + plain.slice(1);
}

/**
 * True if a screen reader is interrupted for it.
 * @param {string} kind
 */
export function isCritical(kind) {
  return KINDS[kind]?.critical ?? false;
}

/**
 * True if a rhythm is none of the events.
 * @param {string} kind
 */
export function isCalm(kind) {
  return kind in CALM;
}

/**
 * Trace a class's shape around (x, y); the caller fills it.
 * @param {CanvasRenderingContext2D} context
 * @param {string} label
 * @param {number} x
 * @param {number} y
 * @param {number} r
 */
export function traceShape(context, label, x, y, r) {
  context.beginPath();
  switch (CLASSES[label]?.shape) {
    case "triangle":
      polygon(context, [[x, y - r], [x + r, y + 0.8 * r], [x - r, y + 0.8 * r]]);
      break;
    case "square":
      context.rect(x - 0.85 * r, y - 0.85 * r, 1.7 * r, 1.7 * r);
      break;
    case "diamond":
      polygon(context, [[x, y - 1.1 * r], [x + 1.1 * r, y], [x, y + 1.1 * r], [x - 1.1 * r, y]]);
      break;
    case "cross": {
      const w = 0.38 * r;
      polygon(context, [[x - w, y - r], [x + w, y - r], [x + w, y - w], [x + r, y - w],
        [x + r, y + w], [x + w, y + w], [x + w, y + r], [x - w, y + r], [x - w, y + w],
        [x - r, y + w], [x - r, y - w], [x - w, y - w]]);
      break;
    }
    default:
      context.arc(x, y, 0.5 * r, 0, 2 * Math.PI);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number[][]} points
 */
function polygon(context, points) {
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
}

/**
 * s as a clock reads it: 1:02 or 1:02:03, with so many digits after the point.
 * @param {number} seconds
 * @param {number} [digits]
 */
export function clock(seconds, digits = 0) {
  const unit = 10 ** digits;
  const whole = Math.max(0, Math.round(seconds * unit));
  const s = Math.floor(whole / unit);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor(s / 60) % 60;
  return (hours ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(s % 60)}`
    + (digits ? `.${String(whole % unit).padStart(digits, "0")}` : "");
}

/**
 * Index of the first beat at or after a time; beats are in order.
 * @param {{time: number}[]} beats
 * @param {number} time s
 */
export function firstFrom(beats, time) {
  let low = 0;
  let high = beats.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (beats[middle].time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The signal's faults, in words. Faults that are not known here show by their name.
 * @param {Record<string, number|boolean|null>} quality
 */
export function faults(quality) {
  const found = Object.entries(quality)
    .filter(([name, value]) => !["ok", "range_mv"].includes(name)
      && (value === true || (typeof value === "number" && value > 0)))
    .map(([name]) => FAULTS[name] ?? kindName(name));
  if (Number(quality.range_mv) > LARGEST_RANGE_MV) found.push("Out of range");
  return quality.ok ? [] : found.length ? found : ["Poor"];
}
