// The list of events: filtered and searched, one stop of the Tab key, arrows inside.

import { CLASSES, clock, kindName } from "./beats.js";
import { $, element, input, put, select, shape } from "./dom.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./run.js").Finding} Finding */

const PAGE = 100; // lines that are shown at first, and more with each press of the button
const REFRESH_MS = 300; // while a file is read, lines come too quickly to show each

export class EventList {
  /** @param {(finding: Finding) => void} chosen by the user */
  constructor(chosen) {
    this.chosen = chosen;
    /** @type {Run|null} */
    this.run = null;
    /** @type {Map<Finding, HTMLButtonElement>} */
    this.buttons = new Map();
    /** @type {Finding[]} lines beside the run's: disagreements with a reference */
    this.more = [];
    this.shown = PAGE;
    this.timer = 0;
    /** @type {Finding|null} */
    this.marked = null;
    this.list = $("list");
    this.list.addEventListener("keydown", (key) => this.#move(key));
    $("filter").addEventListener("change", () => this.#begin());
    $("search").addEventListener("input", () => this.#begin());
    $("more").addEventListener("click", () => {
      this.shown += PAGE;
      this.refresh();
    });
  }

  /** @param {Run} run a new one */
  start(run) {
    this.run = run;
    this.more = [];
    this.marked = null;
    this.buttons.clear();
    this.#begin();
  }

  #begin() {
    this.shown = PAGE;
    this.refresh();
  }

  /**
   * The lines that the filter lets through: of a live source what lasts, then the newest first; of a
   * whole recording the earliest first.
   */
  get lines() {
    if (!this.run) return [];
    const all = [...this.run.findings, ...this.more];
    const wanted = select("filter").value;
    const words = input("search").value.trim().toLowerCase();
    const found = all.filter((one) => (!wanted || wanted === (one.label ?? one.kind))
      && (!words || this.#text(one).includes(words)));
    return this.run.isWhole ? found.sort((a, b) => a.start - b.start)
      : found.reverse().sort((a, b) => Number(b.lasts ?? false) - Number(a.lasts ?? false));
  }

  /** @param {Finding} one */
  #text(one) {
    return `${one.name} ${one.rule ?? ""} ${clock(one.start)}`.toLowerCase();
  }

  /** Lines came or went. */
  changed() {
    if (!this.run?.isWhole || this.run.finished) this.refresh();
    else this.timer ||= window.setTimeout(() => this.refresh(), REFRESH_MS);
  }

  refresh() {
    clearTimeout(this.timer);
    this.timer = 0;
    const { lines } = this;
    const total = this.run ? this.run.findings.length + this.more.length : 0;
    const active = document.activeElement;
    const held = [...this.buttons].find(([, button]) => button === active)?.[0];
    const seen = lines.slice(0, this.shown);
    const kept = new Set(seen);
    for (const one of this.buttons.keys()) if (!kept.has(one)) this.buttons.delete(one);
    const top = this.list.scrollTop;
    const items = seen.map((one) => (this.buttons.get(one) ?? this.#make(one)).parentElement);
    if (items.some((item, i) => item !== this.list.children[i]) || items.length !== this.list.children.length) {
      this.list.replaceChildren(...items.map((item) => item ?? ""));
      this.list.scrollTop = top < 8 ? 0 : top; // else the reader keeps their place
      if (held) (this.buttons.get(held) ?? $("strip")).focus({ preventScroll: true });
    }
    $("more").hidden = lines.length <= this.shown;
    put("more", `Show more (${lines.length - seen.length} left)`);
    $("empty").hidden = items.length > 0;
    put("empty", total ? "No event fits the filter."
      : "Every beat that is not normal, and every rhythm event, is listed here. Choose one to see its strip.");
    put("event-count", !total ? "none yet" : lines.length === total ? String(total) : `${lines.length} of ${total}`);
    this.#offer();
    this.mark(this.marked);
    if (items.length && !this.list.querySelector("[tabindex='0']")) this.buttons.get(seen[0])?.setAttribute("tabindex", "0");
  }

  /** @param {Finding} finding */
  #make(finding) {
    const button = element("button", { type: "button", tabIndex: -1 });
    button.addEventListener("click", () => this.chosen(finding));
    element("li", {}, button);
    this.buttons.set(finding, button);
    this.describe(finding);
    return button;
  }

  /** @param {Finding} finding that reads otherwise than before */
  describe(finding) {
    const { count = 1, start, end, lasts, rule, name, label } = finding;
    const sure = finding.confidence ?? finding.score;
    const detail = [
      lasts ? "lasting" : end - start >= 1 ? `${(end - start).toFixed(0)} s` : "",
      sure == null ? "" : `score ${sure.toFixed(2)}`,
      rule ?? "",
    ].filter(Boolean).join(", ");
    this.buttons.get(finding)?.replaceChildren(shape(label ?? "event"),
      element("span", { className: "what" }, name + (count > 1 ? ` × ${count}` : ""),
        element("small", {}, detail)),
      element("time", {}, clock(start)));
  }

  /**
   * Lines went; the focus of one goes to another.
   * @param {Finding[]} gone
   * @param {Finding|null} instead
   */
  removed(gone, instead) {
    const active = document.activeElement;
    const held = gone.some((one) => this.buttons.get(one) === active);
    this.changed();
    if (held) ((instead && this.buttons.get(instead)) ?? $("strip")).focus();
  }

  /** @param {Finding|null} finding that the strip shows */
  mark(finding) {
    this.marked = finding;
    for (const [one, button] of this.buttons) {
      if (one === finding) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  /** Offer to filter by what is there. */
  #offer() {
    const there = new Map();
    for (const one of [...this.run?.findings ?? [], ...this.more]) {
      const key = one.label ?? one.kind ?? "";
      if (!there.has(key)) there.set(key, one.label ? `${CLASSES[key]?.name ?? key} beats` : kindName(key));
    }
    const chosen = select("filter");
    const keys = [...there.keys()].sort();
    const old = [...chosen.options].slice(1).map(({ value }) => value);
    if (keys.join() === old.join()) return;
    const { value } = chosen;
    chosen.replaceChildren(chosen.options[0], ...keys.map((key) =>
      element("option", { value: key, textContent: there.get(key) })));
    chosen.value = keys.includes(value) ? value : "";
  }

  /** @param {KeyboardEvent} key */
  #move(key) {
    const items = [...this.list.querySelectorAll("button")];
    const at = items.findIndex((item) => item === document.activeElement);
    /** @type {Record<string, number>} */
    const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    const to = items[places[key.key]];
    if (!to || at < 0) return;
    key.preventDefault();
    items[at].tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}
