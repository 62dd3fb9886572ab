// The central station: many live patients, the gravest first, with alarms that stay until they are
// acknowledged. The same page for `ekg central` and for `ekg tail --http`.

import { Alarms } from "./alarms.js";
import { Bed } from "./bed.js";
import { kindName } from "./beats.js";
import { $, element, input, isPressed, press, put, save, select } from "./dom.js";
import { askToken, onToken } from "./login.js";
import { follow } from "./news.js";
import { SIGNS } from "./priorities.js";
import { Sounds } from "./sounds.js";
import { Tile } from "./tile.js";
import { alarm as interrupt, problem, say, state } from "./words.js";

/** @typedef {import("./alarms.js").Entry} Entry */
/** @typedef {import("./news.js").News} News */

const SORT_EVERY_MS = 2000; // patients do not change their places more often
const SHOWN_LOG = 150; // lines
const SOUND_EVERY_MS = 250;

/** @type {Map<string, Bed>} */
const beds = new Map();
/** @type {Map<string, Tile>} patients in sight */
const tiles = new Map();
const sounds = new Sounds();
const alarms = new Alarms(logged);
let page = 0;
/** @type {string[]} names, the gravest first */
let order = [];
let sortedAt = -Infinity;
/** @type {string} the patient whose beats sound */
let chosen = "";

// ---- news ------------------------------------------------------------------

/** @param {News} news */
function take(news) {
  state("on", "Live");
  put("title", news.title);
  if (news.lost) problem("Findings were missed while the page was away; what lasts is shown.");
  for (const finding of news.findings) {
    const bed = beds.get(finding.patient);
    if (finding.kind === "beat") {
      bed?.takeBeat(finding);
      tiles.get(finding.patient)?.mark(finding);
      if (finding.patient === chosen) sounds.beat();
    } else if (finding.end !== null && bed && !bed.conditions.has(finding.event)) {
      // It began and ended between two answers.
      alarms.begin(finding.patient, finding.event, kindName(finding.event));
      alarms.end(finding.patient, finding.event);
    }
  }
  for (const [name, patient] of Object.entries(news.patients)) {
    let bed = beds.get(name);
    if (!bed) {
      beds.set(name, bed = new Bed(name, patient));
      sortedAt = -Infinity;
    }
    bed.take(patient, alarms);
  }
  for (const [name, part] of Object.entries(news.signal)) tiles.get(name)?.take(part);
  wake();
  arrange();
  show();
  if (news.counts) showFigures(news.counts);
}

function connect() {
  $("login").hidden = true;
  follow(() => Object.fromEntries([...tiles].map(([name, tile]) => [name, tile.wanted])), {
    news: take,
    away: () => {
      state("away", "Server away");
      for (const bed of beds.values()) {
        // Old figures must not look like present ones.
        bed.take({ ...bed.state, rate: null, silent: !bed.state.ended }, alarms);
      }
      show();
    },
    refused: (error) => {
      if (error.status === 401) askToken();
      else problem(`The server refused: ${error.message}`);
      state("away", error.status === 401 ? "Token required" : "Stopped");
    },
  });
}

// ---- tiles -----------------------------------------------------------------

/** Put the gravest patients of this page in sight. */
function arrange() {
  const now = performance.now();
  if (now - sortedAt > SORT_EVERY_MS) {
    sortedAt = now;
    order = [...beds.keys()].sort((a, b) => alarms.rank(b) - alarms.rank(a) || a.localeCompare(b));
  }
  const size = Number(select("size").value);
  const pages = Math.max(1, Math.ceil(order.length / size));
  page = Math.min(page, pages - 1);
  const names = order.slice(page * size, (page + 1) * size);
  for (const [name, tile] of tiles) {
    if (names.includes(name)) continue;
    tile.item.remove();
    tiles.delete(name);
  }
  names.forEach((name, i) => {
    let tile = tiles.get(name);
    const bed = beds.get(name);
    if (!tile && bed) {
      tile = new Tile(bed, { chosen: openBed, acknowledged: ({ name: who }) => acknowledge(who) });
      tiles.set(name, tile);
    }
    const at = $("tiles").children[i] ?? null;
    // An element that is moved loses its focus; only those that change places are.
    if (tile && at !== tile.item) {
      const focused = document.activeElement;
      $("tiles").insertBefore(tile.item, at);
      if (focused instanceof HTMLElement && tile.item.contains(focused)) focused.focus();
    }
  });
  $("tiles").style.setProperty("--columns", String(Math.sqrt(size)));
  put("page", `${page + 1} of ${pages}`);
  $("previous", HTMLButtonElement).disabled = page === 0;
  $("next", HTMLButtonElement).disabled = page === pages - 1;
}

/** Write the figures of those in sight, and how many there are. */
function show() {
  for (const [name, tile] of tiles) {
    const [gravest, ...more] = alarms.of(name);
    tile.show(gravest, more.length, name === chosen);
  }
  const unseen = [...beds.keys()].filter((name) => alarms.rank(name) > 10 && !tiles.has(name)).length;
  const alarming = [...beds.keys()].filter((name) => alarms.rank(name) > 10).length;
  put("overview", `${beds.size} patients, ${alarming} with alarms`
    + (unseen ? `, ${unseen} of them on other pages` : ""));
  if ($("bed", HTMLDialogElement).open) showBed();
}

/** @param {string} name */
function acknowledge(name) {
  alarms.acknowledge(name);
  show();
}

// ---- one patient -----------------------------------------------------------

/** @param {Bed} bed */
function openBed(bed) {
  chosen = bed.name;
  put("bed-name", bed.name);
  input("limit-low").value = String(bed.limits.low);
  input("limit-high").value = String(bed.limits.high);
  put("limit-message", "");
  showBedLog();
  show();
  showBed();
  $("bed", HTMLDialogElement).showModal();
}

function showBed() {
  const bed = beds.get(chosen);
  if (!bed) return;
  const counts = Object.entries(bed.counts).map(([label, count]) => `${count} ${label}`).join(", ");
  put("bed-now", `Heart rate ${bed.state.rate ?? "--"} a minute. Beats since this page was opened: `
    + `${counts || "none"}.`);
  $("bed-acknowledge", HTMLButtonElement).disabled = alarms.rank(chosen) < 10;
}

function showBedLog() {
  $("bed-log").replaceChildren(...alarms.log.filter(({ patient }) => patient === chosen)
    .slice(-SHOWN_LOG).reverse().map((entry) => line(entry, false)));
}

for (const id of ["limit-low", "limit-high"]) {
  input(id).addEventListener("change", () => {
    const limits = { low: input("limit-low").valueAsNumber, high: input("limit-high").valueAsNumber };
    const right = limits.low >= 20 && limits.high <= 300 && limits.low + 10 <= limits.high;
    put("limit-message", right ? "" : "Expected a low limit from 20 on, and a high one at least 10 "
      + "above it, 300 at most; the limits before still hold.");
    if (right) beds.get(chosen)?.limit(limits);
    show();
  });
}
$("bed-acknowledge").addEventListener("click", () => acknowledge(chosen));
$("bed-close").addEventListener("click", () => $("bed", HTMLDialogElement).close());
$("bed-beats").addEventListener("click", () => {
  const beats = beds.get(chosen)?.beats ?? [];
  save(`${chosen}-beats.csv`, ["time,label\n", ...beats.map(({ time, label }) =>
    `${time.toFixed(4)},${label}\n`)]);
});

// ---- log -------------------------------------------------------------------

/** @param {Entry} entry */
function logged(entry) {
  $("log").prepend(line(entry, true));
  while ($("log").children.length > SHOWN_LOG) $("log").lastElementChild?.remove();
  if ($("bed", HTMLDialogElement).open && entry.patient === chosen) showBedLog();
  if (entry.what !== "began") return;
  const sentence = `${entry.patient}: ${entry.text}`;
  if (entry.priority === "high") interrupt(sentence);
  else if (entry.priority === "medium") say(sentence);
}

/**
 * @param {Entry} entry
 * @param {boolean} named
 */
function line({ at, patient, priority, text, what }, named) {
  const words = { began: "", noted: "", ended: " over", acknowledged: " acknowledged" }[what];
  return element("li", {}, element("time", { dateTime: at.toISOString() }, at.toLocaleTimeString()),
    element("span", { className: `sign ${priority ?? ""}` }, priority ? SIGNS[priority] : ""),
    element("span", {}, (named ? `${patient}: ` : "") + text + words));
}

$("save-log").addEventListener("click", () => save("alarms.csv", ["time,patient,priority,what,text\n",
  ...alarms.log.map(({ at, patient, priority, text, what }) =>
    `${at.toISOString()},${patient},${priority ?? "none"},${what},${text}\n`)]));

/** @param {Record<string, any>} counts */
function showFigures({ figures, remarks }) {
  $("figures").hidden = false;
  const parts = figures.flatMap((/** @type {[string, string|number, boolean]} */ [name, value, bad]) =>
    [element("dt", {}, name), element("dd", { className: bad ? "bad" : "" }, String(value))]);
  $("figures").replaceChildren(...parts);
  put("remarks", remarks.join("\n"));
}

// ---- controls --------------------------------------------------------------

$("sound").addEventListener("click", () => {
  press("sound", !isPressed("sound"));
  sounds.set({ alarms: isPressed("sound") });
});
$("tone").addEventListener("click", () => {
  press("tone", !isPressed("tone"));
  chosen ||= order[0] ?? "";
  sounds.set({ tone: isPressed("tone") });
  show();
});
$("acknowledge-all").addEventListener("click", () => {
  for (const name of tiles.keys()) alarms.acknowledge(name);
  show();
});
for (const [id, step] of /** @type {[string, number][]} */ ([["previous", -1], ["next", 1]])) {
  $(id).addEventListener("click", () => {
    page = Math.max(0, page + step);
    arrange();
    show();
  });
}
$("size").addEventListener("change", () => {
  arrange();
  show();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const { sweep } of tiles.values()) {
    sweep.fit();
    sweep.redraw();
  }
});
setInterval(() => sounds.alarm(alarms.loudest), SOUND_EVERY_MS);

let drawing = 0; // the next frame; 0 while all pens rest
let before = 0; // ms, the last frame
let turn = 0;
let still = 0; // frames in which nothing moved

/** @param {number} at ms */
function draw(at) {
  const dt = Math.max(0, at - before) / 1000;
  before = at;
  turn += 1;
  // Half of the traces a frame: thirty pictures a second are smooth, and half the work.
  [...tiles.values()].forEach((tile, i) => {
    tile.owed += dt;
    if ((i + turn) % 2) return;
    tile.advance(tile.owed);
    tile.owed = 0;
  });
  still = [...tiles.values()].every(({ sweep }) => sweep.isResting) ? still + 1 : 0;
  drawing = still < 2 ? requestAnimationFrame(draw) : 0; // until each has had its turn
}

/** Draw from now on, until all pens rest. */
function wake() {
  still = 0;
  if (drawing) return;
  before = performance.now();
  drawing = requestAnimationFrame(draw);
}

onToken(connect);
connect();
