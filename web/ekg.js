// Beats of an ECG in the browser: ekg.onnx by onnxruntime-web, in a Worker of its own, so that the
// page never waits. Nothing leaves the machine.
//
//   const detector = await open();
//   const stream = detector.stream();
//   const { beats, seconds } = await stream.push(samples); // mV at 360 Hz, any number
//   const last = await stream.finish();

const HERE = import.meta.url;

/** Load the network; `model` and `library` are where ekg.onnx and onnxruntime-web's files lie. */
export async function open({
  model = new URL("ekg.onnx", HERE).href,
  library = new URL("ort/", HERE).href,
} = {}) {
  const worker = new Worker(HERE, { type: "module", name: "ekg" });
  const waiting = new Map();
  let count = 0;
  const refuse = (error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.onmessage = ({ data: { id, error, answer } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(answer);
  };
  worker.onerror = ({ message }) => refuse(new Error(message || "the worker did not start"));
  const ask = (task, ...values) =>
    new Promise((resolve, reject) => {
      count += 1;
      waiting.set(count, { resolve, reject });
      worker.postMessage({ id: count, task, values });
    });
  const first = await ask("load", model, library);
  return {
    stream: () => new Stream(ask, first),
    close: () => {
      worker.terminate();
      refuse(new Error("the detector was closed"));
    },
  };
}

/** One patient. `state` is all of it, plain numbers: keep it to go on later. */
class Stream {
  #ask;
  #last = Promise.resolve();

  constructor(ask, state) {
    this.#ask = ask;
    this.state = state;
  }

  /** The beats and seconds that the next samples decide; pushes are done one after another. */
  push(samples, missing) {
    return this.#next(async () => {
      const { beats, seconds, after } = await this.#ask("push", this.state, samples, missing);
      this.state = after;
      return { beats, seconds };
    });
  }

  /** The last beats, when a recording ends. */
  finish() {
    return this.#next(async () => {
      const { beats, seconds } = await this.#ask("finish", this.state);
      return { beats, seconds };
    });
  }

  #next(task) {
    const done = this.#last.then(task);
    this.#last = done.catch(() => {}); // who asked is told; the next may still succeed
    return done;
  }
}

if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope) serve();

function serve() {
  let ort, session, stream;
  const tasks = {
    async load(model, library) {
      [ort, stream] = await Promise.all([
        import(`${library}ort.wasm.min.mjs`),
        import(new URL("stream.js", HERE).href),
      ]);
      ort.env.wasm.wasmPaths = library;
      ort.env.wasm.numThreads = 1; // more need headers that a plain web host does not send
      const options = { ...stream.OPTIONS, executionProviders: ["wasm"] };
      session = await ort.InferenceSession.create(model, options);
      return stream.start(session);
    },
    push: (state, samples, missing) => stream.push(ort, session, state, samples, missing),
    finish: (state) => stream.finish(ort, session, state),
  };
  let last = Promise.resolve();
  self.onmessage = ({ data: { id, task, values } }) => {
    // A session runs one thing at a time.
    last = last.then(async () => {
      try {
        self.postMessage({ id, answer: await tasks[task](...values) });
      } catch (error) {
        self.postMessage({ id, error: String(error?.message ?? error) });
      }
    });
  };
}
