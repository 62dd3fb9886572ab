// Lines of numbers, as a microcontroller prints them. The rules are those of runtime/cli/feed.py.

import { chooseByName, doubt, isEcg, millivolts, splitUnit } from "./leads.js";
import { LostSamples } from "./lostsamples.js";

const LARGEST_MV = 500; // beyond it no heart and no electrode
const CHECKED_S = 6; // of numbers without a unit, before they are believed to be mV
const MAX_WORDS_S = 10; // lines of words before the first number
const SEPARATORS = ["\t", ";", ","];

/** From lines to samples in mV. */
export class Lines {
  lead = "ECG";
  unread = 0; // lines that are no number, which are missing samples
  lost = 0; // samples that are missing before the last line, by its time or count
  #columns = 1;
  #column = 0;
  #separator = "";
  #words = "";
  #begun = false;
  #before = 0; // lines before the first number
  #scale = 1;
  /** @type {LostSamples|null} */
  #times = null;
  /** @type {number[]|null} mV, until they are believed */
  #first = [];

  /**
   * @param {number} fs Hz
   * @param {string} unit empty: the lines may say it, else they are believed to be mV
   */
  constructor(fs, unit) {
    this.fs = fs;
    const given = unit ? millivolts(unit) : 1;
    if (given === null) throw new Error(`The unit is '${unit}'; expected mV, uV, V or a gain, as 200/mV.`);
    this.unit = unit;
    this.#scale = given;
  }

  /**
   * @param {string} line
   * @returns {number|null} mV, NaN if it is missing; null for a line that is no sample
   * @throws {Error} with a sentence: nothing can be read here, or not in this unit
   */
  read(line) {
    const text = line.trim().replace(/^\ufeff/, "");
    if (!text) return null;
    if (!this.#begun && !this.#begin(text)) {
      this.#words = text;
      this.#before += 1;
      if (this.#before > MAX_WORDS_S * this.fs) {
        throw new Error(`There is no line that is a number, such as '${text.slice(0, 40)}'; expected one a line. `
          + "Is the baud rate right?");
      }
      return null;
    }
    const cells = this.#cells(text);
    const whole = cells.length === this.#columns;
    this.lost = this.#times?.before(whole ? cells.map(number) : cells.map(() => NaN)) ?? 0;
    const value = whole ? number(cells[this.#column]) : NaN;
    const mv = this.#scale * value;
    const taken = Math.abs(mv) <= LARGEST_MV ? mv : NaN;
    if (Number.isNaN(taken)) this.unread += 1;
    this.#check(mv); // with those beyond: counts of a converter are
    return taken;
  }

  /** The device was away, and is back. */
  restart() {
    this.#times?.restart();
  }

  /** @param {string} text @returns {string[]} */
  #cells(text) {
    if (!this.#separator) return [text];
    const cells = text.split(this.#separator).map((cell) => cell.trim());
    while (cells.length > this.#columns && this.#begun && !cells[cells.length - 1]) cells.pop();
    return cells;
  }

  /**
   * Learn the columns from the first line of numbers, and the line of words before it.
   * @param {string} text
   * @returns {boolean} true if this is it
   */
  #begin(text) {
    const separator = SEPARATORS.find((one) => text.replace(new RegExp(`${one}+$`), "").includes(one)) ?? "";
    const split = (/** @type {string} */ line) => (separator ? line.split(separator) : [line])
      .map((cell) => cell.trim());
    const cells = split(separator ? text.replace(new RegExp(`${separator}+$`), "") : text);
    if (!cells.some((cell) => !Number.isNaN(number(cell)))) return false;
    const names = split(this.#words.replace(/^[#%\s]+/, ""));
    if (cells.length > 1 && names.length !== cells.length) {
      throw new Error(`A line is '${text.slice(0, 40)}', ${cells.length} values; expected one number a line, `
        + "or a line of the columns' names first.");
    }
    const leads = names.map(splitUnit);
    if (cells.length > 1) {
      const chosen = chooseByName(leads.map(({ name }) => name));
      if (chosen < 0) throw new Error(`There is no ECG among the columns ${names.join(", ")}.`);
      this.#column = chosen;
      this.lead = leads[chosen].name;
    }
    const { name, unit } = leads[this.#column];
    const stated = millivolts(unit);
    if (unit && stated === null && !this.unit && isEcg(name)) {
      throw new Error(`${name} is in '${unit}'; expected mV, uV or V. Choose the unit; for counts it is how many make `
        + "a mV, as 225/mV.");
    }
    if (stated !== null && !this.unit) this.#scale = stated;
    if (stated !== null || this.unit) this.#first = null;
    this.#separator = separator;
    this.#columns = cells.length;
    if (cells.length > 1) this.#times = new LostSamples(this.fs, this.#column);
    this.#begun = true;
    return true;
  }

  /** @param {number} mv */
  #check(mv) {
    if (!this.#first) return;
    this.#first.push(mv);
    if (this.#first.length < CHECKED_S * this.fs) return;
    const all = Float64Array.from(this.#first);
    const near = all.filter((value) => !(Math.abs(value) > LARGEST_MV));
    // More beyond than within are no spikes nor marks, but counts of a converter.
    const likely = doubt(near.length > all.length / 2 ? near : all, this.fs);
    this.#first = null;
    if (likely) {
      throw new Error(`The numbers have no unit and cannot be an ECG in mV: they are likely ${likely}. Choose `
        + "the unit; for counts it is how many make a mV, as 225/mV.");
    }
  }
}

/** @param {string} cell @returns {number} NaN if it is none */
const number = (cell) => (/^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(cell) ? Number(cell) : NaN);
