// A simulated patient: waves as Gaussians, now and then a ventricular beat. For trying out only.

const FS = 360;
// Of a wave: s from the R peak, width (s), height (mV).
const N = [[-0.17, 0.025, 0.12], [-0.025, 0.009, -0.12], [0, 0.011, 1.1], [0.028, 0.01, -0.25], [0.27, 0.055, 0.3]];
const V = [[0, 0.035, 1.5], [0.09, 0.04, -0.7], [0.32, 0.07, -0.4]];

/** Gives the next samples, mV at 360 Hz, as often as it is called. */
export function patient(random = Math.random) {
  const beats = [];
  let end = 0.5;
  let taken = 0;
  return (count) => {
    while (end < (taken + count) / FS + 1) {
      const early = random() < 0.12;
      beats.push({ time: end - (early ? 0.3 : 0), waves: early ? V : N });
      end += early ? 0.95 : 0.8 + 0.03 * (random() - 0.5);
    }
    while (beats.length && beats[0].time < taken / FS - 1) beats.shift();
    const samples = Float64Array.from({ length: count }, (_, i) => {
      const now = (taken + i) / FS;
      let mv = 0.02 * Math.sin(now * 1.5) + 0.01 * (random() - 0.5);
      for (const { time, waves } of beats)
        for (const [offset, width, height] of waves)
          mv += height * Math.exp(-0.5 * ((now - time - offset) / width) ** 2);
      return mv;
    });
    taken += count;
    return samples;
  };
}
