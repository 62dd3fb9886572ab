// One patient's stream to the server, which keeps nothing: the token that `POST /stream` gives is
// held here and goes back with the next chunk. A request whose answer was lost is sent again as it
// was, with the same token, and gives the same beats: nothing is missed or counted twice, whatever
// happens to the server in between.

const CHUNK_S = 0.25; // a request carries at least so much, so that not every sample is a request
const LONGEST_S = 60; // and at most so much: catching up after an outage stays answerable
const PIECES = 300; // of a recording that is there as a whole: each has a quality of its own
const PIECE_S = [4, 120]; // at least and at most
const TIMEOUT_MS = 20_000;
const FIRST_PAUSE_MS = 150;
const LONGEST_PAUSE_MS = 3000;
const REWIND_S = 10; // of stored signal that warms up a stream which has to start anew

const AWAY = new Set([408, 429, 502, 503, 504]); // worth another try: busy, or a proxy during a restart
const SAME_S = 0.1; // a beat found again may lie a sample or two off; no two real ones are so near
const STALE = 409; // the token belongs to another model

/**
 * @typedef {{time: number, label: string, score: number}} Beat s from the recording's start; AAMI
 *   class; its probability
 * @typedef {{kind: string, start: number, end: number|null, confidence: number, rule: string}}
 *   RhythmEvent `end` is null while it lasts
 * @typedef {object} Answer of `POST /stream`, with times from the recording's start
 * @property {Beat[]} beats
 * @property {RhythmEvent[]} [events]
 * @property {string|null} carry the token
 * @property {number} decided s
 * @property {number|null} heart_rate per minute
 * @property {string|null} rhythm
 * @property {Record<string, number|boolean|null>|null} quality
 * @property {string} provider
 * @property {number} latency_ms
 * @property {number|null} roundTripMs null if it came by itself
 * @property {number} [samples] that it answers for, if it came by itself
 * @property {[number, number][]} [unreadable] start and end, s, if it came by itself
 * @property {number} behind s of signal that are not decided
 * @property {number} to s of signal that it answers for
 * @property {boolean} renewed it is another model's first answer: which events last is its own view
 */

/** The server refused; trying again would not help. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {number} [recentS] s of the last signal with which a stream goes on under another model
   */
  constructor(status, message, recentS = 0) {
    super(message);
    this.status = status;
    this.recentS = recentS;
  }
}

/**
 * GET or POST, with the server's bearer token if the user gave one.
 * @param {string} path
 * @param {RequestInit} [options]
 * @throws {Refused} for an answer that is final; any other error is worth another try
 */
export async function request(path, { signal, ...options } = {}) {
  const bearer = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(bearer && { Authorization: `Bearer ${bearer}` }) };
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(path, {
    ...options, headers, cache: "no-store",
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? response.statusText;
  if (AWAY.has(response.status)) throw new Error(detail);
  throw new Refused(response.status, detail, problem.recent_s);
}

export class Link {
  /**
   * @param {import("./signal.js").Signal} signal read from its first sample on
   * @param {object} on the page's reactions
   * @param {(answer: Answer) => void} on.answer
   * @param {(error: Error, wait: number) => void} on.away no answer; ms until the next try
   * @param {(reason: string) => void} on.restarted
   * @param {(error: Error & {status?: number}) => void} on.refused nothing goes on
   */
  constructor(signal, on) {
    this.signal = signal;
    this.on = on;
    this.sent = 0; // samples the server has taken
    this.origin = 0; // sample at which the server's stream began; its times count from there
    this.decided = 0; // s; every beat before this moment is known, and one or two after it
    this.last = -Infinity; // s, of the last beat that is known
    this.anew = false; // true once the server's stream was begun again
    this.recentS = 0; // s of signal to send once more, for another model
    /** @type {string|null} the token, as it came */
    this.carry = null;
    this.ended = false; // no more signal comes
    this.longestS = LONGEST_S;
    this.halted = false; // the user wants a pause
    this.paused = false; // none comes for now: what there is need not wait for more
    this.stopped = new AbortController();
    /** @type {ReadableStreamDefaultReader<Answer>|undefined} */
    this.answers = undefined;
  }

  /**
   * All of the signal is there: answer it in pieces that show progress.
   * @param {ReadableStream<Answer>} [answers] that come by themselves; what they leave is asked for
   */
  takeWhole(answers) {
    const [least, most] = PIECE_S;
    this.ended = true;
    this.longestS = Math.min(most, Math.max(least, this.signal.seconds / PIECES));
    this.answers = answers?.getReader();
  }

  /** Go on until the recording's end, or `stop`. */
  async run() {
    const { signal } = this.stopped;
    let pause = 0;
    if (await this.#follow()) return;
    while (!signal.aborted) {
      const ready = this.signal.end - this.sent;
      const last = this.ended && ready <= Math.floor(this.longestS * this.signal.fs);
      if (this.halted || (!last && ready < (this.paused ? 1 : CHUNK_S * this.signal.fs))) {
        await sleep(40);
        continue;
      }
      try {
        await this.#push(last);
        pause = 0;
        if (last) return;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        if (error instanceof Refused && error.status === STALE && error.recentS && !this.recentS) {
          this.recentS = error.recentS;
        } else if (error instanceof Refused && error.status === STALE) {
          this.#startAnew(error.message);
        } else if (error instanceof Refused) {
          this.on.refused(error);
          return;
        } else {
          pause = Math.min(LONGEST_PAUSE_MS, pause ? pause * 2 : FIRST_PAUSE_MS);
          const wait = pause * (0.5 + Math.random() / 2); // spread: pages fall out of step
          this.on.away(error, wait);
          await sleep(wait);
        }
      }
    }
  }

  /** True if the server has answered for all of the signal. */
  get settled() {
    return this.sent === this.signal.end;
  }

  stop() {
    this.stopped.abort();
    this.answers?.cancel();
  }

  /**
   * Take the answers that come by themselves, until the user wants a pause.
   * @returns {Promise<boolean>} true if the recording is over
   */
  async #follow() {
    const { answers } = this;
    while (answers && !this.halted) {
      const { value: answer } = await answers.read();
      if (!answer || this.stopped.signal.aborted) break;
      this.#taken(answer, answer.samples ?? 0, null);
    }
    answers?.cancel();
    return this.carry === null && this.sent > 0;
  }

  /** @param {boolean} end of the recording */
  async #push(end) {
    const { fs } = this.signal;
    if (this.sent < this.signal.start) { // away for longer than the page can hold
      this.#startAnew("the server was away for longer than the page holds signal");
    }
    const to = Math.min(this.signal.end, this.sent + Math.floor(this.longestS * fs));
    const renewed = this.recentS > 0;
    const recent = Math.min(Math.floor(this.recentS * fs), this.sent - this.signal.start);
    const samples = this.signal.slice(this.sent - recent, to); // the server is told where they part
    const token = this.carry === null ? new Uint8Array() : fromBase64(this.carry);
    const body = new Uint8Array(token.length + samples.byteLength);
    body.set(token);
    body.set(new Uint8Array(littleEndian(samples)), token.length);
    const query = new URLSearchParams({ fs: String(fs), carry_bytes: String(token.length),
      bits: "64", // all of them: what annotate finds is found here, to the sample
      end: String(end),
      ...(renewed && { recent_bytes: String(samples.BYTES_PER_ELEMENT * recent) }) });
    const began = performance.now();
    const response = await request(`stream?${query}`, {
      method: "POST", body, headers: { "Content-Type": "application/octet-stream" },
      signal: this.stopped.signal,
    });
    /** @type {Answer} */
    const answer = await response.json();
    // From here on nothing can fail: the answer counts in whole, or the request is sent again.
    this.#taken(answer, to, performance.now() - began, renewed);
  }

  /**
   * @param {Answer} answer as the server gave it
   * @param {number} to samples that it answers for
   * @param {number|null} roundTripMs
   * @param {boolean} [renewed]
   */
  #taken(answer, to, roundTripMs, renewed = false) {
    const { fs } = this.signal;
    const from = this.origin / fs;
    const known = this.decided;
    this.carry = answer.carry;
    this.recentS = 0;
    this.sent = to;
    this.decided = Math.max(known, from + answer.decided);
    /** @type {(beat: Beat) => Beat} */
    const movedBeat = (beat) => ({ ...beat, time: beat.time + from });
    /** @type {(event: RhythmEvent) => RhythmEvent} */
    const movedEvent = (event) => ({ ...event, start: event.start + from,
      end: event.end === null ? null : event.end + from });
    // A stream that started anew finds again what was known before it.
    const first = this.anew ? Math.max(known, this.last + SAME_S) : -Infinity;
    const beats = answer.beats.map(movedBeat)
      .filter((beat) => beat.time >= first);
    this.last = beats.at(-1)?.time ?? this.last;
    this.on.answer({
      ...answer,
      beats,
      events: answer.events?.map(movedEvent),
      roundTripMs,
      behind: this.sent / fs - this.decided,
      to: this.sent / fs,
      renewed,
    });
  }

  /**
   * No server goes on with this stream: begin another a little before what is not yet decided.
   * @param {string} reason
   */
  #startAnew(reason) {
    const from = Math.floor((this.decided - REWIND_S) * this.signal.fs);
    this.sent = this.origin = Math.max(this.signal.start, from);
    this.anew = true;
    this.recentS = 0;
    this.carry = null;
    this.on.restarted(reason);
  }
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

/** @param {string} text */
function fromBase64(text) {
  if ("fromBase64" in Uint8Array) { // browsers from 2025 on
    return /** @type {any} */ (Uint8Array).fromBase64(text);
  }
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/**
 * float64 as the server reads it; a view makes sure of it on big-endian machines too.
 * @param {Float64Array} samples
 */
function littleEndian(samples) {
  const view = new DataView(new ArrayBuffer(samples.byteLength));
  samples.forEach((value, i) => view.setFloat64(8 * i, value, true));
  return view.buffer;
}
