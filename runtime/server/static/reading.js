// Recordings: the server reads their files, as `ekg.read` does, so that the page and `annotate` see the
// same signal and refuse the same. Annotations of others are read here. A worker does both.

import { isAnnotations } from "./annotations.js";

/** @typedef {import("./annotations.js").Mark} Mark */
/** @typedef {{name: string, marks: Mark[]}} Reference beats that others have marked */
/**
 * What the server says of a lead that it has read.
 * @typedef {{name: string, lead: string, leads: string[], fs: number, start: string|null, notes: string[],
 *   samples: number}} Head
 */
/**
 * @typedef {object} Lead
 * @property {Float64Array} samples mV, NaN in gaps
 * @property {ReadableStream<import("./link.js").Answer>} answers what is found in it, if that was asked for;
 *   none if the server did not come to it
 */
/**
 * @typedef {object} Opened a recording
 * @property {string} name
 * @property {number} fs Hz
 * @property {string[]} leads
 * @property {number} first the lead that is the ECG
 * @property {string[]} notes
 * @property {number} [startsAt] ms since 1970, as if the recorder's clock were UTC's
 * @property {Reference} [reference]
 * @property {(lead: number, answers?: boolean) => Promise<Lead>} read a lead, with what is found in it or without
 */
/** @typedef {{fs?: string, units?: string}} Stated what the user says of the files; empty if nothing */

/**
 * @param {File[]} files
 * @param {Stated} stated
 * @param {boolean} answers what is found in the first lead is wanted, too
 * @returns {Promise<Opened>}
 * @throws {Error} with a sentence for the user
 */
export async function openRecording(files, stated, answers) {
  const signals = files.filter(({ name }) => !isAnnotations(name));
  const opened = await readLead(signals, { ...stated, ...(answers && { answers: "true" }) });
  const { head } = opened;
  const first = head.leads.indexOf(head.lead);
  const marked = files.find(({ name }) => isAnnotations(name));
  const edf = signals.find(({ name }) => /\.(?:edf|rec)$/i.test(name));
  const reference = marked ? await readReference(marked, head.fs)
    : edf ? await readReference(edf, head.fs).catch(() => undefined) : undefined; // most have no beats
  /** @type {Lead|null} given once; the server is asked again rather than to hold two */
  let known = opened;
  return {
    ...head, first, reference, startsAt: head.start === null ? undefined : Date.parse(`${head.start}Z`),
    read: async (lead, wanted = false) => {
      const given = known;
      if (lead === first && given) {
        known = null;
        if (!wanted) given.answers.cancel();
        return given;
      }
      return readLead(signals, { ...stated, lead: head.leads[lead], ...(wanted && { answers: "true" }) });
    },
  };
}

/**
 * @param {File[]} files
 * @param {Stated & {lead?: string, answers?: string}} stated
 * @returns {Promise<Lead & {head: Head}>}
 */
async function readLead(files, stated) {
  const query = new URLSearchParams(Object.entries(stated).filter(([, value]) => value));
  const question = { lead: { path: new URL(`../read?${query}`, import.meta.url).href, files,
    bearer: sessionStorage.getItem("token"), answers: Boolean(stated.answers) } };
  /** @type {number} */
  let id;
  /** @type {ReadableStream<import("./link.js").Answer>} */
  const answers = new ReadableStream({
    start: (controller) => { id = asked + 1; found.set(id, controller); },
    cancel: () => { found.delete(id); worker?.postMessage({ id, cancel: true }); },
  });
  return { ...await ask(question), answers };
}

let asked = 0;
/** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();
/** @type {Map<number, ReadableStreamDefaultController>} what is found in leads, as it comes */
const found = new Map();
/** @type {Worker|null} */
let worker = null;

/**
 * @param {object} question
 * @returns {Promise<any>} the worker's answer
 */
function ask(question) {
  if (!worker) {
    worker = new Worker(new URL("reading-worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = waiting.get(data.id) ?? {};
      const coming = found.get(data.id);
      if ("answer" in data) resolve?.(data.answer);
      else if ("found" in data) coming?.enqueue(data.found);
      else {
        reject?.(new Error(data.refusal)); // or no more comes
        coming?.close();
        found.delete(data.id);
      }
      waiting.delete(data.id);
    });
  }
  const id = ++asked;
  worker.postMessage({ id, ...question });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

/**
 * @param {File} file of annotations
 * @param {number} fs Hz of the recording
 * @returns {Promise<Reference>}
 * @throws {Error} with a sentence for the user
 */
export async function readReference(file, fs) {
  /** @type {{times: Float64Array, labels: string}} */
  const { times, labels } = await ask({ file, fs });
  return { name: file.name, marks: Array.from(times, (time, i) => ({ time, label: labels[i] })) };
}
