// Sounds of alarms and the QRS tone, off until they are switched on. Bursts are patterned after
// IEC 60601-1-8: ten pulses in two groups for a high, three for a medium, two for a low priority.

/** @typedef {import("./priorities.js").Priority} Priority */

/** @type {Record<Priority, {pulses: number[], length: number, pitch: number[], every: number}>} */
// When pulses begin, how long one is, their pitches in Hz, and when the burst is heard again, s.
const BURSTS = {
  high: { pulses: [0, 0.2, 0.4, 0.75, 0.95, 1.7, 1.9, 2.1, 2.45, 2.65], length: 0.12,
    pitch: [523, 523, 523, 659, 784], every: 6 },
  medium: { pulses: [0, 0.4, 0.8], length: 0.2, pitch: [440, 440, 523], every: 12 },
  low: { pulses: [0, 0.45], length: 0.2, pitch: [330, 330], every: 25 },
};
const HARMONICS = [0, 1, 0.5, 0.35, 0.25, 0.15]; // four and more, so that its place can be heard
const RISE_S = 0.02;
const LOUDNESS = 0.2;
const BEEP = { pitch: 880, length: 0.06 };

export class Sounds {
  constructor() {
    this.alarmsOn = false;
    this.toneOn = false;
    /** @type {AudioContext|null} */
    this.audio = null;
    this.last = -Infinity; // s, when the last burst began
    /** @type {Priority|null} its priority */
    this.lastPriority = null;
  }

  /**
   * Switch on or off; a browser lets only the user's own click start sound.
   * @param {{alarms?: boolean, tone?: boolean}} what
   */
  set({ alarms = this.alarmsOn, tone = this.toneOn }) {
    this.alarmsOn = alarms;
    this.toneOn = tone;
    if (alarms || tone) {
      this.audio ??= new AudioContext();
      this.audio.resume();
    }
  }

  /**
   * Sound the burst of a priority if it is time for it; to be called often.
   * @param {Priority|null} priority
   */
  alarm(priority) {
    if (!priority || !this.alarmsOn || !this.audio) {
      this.lastPriority = null;
      return;
    }
    const { pulses, length, pitch, every } = BURSTS[priority];
    const now = this.audio.currentTime;
    if (priority === this.lastPriority && now < this.last + every) return;
    this.last = now;
    this.lastPriority = priority;
    pulses.forEach((at, i) => this.#pulse(now + at, length, pitch[i % pitch.length]));
  }

  /** A beat's tone. */
  beat() {
    if (this.toneOn && this.audio) this.#pulse(this.audio.currentTime, BEEP.length, BEEP.pitch);
  }

  /**
   * @param {number} at s
   * @param {number} length s
   * @param {number} pitch Hz
   */
  #pulse(at, length, pitch) {
    const { audio } = this;
    if (!audio) return;
    const tone = audio.createOscillator();
    tone.setPeriodicWave(audio.createPeriodicWave(new Float32Array(HARMONICS.length),
      Float32Array.from(HARMONICS)));
    tone.frequency.value = pitch;
    const volume = audio.createGain();
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(LOUDNESS, at + RISE_S);
    volume.gain.setValueAtTime(LOUDNESS, at + length - RISE_S);
    volume.gain.linearRampToValueAtTime(0, at + length);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + length);
  }
}
