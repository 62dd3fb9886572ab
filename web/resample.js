// Any rate from 100 to 1000 Hz to the network's: a sinc in a Kaiser window, as the runtime has it.

const MODEL_FS = 360;
const LOBES = 8; // zero crossings to either side
const KAISER_BETA = 6;

/** The signal at 360 Hz; its ends are held. */
export function resampled(ecg, fs) {
  if (!(fs >= 100 && fs <= 1000))
    throw new Error(`the sampling rate is ${fs} Hz; expected 100 to 1000 Hz.`);
  if (fs === MODEL_FS) return ecg;
  const step = fs / MODEL_FS;
  const half = Math.ceil(LOBES * Math.max(1, step));
  const output = new Float64Array(Math.floor((ecg.length - 1) / step) + 1);
  const rows = new Map(); // weights by phase: the usual rates have few phases
  for (let k = 0; k < output.length; k += 1) {
    const position = k * step;
    const first = Math.floor(position + 1e-9);
    const phase = Math.round((position - first) * 7200) / 7200;
    if (!rows.has(phase)) rows.set(phase, weights(phase, half, Math.min(1, 1 / step)));
    const row = rows.get(phase);
    let sum = 0;
    for (let i = 0; i < row.length; i += 1) {
      const at = first + 1 - half + i;
      sum += row[i] * ecg[Math.min(Math.max(at, 0), ecg.length - 1)];
    }
    output[k] = sum;
  }
  return output;
}

function weights(phase, half, cutoff) {
  const row = Array.from({ length: 2 * half }, (_, i) => {
    const distance = 1 - half + i - phase;
    const inside = Math.sqrt(Math.max(0, 1 - (distance / half) ** 2));
    const angle = Math.PI * cutoff * distance;
    return (angle ? Math.sin(angle) / angle : 1) * bessel(KAISER_BETA * inside);
  });
  const total = row.reduce((sum, one) => sum + one, 0);
  return row.map((one) => one / total);
}

/** The modified Bessel function of order 0, by its series. */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-12 * sum; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
