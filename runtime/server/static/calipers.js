// Calipers on the strip: two points, the time and the voltage between them, and the time marched on.

import { $, element, isPressed, press, put } from "./dom.js";

/** @typedef {import("./strip.js").Strip} Strip */
/** @typedef {{time: number, mv: number}} Point s, mV on the first lead's scale */

const SNAP_PX = 6; // a point this near to an R peak is set on it
const GRAB_PX = 12;
const STEP_MV = 0.05;

export class Calipers {
  /** @param {Strip} strip */
  constructor(strip) {
    this.strip = strip;
    /** @type {[Point, Point]} */
    this.points = [{ time: 0, mv: 0 }, { time: 0, mv: 0 }];
    this.held = 1; // the point that moves
    this.layer = element("div", { className: "calipers", hidden: true });
    strip.box.append(this.layer);
    strip.onDrawn = () => this.draw();
    $("calipers").addEventListener("click", () => this.toggle());
    $("march").addEventListener("click", () => {
      press("march", !isPressed("march"));
      if (isPressed("march") && !this.isOn) this.toggle();
      this.draw();
    });
  }

  get isOn() {
    return !this.layer.hidden;
  }

  /** Lay the calipers on the strip's middle, or take them off. */
  toggle() {
    const { strip } = this;
    this.layer.hidden = this.isOn;
    press("calipers", this.isOn);
    if (!this.isOn) press("march", false);
    if (this.isOn) {
      const beats = strip.run?.beats ?? [];
      const i = beats.findIndex(({ time }) => time > strip.centre);
      const pair = i > 0 ? [beats[i - 1].time, beats[i].time] : [strip.centre - 0.4, strip.centre + 0.4];
      this.points = [{ time: pair[0], mv: 0 }, { time: pair[1], mv: 1 }];
      this.held = 1;
    }
    this.draw();
  }

  /**
   * Take the nearer point; a press far from both begins anew.
   * @param {number} x px
   * @param {number} y px
   * @returns {boolean} false if they are not on the strip
   */
  grab(x, y) {
    if (!this.isOn) return false;
    const distances = this.points.map(({ time }) => Math.abs(this.strip.xOf(time) - x));
    this.held = distances[0] < distances[1] ? 0 : 1;
    if (Math.min(...distances) > GRAB_PX) {
      this.points = [this.#point(x, y), this.#point(x, y)];
      this.held = 1;
    }
    this.draw();
    return true;
  }

  /**
   * @param {number} x px
   * @param {number} y px
   */
  pull(x, y) {
    this.points[this.held] = this.#point(x, y);
    this.draw();
  }

  /**
   * @param {KeyboardEvent} key
   * @returns {boolean} true if it was for the calipers
   */
  onKey(key) {
    if (!this.isOn) return false;
    const step = key.shiftKey ? 0.05 : 0.01;
    const point = this.points[this.held];
    if (key.key === "ArrowLeft") point.time -= step;
    else if (key.key === "ArrowRight") point.time += step;
    else if (key.key === "ArrowUp") point.mv += STEP_MV;
    else if (key.key === "ArrowDown") point.mv -= STEP_MV;
    else if (key.key === "Enter" || key.key === " ") this.held = 1 - this.held;
    else if (key.key === "Escape") this.toggle();
    else return false;
    this.draw();
    return true;
  }

  /** What lies between the points: s, beats a minute, mV. */
  get measured() {
    const [a, b] = this.points;
    const seconds = Math.abs(b.time - a.time);
    return { seconds, perMinute: seconds > 0 ? 60 / seconds : Infinity, mv: b.mv - a.mv };
  }

  draw() {
    if (!this.isOn) {
      put("measured", "");
      return;
    }
    const { strip, points } = this;
    const { seconds, perMinute, mv } = this.measured;
    const text = `${Math.round(1000 * seconds)} ms`
      + (perMinute < 1000 ? ` · ${perMinute.toFixed(0)}/min` : "") + ` · ${mv >= 0 ? "+" : "−"}${Math.abs(mv).toFixed(2)} mV`;
    put("measured", text);
    const row = this.#row();
    const lines = points.flatMap(({ time, mv: height }, i) => {
      const across = element("i", { className: i === this.held ? "across held" : "across" });
      across.style.left = `${strip.xOf(time)}px`;
      const level = element("i", { className: "level" });
      level.style.top = `${strip.y(height, row)}px`;
      return [across, level];
    });
    const label = element("b", {}, text);
    const left = Math.min(...points.map(({ time }) => strip.xOf(time)));
    label.style.left = `${Math.max(4, Math.min(strip.width - 190, left + 6))}px`;
    this.layer.replaceChildren(...lines, ...this.#marched(seconds), label);
  }

  /** @param {number} seconds between two lines */
  #marched(seconds) {
    const { strip } = this;
    if (!isPressed("march") || seconds * strip.pixelsPerSecond < 8) return [];
    const from = Math.min(...this.points.map(({ time }) => time));
    const first = Math.ceil((strip.start - from) / seconds);
    const last = Math.floor((strip.start + strip.secondsWide - from) / seconds);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
      const line = element("i", { className: "across marched" });
      line.style.left = `${strip.xOf(from + (first + i) * seconds)}px`;
      return line;
    });
  }

  #row() {
    return { ...this.strip.rows()[0], level: 0 };
  }

  /**
   * @param {number} x px
   * @param {number} y px
   * @returns {Point}
   */
  #point(x, y) {
    const { strip } = this;
    const beat = strip.beatAt(x);
    const snaps = beat && Math.abs(strip.xOf(beat.time) - x) <= SNAP_PX;
    const row = this.#row();
    return { time: snaps ? beat.time : strip.timeAt(x), mv: (row.middle - y) / (strip.gain * strip.mm) };
  }
}
