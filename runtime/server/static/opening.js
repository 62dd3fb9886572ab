// Files: chosen by the button or dropped on the page.

import { $, element, input, put, select } from "./dom.js";
import { isAnnotations } from "./annotations.js";
import { openRecording } from "./reading.js";
import { problem } from "./words.js";

/** @typedef {import("./reading.js").Opened} Opened */

export class Opening {
  /**
   * @param {object} on
   * @param {() => Promise<void>} on.connected the page knows its server: before that a file would
   *   lose its place to the source that starts then
   * @param {() => void} on.read a recording is there
   * @param {(file: File) => void} on.annotations a reference for the recording that is there
   * @param {() => void} on.unsaid the user has to say more of the files
   * @param {() => void} on.cancelled nothing was chosen
   * @param {() => string} on.running the name of what runs
   * @param {() => boolean} on.atOnce a recording is wanted as a whole, not at the pace of the clock
   */
  constructor(on) {
    this.on = on;
    /** @type {Opened|null} the file that was opened */
    this.recording = null;
    /** @type {File[]} */
    this.files = [];
    $("open").addEventListener("click", () => this.ask());
    for (const id of ["rate", "unit"]) $(id).addEventListener("change", () => this.open(this.files, true));
    const chosen = input("files");
    chosen.addEventListener("cancel", () => this.on.cancelled());
    chosen.addEventListener("change", () => {
      const files = [...chosen.files ?? []];
      chosen.value = ""; // so that the same file can be opened again
      this.open(files);
    });
    this.#takeDrops();
  }

  ask() {
    $("files").click();
  }

  /**
   * @param {File[]} files
   * @param {boolean} [again] the same ones, of which the user says more
   */
  async open(files, again = false) {
    if (!files.length) return;
    if (this.recording && files.every(({ name }) => isAnnotations(name))) {
      this.on.annotations(files[0]);
      return;
    }
    this.files = [...files];
    const mine = this.files;
    if (!again) for (const id of ["rate", "unit"]) input(id).value = ""; // was said of others
    await this.on.connected();
    put("name", `Reading ${files[0].name}`);
    try {
      const recording = await openRecording(files, { fs: input("rate").value, units: input("unit").value.trim() },
        this.on.atOnce());
      if (this.files !== mine) { // others were chosen in the meantime
        recording.read(recording.first); // so that nothing more is found in it
        return;
      }
      this.recording = recording;
    } catch (error) {
      if (this.files === mine) this.refuse(error);
      return;
    }
    const { leads, first } = this.recording;
    $("lead").replaceChildren(...leads.map((lead, i) =>
      element("option", { value: String(i), textContent: lead })));
    select("lead").value = String(first);
    this.on.read();
  }

  /** @param {unknown} error why a file is not shown */
  refuse(error) {
    put("name", this.on.running());
    const sentence = error instanceof Error ? error.message : String(error);
    // Where the command line has options, the page has fields.
    problem(sentence.replaceAll("--units", "Unit").replaceAll("--fs", "Rate").replaceAll("--lead", "Lead"));
    if (/--(?:fs|units)/.test(sentence)) this.on.unsaid();
  }

  #takeDrops() {
    let within = 0; // dragenter and dragleave come for every element on the way
    addEventListener("dragenter", () => { within += 1; $("drop").hidden = false; });
    addEventListener("dragleave", () => { within -= 1; $("drop").hidden = within > 0; });
    addEventListener("dragover", (drag) => drag.preventDefault());
    addEventListener("drop", (drop) => {
      drop.preventDefault();
      within = 0;
      $("drop").hidden = true;
      this.open([...drop.dataTransfer?.files ?? []]);
    });
  }
}
