// The strip: stored signal around an event or a moment, and the way from one to another.

import { CLASSES, clock, firstFrom } from "./beats.js";
import { $, press, put } from "./dom.js";
import { Strip } from "./strip.js";
import { say } from "./words.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./run.js").Finding} Finding */
/** @typedef {{start: number, end: number}} Stretch s */

const HINT = "Signal around the newest event, or the one you choose.";

export class Review {
  /** @param {(chosen: Finding|null) => void} marked another finding is shown */
  constructor(marked) {
    this.marked = marked;
    this.strip = new Strip($("strip"));
    /** @type {Run|null} */
    this.run = null;
    /** @type {Stretch|Finding|null} what the strip shows */
    this.chosen = null;
    this.follows = true; // the newest finding
    this.complete = false; // every beat of the strip is known
    $("earlier").addEventListener("click", () => this.step(-2));
    $("later").addEventListener("click", () => this.step(2));
    $("newest").addEventListener("click", () => this.run && this.follow(!this.follows));
    $("strip").addEventListener("keydown", (key) => {
      /** @type {Record<string, number>} */
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -5, PageDown: 5 };
      if (!(key.key in steps)) return;
      key.preventDefault();
      this.step(steps[key.key]);
    });
  }

  /** @param {Run} run a new one */
  start(run) {
    this.run = run;
    this.chosen = null;
    this.strip.show(run.signal, run.beats, 0);
    this.follow(true);
  }

  /** @param {Finding} finding the user's choice */
  choose(finding) {
    this.chosen = finding;
    this.follow(false);
    this.marked(finding);
    say(`Strip ${this.show()}`, true);
  }

  /** @param {Finding} finding a new one */
  found(finding) {
    if (!this.follows) return;
    this.chosen = finding;
    this.marked(finding);
    this.show();
  }

  /**
   * @param {Finding[]} gone
   * @param {Finding|null} instead
   */
  removed(gone, instead) {
    if (instead && gone.some((one) => one === this.chosen)) this.chosen = instead;
    this.mark();
  }

  /** More beats are known. */
  answered() {
    if (!this.complete) this.show();
  }

  /** Draw the strip around what is chosen and describe it; gives that sentence. */
  show() {
    const { chosen, run, strip } = this;
    if (!chosen || !run) {
      this.complete = true;
      return "";
    }
    const { signal, beats } = run;
    const wide = strip.secondsWide;
    // A long event begins on the strip; a short one stands in its middle.
    const centre = chosen.end - chosen.start > wide - 2
      ? chosen.start + wide / 2 - 1 : (chosen.start + chosen.end) / 2;
    strip.show(signal, beats, centre);
    const { from } = strip;
    const to = Math.min(from + wide, signal.seconds);
    const inside = beats.slice(firstFrom(beats, from), firstFrom(beats, to));
    const counts = Object.entries(CLASSES).map(([label, { many }]) =>
      /** @type {const} */ ([inside.filter((beat) => beat.label === label).length, many]))
      .filter(([count]) => count).map(([count, many]) => `${count} ${many}`);
    const text = `${clock(from, 1)} to ${clock(to, 1)}: ${counts.join(", ") || "no beats"}`;
    put("strip-text", text);
    this.complete = run.link.decided > from + wide || run.finished;
    return text;
  }

  /** @param {number} seconds to go on, or back if negative */
  step(seconds) {
    if (!this.run) return;
    const { signal } = this.run;
    const at = this.chosen ? this.strip.centre : signal.seconds - this.strip.secondsWide / 2;
    const centre = Math.max(signal.start / signal.fs, Math.min(signal.seconds, at + seconds));
    this.chosen = { start: centre, end: centre };
    this.follow(false);
    this.mark();
    this.show();
  }

  /** @param {boolean} yes show each new finding */
  follow(yes) {
    this.follows = yes;
    press("newest", yes);
    if (!yes || !this.run) return;
    this.chosen = this.run.findings.at(-1) ?? null;
    this.mark();
    if (this.chosen) this.show();
    else put("strip-text", HINT);
  }

  /** Tell which finding is shown. */
  mark() {
    const { chosen } = this;
    this.marked(this.run?.findings.find((one) => one === chosen) ?? null);
  }
}
