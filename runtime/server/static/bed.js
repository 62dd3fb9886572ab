// What the central station knows of a patient, in sight or not: state, beats, limits, alarms.

import { kindName } from "./beats.js";

/** @typedef {import("./alarms.js").Alarms} Alarms */
/** @typedef {import("./news.js").PatientState} PatientState */
/** @typedef {{low: number, high: number}} Limits of the heart rate, beats a minute */

const LIMITS = { low: 50, high: 120 };
const BACK = 3; // beats a minute inside the limit, before an alarm of it is over
const KEPT = 2000; // beats
const STORE = "ekg-limits";

export class Bed {
  /** @param {string} name @param {PatientState} state */
  constructor(name, state) {
    this.name = name;
    this.state = state;
    /** @type {{time: number, label: string}[]} the newest, s from the recording's start */
    this.beats = [];
    /** @type {Record<string, number>} */
    this.counts = {};
    /** @type {Limits} */
    this.limits = { ...LIMITS, ...stored()[name] };
    /** @type {Set<string>} conditions that are there, as they were told to the alarms */
    this.conditions = new Set();
  }

  /** @param {{time: number, label: string}} beat */
  takeBeat({ time, label }) {
    this.beats.push({ time, label });
    if (this.beats.length > KEPT) this.beats.splice(0, KEPT / 4);
    this.counts[label] = (this.counts[label] ?? 0) + 1;
  }

  /**
   * Take the state, and let the alarms know what began and what is over.
   * @param {PatientState} state
   * @param {Alarms} alarms
   */
  take(state, alarms) {
    if (state.recording !== this.state.recording) this.beats = [];
    this.state = state;
    const now = this.#conditions();
    for (const [kind, text] of now) if (!this.conditions.has(kind)) alarms.begin(this.name, kind, text);
    for (const kind of this.conditions) if (!now.has(kind)) alarms.end(this.name, kind);
    this.conditions = new Set(now.keys());
  }

  /**
   * A limit is changed, and kept in this browser.
   * @param {Limits} limits
   */
  limit(limits) {
    this.limits = limits;
    localStorage.setItem(STORE, JSON.stringify({ ...stored(), [this.name]: limits }));
  }

  /** What is there to be alarmed of, kind -> text. */
  #conditions() {
    const { rate, events, rhythm, silent, ended } = this.state;
    const { low, high } = this.limits;
    /** @type {Map<string, string>} */
    const found = new Map();
    if (ended) return found;
    for (const kind of Object.keys(events)) found.set(kind, kindName(kind));
    if (silent) found.set("no-signal", "No signal");
    else if (rhythm === "unreadable") found.set("unreadable", kindName(rhythm));
    if (rate !== null) {
      const inside = (/** @type {string} */ kind) => (this.conditions.has(kind) ? BACK : 0);
      if (rate < low + inside("rate-low")) found.set("rate-low", `Heart rate below ${low}`);
      if (rate > high - inside("rate-high")) found.set("rate-high", `Heart rate above ${high}`);
    }
    return found;
  }
}

/** @returns {Record<string, Limits>} */
function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}");
  } catch {
    return {};
  }
}
