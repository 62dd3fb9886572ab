// The whole recording at a glance: rate, beats by class, rhythm and quality; and the way to go anywhere.

import { firstFrom, isCritical } from "./beats.js";
import { axis, chart, ink } from "./charts.js";
import { $, element, put } from "./dom.js";
import { leftOut, touching } from "./leftout.js";
import { timeText } from "./strip.js";
import { showUncounted } from "./vitals.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("uplot")} uPlot */

const BINS = 600;
const REDRAW_MS = 400;
const LANES = ["Beats", "Rhythm", "Signal"];
const LANE_PX = 13;
const LONGEST_RR_S = 3; // a longer one is a pause or a gap and has no rate
const ZOOM = 1.5;
const SHORTEST_S = 20; // in sight

export class Overview {
  /** @param {(start: number, centre: boolean) => void} go show the strip from there, or around it */
  constructor(go) {
    this.go = go;
    this.box = $("overview");
    /** @type {Run|null} */
    this.run = null;
    /** @type {[number, number]|null} the stretch in sight, s; all of it if null */
    this.range = null;
    this.view = { start: 0, width: 1 }; // of the strip, s
    this.window = element("div", { className: "window" });
    this.timer = 0;
    const size = LANES.length * LANE_PX + 24;
    this.plot = chart(this.box, {
      padding: [6, 26, 0, 0],
      cursor: { show: false, drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { range: (_, low, high) => [Math.min(40, low ?? 40), Math.max(120, high ?? 120)] } },
      axes: [axis({ size, gap: LANES.length * LANE_PX + 6, ticks: { show: false },
        values: (_, times) => times.map((time) => (this.run ? timeText(this.run, time) : "")) }),
      axis({ label: undefined, values: (_, rates) => rates.map(String), size: 50 })],
      series: [{}, { stroke: () => ink("accent"), width: 1.2, points: { show: false } }],
      hooks: { draw: [(plot) => this.#drawLanes(plot)], setSize: [() => this.place()] },
    });
    this.plot.over.append(this.window);
    this.#listen();
  }

  /** @param {Run} run */
  start(run) {
    this.run = run;
    this.range = null;
    this.refresh();
  }

  /** More is known: draw soon, but not for every answer. */
  later() {
    this.timer ||= window.setTimeout(() => this.refresh(), REDRAW_MS);
  }

  refresh() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.run) return;
    const [from, to] = this.extent;
    this.plot.setData(/** @type {any} */ (rates(this.run.beats, from, to, leftOut(this.run))), false);
    showUncounted(this.run);
    this.plot.setScale("x", { min: from, max: to });
    this.place();
  }

  /** All that is held, s. @returns {[number, number]} */
  get whole() {
    const { signal } = /** @type {Run} */ (this.run);
    const first = signal.start / signal.fs;
    return [first, Math.max(first + SHORTEST_S, signal.seconds)];
  }

  get extent() {
    return this.range ?? this.whole;
  }

  /**
   * Show where the strip is.
   * @param {number} start s
   * @param {number} width s
   */
  mark(start, width) {
    this.view = { start, width };
    this.place();
  }

  place() {
    if (!this.run || !this.plot) return;
    const { start, width } = this.view;
    const left = this.plot.valToPos(start, "x");
    const wide = this.plot.valToPos(start + width, "x") - left;
    this.window.style.left = `${left}px`;
    this.window.style.width = `${Math.max(3, wide)}px`;
    this.box.setAttribute("aria-valuemax", String(Math.round(this.run.signal.seconds)));
    this.box.setAttribute("aria-valuenow", String(Math.round(start)));
    this.box.setAttribute("aria-valuetext", `strip at ${timeText(this.run, start)}`);
    const { decided, sent } = this.run.link;
    const share = this.run.isWhole && !this.run.finished ? decided / this.run.signal.seconds : 1;
    $("progress").hidden = share >= 1;
    $("progress").style.setProperty("--share", String(share));
    put("progress-text", share < 1 && sent ? `${Math.floor(100 * share)} % analysed` : "");
  }

  /** @param {uPlot} plot */
  #drawLanes(plot) {
    if (!this.run) return;
    const { ctx, bbox } = plot;
    const ratio = bbox.width / plot.over.clientWidth || 1;
    const x = (/** @type {number} */ time) => plot.valToPos(time, "x", true);
    const top = bbox.top + bbox.height + 4 * ratio;
    const lane = (/** @type {number} */ i) => top + i * LANE_PX * ratio;
    const high = (LANE_PX - 3) * ratio;
    const [from, to] = this.extent;
    ctx.save();
    ctx.font = `${10.5 * ratio}px ${ink("font")}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    LANES.forEach((name, i) => {
      ctx.fillStyle = ink("quiet");
      ctx.fillText(name, bbox.left - 6 * ratio, lane(i) + high / 2);
      ctx.fillStyle = ink("ground");
      ctx.fillRect(bbox.left, lane(i), bbox.width, high);
    });
    ctx.beginPath();
    ctx.rect(bbox.left, top, bbox.width, LANES.length * LANE_PX * ratio);
    ctx.clip();
    const colours = Object.fromEntries([..."SVFQ"].map((label) => [label, ink(label.toLowerCase())]));
    const { beats, findings, faults } = this.run;
    /** @type {Record<string, number>} where each class was drawn last: of a day many beats share a pixel */
    const drawn = {};
    for (let i = firstFrom(beats, from); i < beats.length && beats[i].time <= to; i++) {
      const { label, time } = beats[i];
      if (label === "N") continue;
      const at = Math.round(x(time));
      if (drawn[label] === at) continue;
      drawn[label] = at;
      ctx.fillStyle = colours[label];
      ctx.fillRect(at, lane(0), Math.max(1, ratio), high);
    }
    const [grave, mild, poor] = [ink("alarm"), ink("q"), ink("warn")];
    for (const { kind, start, end } of findings) {
      if (!kind || end < from || start > to) continue;
      ctx.fillStyle = isCritical(kind) ? grave : mild;
      ctx.fillRect(x(start), lane(1), Math.max(2 * ratio, x(end) - x(start)), high);
    }
    ctx.fillStyle = poor;
    for (const fault of faults) {
      if (fault.to < from || fault.from > to) continue;
      ctx.fillRect(x(fault.from), lane(2), Math.max(ratio, x(fault.to) - x(fault.from)), high);
    }
    ctx.restore();
  }

  #listen() {
    const { box } = this;
    const timeAt = (/** @type {MouseEvent} */ at) =>
      this.plot.posToVal(at.clientX - this.plot.over.getBoundingClientRect().left, "x");
    const goTo = (/** @type {PointerEvent} */ at) => this.run && this.go(timeAt(at), true);
    box.addEventListener("pointerdown", (down) => {
      if (down.button) return;
      box.setPointerCapture(down.pointerId);
      goTo(down);
    });
    box.addEventListener("pointermove", (move) => {
      if (box.hasPointerCapture(move.pointerId)) goTo(move);
    });
    box.addEventListener("wheel", (wheel) => {
      wheel.preventDefault();
      this.zoom(wheel.deltaY > 0 ? ZOOM : 1 / ZOOM, timeAt(wheel));
    }, { passive: false });
    box.addEventListener("dblclick", () => this.zoom(Infinity, 0));
    box.addEventListener("keydown", (key) => {
      if (!this.run) return;
      const { start, width } = this.view;
      /** @type {Record<string, number>} */
      const places = { ArrowLeft: start - width, ArrowRight: start + width, PageUp: start - 10 * width,
        PageDown: start + 10 * width, Home: this.whole[0], End: this.whole[1] - width };
      if (key.key === "+" || key.key === "-") {
        this.zoom(key.key === "+" ? 1 / ZOOM : ZOOM, start + width / 2);
      } else if (key.key in places) this.go(places[key.key], false);
      else return;
      key.preventDefault();
    });
  }

  /**
   * See less or more around a moment.
   * @param {number} factor of the time in sight
   * @param {number} moment s
   */
  zoom(factor, moment) {
    if (!this.run) return;
    const [first, last] = this.whole;
    const [from, to] = this.extent;
    const wide = Math.max(SHORTEST_S, (to - from) * factor);
    if (wide >= last - first) this.range = null;
    else {
      const begin = Math.max(first, Math.min(last - wide, moment - ((moment - from) / (to - from)) * wide));
      this.range = [begin, begin + wide];
    }
    this.refresh();
  }
}

/**
 * The mean rate of each bin, for uPlot: [times, rates], null where no rate is known.
 * @param {{time: number}[]} beats
 * @param {number} from s
 * @param {number} to
 * @param {import("./leftout.js").Stretch[]} stretches of which no rate is made
 * @returns {[number[], (number|null)[]]}
 */
export function rates(beats, from, to, stretches) {
  const touches = touching(stretches);
  const width = (to - from) / BINS;
  const sums = new Float64Array(BINS);
  const counts = new Uint32Array(BINS);
  for (let i = Math.max(1, firstFrom(beats, from)); i < beats.length && beats[i].time < to; i++) {
    const rr = beats[i].time - beats[i - 1].time;
    if (rr > LONGEST_RR_S || touches(beats[i - 1].time, beats[i].time)) continue;
    // A bin narrower than an interval has the rate of the interval that runs through it.
    const last = Math.min(BINS - 1, Math.floor((beats[i].time - from) / width));
    const first = Math.max(0, Math.ceil((beats[i - 1].time - from) / width));
    for (let bin = Math.min(first, last); bin <= last; bin++) {
      sums[bin] += rr;
      counts[bin] += 1;
    }
  }
  return [Array.from(sums, (_, i) => from + (i + 0.5) * width),
    Array.from(sums, (sum, i) => (counts[i] ? Math.round(600 * counts[i] / sum) / 10 : null))];
}
