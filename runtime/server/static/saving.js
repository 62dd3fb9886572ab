// What the page saves: beats and events as tables and WFDB annotations, the signal as a table and
// EDF, a strip as a picture and a page. Files are named after the record.

import { writeAnnotations } from "./annotations.js";
import { $, save } from "./dom.js";
import { writeEdf } from "./edfwriter.js";
import { asPdf, asPng } from "./stripfile.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./strip.js").Strip} Strip */

/**
 * @param {() => Run|null} running
 * @param {Strip} strip
 */
export function watchSaving(running, strip) {
  /** @type {(id: string, act: (run: Run, stem: string) => void) => void} */
  const on = (id, act) => $(id).addEventListener("click", () => {
    const run = running();
    if (run) act(run, stem(run.name));
  });
  on("save-beats", ({ beats }, name) => saveTable(`${name}-beats.csv`, ["time,label,score,rr",
    ...beats.map(({ time, label, score }, i) => [time.toFixed(4), label, score.toFixed(4),
      i ? (time - beats[i - 1].time).toFixed(4) : ""].join(","))]));
  on("save-events", ({ events }, name) => saveTable(`${name}-events.csv`, ["kind,start,end,confidence,rule",
    ...events.map(({ kind = "", start, end, lasts, confidence = 0, rule = "" }) => [kind, start.toFixed(4),
      lasts ? "" : end.toFixed(4), confidence.toFixed(4), quoted(rule)].join(","))]));
  on("save-annotations", ({ beats, events, signal }, name) => save(`${name}.ekg`,
    [writeAnnotations(beats, events, signal.fs)], "application/octet-stream"));
  on("save-signal", ({ signal, leads }, name) => {
    const first = signal.start;
    saveTable(`${name}-signal.csv`, [`time,${quoted(`${leads[0].name} (mV)`)}`,
      ...Array.from(signal.slice(first, signal.end), (value, i) =>
        `${((first + i) / signal.fs).toFixed(6)},${Number.isFinite(value) ? value.toFixed(5) : ""}`)]);
  });
  on("save-edf", ({ signal, leads, source }, name) => save(`${name}.edf`, [writeEdf({
    samples: signal.slice(signal.start, signal.end), fs: signal.fs, lead: leads[0].name, device: source.name,
    startsAt: source.startsAt === undefined ? undefined : source.startsAt + 1000 * signal.start / signal.fs,
  })], "application/octet-stream"));
  on("save-png", async (run, name) => save(`${name}-${place(strip)}.png`, [await asPng(run, strip)], "image/png"));
  on("save-pdf", (run, name) => save(`${name}-${place(strip)}.pdf`, [asPdf(run, strip)], "application/pdf"));
}

/** @param {string} name of the run: the record's, and its lead */
const stem = (name) => name.split(", ")[0].replace(/[^\w.-]+/g, "-");

/** Where a strip begins, as a part of a file's name. @param {Strip} strip */
const place = ({ start }) => `${start.toFixed(1)}s`;

/** @param {string} text as a cell */
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/**
 * @param {string} name
 * @param {string[]} lines
 */
function saveTable(name, lines) {
  save(name, [lines.join("\n"), "\n"]);
}
