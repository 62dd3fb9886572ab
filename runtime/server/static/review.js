// What the strip shows, and the ways from one place to another.

import { CLASSES, clock, firstFrom } from "./beats.js";
import { Calipers } from "./calipers.js";
import { $, element, input, press, put } from "./dom.js";
import { watchGestures } from "./gestures.js";
import { Strip, timeText } from "./strip.js";
import { intervalWords } from "./trends.js";
import { problem, say } from "./words.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./run.js").Finding} Finding */
/** @typedef {import("./link.js").Beat} Beat */
/** @typedef {{start: number, end: number}} Stretch s */

const HINT = "Signal around the newest event, or the one you choose.";
const DAY_S = 86_400;

export class Review {
  /**
   * @param {object} on
   * @param {(chosen: Finding|null) => void} on.marked another finding is shown
   * @param {(start: number, width: number) => void} on.moved the strip is elsewhere
   * @param {(beat: Beat|null) => void} on.selected
   * @param {(beat: Beat, key: string) => boolean} on.edit a key for a selected beat; true if it was one
   */
  constructor(on) {
    this.on = on;
    this.strip = new Strip($("strip"));
    this.calipers = new Calipers(this.strip);
    /** @type {Run|null} */
    this.run = null;
    /** @type {Stretch|Finding|null} what the strip shows */
    this.chosen = null;
    this.follows = true; // the newest finding
    this.complete = false; // every beat of the strip is known
    this.tip = element("div", { className: "tip", hidden: true });
    this.strip.box.append(this.tip);
    $("earlier").addEventListener("click", () => this.step(-2));
    $("later").addEventListener("click", () => this.step(2));
    $("slower").addEventListener("click", () => this.zoom(-1));
    $("faster").addEventListener("click", () => this.zoom(1));
    $("newest").addEventListener("click", () => this.run && this.follow(!this.follows));
    $("strip").addEventListener("keydown", (key) => this.#onKey(key));
    $("goto-form").addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.#goToTyped();
    });
    watchGestures(this.strip.box, {
      drag: (px) => this.moveTo(this.strip.start - px / this.strip.pixelsPerSecond),
      zoom: (steps, x) => this.zoom(steps, x),
      click: (x) => this.select(this.strip.beatAt(x)),
      hover: (x, y) => this.#hover(x, y),
      leave: () => { this.tip.hidden = true; },
      grab: (x, y) => this.calipers.grab(x, y),
      pull: (x, y) => this.calipers.pull(x, y),
    });
  }

  /** @param {Run} run a new one */
  start(run) {
    this.run = run;
    this.chosen = null;
    this.select(null);
    this.strip.show(run);
    this.follow(!run.isWhole);
    if (run.isWhole) this.moveTo(0);
  }

  /** @param {Finding} finding the user's choice */
  choose(finding) {
    this.chosen = finding;
    this.follow(false);
    this.on.marked(finding);
    say(`Strip ${this.show()}`, true);
  }

  /** @param {Finding} finding a new one */
  found(finding) {
    if (!this.follows) return;
    this.chosen = finding;
    this.on.marked(finding);
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
    if (!this.complete) this.describe();
  }

  /** Draw the strip around what is chosen and describe it; gives that sentence. */
  show() {
    const { chosen, strip } = this;
    if (!chosen || !this.run) {
      this.complete = true;
      return "";
    }
    const wide = strip.secondsWide;
    // A long event begins on the strip; a short one stands in its middle.
    strip.start = chosen.end - chosen.start > wide - 2 ? chosen.start - 1
      : (chosen.start + chosen.end) / 2 - wide / 2;
    return this.describe();
  }

  /** Draw the strip where it is; gives a sentence of what it shows. */
  describe() {
    const { run, strip } = this;
    if (!run) return "";
    strip.moveTo(strip.start);
    const { signal, beats } = run;
    const from = strip.start;
    const to = Math.min(from + strip.secondsWide, signal.seconds);
    const inside = beats.slice(firstFrom(beats, from), firstFrom(beats, to));
    const counts = Object.entries(CLASSES).map(([label, { many }]) =>
      /** @type {const} */ ([inside.filter((beat) => beat.label === label).length, many]))
      .filter(([count]) => count).map(([count, many]) => `${count} ${many}`);
    const text = `${clock(from, 1)} to ${clock(to, 1)}: ${counts.join(", ") || "no beats"}`;
    put("strip-text", text);
    put("strip-clock", run.source.startsAt === undefined ? "" : `at ${timeText(run, from)}`);
    this.complete = run.link.decided > from + strip.secondsWide || run.finished;
    this.on.moved(from, strip.secondsWide);
    return text;
  }

  /** @param {number} start s, of the strip */
  moveTo(start) {
    if (!this.run) return;
    this.strip.start = start;
    this.chosen = { start, end: start };
    this.#stay();
    this.describe();
  }

  /** @param {number} time s, in the middle of the strip */
  centreOn(time) {
    this.moveTo(time - this.strip.secondsWide / 2);
  }

  /** @param {number} seconds to go on, or back if negative */
  step(seconds) {
    if (!this.run) return;
    const { signal } = this.run;
    const start = this.chosen ? this.strip.start : signal.seconds - this.strip.secondsWide;
    this.moveTo(start + seconds);
  }

  /**
   * @param {number} steps
   * @param {number} [x] px
   */
  zoom(steps, x) {
    this.strip.zoom(steps, x);
    this.#stay();
    this.describe();
    say(`${this.strip.speed} mm/s`, true);
  }

  #stay() {
    if (this.follows) this.follow(false);
    this.mark();
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
    this.on.marked(this.run?.findings.find((one) => one === chosen) ?? null);
  }

  /** @param {Beat|null} beat that the user works on */
  select(beat) {
    this.strip.selected = beat;
    this.strip.redraw();
    this.on.selected(beat);
    if (beat && this.run) say(this.#words(beat), true);
  }

  /**
   * @param {Beat} beat
   * @returns {string} its class, score, time, interval and rate
   */
  #words(beat) {
    const { name } = CLASSES[beat.label] ?? { name: beat.label };
    return [`${name}, score ${beat.score.toFixed(2)}`, clock(beat.time, 2),
      this.run ? intervalWords(this.run.beats, beat) : ""].filter(Boolean).join(" · ");
  }

  /**
   * @param {number} x px
   * @param {number} y px
   */
  #hover(x, y) {
    const beat = this.strip.beatAt(x);
    this.tip.hidden = !beat;
    if (!beat) return;
    this.tip.textContent = this.#words(beat);
    this.tip.style.left = `${Math.max(4, Math.min(x + 12, this.strip.width - this.tip.offsetWidth - 4))}px`;
    this.tip.style.top = `${Math.max(24, y - 34)}px`;
  }

  /** @param {number} by beats to go on, or back if negative */
  #selectNext(by) {
    const beats = this.run?.beats ?? [];
    const { selected, centre } = this.strip;
    const at = selected ? beats.indexOf(selected) + by : firstFrom(beats, centre);
    const beat = beats[Math.max(0, Math.min(beats.length - 1, at))];
    if (!beat) return;
    this.strip.selected = beat;
    const x = this.strip.xOf(beat.time);
    if (x < 0 || x > this.strip.width) this.centreOn(beat.time);
    this.select(beat);
  }

  /** @param {KeyboardEvent} key */
  #onKey(key) {
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
      PageUp: () => this.step(-5), PageDown: () => this.step(5),
      Home: () => this.moveTo(0), End: () => this.moveTo(Infinity),
      "+": () => this.zoom(1), "-": () => this.zoom(-1),
      c: () => this.calipers.toggle(), m: () => $("march").click(), g: () => $("goto").focus(),
      Escape: () => this.select(null),
    };
    const { selected } = this.strip;
    if (key.shiftKey && key.key.startsWith("Arrow")) this.#selectNext(key.key === "ArrowLeft" ? -1 : 1);
    else if (this.calipers.onKey(key)) { /* theirs */ }
    else if (selected && !key.ctrlKey && !key.metaKey && this.on.edit(selected, key.key)) { /* done */ }
    else if (key.key in keys && !key.ctrlKey && !key.metaKey) keys[key.key]();
    else return;
    key.preventDefault();
  }

  #goToTyped() {
    if (!this.run) return;
    const seconds = parseTime(input("goto").value, this.run);
    if (seconds === null || seconds > this.run.signal.seconds) {
      problem(seconds === null ? "This is no time; expected h:mm:ss, mm:ss or seconds."
        : `The recording ends at ${clock(this.run.signal.seconds)}.`);
      return;
    }
    this.centreOn(seconds);
    say(`Strip ${$("strip-text").textContent}`, true);
  }
}

/**
 * Seconds since the start. `h:mm:ss` is a time of the day if the file has one, else since the start;
 * `+` before it always says since the start.
 * @param {string} text
 * @param {Run} run
 * @returns {number|null} null if it is no time
 */
export function parseTime(text, { source: { startsAt } }) {
  const match = /^(\+?)(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)$/.exec(text.trim());
  if (!match) return null;
  const [, since, a, b, last] = match;
  const [hours, minutes] = b === undefined ? [0, Number(a ?? 0)] : [Number(a), Number(b)];
  const seconds = 3600 * hours + 60 * minutes + Number(last);
  if (since || b === undefined || startsAt === undefined) return seconds;
  const begin = (startsAt / 1000) % DAY_S;
  return (seconds - begin + DAY_S) % DAY_S;
}
