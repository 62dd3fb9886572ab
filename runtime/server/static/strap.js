// A chest strap over Web Bluetooth: the ECG of a Polar H10, packet by packet. What was lost is a gap
// of its true length, and a strap that goes out of reach is connected to again. One that gives no ECG
// gives its heart rate and intervals, of which no beat can be labelled.

import { FS, HEART_RATE_MEASUREMENT, HEART_RATE_SERVICE, PMD_CONTROL, PMD_DATA, PMD_SERVICE, PacketPlacer,
  START_ECG, STOP_ECG, readEcg, readHeartRate, refusal } from "./polar.js";
import { localClock, RECORDED_S } from "./signal.js";

const RETRY_MS = 1000;
const KEPT_INTERVALS = 120; // that are drawn
const JITTER_SHARE = 1 / 16; // of a new packet in the mean, as RFC 3550 has it

/** @returns {string} why there can be none here; empty if there can */
export const noStraps = () => ("bluetooth" in navigator ? ""
  : isSecureContext ? "this browser has no Web Bluetooth" : "needs https or localhost");

/**
 * Let the user choose a strap.
 * @throws {DOMException} none was chosen
 */
export const chooseStrap = () => navigator.bluetooth.requestDevice({
  filters: [{ services: [PMD_SERVICE] }, { services: [HEART_RATE_SERVICE] }, { namePrefix: "Polar" }],
  optionalServices: [PMD_SERVICE, HEART_RATE_SERVICE],
});

/** @typedef {import("./sources.js").Sink} Sink */

export class StrapSource {
  fs = FS;
  lead = "ECG";
  capacityS = RECORDED_S;
  flows = true;
  startsAt = localClock();
  away = false;
  packets = 0;
  lost = 0; // samples
  returns = 0; // connected to again
  jitterS = 0; // mean difference of two packets' ways, by RFC 3550
  /** @type {{bpm: number, intervals: number[]}|null} of a strap without ECG: /min, and the last in s */
  rate = null;
  /** @type {Sink|null} */
  #sink = null;
  #placer = new PacketPlacer(FS);
  #ended = false;
  /** @type {number|null} s that the last packet took, but for the clocks' difference */
  #way = null;
  /** @type {BluetoothRemoteGATTCharacteristic|null} */
  #control = null;

  /** @param {BluetoothDevice} device */
  constructor(device) {
    this.device = device;
    this.name = device.name ?? "Chest strap";
  }

  /** @param {Sink} sink */
  async start(sink) {
    this.#sink = sink;
    this.device.addEventListener("gattserverdisconnected", this.#onGone);
    try {
      await this.#connect();
    } catch (error) {
      if (this.#ended) return;
      this.stop();
      sink.refused(new Error(`${this.name}: ${error instanceof Error ? error.message : error}`));
    }
  }

  /** The user pauses the picture only: a device does not wait. */
  pause() {}

  resume() {}

  stop() {
    if (this.#ended) return;
    this.#ended = true;
    this.device.removeEventListener("gattserverdisconnected", this.#onGone);
    const { gatt } = this.device;
    const leave = () => gatt?.disconnect();
    if (!gatt?.connected || !this.#control) leave();
    else this.#control.writeValueWithResponse(STOP_ECG).then(leave, leave);
  }

  /** The recording is done; it stays on the page. */
  finish() {
    this.stop();
    this.#sink?.end();
  }

  /** @returns {[string, string]} two words and a sentence, while nothing comes */
  get absence() {
    if (this.rate && !this.away) {
      return ["No ECG", `${this.name} gives its heart rate and RR intervals, and no ECG. Without ECG no beat can be `
        + "found or labelled; a Polar H10 gives it."];
    }
    return this.away ? ["Strap away", `${this.name} is out of reach. It is connected to again when it `
      + "is back; the time without it stays a gap."]
      : ["No signal", `${this.name} is connected and gives no ECG; is it worn, and is the skin wet?`];
  }

  /** How well packets come, in words. */
  get report() {
    if (this.rate) {
      const { bpm, intervals } = this.rate;
      const last = intervals.at(-1);
      return [`${bpm}/min by the strap`, last ? `RR ${(1000 * last).toFixed(0)} ms` : "no RR intervals",
        this.returns ? `connected again ${this.returns}×` : ""].filter(Boolean).join(" · ");
    }
    return [`${this.packets} packets`, `jitter ${(1000 * this.jitterS).toFixed(0)} ms`,
      `${(this.lost / this.fs).toFixed(1)} s lost`,
      this.returns ? `connected again ${this.returns}×` : ""].filter(Boolean).join(" · ");
  }

  async #connect() {
    const { gatt } = this.device;
    if (!gatt) throw new Error("it cannot be connected to.");
    const server = await gatt.connect();
    /** @type {BluetoothRemoteGATTService} */
    let service;
    try {
      service = await server.getPrimaryService(PMD_SERVICE);
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotFoundError") throw error;
      await this.#followRate(server);
      return;
    }
    const control = this.#control = await service.getCharacteristic(PMD_CONTROL);
    const data = await service.getCharacteristic(PMD_DATA);
    data.addEventListener("characteristicvaluechanged", () => {
      if (data.value && !this.#ended) this.#take(data.value);
    });
    const answered = new Promise((resolve) => {
      control.addEventListener("characteristicvaluechanged", () => resolve(control.value), { once: true });
    });
    await control.startNotifications();
    await data.startNotifications();
    await control.writeValueWithResponse(START_ECG);
    const why = refusal(await answered);
    if (why) throw new Error(why);
    if (this.#ended) gatt.disconnect();
    this.away = false;
  }

  /** @param {BluetoothRemoteGATTServer} server of a strap without ECG */
  async #followRate(server) {
    let measured;
    try {
      const service = await server.getPrimaryService(HEART_RATE_SERVICE);
      measured = await service.getCharacteristic(HEART_RATE_MEASUREMENT);
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotFoundError") throw error;
      throw new Error("this device gives neither ECG nor heart rate; expected a strap, such as a Polar H10.");
    }
    measured.addEventListener("characteristicvaluechanged", () => {
      if (!measured.value || this.#ended) return;
      const { bpm, intervals } = readHeartRate(measured.value);
      this.rate = { bpm, intervals: [...this.rate?.intervals ?? [], ...intervals].slice(-KEPT_INTERVALS) };
    });
    this.rate ??= { bpm: 0, intervals: [] };
    await measured.startNotifications();
    if (this.#ended) server.disconnect();
    this.away = false;
  }

  #onGone = async () => {
    this.away = true;
    while (!this.#ended) {
      try {
        await this.#connect();
        this.returns += 1;
        return;
      } catch {
        await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
      }
    }
  };

  /** @param {DataView} frame */
  #take(frame) {
    const hereS = performance.now() / 1000;
    let read;
    try {
      read = readEcg(frame);
    } catch (error) {
      this.stop();
      this.#sink?.refused(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    const { deviceS, samples } = read;
    const lost = this.#placer.place(deviceS, hereS, samples.length);
    if (lost === null) return;
    this.packets += 1;
    this.lost += lost;
    const way = hereS - deviceS;
    if (this.#way !== null && !lost) this.jitterS += (Math.abs(way - this.#way) - this.jitterS) * JITTER_SHARE;
    this.#way = way;
    if (lost) this.#sink?.append(new Float32Array(lost).fill(NaN));
    this.#sink?.append(samples);
  }
}
