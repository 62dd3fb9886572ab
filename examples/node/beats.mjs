// Beats with onnxruntime-node: one graph, ECG and state in, beats and state out.
//
//   npm install
//   node beats.mjs ../../artifacts/ekg.onnx < samples.txt
//
// Samples are numbers in mV at 360 Hz, one a line; nan is missing, and the graph finds what else is.
// Prints of each beat its R peak (sample), label, score and probability of atrial fibrillation.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { finish, OPTIONS, push, start } from "../../web/stream.js";

const ort = createRequire(import.meta.url)("onnxruntime-node"); // NODE_PATH counts too

const CHUNK = 1800; // any number gives the same beats
const session = await ort.InferenceSession.create(process.argv[2], OPTIONS);
let after = start(session);
let chunk = [];
let numbers = false;

async function take() {
  let beats;
  ({ beats, after } = await push(ort, session, after, chunk));
  chunk = [];
  show(beats);
}

function show(beats) {
  for (const { rPeak, label, score, af } of beats)
    console.log(rPeak, label, score.toFixed(5), af.toFixed(5));
}

for await (const line of createInterface({ input: process.stdin })) {
  chunk.push(Number(line));
  numbers ||= !Number.isNaN(chunk.at(-1));
  if (chunk.length === CHUNK) await take();
}
if (!numbers) throw new Error("expected a number a line, or nan for a sample that is missing.");
await take();
show((await finish(ort, session, after)).beats);
