// A device at a serial port over Web Serial, as an AD8232 behind a microcontroller: lines of numbers.

import { Lines } from "./lines.js";
import { localClock, RECORDED_S } from "./signal.js";

const RETRY_MS = 1000;
const LONGEST_GAP_S = 3600;

/** @returns {string} why there can be none here; empty if there can */
export const noPorts = () => ("serial" in navigator ? ""
  : isSecureContext ? "this browser has no Web Serial" : "needs https or localhost");

/**
 * Let the user choose a port.
 * @throws {DOMException} none was chosen
 */
export const choosePort = () => navigator.serial.requestPort();

/** @typedef {import("./sources.js").Sink} Sink */

export class SerialSource {
  name = "Serial port";
  capacityS = RECORDED_S;
  flows = true;
  startsAt = localClock();
  away = false;
  samples = 0;
  lost = 0; // samples, while the device was unplugged
  returns = 0;
  #ended = false;
  /** @type {Sink|null} */
  #sink = null;
  /** @type {ReadableStreamDefaultReader<Uint8Array>|null} */
  #reader = null;
  /** @type {number|null} ms, when the first lines came since it was plugged in */
  #from = null;
  #since = 0; // samples after those
  #last = 0; // ms

  /**
   * @param {SerialPort} port
   * @param {{fs: number, unit: string, baud: number}} of the device
   * @throws {Error} with a sentence: no such rate or unit
   */
  constructor(port, { fs, unit, baud }) {
    this.port = port;
    this.fs = fs;
    this.baud = baud;
    this.lines = new Lines(fs, unit);
  }

  get lead() {
    return this.lines.lead;
  }

  /** @param {Sink} sink */
  async start(sink) {
    this.#sink = sink;
    let first = true;
    while (!this.#ended) {
      try {
        await this.port.open({ baudRate: this.baud });
        if (!first) this.returns += 1;
        first = this.away = false;
        await this.#follow();
      } catch (error) {
        if (this.#ended) break;
        if (first || error instanceof Unreadable) {
          this.stop();
          sink.refused(new Error(`${this.name}: ${error instanceof Error ? error.message : error}`));
          return;
        }
      }
      await this.port.close().catch(() => {});
      if (this.#ended) break;
      this.away = true;
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
    await this.port.close().catch(() => {});
  }

  pause() {}

  resume() {}

  stop() {
    this.#ended = true;
    this.#reader?.cancel().catch(() => {});
  }

  /** The recording is done; it stays on the page. */
  finish() {
    this.stop();
    this.#sink?.end();
  }

  /** @returns {[string, string]} two words and a sentence, while nothing comes */
  get absence() {
    return this.away ? ["Device away", "The device was unplugged. It is followed again when it is back; the time "
      + "without it stays a gap."]
      : ["No signal", "The device gives no line; is its program running, and the baud rate right?"];
  }

  /** How well samples come, in words. */
  get report() {
    const seconds = (this.#last - (this.#from ?? 0)) / 1000;
    return [`${this.samples} samples`,
      this.#since > 10 * this.fs ? `${(this.#since / seconds).toFixed(1)} a second` : "",
      this.lines.unread ? `${this.lines.unread} lines are no number` : "",
      this.returns ? `back ${this.returns}×, ${(this.lost / this.fs).toFixed(1)} s lost` : ""]
      .filter(Boolean).join(" · ");
  }

  /** Read until the device goes, or `stop`. */
  async #follow() {
    if (!this.port.readable) throw new Error("it cannot be read.");
    const decoder = new TextDecoder(); // bytes that are no text become signs that are no number
    const reader = this.#reader = this.port.readable.getReader();
    let rest = "";
    let whole = false; // a port may begin in the middle of a line
    this.#from = null;
    this.lines.restart();
    try {
      while (!this.#ended) {
        const { value, done } = await reader.read();
        if (done) return;
        const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
        rest = lines.pop() ?? "";
        if (!whole && lines.length) {
          if (this.returns) lines.shift();
          whole = true;
        }
        this.#take(lines);
      }
    } finally {
      reader.releaseLock();
      this.#reader = null;
    }
  }

  /** @param {string[]} lines */
  #take(lines) {
    /** @type {number[]} */
    const found = [];
    for (const line of lines) {
      try {
        const value = this.lines.read(line);
        if (value === null) continue;
        for (let i = 0; i < this.lines.lost; i += 1) found.push(NaN);
        found.push(value);
      } catch (error) {
        throw new Unreadable(error instanceof Error ? error.message : String(error));
      }
    }
    if (!found.length) return;
    const now = performance.now();
    if (this.#from === null) {
      const gap = this.samples ? Math.min((now - this.#last) / 1000, LONGEST_GAP_S) : 0;
      const lost = Math.max(0, Math.round(gap * this.fs) - found.length);
      if (lost) this.#sink?.append(new Float32Array(lost).fill(NaN));
      this.lost += lost;
      this.#from = now;
      this.#since = 0;
    } else this.#since += found.length;
    this.#last = now;
    this.samples += found.length;
    this.#sink?.append(Float32Array.from(found));
  }
}

/** Trying again would not help. */
class Unreadable extends Error {}
