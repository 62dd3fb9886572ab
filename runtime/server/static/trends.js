// Intervals and shapes of all beats: tachogram, Lorenz plot, and the average beat of each class.

import { CLASSES, firstFrom } from "./beats.js";
import { axis, chart, ink } from "./charts.js";
import { $, put } from "./dom.js";
import { leftOut, touching } from "./leftout.js";
import { Paper } from "./paper.js";
import { timeText } from "./strip.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./signal.js").Signal} Signal */

const MOST_POINTS = 20_000; // drawn; of more every second, third and so on is
const LONGEST_RR_S = 3;
const [BEFORE_S, AFTER_S] = [0.3, 0.5]; // of an average beat, around the R peak
const MOST_AVERAGED = 400; // beats of a class, spread over the recording
const REDRAW_MS = 1000;
const SPEEDS = [50, 25]; // mm/s, of the average beats: the first at which they fit

export class Trends {
  constructor() {
    /** @type {Run|null} */
    this.run = null;
    this.timer = 0;
    const points = { show: true, size: 3, space: 0, fill: () => ink("accent"), stroke: () => ink("accent") };
    const dots = { paths: () => null, points: /** @type {any} */ (points) };
    const ms = (/** @type {any} */ _, /** @type {number[]} */ values) => values.map(String);
    const ranged = (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) =>
      /** @type {[number, number]} */ ([Math.min(300, low ?? 300), Math.max(1500, high ?? 1500)]);
    const still = { show: false, drag: { x: false, y: false } };
    this.tachogram = chart($("tachogram"), { cursor: still, padding: [8, 8, 0, 0],
      scales: { x: { time: false }, y: { range: ranged } },
      axes: [axis({ size: 26, values: (_, times) => times.map((time) => (this.run ? timeText(this.run, time) : "")) }),
        axis({ values: ms })],
      series: [{}, dots] });
    this.lorenz = chart($("lorenz"), { cursor: still, padding: [8, 8, 0, 0],
      scales: { x: { time: false, range: ranged }, y: { range: ranged } },
      axes: [axis({ size: 26, values: ms }), axis({ values: ms })], series: [{}, dots] });
    this.averages = new Averages($("averages"));
    $("trends").addEventListener("toggle", () => this.refresh());
  }

  get isOpen() {
    return $("trends", HTMLDetailsElement).open;
  }

  /** @param {Run} run */
  start(run) {
    this.run = run;
    this.refresh();
  }

  later() {
    if (this.isOpen) this.timer ||= window.setTimeout(() => this.refresh(), REDRAW_MS);
  }

  refresh() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.run || !this.isOpen) return;
    const { beats, signal } = this.run;
    const stretches = leftOut(this.run);
    const known = intervals(beats, stretches);
    const step = Math.ceil(known.length / MOST_POINTS) || 1;
    const some = known.filter((_, i) => i % step === 0);
    this.tachogram.setData([some.map(({ time }) => time), some.map(({ ms }) => ms)], false);
    this.tachogram.setScale("x", { min: signal.start / signal.fs, max: Math.max(1, signal.seconds) });
    this.tachogram.setScale("y", /** @type {any} */ ({ min: null, max: null }));
    const pairs = known.filter(({ next }, i) => next > 0 && i % step === 0).sort((a, b) => a.ms - b.ms);
    this.lorenz.setData([pairs.map(({ ms }) => ms), pairs.map(({ next }) => next)]);
    this.averages.show(this.run, stretches);
    put("trends-text", describe(known));
  }
}

/**
 * Intervals between beats, with the one after it (0 if that is not known).
 * @param {{time: number}[]} beats
 * @param {import("./leftout.js").Stretch[]} stretches of which none is made
 */
export function intervals(beats, stretches) {
  const found = [];
  const touches = touching(stretches);
  const touchesNext = touching(stretches);
  for (let i = 1; i < beats.length; i++) {
    const rr = beats[i].time - beats[i - 1].time;
    if (rr > LONGEST_RR_S || touches(beats[i - 1].time, beats[i].time)) continue;
    const next = i + 1 < beats.length ? beats[i + 1].time - beats[i].time : Infinity;
    const unknown = next > LONGEST_RR_S || touchesNext(beats[i].time, beats[i].time + next);
    found.push({ time: beats[i].time, ms: 1000 * rr, next: unknown ? 0 : 1000 * next });
  }
  return found;
}

/** @param {{ms: number}[]} known */
function describe(known) {
  if (!known.length) return "";
  const sorted = Float64Array.from(known, ({ ms }) => ms).sort();
  const [low, middle, high] = [0.05, 0.5, 0.95].map((share) => Math.round(sorted[Math.floor(share * (sorted.length - 1))]));
  return `${known.length} intervals between neighbours, all classes: median ${middle} ms, 90 % from ${low} to ${high} ms.`;
}

/**
 * The mean of a class's beats.
 * @param {Signal} signal
 * @param {{time: number}[]} beats of the class
 * @returns {{mean: Float64Array, count: number}|null} null if none is whole
 */
export function average(signal, beats) {
  const { fs } = signal;
  const [before, length] = [Math.round(BEFORE_S * fs), Math.round((BEFORE_S + AFTER_S) * fs)];
  const mean = new Float64Array(length);
  const step = Math.max(1, beats.length / MOST_AVERAGED);
  let count = 0;
  for (let k = 0; k < beats.length; k += step) {
    const from = Math.round(beats[Math.floor(k)].time * fs) - before;
    if (from < signal.start || from + length > signal.end) continue;
    const samples = signal.slice(from, from + length);
    if (!samples.every(Number.isFinite)) continue;
    for (let i = 0; i < length; i++) mean[i] += samples[i];
    count += 1;
  }
  return count ? { mean: mean.map((sum) => sum / count), count } : null;
}

/** Average beats beside each other, on paper. */
class Averages extends Paper {
  /** @type {Run|null} */
  run = null;
  /** @type {import("./leftout.js").Stretch[]} of which no beat is taken */
  stretches = [];

  /**
   * @param {Run} run
   * @param {import("./leftout.js").Stretch[]} stretches
   */
  show(run, stretches) {
    Object.assign(this, { run, stretches });
    this.redraw();
  }

  redraw() {
    this.clear();
    const { run } = this;
    if (!run || !this.width) return;
    const touches = touching(this.stretches);
    const sound = run.beats.filter(({ time }) => !touches(time, time));
    const found = Object.keys(CLASSES).flatMap((label) => {
      const mean = average(run.signal, sound.filter((beat) => beat.label === label));
      return mean ? [{ label, ...mean }] : [];
    });
    this.speed = SPEEDS.find((speed) => found.length * (BEFORE_S + AFTER_S) * speed * this.mm < this.width) ?? SPEEDS[1];
    const wide = (BEFORE_S + AFTER_S) * this.pixelsPerSecond;
    const gap = Math.max(8, (this.width - found.length * wide) / (found.length + 1));
    const fit = Math.min(...found.map(({ mean }) => this.fittingGain(Float32Array.from(mean), this.height - 40, 20)), 20);
    this.gain = fit;
    const row = this.row(0, 1, this.height - 10);
    const words = found.map(({ label, mean, count }, i) => {
      const left = gap + i * (wide + gap);
      const ys = Array.from(mean, (mv) => this.y(mv - mean[0], row));
      this.line(ys.map((_, k) => left + (k * wide) / ys.length), ys, this.colour(label.toLowerCase()), 2);
      this.mark({ label }, left + BEFORE_S * this.pixelsPerSecond);
      return `${CLASSES[label].name}: mean of ${count} beats`;
    });
    put("averages-text", words.length ? `${words.join(", ")}; ${this.speed} mm/s, ${this.gain} mm/mV.` : "No beats yet.");
  }
}

/**
 * Interval before and rate at a beat, in words.
 * @param {{time: number}[]} beats
 * @param {{time: number}} beat
 */
export function intervalWords(beats, beat) {
  const before = beats[firstFrom(beats, beat.time) - 1];
  if (!before) return "";
  const rr = beat.time - before.time;
  return `RR ${Math.round(1000 * rr)} ms, ${Math.round(60 / rr)}/min`;
}
