// Files are read in a worker, so that a recording of a day does not make the page stand still.

/** @typedef {import("./reading-worker.js").Head} Head */
/** @typedef {Head & {read: (lead: number) => Promise<Float32Array>}} Opened a recording */

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
 * @param {File[]} files
 * @param {number} fs Hz, for a CSV file without times
 * @returns {Promise<Opened>}
 * @throws {Error} with a sentence for the user
 */
export async function openRecording(files, fs) {
  const head = await ask({ files, fs });
  return { ...head, read: (lead) => ask({ lead }) };
}
