// The list of events: one stop of the Tab key, arrows inside, the newest on top.

import { clock } from "./beats.js";
import { $, element, put, shape } from "./dom.js";

/** @typedef {import("./run.js").Finding} Finding */

export class EventList {
  /** @param {(finding: Finding) => void} chosen by the user */
  constructor(chosen) {
    this.chosen = chosen;
    /** @type {Map<Finding, HTMLButtonElement>} */
    this.buttons = new Map();
    this.list = $("list");
    this.list.addEventListener("keydown", (press) => this.#move(press));
  }

  clear() {
    this.#leave(this.list);
    this.list.replaceChildren();
    this.buttons.clear();
    this.#changed();
  }

  /** @param {Finding} finding a new one */
  add(finding) {
    const button = element("button", { type: "button", tabIndex: -1 });
    button.addEventListener("click", () => this.chosen(finding));
    this.buttons.set(finding, button);
    this.describe(finding);
    const atTop = this.list.scrollTop < 8;
    this.list.prepend(element("li", {}, button));
    if (atTop) this.list.scrollTop = 0; // else the reader keeps their place
    this.#changed();
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
   * @param {Finding[]} gone
   * @param {Finding|null} instead takes over the focus
   */
  remove(gone, instead) {
    for (const finding of gone) {
      const button = this.buttons.get(finding);
      if (!button) continue;
      const heir = instead && this.buttons.get(instead);
      if (button === document.activeElement && heir) heir.focus();
      else this.#leave(button);
      button.parentElement?.remove();
      this.buttons.delete(finding);
    }
    this.#changed();
  }

  /** @param {Finding|null} finding that the strip shows */
  mark(finding) {
    for (const [one, button] of this.buttons) {
      if (one === finding) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  /** @param {Element} going from the page, perhaps with the focus inside */
  #leave(going) {
    if (going.contains(document.activeElement)) $("strip").focus();
  }

  #changed() {
    const items = this.list.querySelectorAll("button");
    $("empty").hidden = items.length > 0;
    put("event-count", String(items.length || "none yet"));
    if (items.length && !this.list.querySelector("[tabindex='0']")) items[0].tabIndex = 0;
  }

  /** @param {KeyboardEvent} press */
  #move(press) {
    const items = [...this.list.querySelectorAll("button")];
    const at = items.findIndex((item) => item === document.activeElement);
    /** @type {Record<string, number>} */
    const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    const to = items[places[press.key]];
    if (!to) return;
    press.preventDefault();
    items[at].tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}
