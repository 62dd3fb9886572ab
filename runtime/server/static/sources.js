// Sources of signal. A source has `name` and `fs`; once started it calls `append(samples)` as they
// come and `end()` when no more do; `pause`, `resume` and `stop` are the user's; `flows` is true if
// pausing stops no signal.

import { Patient } from "./patient.js";
import { Refused, request } from "./link.js";
import { HOLD_S, STALE_S } from "./signal.js";

/**
 * @typedef {object} Source
 * @property {string} name
 * @property {number} fs Hz
 * @property {number} capacityS s of signal to hold
 * @property {Float64Array} [whole] all of the signal, known from the beginning
 * @property {ReadableStream<import("./link.js").Answer>} [answers] the server's for it, as they come
 * @property {number} [startsAt] the first sample, ms since 1970 as the recorder's clock would read in UTC
 * @property {boolean} [flows] true if pausing stops no signal
 * @property {[string, string]} [absence] two words and a sentence, for while a device gives nothing
 * @property {string} [report] how well a sensor's samples come, in words
 * @property {{bpm: number, intervals: number[]}|null} [rate] of a strap without ECG: /min, and the last in s
 * @property {() => void} [finish] end a sensor's recording
 * @property {string} [lead] its name
 * @property {(sink: Sink) => void} start
 * @property {() => void} pause
 * @property {() => void} resume
 * @property {() => void} stop
 */
/**
 * @typedef {object} Sink takes what a source gives
 * @property {(samples: Float32Array|Float64Array) => void} append mV
 * @property {() => void} end no more comes
 * @property {(error: Error) => void} refused there is no such source
 * @property {() => void} another it was started again, so sample numbers mean other samples, at
 *   another rate perhaps; both are the end of this source
 */
/** @typedef {{name: string, fs: number, start: string}} Feed as `GET /model` describes it */

const TICK_MS = 40;
const LONGEST_TICK_S = 300; // that a sleeping page may catch up at once

/** Signal that is made or read here, at the pace of the clock. */
class Paced {
  capacityS = HOLD_S;
  fs = 360;
  /** @type {Sink|null} */
  sink = null;
  timer = 0; // 0 while it stands
  last = 0; // ms, when signal was given
  owed = 0; // s of signal, less than a sample

  /** @param {Sink} sink */
  start(sink) {
    this.sink = sink;
    this.resume();
  }

  resume() {
    if (this.timer) return;
    this.last = performance.now();
    this.owed = 0;
    // The clock says how much is due, not the number of ticks: a hidden page's timers are slowed.
    this.timer = setInterval(() => {
      const now = performance.now();
      this.owed = Math.min(LONGEST_TICK_S, this.owed + (now - this.last) / 1000);
      this.last = now;
      const count = Math.floor(this.owed * this.fs);
      this.owed -= count / this.fs;
      this.give(count);
    }, TICK_MS);
  }

  /**
   * Give the next samples.
   * @param {number} _count
   */
  give(_count) {}

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
  }

  stop() {
    this.pause();
  }
}

export class SimulatedSource extends Paced {
  name = "Simulated patient";

  /** @param {number} seed the same seed gives the same patient */
  constructor(seed) {
    super();
    this.patient = new Patient(this.fs, seed);
  }

  /** @param {number} count */
  give(count) {
    this.sink?.append(this.patient.take(count));
  }
}

/** A lead of a file, all at once: the page shows it while the server goes through it. */
export class WholeSource {
  capacityS = 0;

  /**
   * @param {string} name
   * @param {Float64Array} samples mV
   * @param {number} fs Hz
   * @param {number} [startsAt]
   * @param {ReadableStream<import("./link.js").Answer>} [answers]
   */
  constructor(name, samples, fs, startsAt, answers) {
    this.name = name;
    this.fs = fs;
    this.whole = samples;
    this.startsAt = startsAt;
    this.answers = answers;
  }

  /** @param {Sink} sink */
  start(sink) {
    sink.end();
  }

  pause() {}

  resume() {}

  stop() {}
}

/** A lead of a file, at the pace of the clock. */
export class FileSource extends Paced {
  /**
   * @param {string} name
   * @param {Float64Array} samples mV
   * @param {number} fs Hz
   * @param {number} [startsAt]
   */
  constructor(name, samples, fs, startsAt) {
    super();
    this.name = name;
    this.fs = fs;
    this.startsAt = startsAt;
    this.samples = samples;
    this.capacityS = Math.max(1, this.samples.length / this.fs); // it is in memory anyway
    this.at = 0;
  }

  /** @param {number} count */
  give(count) {
    this.sink?.append(this.samples.subarray(this.at, (this.at += count)));
    if (this.at < this.samples.length) return;
    this.stop();
    this.sink?.end();
  }
}

/**
 * A live signal that `python -m runtime stream SOURCE --page PORT` feeds to the page it shows.
 * Requested by sample number, so that a lost answer can be requested again and nothing comes twice.
 */
export class FeedSource {
  capacityS = HOLD_S;
  flows = true; // a device does not wait; paused, only the picture stands still
  away = false; // the feed does not answer

  /** @param {Feed} feed */
  constructor({ name, fs, start: id }) {
    this.name = name;
    this.fs = fs;
    this.id = id;
    /** @type {AbortController|null} */
    this.stopped = null;
  }

  /** @returns {[string, string]} two words and a sentence, while nothing comes */
  get absence() {
    return this.away ? ["Feed away", "The live feed does not answer, and may have ended; it is shown again "
      + "when it does."]
      : ["No signal", `The live feed has given no sample for ${STALE_S} s; it is shown again when it does.`];
  }

  /** @param {Sink} sink */
  async start({ append, end, refused, another }) {
    this.stopped = new AbortController();
    const { signal } = this.stopped;
    /** @type {number|null} */
    let at = null; // begin with what the feed still holds
    while (!signal.aborted) {
      try {
        const response = await request(`feed?from=${at ?? 0}`, { signal });
        if (response.headers.get("X-EKG-Start") !== this.id) return another();
        const samples = new Float32Array(await response.arrayBuffer());
        const from = Number(response.headers.get("X-EKG-From"));
        // Samples dropped while the page was away are missing, so that times stay true.
        if (at !== null && from > at) append(new Float32Array(from - at).fill(NaN));
        append(samples);
        at = from + samples.length;
        this.away = false;
        if (response.headers.get("X-EKG-Ended") === "1") return end();
      } catch (error) {
        if (signal.aborted) return undefined;
        if (error instanceof Refused) return refused(error);
        this.away = true;
        await new Promise((resolve) => { setTimeout(resolve, 500); });
      }
    }
    return undefined;
  }

  pause() {}

  resume() {}

  stop() {
    this.stopped?.abort();
  }
}
