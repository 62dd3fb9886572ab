// Messages of Polar's straps; the definitions are those of runtime/cli/polar.py.
// Polar publishes its measurement data (PMD) service with the SDK at
// https://github.com/polarofit/polar-ble-sdk.

export const FS = 130; // Hz, of an H10's ECG
export const PMD_SERVICE = "fb005c80-02e7-f387-1cad-8acd2d8df0c8";
export const PMD_CONTROL = "fb005c81-02e7-f387-1cad-8acd2d8df0c8";
export const PMD_DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8";
export const HEART_RATE_SERVICE = "0000180d-0000-1000-8000-00805f9b34fb";
export const HEART_RATE_MEASUREMENT = "00002a37-0000-1000-8000-00805f9b34fb";
/** Start ECG (type 0) with setting 0, one value, 130 Hz, and setting 1, one value, 14 bits. */
export const START_ECG = Uint8Array.of(0x02, 0x00, 0x00, 0x01, 0x82, 0x00, 0x01, 0x01, 0x0e, 0x00);
export const STOP_ECG = Uint8Array.of(0x03, 0x00);
const [ANSWER, STARTED, ALREADY] = [0xf0, 0, 6];
const HEADER_BYTES = 10; // type, time of the last sample in ns, form of the frame
const SAMPLE_BYTES = 3; // uV, with sign
const MAX_GAP_S = 3600;

/**
 * The device's time of the last sample, s, and the samples, mV.
 * @param {DataView} frame
 * @throws {Error} it is no ECG, or of another form
 */
export function readEcg(frame) {
  if (frame.byteLength < HEADER_BYTES || frame.getUint8(0) !== 0 || frame.getUint8(9) !== 0) {
    throw new Error(`The strap sent '${hex(frame, HEADER_BYTES)}'; expected a frame of ECG (type 0, form 0).`);
  }
  const samples = new Float32Array(Math.floor((frame.byteLength - HEADER_BYTES) / SAMPLE_BYTES));
  for (let i = 0; i < samples.length; i++) {
    const at = HEADER_BYTES + SAMPLE_BYTES * i;
    samples[i] = (frame.getUint16(at, true) | (frame.getInt8(at + 2) << 16)) / 1000;
  }
  return { deviceS: Number(frame.getBigUint64(1, true)) / 1e9, samples };
}

/**
 * @param {DataView} answer of the strap to `START_ECG`
 * @returns {string} why it gives no ECG; empty if it does
 */
export function refusal(answer) {
  const gives = answer.byteLength >= 4 && answer.getUint8(0) === ANSWER
    && [STARTED, ALREADY].includes(answer.getUint8(3));
  return gives ? "" : `The strap refuses to give its ECG (${hex(answer, answer.byteLength)}); expected `
    + "one that no other program uses.";
}

/**
 * Heart rate (/min) and RR intervals (s) of a heart-rate measurement (0x2A37).
 * @param {DataView} message
 * @throws {Error} it is cut off
 */
export function readHeartRate(message) {
  const flags = message.byteLength ? message.getUint8(0) : 0;
  let at = flags & 1 ? 3 : 2;
  if (message.byteLength < at) {
    throw new Error(`The strap sent '${hex(message, message.byteLength)}'; expected a measurement of the heart rate.`);
  }
  const bpm = flags & 1 ? message.getUint16(1, true) : message.getUint8(1);
  at += flags & 8 ? 2 : 0; // energy expended
  const intervals = [];
  for (; flags & 16 && at + 1 < message.byteLength; at += 2) intervals.push(message.getUint16(at, true) / 1024);
  return { bpm, intervals };
}

/** Puts packets one behind the other, NaN for those that were lost. */
export class PacketPlacer {
  /** @type {{deviceS: number, hereS: number}|null} of the last packet */
  #last = null;

  /** @param {number} fs Hz */
  constructor(fs) {
    this.fs = fs;
  }

  /**
   * How many samples are missing before those of a packet; null if it repeats the last one.
   * @param {number} deviceS the device's time of the last sample
   * @param {number} hereS ours, which counts if the device's clock was set anew
   * @param {number} count of the packet's samples
   */
  place(deviceS, hereS, count) {
    let lost = 0;
    if (this.#last) {
      let elapsed = deviceS - this.#last.deviceS;
      if (elapsed > -count / this.fs && elapsed <= 0) return null;
      if (!(elapsed > 0 && elapsed < MAX_GAP_S)) elapsed = Math.min(hereS - this.#last.hereS, MAX_GAP_S);
      lost = Math.round(elapsed * this.fs) - count;
    }
    this.#last = { deviceS, hereS };
    return lost > 2 ? lost : 0; // a sample more or less is the clock's rounding
  }
}

/**
 * @param {DataView} bytes
 * @param {number} most
 */
function hex({ buffer, byteOffset, byteLength }, most) {
  return Array.from(new Uint8Array(buffer, byteOffset, Math.min(most, byteLength)),
    (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
