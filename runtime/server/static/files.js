// Recordings dropped on the page: a table, a WFDB record's .hea and .dat, an EDF file; annotations
// beside them. They are read here; only the samples of a lead go to the server.

import { isAnnotations, readAnnotations } from "./annotations.js";
import { readEdf } from "./edf.js";
import { readCsv } from "./tables.js";
import { readWfdb } from "./wfdb.js";

const LARGEST_TABLE = 200e6; // bytes; a longer one is more text than a browser holds

/** @typedef {import("./annotations.js").Mark} Mark */
/**
 * A recording.
 * @typedef {object} Recording
 * @property {string} name
 * @property {number} fs Hz
 * @property {boolean} timed true if the file states its rate
 * @property {string[]} leads
 * @property {number} first the lead that is the ECG
 * @property {number} [startsAt] ms since 1970, as if the recorder's clock were UTC's
 * @property {{name: string, marks: Mark[]}} [reference] beats that others have marked
 * @property {(lead: number) => Float32Array} read a lead in mV, NaN in gaps
 */

/**
 * @param {File[]} files
 * @param {number} fs Hz, for a CSV file without times
 * @returns {Promise<Recording>}
 * @throws {Error} with a sentence for the user
 */
export async function readRecording(files, fs) {
  const endsWith = (/** @type {string[]} */ ...ends) => files.find((file) =>
    ends.some((end) => file.name.toLowerCase().endsWith(end)));
  const recording = await readSignals(files, fs, endsWith);
  const marks = files.find(({ name }) => isAnnotations(name));
  if (marks) recording.reference = await readReference(marks, recording.fs);
  return recording;
}

/**
 * @param {File} file of annotations
 * @param {number} fs Hz of the recording
 */
export async function readReference(file, fs) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  return { name: file.name, marks: readAnnotations(bytes, fs, file.name) };
}

/**
 * @param {File[]} files
 * @param {number} fs
 * @param {(...ends: string[]) => File|undefined} endsWith the first file with such a name
 */
async function readSignals(files, fs, endsWith) {
  const header = endsWith(".hea");
  if (header) {
    const text = await decoded(header).catch(() => decoded(header, "latin1")); // as µ often is
    return readWfdb(text, header.name, files);
  }
  const edf = endsWith(".edf");
  if (edf) return readEdf(new Uint8Array(await edf.arrayBuffer()), edf.name);
  const table = endsWith(".csv", ".txt");
  if (table && table.size > LARGEST_TABLE) {
    throw new Error(`${table.name} has ${Math.round(table.size / 1e6)} MB; tables up to `
      + `${LARGEST_TABLE / 1e6} MB are read here. \`ekg convert\` makes an EDF file of it, which is.`);
  }
  if (table) return readCsv(await decoded(table), table.name, fs);
  if (endsWith(".dat")) {
    throw new Error("A .dat file needs its .hea header: choose or drop both together.");
  }
  throw new Error("Expected a .csv or .edf file, or a WFDB record's .hea and .dat files together.");
}

/**
 * The text of a file: in another encoding a unit's µ, say, would be another sign.
 * @param {File} file
 * @param {string} [encoding]
 */
async function decoded(file, encoding = "utf-8") {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} is no text in UTF-8; expected a table saved as that.`);
  }
}
