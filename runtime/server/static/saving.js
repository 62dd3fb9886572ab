// What the page saves: beats and signal as tables, beats and events as WFDB annotations.

import { writeAnnotations } from "./annotations.js";
import { $, save } from "./dom.js";

/** @typedef {import("./run.js").Run} Run */

/** @param {() => Run|null} running */
export function watchSaving(running) {
  /** @type {(id: string, act: (run: Run) => void) => void} */
  const on = (id, act) => $(id).addEventListener("click", () => {
    const run = running();
    if (run) act(run);
  });
  on("save-beats", ({ beats, name }) => saveTable(`${stem(name)}-beats.csv`, ["time,label,score",
    ...beats.map(({ time, label, score }) => `${time.toFixed(4)},${label},${score.toFixed(4)}`)]));
  on("save-signal", ({ signal, name }) => {
    const first = signal.start;
    saveTable(`${stem(name)}-signal.csv`, ["time,ECG", ...Array.from(signal.slice(first, signal.end), (value, i) =>
      `${((first + i) / signal.fs).toFixed(6)},${value.toFixed(5)}`)]);
  });
  on("save-annotations", ({ beats, findings, signal, name }) => save(`${stem(name)}.ekg`,
    [writeAnnotations(beats, findings.filter(({ kind }) => kind), signal.fs)], "application/octet-stream"));
}

/** @param {string} name of the run: the record's, and its lead */
const stem = (name) => name.split(", ")[0].replace(/[^\w.-]+/g, "-");

/**
 * @param {string} name
 * @param {string[]} lines
 */
function saveTable(name, lines) {
  save(name, [lines.join("\n"), "\n"]);
}
