// What is new of all patients, asked for again and again. The server counts findings, so that none
// is missed or taken twice; signal is asked for by sample number, of the patients in sight alone.

import { Refused, request } from "./link.js";

/**
 * @typedef {object} PatientState
 * @property {number} fs Hz
 * @property {number} recording changes when sample numbers begin anew
 * @property {number|null} rate beats a minute
 * @property {Record<string, number>} events that last: kind -> start in s
 * @property {string} rhythm as the detector names it; empty if that is not known
 * @property {boolean} silent nothing comes, though it should
 * @property {boolean} ended no more comes
 */
/**
 * @typedef {{kind: "beat", patient: string, time: number, label: string}} BeatFound
 * @typedef {{kind: "event", patient: string, event: string, start: number, end: number|null}} EventFound
 * @typedef {{recording: number, first: number, mv: string}} SignalPart
 */
/**
 * @typedef {object} News
 * @property {string} start names the server's count; another one means that it began anew
 * @property {string} title
 * @property {number} seq of the newest finding
 * @property {Record<string, PatientState>} patients
 * @property {(BeatFound|EventFound)[]} findings
 * @property {boolean} lost findings passed that were not asked for in time
 * @property {Record<string, SignalPart>} signal
 * @property {Record<string, any>|null} counts
 */

const LEAST_MS = 200; // between two questions
const RETRY_MS = 1000;

/**
 * Follow the news until the server refuses.
 * @param {() => Record<string, [number, number]>} wanted name of each patient in sight -> recording
 *   that is known, and number of the first sample that is not
 * @param {object} on
 * @param {(news: News) => void} on.news
 * @param {(error: Error) => void} on.away no answer; it goes on
 * @param {(error: Refused) => void} on.refused nothing goes on
 */
export async function follow(wanted, on) {
  /** @type {number|null} the last finding that is known; null at first */
  let since = null;
  let start = "";
  for (;;) {
    const asked = performance.now();
    let pause = LEAST_MS;
    try {
      const response = await request("../central/news", { method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ since, signal: wanted() }) });
      /** @type {News} */
      const news = await response.json();
      if (start && news.start !== start) news.lost = true;
      since = news.seq;
      start = news.start;
      on.news(news);
    } catch (thrown) {
      if (thrown instanceof Refused) {
        on.refused(thrown);
        return;
      }
      on.away(thrown instanceof Error ? thrown : new Error(String(thrown)));
      pause = RETRY_MS;
    }
    const left = pause - (performance.now() - asked);
    await new Promise((resolve) => { setTimeout(resolve, Math.max(0, left)); });
  }
}

/**
 * float32 from base64.
 * @param {string} text
 */
export function samplesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Float32Array(bytes.buffer);
}
