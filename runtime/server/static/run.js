// One source from its beginning to its end: its signal, its link to the server, and what was found.

import { CLASSES, covers, faults, firstFrom, kindName, SAME_S } from "./beats.js";
import { KINDS } from "./kinds.js";
import { hasNoBeats, unreadable } from "./leftout.js";
import { Link, Refused } from "./link.js";
import { Signal, STALE_S } from "./signal.js";

/** @typedef {import("./link.js").Answer} Answer */
/** @typedef {import("./link.js").Beat} Beat */
/** @typedef {import("./link.js").RhythmEvent} RhythmEvent */
/** @typedef {import("./sources.js").Source} Source */
/**
 * A line on the list: a rhythm event, or beats of one class that are not normal.
 * @typedef {object} Finding
 * @property {number} start s
 * @property {number} end s
 * @property {string} name
 * @property {string} [label] the class, if it stands for beats
 * @property {string} [kind] of a rhythm event
 * @property {number} [count] of beats
 * @property {number} [score] the largest of the beats
 * @property {number} [confidence] of a rhythm event
 * @property {string} [rule] in words
 * @property {boolean} [lasts] true while it goes on
 */
/**
 * What a run reports.
 * @typedef {object} Reactions
 * @property {(answer: Answer) => void} answered
 * @property {() => void} came samples more
 * @property {(finding: Finding) => void} found a line more
 * @property {(finding: Finding) => void} changed a line reads otherwise
 * @property {(gone: Finding[], instead: Finding|null) => void} removed lines fewer
 * @property {(count: number) => void} forgot the oldest beats, so many
 * @property {(wait: number) => void} away ms until the next try
 * @property {(reason: string) => void} restarted
 * @property {(status: number) => void} stopped by a refusal
 * @property {() => void} another the feed was started again
 */

const EPISODE_S = 3; // abnormal beats of one class no further apart are one line
const LISTED = 300; // lines of a live source; a page that stands for days stays light
const LATE_S = 900; // an event is recognised at most so long after it began

export class Run {
  /**
   * @param {Source} source
   * @param {Reactions} on
   */
  constructor(source, on) {
    this.source = source;
    this.on = on;
    this.name = source.name;
    this.signal = source.whole ? Signal.of(source.whole, source.fs)
      : new Signal(source.fs, Math.ceil(source.capacityS * source.fs));
    /** @type {{name: string, signal: Signal}[]} leads that the strip shows, the one that is read first */
    this.leads = [{ name: source.lead ?? source.name.split(", ").at(-1) ?? "", signal: this.signal }];
    /** @type {{from: number, to: number, found: string[]}[]} stretches with a fault, s */
    this.faults = [];
    /** @type {import("./leftout.js").Stretch[]} that cannot be read */
    this.unreadable = [];
    this.answeredTo = 0; // s
    /** @type {Beat[]} */
    this.beats = [];
    /** @type {Finding[]} */
    this.findings = [];
    /** @type {Record<string, number>} */
    this.counts = {};
    /** @type {Map<string, number>} another model's kind and start of an event -> its start here */
    this.starts = new Map();
    this.finished = false;
    this.cameAt = performance.now(); // the last sample
    /** @type {{wait: number, reason: string}|null} while the server does not answer */
    this.away = null;
    /** @type {string|null} the reason, once nothing goes on */
    this.stopped = null;
    this.link = new Link(this.signal, {
      answer: (answer) => this.#take(answer),
      away: (error, wait) => {
        const isSilent = error instanceof TypeError || error.name === "TimeoutError"; // no answer
        this.away = { wait, reason: isSilent ? "" : ` (${error.message})` };
        on.away(wait);
      },
      restarted: (reason) => this.#restart(reason),
      refused: (error) => this.#refused(error),
    });
  }

  start() {
    const { source, signal } = this;
    source.start({
      append: (samples) => {
        signal.append(samples);
        if (!samples.length) return;
        this.cameAt = performance.now();
        this.on.came();
      },
      end: () => { this.link.ended = true; },
      refused: (error) => this.#refused(error),
      another: () => this.on.another(),
    });
    if (source.whole) this.link.takeWhole(source.answers);
    this.link.run();
  }

  /** The rhythm events, in order of start, the gravest first. */
  get events() {
    const order = Object.keys(KINDS);
    return this.findings.filter(({ kind }) => kind)
      .sort((a, b) => a.start - b.start || order.indexOf(a.kind ?? "") - order.indexOf(b.kind ?? ""));
  }

  /** True if the recording is shown as a whole, not as it comes. */
  get isWhole() {
    return this.source.whole !== undefined;
  }

  stop() {
    this.source.stop();
    this.link.stop();
  }

  /** @param {boolean} yes */
  pause(yes) {
    this.link.paused = yes && !this.source.flows;
    this.link.halted = yes && this.isWhole;
    if (yes) this.source.pause();
    else if (!this.link.ended && this.stopped === null) this.source.resume();
  }

  /** True if a device has been silent for so long that the vital signs are out of date. */
  get isSilent() {
    return Boolean(this.source.flows) && !this.link.ended
      && performance.now() - this.cameAt > 1000 * STALE_S;
  }

  /** True if the signal is known for much longer than the server has answered for. */
  get isBehind() {
    return this.signal.seconds - this.link.decided > STALE_S;
  }

  /**
   * The reason why no signal or no answers come: two words, and a sentence; empty if they come.
   * @returns {[string, string]}
   */
  get hindrance() {
    const { stopped, source, away } = this;
    if (stopped !== null) return ["Stopped", stopped];
    if ((this.isSilent || source.rate) && source.absence) return source.absence;
    if (away) {
      return [`Server away, trying again in ${(away.wait / 1000).toFixed(1)} s`,
        `The server does not answer${away.reason}. The signal is kept, and no beat is lost when it `
          + "comes back."];
    }
    return ["", ""];
  }

  /** @param {Error & {status?: number}} error that is final */
  #refused(error) {
    this.stop();
    const locked = error.status === 401;
    this.stopped = locked ? "" : error instanceof Refused ? `The server refused the signal: ${error.message}`
      : error.message;
    this.on.stopped(error.status ?? 0);
  }

  /** @param {string} reason */
  #restart(reason) {
    // The new stream does not know which events lasted; it reports again those that go on.
    for (const event of this.findings.filter(({ lasts }) => lasts)) {
      this.on.changed(Object.assign(event, { lasts: false, end: this.link.decided }));
    }
    this.on.restarted(reason);
  }

  /**
   * Join another model's first answer to what lasts: it saw the last half minute only, so an event
   * keeps its start here, or ends.
   * @param {Answer} answer
   */
  #join(answer) {
    const fresh = new Map((answer.events ?? []).map((event) => [event.kind, event.start]));
    this.starts.clear();
    for (const line of this.findings.filter(({ lasts }) => lasts)) {
      const start = fresh.get(line.kind ?? "");
      if (start === undefined) {
        this.on.changed(Object.assign(line, { lasts: false,
          end: Math.max(line.start, this.link.decided) }));
      } else this.starts.set(`${line.kind} ${start}`, line.start);
    }
  }

  /** @param {Answer} answer of `POST /stream` */
  #take(answer) {
    for (const beat of answer.beats) {
      this.beats.push(beat);
      this.counts[beat.label] = (this.counts[beat.label] ?? 0) + 1;
      if (beat.label !== "N") this.#listBeat(beat);
    }
    if (answer.renewed) this.#join(answer);
    for (const event of answer.events ?? []) {
      this.#listEvent({ ...event, start: this.starts.get(`${event.kind} ${event.start}`) ?? event.start });
    }
    this.unreadable.push(...unreadable(answer, this.answeredTo));
    const found = answer.quality ? faults(answer.quality) : [];
    const before = this.faults.at(-1);
    if (found.length && before?.to === this.answeredTo && before.found.join() === found.join()) {
      before.to = answer.to;
    } else if (found.length) this.faults.push({ from: this.answeredTo, to: answer.to, found });
    this.answeredTo = answer.to;
    this.#prune();
    this.finished = answer.carry === null;
    this.away = null;
    this.on.answered(answer);
  }

  /** @param {Beat} beat that is not normal */
  #listBeat(beat) {
    const { line, isNew } = group(this.findings, beat);
    if (isNew) this.on.found(line);
    else this.on.changed(line);
  }

  /** @param {RhythmEvent} event one that goes on comes again, with another end */
  #listEvent(event) {
    const fields = { ...event, lasts: event.end === null, end: event.end ?? this.link.decided };
    const at = this.findings.findLastIndex(({ kind, start }) =>
      kind === event.kind && Math.abs(start - event.start) < 0.01);
    if (event.end !== null && event.end <= event.start) { // later seconds contradict it
      if (at >= 0) this.on.removed(this.findings.splice(at, 1), null);
      return;
    }
    let line = this.findings[at];
    if (line) this.on.changed(Object.assign(line, fields));
    else line = this.#add({ ...fields, name: kindName(event.kind) });
    /** @type {Finding[]} */
    const covered = [];
    // Lines are in order, but for events that were recognised late.
    for (let i = this.findings.length - 1; i >= 0; i--) {
      const one = this.findings[i];
      if (one.start < line.start - LATE_S) break;
      if (one.label && covers(line, one)) covered.push(...this.findings.splice(i, 1));
    }
    if (covered.length) this.on.removed(covered, line);
  }

  /** Make the lines of beats anew, after the user has changed beats. */
  relist() {
    this.counts = {};
    const { events } = this;
    /** @type {Finding[]} */
    const lines = [];
    for (const beat of this.beats) {
      this.counts[beat.label] = (this.counts[beat.label] ?? 0) + 1;
      if (beat.label !== "N") group(lines, beat);
    }
    this.findings = [...events, ...uncovered(lines, events)].sort((a, b) => a.start - b.start);
  }

  /** @param {Finding} finding */
  #add(finding) {
    this.findings.push(finding);
    this.on.found(finding);
    return finding;
  }

  /** Drop beats and findings once the signal around them is no longer held. */
  #prune() {
    const { beats, findings, signal } = this;
    const oldest = signal.start / signal.fs;
    const old = firstFrom(beats, oldest);
    if (old > 600) { // now and then, not at every beat
      beats.splice(0, old);
      this.unreadable = this.unreadable.filter(({ end }) => end >= oldest);
      this.on.forgot(old);
    }
    if (this.isWhole) return;
    const gone = [];
    for (;;) { // but not what lasts
      const at = findings.findIndex(({ lasts, end }) =>
        !lasts && (findings.length > LISTED || end < oldest));
      if (at < 0) break;
      gone.push(...findings.splice(at, 1));
    }
    if (gone.length) this.on.removed(gone, null);
  }
}

/**
 * The lines that no event consists of, as `covers` has it, for a day's thousands of both.
 * @param {Finding[]} lines
 * @param {Finding[]} events
 */
function uncovered(lines, events) {
  /** @type {Map<string, {start: number, end: number}[]>} of each class the events, with the latest end so far */
  const made = new Map();
  for (const { kind = "", start, end } of [...events].sort((a, b) => a.start - b.start)) {
    const label = KINDS[kind]?.madeOf;
    for (const one of hasNoBeats(kind) ? Object.keys(CLASSES) : label ? [label] : []) {
      const before = made.get(one) ?? [];
      before.push({ start, end: Math.max(end, before.at(-1)?.end ?? -Infinity) });
      made.set(one, before);
    }
  }
  /** @type {Map<string, number>} of each class the events that began before a line */
  const begun = new Map();
  return lines.filter(({ label = "", start, end }) => {
    const of = made.get(label) ?? [];
    let count = begun.get(label) ?? 0;
    while (count < of.length && of[count].start <= start + SAME_S) count += 1;
    begun.set(label, count);
    return !(count && of[count - 1].end >= end - SAME_S);
  });
}

/**
 * Add a beat to the line of its class, or begin a new line.
 * @param {Finding[]} lines
 * @param {Beat} beat
 */
function group(lines, beat) {
  const open = lines.findLast((one) => one.label === beat.label);
  if (open && beat.time - open.end <= EPISODE_S) {
    open.end = beat.time;
    open.count = (open.count ?? 0) + 1;
    open.score = Math.max(open.score ?? 0, beat.score);
    return { line: open, isNew: false };
  }
  const line = { label: beat.label, start: beat.time, end: beat.time, count: 1, score: beat.score,
    name: `${CLASSES[beat.label]?.name ?? beat.label} beat` };
  lines.push(line);
  return { line, isNew: true };
}
