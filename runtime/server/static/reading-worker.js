// The worker that reads annotations of beats, so that those of a day do not make the page stand still.

import { isAnnotations, readAnnotations } from "./annotations.js";
import { readEdfBeats } from "./edfbeats.js";

addEventListener("message", async ({ data: { id, file, fs } }) => {
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const marks = isAnnotations(file.name) ? readAnnotations(bytes, fs, file.name) : readEdfBeats(bytes, file.name);
    const times = Float64Array.from(marks, ({ time }) => time);
    postMessage({ id, answer: { times, labels: marks.map(({ label }) => label).join("") } },
      { transfer: [times.buffer] });
  } catch (error) {
    postMessage({ id, refusal: error instanceof Error ? error.message : String(error) });
  }
});
