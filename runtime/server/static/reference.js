// Beats that others have marked, beside ours: how they agree, and where they do not.

import { compare } from "./annotations.js";
import { put } from "./dom.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {{name: string, marks: import("./annotations.js").Mark[]}} Marks */

export class Reference {
  /**
   * @param {import("./review.js").Review} review
   * @param {import("./eventlist.js").EventList} events
   */
  constructor(review, events) {
    this.review = review;
    this.events = events;
    /** @type {Run|null} */
    this.run = null;
    /** @type {Marks|null} */
    this.marks = null;
  }

  /** @param {Run} run a new one, without a reference */
  start(run) {
    this.run = run;
    this.marks = null;
    put("agreement", "");
  }

  /** @param {Marks} marks */
  set(marks) {
    this.marks = marks;
    this.compare();
  }

  /** Show the agreement; disagreements become lines on the list. */
  compare() {
    const { run, marks, review, events } = this;
    if (!run || !marks) return;
    const { pairs, extra, matched, same } = compare(run.beats, marks.marks);
    review.strip.reference = run.finished ? pairs : pairs.map(({ mark }) => ({ mark, found: mark }));
    review.strip.redraw();
    put("agreement", run.finished ? `${marks.name}: ${share(matched, pairs.length)} of ${pairs.length} beats found, `
      + `${share(same, matched)} of these with the same class, ${extra.length} more than the reference.`
      : `${marks.name}: ${pairs.length} beats, compared once all of the signal is analysed.`);
    if (!run.finished) return;
    events.more = [
      ...pairs.filter(({ mark, found }) => found?.label !== mark.label).map(({ mark, found }) => line(mark.time,
        found ? `${found.label}, by the reference ${mark.label}` : `Not found: ${mark.label} of the reference`)),
      ...extra.map(({ time, label }) => line(time, `${label}, none by the reference`))];
    events.refresh();
  }
}

/**
 * @param {number} time s
 * @param {string} name
 */
const line = (time, name) => ({ start: time, end: time, kind: "disagreement", name });

/**
 * @param {number} part
 * @param {number} of
 */
const share = (part, of) => (of ? `${(100 * part / of).toFixed(1)} %` : "none");
