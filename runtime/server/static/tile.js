// A patient on the central station: name, rate, alarm and trace.

import { isCalm, kindName } from "./beats.js";
import { element } from "./dom.js";
import { samplesOf } from "./news.js";
import { SIGNS } from "./priorities.js";
import { Signal } from "./signal.js";
import { Sweep } from "./sweep.js";

/** @typedef {import("./alarms.js").Alarm} Alarm */
/** @typedef {import("./bed.js").Bed} Bed */
/** @typedef {import("./link.js").Beat} Beat */

const SPEED = 12.5; // mm/s, so that a narrow tile shows some beats
const HELD_S = 30; // of signal
const GAP_S = 10; // more that is missing begins the picture anew
const KEPT_BEATS = 100;
const LAG_S = 0.2; // of the pen, more than the pieces are long
const LONGEST_LAG_S = 2.5;

export class Tile {
  /**
   * @param {Bed} bed
   * @param {object} on
   * @param {(bed: Bed) => void} on.chosen
   * @param {(bed: Bed) => void} on.acknowledged
   */
  constructor(bed, on) {
    this.bed = bed;
    this.name = element("button", { className: "name", type: "button", title: "Limits and log" },
      bed.name);
    this.name.addEventListener("click", () => on.chosen(bed));
    this.rhythm = element("span", { className: "rhythm" });
    this.rate = element("span", { className: "rate" }, "--");
    this.low = element("span");
    this.high = element("span");
    this.text = element("span");
    this.act = element("small");
    this.alert = element("button", { className: "alert", type: "button", hidden: true }, this.text,
      this.act);
    this.alert.addEventListener("click", () => on.acknowledged(bed));
    this.paper = element("div", { className: "paper" });
    this.paper.setAttribute("role", "img");
    this.paper.setAttribute("aria-label", `Trace of ${bed.name}`);
    this.item = element("li", { className: "tile" },
      element("div", { className: "top" }, this.name, this.rhythm,
        element("span", { className: "limits" }, this.high, this.low), this.rate),
      this.alert, this.paper);
    this.recording = -1;
    this.origin = 0; // number of the picture's first sample
    /** @type {Signal|null} */
    this.signal = null;
    /** @type {Beat[]} of the picture, times from its first sample */
    this.beats = [];
    /** @type {number[]} s between the last pieces of signal */
    this.pieces = [];
    this.came = 0;
    this.owed = 0; // s since the pen was moved
    this.sweep = new Sweep(this.paper);
    this.sweep.speed = SPEED;
    this.sweep.fits = true;
  }

  /** Recording and number of the next sample, as the server is asked. @returns {[number, number]} */
  get wanted() {
    return this.signal ? [this.recording, this.origin + this.signal.end]
      : [this.recording < 0 ? 0 : this.recording, 0];
  }

  /** @param {import("./news.js").SignalPart} part */
  take({ recording, first, mv }) {
    const samples = samplesOf(mv);
    const { fs } = this.bed.state;
    const next = this.signal ? this.origin + this.signal.end : 0;
    if (!this.signal || recording !== this.recording || this.signal.fs !== fs
        || first < next || first - next > GAP_S * fs) {
      this.recording = recording;
      this.origin = first;
      this.signal = new Signal(fs, Math.ceil(HELD_S * fs));
      this.beats = [];
      for (const beat of this.bed.beats) this.mark(beat);
      this.sweep.show(this.signal, this.beats);
    } else if (first > next) {
      this.signal.append(new Float32Array(first - next).fill(NaN));
    }
    if (!samples.length) return;
    this.signal.append(samples);
    const now = performance.now();
    if (this.came) {
      this.pieces.push((now - this.came) / 1000);
      if (this.pieces.length > 12) this.pieces.shift();
      this.sweep.lag = Math.min(LONGEST_LAG_S, LAG_S + Math.max(...this.pieces));
    }
    this.came = now;
  }

  /** Mark a beat. @param {{time: number, label: string}} beat s from the recording's start */
  mark({ time, label }) {
    if (!this.signal) return;
    const at = time - this.origin / this.signal.fs;
    if (at < 0) return;
    this.beats.push({ time: at, label, score: 1 });
    if (this.beats.length > 2 * KEPT_BEATS) {
      this.beats.splice(0, KEPT_BEATS);
      this.sweep.dropped(KEPT_BEATS);
    }
  }

  /**
   * Write what is known of the patient.
   * @param {Alarm|undefined} alarm the gravest
   * @param {number} more alarms
   * @param {boolean} chosen
   */
  show(alarm, more, chosen) {
    const { state, limits } = this.bed;
    set(this.rate, state.rate === null ? "--" : String(state.rate));
    set(this.low, String(limits.low));
    set(this.high, String(limits.high));
    const lasting = Object.keys(state.events).map(kindName).join(", ");
    set(this.rhythm, state.ended ? "Ended" : state.silent ? "No signal"
      : lasting || (isCalm(state.rhythm) ? kindName(state.rhythm) : ""));
    this.alert.hidden = !alarm;
    const classes = ["tile", state.silent && "silent", state.ended && "ended", chosen && "chosen"];
    if (alarm) {
      const { priority, text, lasts, acknowledged } = alarm;
      set(this.text, `${SIGNS[priority]} ${text}${lasts ? "" : " (over)"}`
        + (more ? ` and ${more} more` : ""));
      set(this.act, acknowledged ? "seen" : "ACK");
      this.alert.disabled = acknowledged;
      classes.push(priority, acknowledged && "quiet");
    }
    const wanted = classes.filter(Boolean).join(" ");
    if (this.item.className !== wanted) this.item.className = wanted;
  }

  /** Move the pen on. @param {number} dt s */
  advance(dt) {
    this.sweep.advance(dt);
  }
}

/**
 * @param {HTMLElement} to
 * @param {string} text
 */
function set(to, text) {
  if (to.textContent !== text) to.textContent = text;
}
