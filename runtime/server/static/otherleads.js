// Other leads of a file, shown in the strip below the one that is analysed.

import { $, element } from "./dom.js";
import { Signal } from "./signal.js";
import { problem } from "./words.js";

/** @typedef {import("./reading.js").Opened} Opened */
/** @typedef {import("./review.js").Review} Review */

/**
 * Let other leads be shown below the first.
 * @param {Opened} recording
 * @param {number} first
 * @param {Review} review
 */
export function offerLeads(recording, first, review) {
  const others = recording.leads.map((name, i) => ({ name, i })).filter(({ i }) => i !== first);
  $("leads-menu").hidden = !others.length;
  $("strip").style.setProperty("--rows", "1");
  $("leads").replaceChildren(...others.map(({ name, i }) => {
    const box = element("input", { type: "checkbox" });
    box.addEventListener("change", () => showLead(recording, name, i, box.checked, review));
    return element("label", {}, box, ` ${name}`);
  }));
}

/**
 * @param {Opened} recording
 * @param {string} name
 * @param {number} i
 * @param {boolean} yes
 * @param {Review} review
 */
async function showLead(recording, name, i, yes, review) {
  const { run } = review;
  if (!run) return;
  run.leads = run.leads.filter((lead, k) => k === 0 || lead.name !== name);
  try {
    if (yes) {
      const { samples } = await recording.read(i);
      run.leads.push({ name, signal: Signal.of(samples, recording.fs) });
    }
  } catch (error) {
    problem(error instanceof Error ? error.message : String(error));
  }
  if (run !== review.run) return;
  $("strip").style.setProperty("--rows", String(run.leads.length));
  review.strip.fit();
  review.describe();
}
