// One patient's stream through ekg.onnx, in any JavaScript: `ort` is onnxruntime-web or -node.
// The graph's contract is in docs/embed.md.

const HOP = 18; // samples a frame: the graph takes whole frames
const HOLD = 540; // samples to hold after a recording, for what the graph looks ahead
const PIECE = 5 * 360; // samples in one run: in WebAssembly longer ones take longer for each second
const LABELS = ["N", "S", "V", "F", "Q"];

/** The state of a stream before its first sample: plain numbers, which the caller keeps. */
export function start(session) {
  const { shape } = session.inputMetadata.find(({ name }) => name === "state");
  return { state: new Float32Array(shape[1]), waiting: new Float64Array(0), taken: 0, last: 0 };
}

/**
 * Take the next samples, give the beats that they decide and the state after them.
 *
 * samples: mV at 360 Hz, any number, none of them NaN. A beat has its R peak in samples since the
 * start, its label, the score of that, and the probabilities of N, S, V, F and Q.
 */
export async function push(ort, session, before, samples) {
  const wrong = samples.findIndex((sample) => !Number.isFinite(sample));
  if (wrong >= 0)
    throw new Error(`sample ${wrong} is no number; hold the last value where samples are missing.`);
  const line = new Float64Array(before.waiting.length + samples.length);
  line.set(before.waiting);
  line.set(samples, before.waiting.length);
  const whole = line.length - (line.length % HOP);
  let { state } = before;
  const beats = [];
  for (let at = 0; at < whole; at += PIECE) {
    const piece = line.subarray(at, Math.min(at + PIECE, whole));
    const found = await session.run({
      ecg: new ort.Tensor("float64", piece, [1, piece.length]),
      state: new ort.Tensor("float32", state, [1, state.length]),
    });
    state = found.state_out.data.slice();
    beats.push(...read(found));
  }
  const taken = before.taken + samples.length;
  const last = samples.length ? samples[samples.length - 1] : before.last;
  return { beats, after: { state, waiting: line.slice(whole), taken, last } };
}

/** The last beats of a recording, for which the graph waits for signal that does not come. */
export async function finish(ort, session, before) {
  const held = new Float64Array(HOLD + HOP).fill(before.last);
  const { beats } = await push(ort, session, before, held);
  return beats.filter((beat) => beat.rPeak < before.taken);
}

function read(found) {
  const beats = [];
  found.valid.data.forEach((valid, slot) => {
    if (valid) {
      beats.push({
        rPeak: Number(found.r_peaks.data[slot]),
        label: LABELS[Number(found.labels.data[slot])],
        score: found.scores.data[slot],
        probabilities: [...found.class_probabilities.data.slice(5 * slot, 5 * slot + 5)],
      });
    }
  });
  return beats;
}
