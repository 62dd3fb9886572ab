// Recordings: the server reads their files, as `ekg.read` does, so that the page and `annotate` see the
// same signal and refuse the same. Annotations of others are read here. A worker does both.

import { isAnnotations } from "./annotations.js";

/** @typedef {import("./annotations.js").Mark} Mark */
/** @typedef {{name: string, marks: Mark[]}} Reference beats that others have marked */
/**
 * What the server says of a lead that it has read.
 * @typedef {{name: string, lead: string, leads: string[], fs: number, start: string|null, notes: string[]}} Head
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
 * @property {(lead: number) => Promise<Float64Array>} read a lead in mV, NaN in gaps
 */
/** @typedef {{fs?: string, units?: string}} Stated what the user says of the files; empty if nothing */

/**
 * @param {File[]} files
 * @param {Stated} stated
 * @returns {Promise<Opened>}
 * @throws {Error} with a sentence for the user
 */
export async function openRecording(files, stated) {
  const signals = files.filter(({ name }) => !isAnnotations(name));
  const { head, samples } = await readLead(signals, stated);
  const first = head.leads.indexOf(head.lead);
  const marked = files.find(({ name }) => isAnnotations(name));
  const edf = signals.find(({ name }) => /\.(?:edf|rec)$/i.test(name));
  const reference = marked ? await readReference(marked, head.fs)
    : edf ? await readReference(edf, head.fs).catch(() => undefined) : undefined; // most have no beats
  /** @type {Float64Array|null} given once; the server is asked again rather than to hold two */
  let known = samples;
  return {
    ...head, first, reference, startsAt: head.start === null ? undefined : Date.parse(`${head.start}Z`),
    read: async (lead) => {
      if (lead === first && known) {
        const given = known;
        known = null;
        return given;
      }
      return (await readLead(signals, { ...stated, lead: head.leads[lead] })).samples;
    },
  };
}

/**
 * @param {File[]} files
 * @param {Stated & {lead?: string}} stated
 * @returns {Promise<{head: Head, samples: Float64Array}>}
 */
function readLead(files, stated) {
  const query = new URLSearchParams(Object.entries(stated).filter(([, value]) => value));
  return ask({ lead: { path: new URL(`../read?${query}`, import.meta.url).href, files,
    bearer: sessionStorage.getItem("token") } });
}

let asked = 0;
/** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();
/** @type {Worker|null} */
let worker = null;

/**
 * @param {object} question
 * @returns {Promise<any>} the worker's answer
 */
function ask(question) {
  if (!worker) {
    worker = new Worker(new URL("reading-worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data: { id, answer, refusal } }) => {
      const { resolve, reject } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (refusal === undefined) resolve?.(answer);
      else reject?.(new Error(refusal));
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
