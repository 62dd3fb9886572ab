// Sensors at this machine: chosen by the user, connected to, and ended.

import { $, input, put } from "./dom.js";
import { drawIntervals } from "./rrtrend.js";
import { choosePort, noPorts, SerialSource } from "./serialport.js";
import { chooseStrap, noStraps, StrapSource } from "./strap.js";
import { problem } from "./words.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./sources.js").Source} Source */

const KINDS = {
  strap: { missing: noStraps, connect: async () => new StrapSource(await chooseStrap()) },
  serial: { missing: noPorts, connect: async () => new SerialSource(await choosePort(), {
    fs: numberIn("serial-rate"), unit: input("serial-unit").value.trim(), baud: numberIn("serial-baud") }) },
};
/** @typedef {keyof typeof KINDS} Kind */

/** @param {string} kind of a source @returns {kind is Kind} */
export const isSensor = (kind) => kind in KINDS;

export class Sensors {
  /** @type {Kind} */
  #kind = "strap";
  /** @type {Source|null} what is recorded */
  #recorded = null;

  /** @param {(source: Source) => void} run */
  constructor(run) {
    this.run = run;
    $("connect").addEventListener("click", () => {
      if (this.#recorded) this.#recorded.finish?.();
      else this.#connect();
    });
    for (const [kind, { missing }] of Object.entries(KINDS)) {
      const option = $("source").querySelector(`option[value=${kind}]`);
      if (!(option instanceof HTMLOptionElement) || !missing()) continue;
      option.disabled = true;
      option.textContent += ` (${missing()})`;
    }
  }

  /** @param {Kind} kind that can be connected to */
  offer(kind) {
    this.#kind = kind;
  }

  /** Show how a run's sensor does. @param {Run|null} run */
  show(run) {
    this.#recorded = run?.source.finish && !run.link.ended && run.stopped === null ? run.source : null;
    put("sensor", run?.source.report ?? "");
    const { rate } = run?.source ?? {};
    $("intervals").hidden = !rate;
    const drawn = $("intervals").querySelector("svg");
    if (rate && drawn) {
      drawIntervals(drawn, rate.intervals);
      put("intervals-range", drawn.getAttribute("aria-label") ?? "");
    }
    put("connect", this.#recorded ? "End recording" : "Connect");
  }

  async #connect() {
    problem("");
    try {
      const source = await KINDS[this.#kind].connect();
      this.run(source);
    } catch (error) {
      // NotFoundError: the user closed the browser's dialog.
      if (error instanceof DOMException && error.name === "NotFoundError") return;
      problem(error instanceof Error ? error.message : String(error));
    }
  }
}

/** @param {string} id of a field @returns {number} @throws {Error} what stands there cannot be */
function numberIn(id) {
  const field = input(id);
  if (!field.validity.valid || !field.value) {
    throw new Error(`${field.labels?.[0].firstChild?.textContent?.trim() ?? id}: ${field.validationMessage}`);
  }
  return Number(field.value);
}
