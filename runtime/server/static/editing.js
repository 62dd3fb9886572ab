// Corrections of beats: another class, or none; each can be taken back.

import { CLASSES, clock, firstFrom } from "./beats.js";
import { $, put } from "./dom.js";
import { say } from "./words.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./link.js").Beat} Beat */
/** @typedef {import("./review.js").Review} Review */
/** @typedef {{beat: Beat, label: string|null, was: string}} Edit `label` is null for a beat taken out */

class Editing {
  /**
   * @param {Run} run
   * @param {(sentence: string) => void} changed
   */
  constructor(run, changed) {
    this.run = run;
    this.changed = changed;
    /** @type {Edit[]} */
    this.edits = [];
  }

  /**
   * @param {Beat} beat
   * @param {string} label its class
   */
  relabel(beat, label) {
    if (beat.label === label) return;
    this.edits.push({ beat, label, was: beat.label });
    beat.label = label;
    this.#report(`Beat is ${label} now`);
  }

  /** @param {Beat} beat that is none */
  remove(beat) {
    const { beats } = this.run;
    const at = beats.indexOf(beat);
    if (at < 0) return;
    beats.splice(at, 1);
    this.edits.push({ beat, label: null, was: beat.label });
    this.#report("Beat taken out");
  }

  /** Take back the last correction. @returns {Beat|null} whose */
  undo() {
    const edit = this.edits.pop();
    if (!edit) return null;
    const { beats } = this.run;
    if (edit.label === null) beats.splice(firstFrom(beats, edit.beat.time), 0, edit.beat);
    else edit.beat.label = edit.was;
    this.#report("Correction taken back");
    return edit.beat;
  }

  /** @param {string} sentence */
  #report(sentence) {
    this.run.relist();
    const count = this.edits.length;
    this.changed(`${sentence}. ${count || "No"} correction${count === 1 ? "" : "s"}.`);
  }
}

/** The tools below the strip: a chosen beat's class, no beat, undo. */
export class Corrections {
  /**
   * @param {Review} review
   * @param {() => void} changed beats are others now
   */
  constructor(review, changed) {
    this.review = review;
    this.changed = changed;
    /** @type {Editing|null} */
    this.editing = null;
    $("beat-tools").addEventListener("click", ({ target }) => {
      const key = target instanceof HTMLElement ? target.closest("button")?.value : "";
      const { selected } = review.strip;
      if (key && selected) this.key(selected, key);
    });
    $("undo").addEventListener("click", () => this.undo());
    addEventListener("keydown", (key) => {
      if (!(key.ctrlKey || key.metaKey) || key.key !== "z" || key.target instanceof HTMLInputElement) return;
      key.preventDefault();
      this.undo();
    });
  }

  /** @param {Run} run a new one */
  start(run) {
    this.editing = new Editing(run, (sentence) => this.#report(sentence));
    put("edits", "");
    $("undo", HTMLButtonElement).disabled = true;
  }

  /** @param {Beat|null} beat that is chosen */
  show(beat) {
    $("beat-tools").hidden = !beat;
    put("beat-text", beat ? `${CLASSES[beat.label]?.name ?? beat.label}, score ${beat.score.toFixed(2)}, at ${clock(beat.time, 2)}` : "");
  }

  /**
   * Correct a beat by a key, or the button of the same name.
   * @param {Beat} beat
   * @param {string} key
   * @returns {boolean} true if it is one
   */
  key(beat, key) {
    const label = key.toUpperCase();
    const takesOut = key === "Delete" || key === "Backspace";
    if (label in CLASSES) this.editing?.relabel(beat, label);
    else if (takesOut) this.editing?.remove(beat);
    else return false;
    this.review.select(takesOut ? null : beat);
    return true;
  }

  undo() {
    const beat = this.editing?.undo();
    if (beat) this.review.select(beat);
  }

  /** @param {string} sentence about the last correction */
  #report(sentence) {
    this.changed();
    put("edits", sentence);
    $("undo", HTMLButtonElement).disabled = !this.editing?.edits.length;
    say(sentence, true);
  }
}
