// Vital signs: the heart rate, rhythm and signal quality of now, and the beats counted so far.

import { CLASSES, clock, faults, firstFrom, isCalm, kindName } from "./beats.js";
import { $, element, put, shape } from "./dom.js";
import { leftOut, touching } from "./leftout.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./link.js").Answer} Answer */

const QUALITY_S = 1; // a fault is shown if every answer of this time has it: one chunk is too short
const RECENT_S = 10; // of beats are summed up beside the rhythm

/** @type {{at: number, found: string[]}[]} of the last answers */
let recent = [];

/**
 * Show what an answer says of this moment.
 * @param {Run} run
 * @param {Answer} answer
 */
export function showVitals({ beats, signal, link, finished, isWhole }, answer) {
  const { rhythm, quality } = answer;
  put("rate-of", isWhole ? `Heart rate at ${clock(answer.to)}` : "Heart rate");
  put("heart-rate", answer.heart_rate === null ? "--" : String(Math.round(answer.heart_rate)));
  // The server names the rhythm; beats are only summed up here.
  const last = beats.slice(firstFrom(beats, link.decided - RECENT_S));
  const ectopic = Object.keys(CLASSES).filter((label) => label !== "N"
    && last.some((beat) => beat.label === label)).map((label) => CLASSES[label].many);
  const words = ectopic.length ? `${ectopic.join(", ")} beats` : last.length ? "normal beats" : "";
  put("rhythm-now", rhythm ? kindName(rhythm) : words || "--");
  put("rhythm-beats", rhythm && (ectopic.length || !isCalm(rhythm)) ? words : "");
  $("rhythm-box").classList.toggle("abnormal", rhythm ? !isCalm(rhythm) : ectopic.length > 0);
  if (quality) {
    recent.push({ at: signal.seconds, found: faults(quality) });
    recent = recent.filter(({ at }) => at <= signal.seconds && at >= signal.seconds - QUALITY_S);
    const lasting = recent[0].found.filter((fault) =>
      recent.every(({ found }) => found.includes(fault)));
    put("quality", lasting.join(", ") || "Good");
    $("quality-box").classList.toggle("poor", lasting.length > 0);
  }
  put("provider", answer.provider.toUpperCase());
  put("latency", `in ${answer.latency_ms.toFixed(0)}\u00a0ms${answer.roundTripMs === null ? ""
    : `, round trip ${answer.roundTripMs.toFixed(0)}\u00a0ms`}`);
  put("behind", finished ? "" : `${answer.behind.toFixed(1)} s after the beat`);
}

/** Blank the vital signs: old ones must not look like present ones. */
export function blankVitals() {
  recent = [];
  for (const id of ["heart-rate", "rhythm-now", "quality"]) put(id, "--");
  put("rhythm-beats", "");
  for (const id of ["rhythm-box", "quality-box"]) $(id).className = "";
}

/** @param {Record<string, number>} counts by class */
export function showCounts(counts) {
  for (const label of Object.keys(CLASSES)) put(`count-${label}`, String(counts[label] ?? 0));
}

/** @param {Run} run of which some beats are in doubt */
export function showUncounted(run) {
  const touches = touching(leftOut(run));
  const count = run.beats.reduce((sum, { time }) => sum + Number(touches(time, time)), 0);
  put("uncounted", count ? `${count} of them in fibrillation, standstill or signal that cannot be read` : "");
}

for (const [label, { name }] of Object.entries(CLASSES)) {
  const item = element("li", { title: name });
  const mark = element("b", { className: `class-${label}` });
  mark.append(shape(label), ` ${label}`);
  item.append(mark, element("span", { id: `count-${label}`, textContent: "0" }),
    element("span", { className: "unseen", textContent: ` ${name}` }));
  $("counts").append(item);
}
