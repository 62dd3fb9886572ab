// The worker that reads files: it holds the last recording and gives its leads when they are wanted.

import { readRecording } from "./files.js";

/** @typedef {import("./files.js").Recording} Recording */
/** @typedef {Omit<Recording, "read">} Head what can be sent: all but the function */

/** @type {Recording|null} */
let recording = null;

addEventListener("message", async ({ data: { id, files, fs, lead } }) => {
  try {
    if (files) {
      recording = await readRecording(files, fs);
      const { read, ...head } = recording;
      postMessage({ id, answer: head });
    } else if (recording) {
      const samples = recording.read(lead);
      postMessage({ id, answer: samples }, { transfer: [samples.buffer] });
    }
  } catch (error) {
    postMessage({ id, refusal: error instanceof Error ? error.message : String(error) });
  }
});
