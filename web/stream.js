// One patient's stream through ekg.onnx, in any JavaScript: `ort` is onnxruntime-web or -node.
// The graph's contract is in docs/embed.md.

const HOP = 18; // samples a frame: the graph takes whole frames
const HOLD = 540; // samples to hold after a recording, for what the graph looks ahead
const PIECE = 20 * 360; // samples in one run: shorter ones take longer for each second, in WebAssembly
const LABELS = ["N", "S", "V", "F", "Q"];
const [THERE, MISSING, PAST_END, CHECKED] = [0, 1, 2, 3];

/** Options of the graph's session; sizes in it depend on the signal, so no memory is planned. */
export const OPTIONS = { enableMemPattern: false, intraOpNumThreads: 1 };

/** The state of a stream before its first sample: plain numbers, which the caller keeps. */
export function start(session) {
  const { shape } = session.inputMetadata.find(({ name }) => name === "state");
  const waiting = { ecg: new Float64Array(0), missing: new Uint8Array(0) };
  return { state: new Float32Array(shape[1]), waiting };
}

/**
 * Take the next samples, give what they decide and the state after them.
 *
 * samples: mV at 360 Hz, any number. The graph finds those that are missing (NaN, or what no heart can have
 * made) and holds the signal over them; with `flags` it is held already where they are 1. A beat has its R peak in samples since the
 * start, its label, the score of that, the probabilities of N, S, V, F and Q, and that of atrial
 * fibrillation, and if its label was chosen as in it. A second has its number, its flaws (bits, see
 * docs/embed.md) and the fibrillation that lasts: 1 atrial, 2 ventricular.
 */
export async function push(ort, session, before, samples, flags) {
  const missing = Uint8Array.from(samples, (_, i) => (!flags ? THERE : flags[i] ? MISSING : CHECKED));
  return run(ort, session, before, Float64Array.from(samples), missing);
}

/** The last beats of a recording, for which the graph waits for signal that does not come. */
export async function finish(ort, session, before) {
  const none = new Float64Array(HOLD + HOP).fill(NaN);
  return run(ort, session, before, none, new Uint8Array(none.length).fill(PAST_END));
}

async function run(ort, session, before, samples, flags) {
  const ecg = joined(Float64Array, before.waiting.ecg, samples);
  const missing = joined(Uint8Array, before.waiting.missing, flags);
  const whole = ecg.length - (ecg.length % HOP);
  let { state } = before;
  const beats = [];
  const seconds = [];
  for (let at = 0; at < whole; at += PIECE) {
    const end = Math.min(at + PIECE, whole);
    const found = await session.run({
      ecg: new ort.Tensor("float64", ecg.subarray(at, end), [1, end - at]),
      missing: new ort.Tensor("uint8", missing.subarray(at, end), [1, end - at]),
      state: new ort.Tensor("float32", state, [1, state.length]),
    });
    state = found.state_out.data.slice();
    beats.push(...readBeats(found));
    seconds.push(...readSeconds(found));
  }
  const waiting = { ecg: ecg.slice(whole), missing: missing.slice(whole) };
  return { beats, seconds, after: { state, waiting } };
}

function joined(kind, first, second) {
  const both = new kind(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function readBeats(found) {
  const beats = [];
  found.valid.data.forEach((valid, slot) => {
    if (valid)
      beats.push({
        rPeak: Number(found.r_peaks.data[slot]),
        label: LABELS[Number(found.labels.data[slot])],
        score: found.scores.data[slot],
        probabilities: [...found.class_probabilities.data.slice(5 * slot, 5 * slot + 5)],
        af: found.af_probabilities.data[slot],
        fibrillating: Boolean(found.fibrillating.data[slot]),
      });
  });
  return beats;
}

function readSeconds(found) {
  const numbers = (name) => Array.from(found[name].data, Number);
  const [flaws, rhythms] = [numbers("flaws"), numbers("rhythms")];
  return numbers("seconds").flatMap((second, i) =>
    second < 0 ? [] : [{ second, flaws: flaws[i], rhythm: rhythms[i] }],
  );
}
