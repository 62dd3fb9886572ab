// A simulated patient, so that the page shows something without a device. Waves are Gaussians,
// after McSharry et al., IEEE Trans Biomed Eng 50(3), 2003, with the shapes of runtime/simulate.py.

/** @type {Record<string, number[][]>} */
// Class -> [centre after the R peak in s, height in mV, width in s] of each wave
const WAVES = {
  N: [[-0.16, 0.12, 0.022], [-0.028, -0.10, 0.009], [0, 1.10, 0.011], [0.030, -0.22, 0.010],
    [0.26, 0.28, 0.050]],
  S: [[-0.12, -0.07, 0.016], [-0.028, -0.10, 0.009], [0, 1.05, 0.011], [0.030, -0.24, 0.010],
    [0.24, 0.25, 0.045]],
  V: [[-0.045, -0.25, 0.025], [0, 1.60, 0.034], [0.085, -0.55, 0.035], [0.32, -0.45, 0.070]],
};
const AF = WAVES.N.slice(1); // no P wave

// A rhythm is a cycle of [class, interval before it in s]; AF draws its intervals anew each time.
/** @typedef {[string, number]} Planned */
const cycle = (/** @type {Planned[][]} */ ...parts) => parts.flat();
/** @type {(count: number, rr?: number) => Planned[]} */
const sinus = (count, rr = 0.83) => Array.from({ length: count }, () => ["N", rr]);
/** @type {(label: string) => Planned[]} */
const early = (label) => [[label, 0.52], ["N", 1.14]];
/** @type {Planned[]} */
const supraventricular = [["S", 0.55], ["N", 0.87]];
/** @type {(count: number, rr: number) => Planned[]} */
const run = (count, rr) => Array.from({ length: count }, (_, i) => ["V", i ? rr : 0.5]);

/** @type {Record<string, {name: string, beats: Planned[]|null, noise?: number, off?: boolean}>} */
export const RHYTHMS = {
  sinus: { name: "Sinus rhythm", beats: sinus(1) },
  sveb: { name: "Supraventricular ectopics",
    beats: cycle(sinus(3), supraventricular, sinus(4), supraventricular) },
  pvc: { name: "Ventricular ectopics", beats: cycle(sinus(3), early("V"), sinus(5), early("V")) },
  bigeminy: { name: "Bigeminy", beats: cycle(early("V")) },
  couplet: { name: "Couplets", beats: cycle(sinus(4), run(2, 0.45), [["N", 1.1]]) },
  run: { name: "Ventricular run", beats: cycle(sinus(5), run(8, 0.38), [["N", 1.2]], sinus(4)) },
  af: { name: "Atrial fibrillation", beats: null },
  brady: { name: "Bradycardia", beats: sinus(1, 1.5) },
  tachy: { name: "Tachycardia", beats: sinus(1, 0.43) },
  pause: { name: "Pauses", beats: cycle(sinus(5), [["N", 3.4]]) },
  noise: { name: "Motion noise", beats: sinus(1), noise: 0.45 },
  off: { name: "Electrode off", beats: sinus(1), off: true },
};
// The rhythms of a patient for whom none is chosen: [rhythm, s]
/** @type {Planned[]} */
const PROGRAMME = [["sinus", 5], ["pvc", 15], ["sinus", 5], ["bigeminy", 14], ["sveb", 18],
  ["couplet", 14], ["sinus", 5], ["run", 16], ["af", 45], ["sinus", 6], ["pause", 15],
  ["brady", 12], ["tachy", 12], ["noise", 10], ["off", 8]];

export class Patient {
  /** @param {number} fs Hz @param {number} seed the same seed gives the same patient */
  constructor(fs = 360, seed = 1) {
    this.fs = fs;
    this.random = mulberry32(seed);
    /** @type {string|null} a rhythm's key; null follows the programme */
    this.chosen = null;
    this.rhythm = "sinus";
    this.sample = 0;
    /** @type {{at: number, waves: number[][], size: number, stretch: number}[]} */
    this.beats = []; // near the moment
    this.next = 0.4; // when the next beat is due, s
    this.place = 0; // in the rhythm's cycle
    this.wander = 0;
  }

  /**
   * The next samples, mV.
   * @param {number} count
   */
  take(count) {
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) out[i] = this.#value(this.sample++ / this.fs);
    return out;
  }

  /** @param {number} t s */
  #value(t) {
    this.#follow(t);
    while (this.next < t + 0.6) this.#layOut();
    if (this.beats.length && this.beats[0].at < t - 0.8) this.beats.shift();
    const rhythm = RHYTHMS[this.rhythm];
    const noise = this.#normal();
    if (rhythm.off) return 0.002 * noise;
    let value = 0.01 * noise + 0.05 * Math.sin(2 * Math.PI * 0.23 * t)
      + 0.04 * Math.sin(2 * Math.PI * 0.07 * t);
    if (rhythm.noise) {
      this.wander += 0.06 * (this.#normal() - 0.1 * this.wander);
      value += rhythm.noise * (2.4 * this.wander + 0.35 * noise);
    }
    if (this.rhythm === "af") { // fibrillatory waves
      value += 0.045 * Math.sin(2 * Math.PI * 5.8 * t + 1.3 * Math.sin(2 * Math.PI * 0.6 * t))
        + 0.02 * Math.sin(2 * Math.PI * 7.9 * t);
    }
    for (const beat of this.beats) {
      for (const [centre, height, width] of beat.waves) {
        const distance = (t - beat.at - centre * beat.stretch) / width;
        if (distance > -5 && distance < 5) {
          value += beat.size * height * Math.exp(-0.5 * distance * distance);
        }
      }
    }
    return value;
  }

  /**
   * Change the rhythm if the programme or the user does.
   * @param {number} t s
   */
  #follow(t) {
    const wanted = this.chosen ?? planned(t);
    if (wanted === this.rhythm) return;
    this.rhythm = wanted;
    this.place = 0;
  }

  #layOut() {
    const { beats } = RHYTHMS[this.rhythm];
    const [label, before] = beats
      ? beats[this.place++ % beats.length]
      : ["N", 0.42 + 0.62 * this.random() ** 1.4];
    const breath = beats ? 1 + 0.03 * Math.sin(2 * Math.PI * 0.23 * this.next) + 0.008 * this.#normal() : 1;
    const at = this.next - 0.6 < 0 && !this.beats.length ? this.next : this.next + before * breath;
    this.beats.push({ at, waves: beats ? WAVES[label] : AF, size: Math.exp(0.03 * this.#normal()),
      stretch: Math.min(1, Math.sqrt(before / 0.7)) });
    this.next = at;
  }

  #normal() { // Box-Muller
    return Math.sqrt(-2 * Math.log(1 - this.random())) * Math.cos(2 * Math.PI * this.random());
  }
}

/** @param {number} t s */
function planned(t) {
  let left = t % PROGRAMME.reduce((sum, [, seconds]) => sum + seconds, 0);
  for (const [rhythm, seconds] of PROGRAMME) {
    if (left < seconds) return rhythm;
    left -= seconds;
  }
  return "sinus";
}

/**
 * A small generator with a seed, which Math.random lacks.
 * @param {number} seed
 */
function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}
