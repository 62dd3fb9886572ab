// Live signal: the simulated patient, a chest strap or a serial port, through the detector as it comes.
// devices/ is the code of the page that `ekg serve` gives; the build puts it there.
import { writeEdf } from "./devices/edfwriter.js";
import { choosePort, noPorts, SerialSource } from "./devices/serialport.js";
import { localClock, Signal } from "./devices/signal.js";
import { chooseStrap, noStraps, StrapSource } from "./devices/strap.js";
import { Bridge } from "./gaps.js";
import { patient } from "./patient.js";
import { Resampler } from "./resample.js";

const FS = 360;
const TICK_MS = 100; // between two chunks of the simulated patient

/** Devices by their names: why there can be none here, and to let the user choose one. */
export const DEVICES = {
  strap: { missing: noStraps, choose: async () => new StrapSource(await chooseStrap()) },
  serial: {
    missing: noPorts,
    choose: async (settings) => new SerialSource(await choosePort(), settings),
  },
};

/** A simulated patient at the pace of the clock. */
export class SimulatedSource {
  name = "A simulated patient";
  fs = FS;
  #timer = 0;

  start({ append }) {
    const next = patient();
    let last = performance.now();
    let owed = 0;
    this.#timer = setInterval(() => {
      const now = performance.now();
      owed = Math.min(owed + ((now - last) * FS) / 1000, FS); // a page in the background sleeps
      last = now;
      const samples = next(Math.floor(owed));
      owed -= samples.length;
      append(samples);
    }, TICK_MS);
  }

  stop() {
    clearInterval(this.#timer);
  }
}

/**
 * Follow a source until its end, or `stop` of it.
 *
 * Gives what is found and the signal at 360 Hz, as it comes: on.found({ beats, seconds, signal }),
 * once on.ended(recording) with the recording as EDF, or on.failed(error).
 */
export function follow(source, stream, on) {
  // At its own rate the network finds missing samples itself.
  const bridge = source.fs === FS ? null : new Bridge(source.fs);
  const resampler = new Resampler(source.fs);
  const startsAt = localClock();
  const recorded = source.finish ? new Signal(source.fs, Math.ceil(source.capacityS * source.fs)) : null;
  let last = Promise.resolve();
  const then = (task) => {
    last = last.then(task).catch((error) => {
      source.stop();
      on.failed(error);
      last = new Promise(() => {}); // nothing more
    });
  };
  const take = async ({ signal, missing }) =>
    signal.length && on.found({ ...(await stream.push(signal, bridge ? missing : undefined)), signal });
  source.start({
    append: (samples) => {
      recorded?.append(samples);
      const { held, missing } = bridge?.push(samples) ?? { held: samples };
      const ready = resampler.push(held, missing);
      then(() => take(ready));
    },
    end: () => {
      const rest = resampler.finish();
      then(async () => {
        await take(rest);
        on.found({ ...(await stream.finish()), signal: new Float64Array(0) });
        on.ended(recorded?.end ? edf(recorded, source, startsAt) : null);
      });
    },
    refused: on.failed,
  });
}

function edf(recorded, source, startsAt) {
  const samples = recorded.slice(recorded.start, recorded.end);
  return writeEdf({
    samples,
    fs: source.fs,
    lead: source.lead,
    device: source.name,
    startsAt: startsAt + (1000 * recorded.start) / source.fs,
  });
}
