// The worker that fetches leads and reads annotations of beats, so that those of a day do not make the
// page stand still.

import { isAnnotations, readAnnotations } from "./annotations.js";
import { readEdfBeats } from "./edfbeats.js";

const PATIENCE_MS = 600_000; // of a day's file
const HEAD = "X-EKG-Head";

/** @typedef {{path: string, files: File[], bearer: string|null}} Lead of files, to be read by the server */

addEventListener("message", async ({ data: { id, lead, file, fs } }) => {
  try {
    const { answer, buffer } = lead ? await fetched(lead) : await marked(file, fs);
    postMessage({ id, answer }, { transfer: [buffer] });
  } catch (error) {
    postMessage({ id, refusal: error instanceof Error ? error.message : String(error) });
  }
});

/** @param {Lead} lead */
async function fetched({ path, files, bearer }) {
  const body = new FormData();
  for (const file of files) body.append("file", file, file.name);
  const headers = bearer ? { Authorization: `Bearer ${bearer}` } : undefined;
  const response = await fetch(path, { method: "POST", body, headers, cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => { throw new Error("The server does not answer."); });
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail ?? response.statusText);
  const buffer = await response.arrayBuffer();
  const length = Number(response.headers.get(HEAD));
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 0, length)));
  // Little-endian, as all machines with a browser are.
  return { answer: { head, samples: new Float64Array(buffer, length) }, buffer };
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
