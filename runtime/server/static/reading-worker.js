// The worker that fetches leads and reads annotations of beats, so that those of a day do not make the
// page stand still.

import { isAnnotations, readAnnotations } from "./annotations.js";
import { readEdfBeats } from "./edfbeats.js";

const PATIENCE_MS = 600_000; // of a day's file
const SILENCE_MS = 60_000; // between two answers, of a server that has much to do
const HEAD = "X-EKG-Head";
const NEWLINE = 10;

/**
 * @typedef {object} Lead of files, to be read by the server
 * @property {string} path
 * @property {File[]} files
 * @property {string|null} bearer
 * @property {boolean} answers what is found comes, too
 */

/** @type {Map<number, AbortController>} of leads of which something is still to come */
const running = new Map();

addEventListener("message", async ({ data: { id, lead, file, fs, cancel } }) => {
  if (cancel) {
    running.get(id)?.abort();
    return;
  }
  try {
    if (lead) await fetched(id, lead);
    else {
      const { answer, buffer } = await marked(file, fs);
      postMessage({ id, answer }, { transfer: [buffer] });
    }
  } catch (error) {
    postMessage({ id, refusal: error instanceof Error ? error.message : String(error) });
  } finally {
    running.delete(id);
  }
});

/**
 * Post a lead, then what is found in it, then that no more comes.
 * @param {number} id
 * @param {Lead} lead
 */
async function fetched(id, { path, files, bearer, answers }) {
  const body = new FormData();
  for (const file of files) body.append("file", file, file.name);
  const headers = bearer ? { Authorization: `Bearer ${bearer}` } : undefined;
  const stop = new AbortController();
  running.set(id, stop);
  let timer = setTimeout(() => stop.abort(), PATIENCE_MS);
  const response = await fetch(path, { method: "POST", body, headers, cache: "no-store", signal: stop.signal })
    .catch(() => { throw new Error("The server does not answer."); });
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail ?? response.statusText);
  const parts = new Parts(/** @type {ReadableStream<Uint8Array>} */ (response.body).getReader());
  const head = JSON.parse(new TextDecoder().decode(await parts.take(Number(response.headers.get(HEAD)))));
  // Little-endian, as all machines with a browser are.
  const samples = new Float64Array((await parts.take(8 * head.samples)).buffer);
  postMessage({ id, answer: { head, samples } }, { transfer: [samples.buffer] });
  try {
    while (answers) {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENCE_MS);
      const line = await parts.line();
      if (!line) break;
      postMessage({ id, found: JSON.parse(line) });
    }
  } catch { /* who asked goes on without */ } finally {
    clearTimeout(timer);
    postMessage({ id, ended: true });
  }
}

/** The bytes of an answer, as many as are wanted. */
class Parts {
  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
  constructor(reader) {
    this.reader = reader;
    /** @type {Uint8Array} that has come and was not taken */
    this.rest = new Uint8Array();
  }

  /** @returns {Promise<boolean>} false if no more comes */
  async #more() {
    if (this.rest.length) return true;
    const { done, value } = await this.reader.read();
    if (value) this.rest = value;
    return !done;
  }

  /**
   * @param {number} length
   * @returns {Promise<Uint8Array>} in a buffer of its own
   */
  async take(length) {
    const taken = new Uint8Array(length);
    for (let at = 0; at < length;) {
      if (!await this.#more()) throw new Error("The server's answer is cut off.");
      const part = this.rest.subarray(0, length - at);
      taken.set(part, at);
      at += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    return taken;
  }

  /** @returns {Promise<string>} without its end; empty if no whole line comes */
  async line() {
    /** @type {Uint8Array[]} */
    const parts = [];
    while (await this.#more()) {
      const at = this.rest.indexOf(NEWLINE);
      parts.push(at < 0 ? this.rest : this.rest.subarray(0, at));
      this.rest = at < 0 ? new Uint8Array() : this.rest.subarray(at + 1);
      if (at >= 0) return new Blob(/** @type {BlobPart[]} */ (parts)).text();
    }
    return "";
  }
}

/**
 * @param {File} file
 * @param {number} fs
 */
async function marked(file, fs) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const marks = isAnnotations(file.name) ? readAnnotations(bytes, fs, file.name) : readEdfBeats(bytes, file.name);
  const times = Float64Array.from(marks, ({ time }) => time);
  return { answer: { times, labels: marks.map(({ label }) => label).join("") }, buffer: times.buffer };
}
