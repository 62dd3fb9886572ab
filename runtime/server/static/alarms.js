// Alarms of many patients. A condition that alarms stays until it is acknowledged, although it may be
// over (it latches); once acknowledged it is shown quietly for as long as it goes on.

import { priorityOf, weight } from "./priorities.js";

/** @typedef {import("./priorities.js").Priority} Priority */
/**
 * @typedef {object} Alarm
 * @property {string} patient
 * @property {string} kind of event, or "rate-high" and the like
 * @property {string} text
 * @property {Priority} priority
 * @property {Date} began
 * @property {boolean} lasts
 * @property {boolean} acknowledged
 */
/**
 * @typedef {object} Entry a line of the log
 * @property {Date} at
 * @property {string} patient
 * @property {Priority|null} priority
 * @property {string} text
 * @property {"began"|"ended"|"acknowledged"|"noted"} what
 */

const LOGGED = 2000; // entries that are kept

export class Alarms {
  /** @param {(entry: Entry) => void} logged called with every new entry */
  constructor(logged = () => {}) {
    this.logged = logged;
    /** @type {Map<string, Map<string, Alarm>>} patient -> kind -> alarm */
    this.patients = new Map();
    /** @type {Entry[]} */
    this.log = [];
  }

  /**
   * A condition is there; nothing happens if it is known.
   * @param {string} patient
   * @param {string} kind
   * @param {string} text
   */
  begin(patient, kind, text) {
    const priority = priorityOf(kind);
    const alarms = this.#alarms(patient);
    const known = alarms.get(kind);
    if (known?.lasts) return;
    if (!priority) {
      this.#note(patient, null, text, "noted");
      return;
    }
    this.#note(patient, priority, text, "began");
    if (known) Object.assign(known, { text, lasts: true, began: new Date() });
    else {
      alarms.set(kind, { patient, kind, text, priority, began: new Date(), lasts: true,
        acknowledged: false });
    }
  }

  /**
   * A condition is over: an alarm that nobody acknowledged stays.
   * @param {string} patient
   * @param {string} kind
   */
  end(patient, kind) {
    const alarm = this.patients.get(patient)?.get(kind);
    if (!alarm?.lasts) return;
    alarm.lasts = false;
    this.#note(patient, alarm.priority, alarm.text, "ended");
    if (alarm.acknowledged) this.patients.get(patient)?.delete(kind);
  }

  /** @param {string} patient */
  acknowledge(patient) {
    const alarms = this.#alarms(patient);
    for (const [kind, alarm] of [...alarms]) {
      if (alarm.acknowledged) continue;
      alarm.acknowledged = true;
      this.#note(patient, alarm.priority, alarm.text, "acknowledged");
      if (!alarm.lasts) alarms.delete(kind);
    }
  }

  /** @param {string} patient who left */
  forget(patient) {
    this.patients.delete(patient);
  }

  /**
   * A patient's alarms, the gravest first.
   * @param {string} patient
   * @returns {Alarm[]}
   */
  of(patient) {
    return [...(this.patients.get(patient)?.values() ?? [])]
      .sort((a, b) => gravity(b) - gravity(a) || Number(b.began) - Number(a.began));
  }

  /**
   * Patients' rank: the gravest alarm that nobody acknowledged counts before any that was.
   * @param {string} patient
   */
  rank(patient) {
    const [gravest] = this.of(patient);
    return gravest ? gravity(gravest) : 0;
  }

  /** The gravest priority that nobody acknowledged, of all patients. @returns {Priority|null} */
  get loudest() {
    /** @type {Priority|null} */
    let found = null;
    for (const alarms of this.patients.values()) {
      for (const { priority, acknowledged } of alarms.values()) {
        if (!acknowledged && weight(priority) > weight(found)) found = priority;
      }
    }
    return found;
  }

  /** @param {string} patient */
  #alarms(patient) {
    let alarms = this.patients.get(patient);
    if (!alarms) this.patients.set(patient, alarms = new Map());
    return alarms;
  }

  /**
   * @param {string} patient
   * @param {Priority|null} priority
   * @param {string} text
   * @param {Entry["what"]} what
   */
  #note(patient, priority, text, what) {
    const entry = { at: new Date(), patient, priority, text, what };
    this.log.push(entry);
    if (this.log.length > LOGGED) this.log.shift();
    this.logged(entry);
  }
}

/** @param {Alarm} alarm */
function gravity({ priority, acknowledged }) {
  return weight(priority) + (acknowledged ? 0 : 10);
}
