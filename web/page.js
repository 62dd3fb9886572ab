// The page: recordings in, beats drawn. The detector is in ekg.js.
import { open } from "./ekg.js";
import { drawIntervals } from "./devices/rrtrend.js";
import { readFiles, readTable } from "./files.js";
import { bridged, missingAt } from "./gaps.js";
import { DEVICES, follow, SimulatedSource } from "./live.js";
import { resampled } from "./resample.js";
import { draw, SHOWN_S } from "./trace.js";

const FS = 360;
const [AF, VF] = [1, 2]; // of a second's rhythm
const DOUBTFUL = 1 + 4 + 8 + 32; // flaws of a second: flat, baseline wander, noise, railed
const PIECE = 60 * FS;
const HEADER = "time (s),label,score,AF probability\n";
const at = (id) => document.getElementById(id);
const canvas = at("trace");
let current = 0; // what is shown now: another recording stops the one before
let running = null; // its source, if it is live

function say(text, error = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", error);
}

const detector = open();
detector.then(
  () => say(`Ready after ${(performance.now() / 1000).toFixed(1)} s.`),
  (error) => say(`The network does not run in this browser: ${error.message}`, true),
);

/** Something else is shown from here on; gives its number. */
function begin(source = null) {
  running?.stop();
  running = source;
  for (const id of ["save", "save-edf", "end"]) at(id).hidden = true;
  at("intervals").setAttribute("hidden", "");
  at("sensor").textContent = "";
  current += 1;
  return current;
}

async function show(read) {
  const mine = begin();
  try {
    say("Reading…");
    const { name, lead, fs, ecg, start } = await read();
    const started = performance.now();
    const { held, missing } = bridged(ecg, fs);
    const signal = resampled(held, fs);
    // At its own rate the network finds missing samples itself.
    const given = fs === FS ? ecg : signal;
    const gone = fs === FS ? null : missingAt(missing, fs, FS, signal.length);
    const stream = (await detector).stream();
    const beats = [];
    const closed = [];
    const add = (found) => {
      beats.push(...found.beats);
      closed.push(...found.seconds);
    };
    for (let i = 0; i < signal.length; i += PIECE) {
      add(await stream.push(given.subarray(i, i + PIECE), gone?.subarray(i, i + PIECE)));
      if (mine !== current) return;
      say(`${name}: ${Math.round(i / FS)} of ${Math.round(signal.length / FS)} s…`);
    }
    add(await stream.finish());
    if (mine !== current) return;
    const seconds = signal.length / FS;
    const took = (performance.now() - started) / 1000;
    const began = start ? `, from ${start}` : "";
    say(`${name}, ${lead}, ${Number(fs.toFixed(2))} Hz${began}: ${seconds.toFixed(0)} s of ECG in ${took.toFixed(2)} s.`);
    count(beats);
    at("rhythm").textContent = rhythms(closed);
    const from = at("from");
    from.hidden = seconds <= SHOWN_S;
    from.max = Math.max(0, Math.ceil(seconds - SHOWN_S));
    from.value = 0;
    from.oninput = () => {
      at("place").textContent = `from ${from.value} s`;
      draw(canvas, signal, beats, Number(from.value) * FS);
    };
    from.oninput();
    offer(name, beats);
  } catch (error) {
    if (mine === current) say(error.message, true);
  }
}

/** The beats as a table, to save. */
function offer(name, beats) {
  const rows = beats.map(({ rPeak, label, score, af }) =>
    [(rPeak / FS).toFixed(4), label, score.toFixed(4), af.toFixed(4)].join(","),
  );
  link("save", `${name.replace(/\.\w+$/, "")}-beats.csv`, [HEADER, rows.join("\n"), "\n"]);
}

/** Let a link save a file. */
function link(id, name, parts) {
  URL.revokeObjectURL(at(id).href);
  at(id).href = URL.createObjectURL(new Blob(parts));
  at(id).download = name;
  at(id).hidden = false;
}

function count(beats) {
  const of = {};
  for (const { label } of beats) of[label] = (of[label] ?? 0) + 1;
  const parts = Object.entries(of).map(([label, number]) => `${number} ${label}`);
  at("counts").textContent = `${beats.length} beats${parts.length ? `: ${parts.join(", ")}` : ""}`;
}

/** The share of a recording in fibrillation, and of its seconds that no beat is read from. */
function rhythms(closed) {
  const share = (part) => `${((100 * closed.filter(part).length) / closed.length).toFixed(0)} %`;
  if (!closed.length) return "";
  const parts = [];
  if (closed.some(({ rhythm }) => rhythm & AF))
    parts.push(`atrial fibrillation ${share(({ rhythm }) => rhythm & AF)} of the time`);
  if (closed.some(({ rhythm }) => rhythm & VF))
    parts.push(`ventricular fibrillation ${share(({ rhythm }) => rhythm & VF)} of the time`);
  if (closed.some(({ flaws }) => flaws & DOUBTFUL))
    parts.push(`${share(({ flaws }) => flaws & DOUBTFUL)} too poor to be sure of beats`);
  return parts.length ? `Detected: ${parts.join(", ")}.` : "No fibrillation detected.";
}

/** Show a source as its signal comes: a device, or the simulated patient. */
async function live(source, words) {
  const mine = begin(source);
  const beats = [];
  const closed = [];
  let signal = new Float64Array(0);
  let dropped = 0;
  at("from").hidden = true;
  at("place").textContent = "";
  at("counts").textContent = at("rhythm").textContent = "";
  at("end").hidden = !source.finish;
  say(words);
  const told = source.finish && setInterval(() => (mine === current ? report(source, words) : clearInterval(told)), 250);
  const failed = (error) => {
    if (mine !== current) return;
    at("end").hidden = true;
    clearInterval(told);
    say(error.message, true);
  };
  try {
    follow(source, (await detector).stream(), {
      found(found) {
        if (mine !== current) return;
        beats.push(...found.beats);
        closed.push(...found.seconds);
        const line = new Float64Array(signal.length + found.signal.length);
        line.set(signal);
        line.set(found.signal, signal.length);
        const extra = Math.max(0, line.length - SHOWN_S * FS);
        signal = line.subarray(extra);
        dropped += extra;
        count(beats);
        at("rhythm").textContent = rhythms(closed.slice(-1));
        draw(canvas, signal, beats, 0, dropped);
      },
      ended(recording) {
        if (mine !== current) return;
        at("end").hidden = true;
        clearInterval(told);
        say(`${source.name}: the recording has ended.`);
        at("rhythm").textContent = rhythms(closed);
        offer(source.name, beats);
        if (recording) link("save-edf", `${source.name.replace(/[^\w.-]+/g, "-")}.edf`, [recording]);
      },
      failed,
    });
  } catch (error) {
    failed(error);
  }
}

/** How a device does; of a strap without ECG all that it gives. */
function report(source, words) {
  at("sensor").textContent = source.report;
  at("intervals").toggleAttribute("hidden", !source.rate);
  if (source.rate) drawIntervals(at("intervals"), source.rate.intervals);
  say(source.rate || source.away ? source.absence[1] : words);
}

async function connect(kind) {
  try {
    const settings = { fs: Number(at("serial-fs").value), unit: at("serial-unit").value.trim(), baud: Number(at("baud").value) };
    if (kind === "serial" && !at("serial").reportValidity()) return;
    const source = await DEVICES[kind].choose(settings);
    await live(source, `${source.name}: beats are decided 1.4 s after their R peak.`);
  } catch (error) {
    // NotFoundError: the user closed the browser's dialog.
    if (!(error instanceof DOMException && error.name === "NotFoundError")) say(error.message, true);
  }
}

const rate = () => Number(at("fs").value) || undefined;
const fromFiles = (files) => files.length && show(() => readFiles([...files], rate()));
at("files").onchange = ({ target }) => fromFiles(target.files);
at("simulated").onclick = () =>
  live(new SimulatedSource(), "A simulated patient, live. Beats are decided 1.4 s after their R peak.");
at("end").onclick = () => running?.finish();
for (const [kind, { missing }] of Object.entries(DEVICES)) {
  const button = at(`connect-${kind}`);
  button.onclick = () => connect(kind);
  button.disabled = Boolean(missing());
  if (missing()) button.textContent += ` (${missing()})`;
}
at("sample").onclick = () =>
  show(async () => readTable(await (await fetch("sample.csv")).text(), "Half a minute of real ECG"));
for (const kind of ["dragover", "dragleave", "drop"])
  addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") fromFiles(event.dataTransfer.files);
  });

document.querySelector("main").inert = false; // a click before this would have been lost

// After the network is there: keeping the files takes its share of a first visit.
const keep = () => navigator.serviceWorker?.register("sw.js");
detector.then(keep, keep);
