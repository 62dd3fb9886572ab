// The page: sources feed a signal, a link sends it to the server, its answers are shown.

import { CLASSES, clock, covers, firstFrom, isCalm, isCritical, kindName } from "./beats.js";
import { firstLead, readRecording } from "./files.js";
import { Link, Refused, request } from "./link.js";
import { RHYTHMS } from "./patient.js";
import { Signal } from "./signal.js";
import { FeedSource, FileSource, SimulatedSource } from "./sources.js";
import { Strip, Sweep } from "./trace.js";

const EPISODE_S = 3; // abnormal beats of one class no further apart are one line on the list
const LISTED = 300; // lines on the list; a page that stands for days stays light
const SAY_EVERY_MS = 4000; // a screen reader gets sentences no more often
const QUALITY_S = 1; // a fault is shown if every answer of this time has it: one chunk is too short
const RECENT_S = 10; // of beats are summed up beside the rhythm
const STALE_S = 5; // after so long without an answer or a sample no vital signs are shown
const WATCH_MS = 500; // between two looks for new samples

const $ = (id) => document.getElementById(id);
const sweep = new Sweep($("sweep"));
const strip = new Strip($("strip"));
let about = {}; // GET /model
let now = null; // what is running: {source, signal, link, beats, events, counts, ...}
let recording = null; // the file that was opened
let opened = []; // its files

// ---- running ---------------------------------------------------------------

/** Run a source from its beginning, instead of the one before. */
function run(source) {
  now?.source.stop();
  now?.link.stop();
  const signal = new Signal(source.fs, Math.ceil(source.capacityS * source.fs));
  const mine = { source, name: source.name, signal, beats: [], events: [], counts: {}, faults: [],
    chosen: null, follow: true, finished: false,
    cameAt: performance.now(), // the last sample
    away: null, // while the server does not answer: the reason, and the wait before the next try
    stopped: null, // the reason, once nothing goes on
    problem: "" }; // the sentence that is shown about it
  mine.link = new Link(signal, {
    answer: (answer) => take(mine, answer),
    away: (error, wait) => {
      const reason = error instanceof TypeError || error.name === "TimeoutError" ? "" // no answer
        : ` (${error.message})`;
      mine.away = { wait, reason };
      if (signal.seconds - mine.link.decided > STALE_S) blank();
      showState();
    },
    restarted: (reason) => {
      // The new stream does not know which events lasted; it reports again those that go on.
      for (const event of mine.events.filter(({ lasts }) => lasts)) {
        describe(Object.assign(event, { lasts: false, end: mine.link.decided }));
      }
      say(`The stream started anew: ${reason}`);
    },
    refused: (error) => stop(mine, error),
  });
  now = mine;
  problem("");
  state("", "Starting");
  $("name").textContent = source.name;
  if ($("list").contains(document.activeElement)) $("strip").focus();
  $("list").replaceChildren();
  setPaused(false);
  sweep.show(signal, mine.beats);
  strip.show(signal, mine.beats, 0);
  showCounts();
  listChanged();
  follow(true);
  blank();
  source.start({
    append: (samples) => {
      signal.append(samples);
      if (samples.length) mine.cameAt = performance.now();
    },
    end: () => { mine.link.ended = true; },
    refused: (error) => stop(mine, error),
    another: () => {
      say("The live feed was started again");
      connect();
    },
  });
  mine.link.run();
}

/** End a run that the server refused. */
function stop(mine, error) {
  mine.source.stop();
  mine.link.stop();
  const locked = error.status === 401;
  mine.stopped = locked ? "" : `The server refused the signal: ${error.message}`;
  blank();
  showState();
  if (locked) askToken();
}

/** True if a device has been silent for so long that the vital signs are out of date. */
function isSilent({ source, link, cameAt }) {
  return Boolean(source.flows) && !link.ended && performance.now() - cameAt > 1000 * STALE_S;
}

/** Take an answer of `POST /stream`. */
function take(mine, answer) {
  if (mine !== now) return;
  const { beats, signal, counts } = mine;
  for (const beat of answer.beats) {
    beats.push(beat);
    counts[beat.label] = (counts[beat.label] ?? 0) + 1;
    if (beat.label !== "N") listBeat(mine, beat);
  }
  for (const event of answer.events ?? []) {
    listEvent(mine, { ...event, lasts: event.end === null, end: event.end ?? mine.link.decided });
  }
  prune(mine);
  mine.finished = answer.carry === null;
  mine.away = null;
  if (mine.finished) sweep.end();
  showState();
  if (!isSilent(mine)) vitals(answer);
  if (answer.beats.length) showCounts();
  if (!mine.stripDone) showStrip();
}

/** Drop beats and events once the signal around them is no longer held. */
function prune({ beats, events, signal }) {
  const oldest = signal.start / signal.fs;
  const gone = firstFrom(beats, oldest);
  if (gone > 600) { // now and then, not at every beat
    beats.splice(0, gone);
    sweep.dropped(gone);
  }
  for (;;) { // but not what lasts
    const at = events.findIndex(({ lasts, end }) =>
      !lasts && (events.length > LISTED || end < oldest));
    if (at < 0) return;
    const [gone] = events.splice(at, 1);
    if (gone.button === document.activeElement) $("strip").focus();
    gone.item.remove();
    listChanged();
  }
}

// ---- vital signs -------------------------------------------------------------

function vitals(answer) {
  const { beats, signal } = now;
  const decided = now.link.decided;
  const rate = answer.heart_rate;
  put("heart-rate", rate === null ? "--" : String(Math.round(rate)));
  // The server names the rhythm; beats are only summed up here.
  const { rhythm } = answer;
  const recent = beats.slice(firstFrom(beats, decided - RECENT_S));
  const ectopic = Object.keys(CLASSES).filter((label) => label !== "N"
    && recent.some((beat) => beat.label === label)).map((label) => CLASSES[label].many);
  const words = ectopic.length ? `${ectopic.join(", ")} beats` : recent.length ? "normal beats" : "";
  put("rhythm-now", rhythm ? kindName(rhythm) : words || "--");
  put("rhythm-beats", rhythm && (ectopic.length || !isCalm(rhythm)) ? words : "");
  $("rhythm-box").classList.toggle("abnormal", rhythm ? !isCalm(rhythm) : ectopic.length > 0);
  if (answer.quality) {
    now.faults.push({ at: signal.seconds, found: faults(answer.quality) });
    while (now.faults[0].at < signal.seconds - QUALITY_S) now.faults.shift();
    const lasting = now.faults[0].found.filter((fault) =>
      now.faults.every(({ found }) => found.includes(fault)));
    put("quality", lasting.join(", ") || "Good");
    $("quality-box").classList.toggle("poor", lasting.length > 0);
  }
  put("provider", answer.provider.toUpperCase());
  put("latency", `in ${answer.latency_ms.toFixed(0)}\u00a0ms, round trip `
    + `${answer.roundTripMs.toFixed(0)}\u00a0ms`);
  put("behind", now.finished ? "" : `${answer.behind.toFixed(1)} s after the beat`);
}

/** Blank the vital signs: old ones must not look like present ones. */
function blank() {
  for (const id of ["heart-rate", "rhythm-now", "quality"]) put(id, "--");
  put("rhythm-beats", "");
  for (const id of ["rhythm-box", "quality-box"]) $(id).className = "";
}

/** The signal's faults, in words. Faults that are not known here show by their name. */
function faults(quality) {
  const words = { flat: "Flat line or electrode off", clipped: "Clipped", powerline: "Mains hum",
    baseline: "Baseline wander", noise: "Muscle or motion noise",
    missing: "Samples missing", fast: "Too fast for all beats to be found" };
  const found = Object.entries(quality)
    .filter(([name, value]) => !["ok", "range_mv"].includes(name)
      && (value === true || (typeof value === "number" && value > 0)))
    .map(([name]) => words[name] ?? kindName(name));
  if (quality.range_mv > 20) found.push("Out of range");
  return quality.ok ? [] : found.length ? found : ["Poor"];
}

function showCounts() {
  for (const label of Object.keys(CLASSES)) put(`count-${label}`, String(now.counts[label] ?? 0));
}

// ---- events ------------------------------------------------------------------

function listBeat(mine, beat) {
  const open = mine.events.findLast((event) => event.label === beat.label);
  if (open && beat.time - open.end <= EPISODE_S) {
    open.end = beat.time;
    open.count += 1;
    open.score = Math.max(open.score, beat.score);
    describe(open);
    return;
  }
  add(mine, { label: beat.label, start: beat.time, end: beat.time, count: 1, score: beat.score,
    name: `${CLASSES[beat.label]?.name ?? beat.label} beat` });
}

function listEvent(mine, event) {
  // An event that goes on comes again with another end.
  let line = mine.events.find(({ kind, start }) =>
    kind === event.kind && Math.abs(start - event.start) < 0.01);
  if (line) describe(Object.assign(line, event));
  else line = add(mine, { ...event, name: kindName(event.kind) });
  const covered = mine.events.filter((beats) => beats.label && covers(line, beats));
  for (const beats of covered) {
    if (beats.button === document.activeElement) line.button.focus();
    if (beats === mine.chosen) mine.chosen = line;
    beats.item.remove();
  }
  mine.events = mine.events.filter((one) => !covered.includes(one));
  if (covered.length) {
    mark();
    listChanged();
  }
}

function add(mine, event) {
  event.item = element("li");
  event.button = element("button", { type: "button", tabIndex: -1 });
  event.button.addEventListener("click", () => choose(event));
  event.item.append(event.button);
  describe(event);
  mine.events.push(event);
  const list = $("list");
  const atTop = list.scrollTop < 8;
  list.prepend(event.item);
  if (atTop) list.scrollTop = 0; // else the reader keeps their place
  listChanged();
  if (mine.follow) {
    mine.chosen = event;
    mark();
    showStrip();
  }
  const sentence = `${event.name} at ${clock(event.start)}`;
  if (event.kind && isCritical(event.kind)) $("alarm").textContent = sentence;
  else say(sentence);
  return event;
}

function describe(event) {
  const many = event.count > 1 ? ` × ${event.count}` : "";
  const sure = event.confidence ?? event.score;
  const detail = [
    event.lasts ? "lasting" : event.end - event.start >= 1 && `${(event.end - event.start).toFixed(0)} s`,
    sure != null && `score ${sure.toFixed(2)}`,
    event.rule,
  ].filter(Boolean).join(", ");
  event.button.replaceChildren(shape(event.label ?? "event"),
    element("span", { className: "what" }, event.name + many, element("small", {}, detail)),
    element("time", {}, clock(event.start)));
}

function listChanged() {
  const items = $("list").querySelectorAll("button");
  $("empty").hidden = items.length > 0;
  $("event-count").textContent = items.length || "none yet";
  // The list is one stop of the Tab key; arrows move inside it.
  if (items.length && !$("list").querySelector("[tabindex='0']")) items[0].tabIndex = 0;
}

function choose(event) {
  now.chosen = event;
  follow(false);
  mark();
  const text = showStrip();
  say(`Strip ${text}`, true);
}

function mark() {
  for (const { button } of now.events) button.removeAttribute("aria-current");
  now.chosen?.button?.setAttribute("aria-current", "true");
}

$("list").addEventListener("keydown", (press) => {
  const items = [...$("list").querySelectorAll("button")];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[press.key];
  if (to === undefined || !items[to]) return;
  press.preventDefault();
  items[at].tabIndex = -1;
  items[to].tabIndex = 0;
  items[to].focus();
});

// ---- strip ---------------------------------------------------------------------

/** Draw the strip around the chosen event and describe it; gives that sentence. */
function showStrip() {
  const { chosen, signal, beats } = now;
  if (!chosen) {
    now.stripDone = true;
    return "";
  }
  const wide = strip.secondsWide;
  // A long event begins on the strip; a short one stands in its middle.
  const centre = chosen.end - chosen.start > wide - 2
    ? chosen.start + wide / 2 - 1 : (chosen.start + chosen.end) / 2;
  strip.show(signal, beats, centre);
  const from = strip.from;
  const to = Math.min(from + wide, signal.seconds);
  const inside = beats.slice(firstFrom(beats, from), firstFrom(beats, to));
  const counts = Object.entries(CLASSES)
    .map(([label, { many }]) => [inside.filter((beat) => beat.label === label).length, many])
    .filter(([count]) => count).map(([count, many]) => `${count} ${many}`);
  const text = `${clock(from, 1)} to ${clock(to, 1)}: ${counts.join(", ") || "no beats"}`;
  put("strip-text", text);
  now.stripDone = now.link.decided > from + wide || now.finished;
  return text;
}

function step(seconds) {
  if (!now) return;
  const { chosen, signal } = now;
  const at = (chosen ? strip.centre : signal.seconds - strip.secondsWide / 2) + seconds;
  const centre = Math.max(signal.start / signal.fs, Math.min(signal.seconds, at));
  now.chosen = { start: centre, end: centre };
  follow(false);
  mark();
  showStrip();
}

function follow(yes) {
  now.follow = yes;
  $("newest").ariaPressed = yes;
  if (yes) {
    now.chosen = now.events.at(-1) ?? null;
    mark();
    if (now.chosen) showStrip();
    else $("strip-text").textContent = "Signal around the newest event, or the one you choose.";
  }
}

$("earlier").addEventListener("click", () => step(-2));
$("later").addEventListener("click", () => step(2));
$("newest").addEventListener("click", () => now && follow(!now.follow));
$("strip").addEventListener("keydown", (press) => {
  const seconds = { ArrowLeft: -1, ArrowRight: 1, PageUp: -5, PageDown: 5 }[press.key];
  if (seconds === undefined) return;
  press.preventDefault();
  step(seconds);
});

// ---- controls --------------------------------------------------------------------

function setPaused(yes) {
  $("pause").ariaPressed = yes;
  sweep.frozen = yes;
  now.link.paused = yes && !now.source.flows;
  if (yes) now.source.pause();
}

/** Show the page's state; "Paused" only once every beat of the signal so far is there. */
function showState() {
  const { finished, link } = now;
  const [words, sentence] = hindrance(now);
  if (now.problem !== sentence) problem(sentence);
  now.problem = sentence;
  if (words) state("away", words);
  else if (finished) state("on", "Finished");
  else if ($("pause").ariaPressed === "true") {
    state("on", link.paused && !link.settled ? "Pausing" : "Paused");
  } else state(link.sent ? "on" : "", link.sent ? "Live" : "Starting");
}

/** The reason why no signal or no answers come: two words, and a sentence; empty if they come. */
function hindrance(mine) {
  const { stopped, source, away } = mine;
  if (stopped !== null) return ["Stopped", stopped];
  if (isSilent(mine)) {
    return source.away ? ["Feed away", "The live feed does not answer, and may have ended; it is "
      + "shown again when it does."]
      : ["No signal", `The live feed has given no sample for ${STALE_S} s; it is shown again when `
        + "it does."];
  }
  if (away) {
    return [`Server away, trying again in ${(away.wait / 1000).toFixed(1)} s`,
      `The server does not answer${away.reason}. The signal is kept, and no beat is lost when it `
        + "comes back."];
  }
  return ["", ""];
}

setInterval(() => {
  if (!now) return;
  if (isSilent(now)) blank();
  showState();
}, WATCH_MS);

$("controls").addEventListener("submit", (submit) => submit.preventDefault());
$("pause").addEventListener("click", () => {
  if (!now) return;
  const yes = $("pause").ariaPressed !== "true";
  setPaused(yes);
  if (!yes && !now.link.ended && now.stopped === null) now.source.resume();
  showState();
});

for (const [key, { name }] of Object.entries(RHYTHMS)) {
  $("rhythm").append(element("option", { value: key }, name));
}
$("rhythm").addEventListener("change", () => {
  if (now?.source.patient) now.source.patient.chosen = $("rhythm").value || null;
});

for (const name of ["speed", "gain"]) {
  $(name).addEventListener("change", () => {
    for (const paper of [sweep, strip]) {
      paper[name] = Number($(name).value);
      paper.redraw();
    }
    showScale();
    if (now?.chosen) showStrip();
  });
}

function showScale() {
  $("scale").textContent = `${$("speed").value} mm/s, ${$("gain").value} mm/mV`;
}

function select(kind) {
  $("source").value = kind;
  for (const field of document.querySelectorAll("[data-for]")) field.hidden = field.dataset.for !== kind;
}

function startSource() {
  const kind = $("source").value;
  select(kind);
  if (kind === "file" && !recording) $("files").click();
  else if (kind === "file") playFile();
  else if (kind === "feed") run(new FeedSource(about.feed));
  else startPatient();
}

function startPatient() {
  const seed = Number(new URLSearchParams(location.search).get("seed") ?? 1);
  const source = new SimulatedSource(seed);
  source.patient.chosen = $("rhythm").value || null;
  run(source);
}

function playFile() {
  try {
    const source = new FileSource(recording, Number($("lead").value), $("pace").value === "fast",
      () => now.signal.end - now.link.sent);
    source.name = `${recording.name}, ${recording.leads[$("lead").value]}`;
    run(source);
  } catch (error) {
    put("name", now?.name ?? "");
    problem(error.message);
  }
}

async function openFiles(files) {
  if (!files.length) return;
  opened = files;
  await connected; // else the patient that starts then would take the file's place
  put("name", `Reading ${files[0].name}`);
  try {
    const read = await readRecording(files, Number($("rate").value));
    if (opened !== files) return; // others were chosen in the meantime
    recording = read;
  } catch (error) {
    if (opened === files) {
      put("name", now?.name ?? "");
      problem(error.message);
    }
    return;
  }
  $("rate").parentElement.classList.toggle("timed", recording.timed);
  $("lead").replaceChildren(...recording.leads.map((lead, i) => element("option", { value: i }, lead)));
  $("lead").value = firstLead(recording);
  select("file");
  playFile();
}

$("source").addEventListener("change", startSource);
for (const name of ["lead", "pace"]) $(name).addEventListener("change", startSource);
$("rate").addEventListener("change", () => openFiles(opened));
$("open").addEventListener("click", () => $("files").click());
// Nothing was chosen, so what runs goes on.
$("files").addEventListener("cancel", () => {
  if (!recording) select(now?.source instanceof FeedSource ? "feed" : "simulated");
});
$("files").addEventListener("change", () => {
  const files = [...$("files").files];
  $("files").value = ""; // so that the same file can be opened again
  openFiles(files);
});

let within = 0; // dragenter and dragleave come for every element on the way
addEventListener("dragenter", () => { within += 1; $("drop").hidden = false; });
addEventListener("dragleave", () => { within -= 1; $("drop").hidden = within > 0; });
addEventListener("dragover", (drag) => drag.preventDefault());
addEventListener("drop", (drop) => {
  drop.preventDefault();
  within = 0;
  $("drop").hidden = true;
  openFiles([...drop.dataTransfer.files]);
});

$("save-beats").addEventListener("click", () => now && save("beats.csv", ["time,label,score",
  ...now.beats.map(({ time, label, score }) => `${time.toFixed(4)},${label},${score.toFixed(4)}`)]));
$("save-signal").addEventListener("click", () => {
  if (!now) return;
  const { signal } = now;
  const first = signal.start;
  save("signal.csv", ["time,ECG", ...Array.from(signal.slice(first, signal.end), (value, i) =>
    `${((first + i) / signal.fs).toFixed(6)},${value.toFixed(5)}`)]);
});

function save(name, lines) {
  const url = URL.createObjectURL(new Blob([lines.join("\n"), "\n"], { type: "text/csv" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// ---- words to the user -------------------------------------------------------------

/** Set an element's text; the same text is not laid out again, nor read out again. */
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function state(kind, text) {
  $("state").className = `pill ${kind}`;
  // Only a change of state is worth reading out, not every second of a countdown.
  put("state", text);
  $("state").ariaLive = kind === "away" ? "off" : "polite";
}

function problem(text) {
  if ($("problem").textContent === text) return;
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

$("problem").addEventListener("click", () => problem(""));
addEventListener("keydown", (press) => {
  if (press.key === "Escape") problem("");
});

let announcedAt = -Infinity;
let waiting = [];
/** Let a screen reader read a sentence; those that come too quickly are joined. */
function say(sentence, atOnce = false) {
  if (atOnce) {
    $("announce").textContent = sentence;
    return;
  }
  waiting.push(sentence);
  if (waiting.length > 1) return;
  setTimeout(() => {
    const more = waiting.length - 3;
    $("announce").textContent = waiting.slice(0, 3).join("; ") + (more > 0 ? `; and ${more} more` : "");
    announcedAt = performance.now();
    waiting = [];
  }, Math.max(0, announcedAt + SAY_EVERY_MS - performance.now()));
}

function element(name, fields = {}, ...children) {
  const made = Object.assign(document.createElement(name), fields);
  made.append(...children);
  return made;
}

const PATHS = { // as traceShape draws them
  dot: "M8 4a4 4 0 1 0 .01 0z", triangle: "M8 1l7 13H1z", square: "M2 2h12v12H2z",
  diamond: "M8 0l8 8-8 8-8-8z", cross: "M6 1h4v5h5v4h-5v5H6v-5H1V6h5z",
  event: "M8 0a8 8 0 1 0 .01 0zM6.800 3h2.400v6H6.800zm0 7.500h2.400V13H6.800z",
};
function shape(label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `shape class-${label}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("fill-rule", "evenodd"); // the event's mark has a hole
  path.setAttribute("d", PATHS[CLASSES[label]?.shape ?? "event"]);
  svg.append(path);
  return svg;
}

// ---- start ---------------------------------------------------------------------------

let ready;
const connected = new Promise((resolve) => { ready = resolve; });

function askToken() {
  if (sessionStorage.getItem("token")) put("login-message", "The server did not accept this token.");
  sessionStorage.removeItem("token");
  $("login").hidden = false;
  $("token").focus();
}

async function connect() {
  $("login").hidden = true;
  for (;;) {
    try {
      about = await (await request("model")).json();
      break;
    } catch (error) {
      state("away", error.status === 401 ? "Token required" : "Server away");
      if (error.status === 401) return askToken();
      if (error instanceof Refused) return problem(error.message);
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
  }
  $("model").textContent = `Model ${about.sha256.slice(0, 8)}, trained on ${about.trained_on}.`;
  $("source").querySelector("[value=feed]").disabled = !about.feed;
  if (about.feed) select("feed");
  startSource();
  ready();
  return undefined;
}

$("login").addEventListener("submit", (submit) => {
  submit.preventDefault();
  const token = $("token").value.trim();
  $("token").value = "";
  put("login-message", /[^\x21-\x7e]/.test(token) // which no header can carry
    ? "A token has letters, digits and signs of ASCII only; expected the server's EKG_TOKEN." : "");
  if ($("login-message").textContent) return;
  sessionStorage.setItem("token", token);
  connect();
});

function refit() {
  for (const paper of [sweep, strip]) {
    paper.fit();
    paper.redraw();
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refit);
(function watchRatio() { // another screen may have another resolution
  matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => {
    refit();
    watchRatio();
  }, { once: true });
}());

let before = performance.now();
requestAnimationFrame(function frame(at) {
  sweep.advance(Math.max(0, at - before) / 1000);
  before = at;
  requestAnimationFrame(frame);
});

for (const [label, { name }] of Object.entries(CLASSES)) {
  const item = element("li", { title: name });
  item.append(element("b", { className: `class-${label}` }, shape(label), ` ${label}`),
    element("span", { id: `count-${label}` }, "0"), element("span", { className: "unseen" }, ` ${name}`));
  $("counts").append(item);
}

showScale();
connect();
