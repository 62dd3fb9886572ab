// The page: sources feed a run, its answers are shown, the user steers it.

import { clock, isCritical } from "./beats.js";
import { watchDisplay } from "./display.js";
import { $, element, isPressed, press, put, select } from "./dom.js";
import { Corrections } from "./editing.js";
import { EventList } from "./eventlist.js";
import { Refused, request } from "./link.js";
import { askToken, onToken } from "./login.js";
import { offerLeads } from "./otherleads.js";
import { Opening } from "./opening.js";
import { Overview } from "./overview.js";
import { RHYTHMS } from "./patient.js";
import { readReference } from "./reading.js";
import { Reference } from "./reference.js";
import { Review } from "./review.js";
import { Run } from "./run.js";
import { watchSaving } from "./saving.js";
import { FeedSource, FileSource, SimulatedSource, WholeSource } from "./sources.js";
import { isSensor, Sensors } from "./sensors.js";
import { Sweep } from "./sweep.js";
import { Trends } from "./trends.js";
import { blankVitals, showCounts, showVitals } from "./vitals.js";
import { alarm, problem, say, state } from "./words.js";

/** @typedef {import("./sources.js").Source} Source */
/** @typedef {{sha256: string, trained_on: string, feed?: import("./sources.js").Feed}} About */

const WATCH_MS = 500; // between two looks for new samples
const SHOW_MS = 250; // while a file is read, answers come too quickly to show each

const sweep = new Sweep($("sweep"));
const events = new EventList((finding) => review.choose(finding));
/** @type {Review} */
const review = new Review({
  marked: (finding) => events.mark(finding),
  moved: (start, width) => overview.mark(start, width),
  selected: (beat) => corrections.show(beat),
  edit: (beat, key) => corrections.key(beat, key),
});
const reference = new Reference(review, events);
const overview = new Overview((time, centre) => (centre ? review.centreOn(time) : review.moveTo(time)));
const trends = new Trends();
/** @type {Corrections} */
const corrections = new Corrections(review, () => {
  if (!now) return;
  showCounts(now.counts);
  events.refresh();
  review.describe();
  overview.refresh();
  trends.refresh();
  reference.compare();
});
/** @type {About|null} `GET /model` */
let about = null;
/** @type {Run|null} what is running */
let now = null;
let shownProblem = ""; // the sentence about the run that is shown

// ---- running ---------------------------------------------------------------

/**
 * Run a source from its beginning, instead of the one before.
 * @param {Source} source
 */
function run(source) {
  now?.stop();
  /** @param {(mine: Run) => void} act unless another run took over */
  const still = (act) => { if (mine === now) act(mine); };
  /** @type {import("./link.js").Answer} */
  let newest;
  let timer = 0;
  const show = () => {
    clearTimeout(timer);
    timer = 0;
    if (mine.finished) sweep.end();
    showState();
    if (!mine.isSilent) showVitals(mine, newest);
    showCounts(mine.counts);
    review.answered();
  };
  const mine = new Run(source, {
    answered: (answer) => still(() => {
      newest = answer;
      wake(); // a beat may have to be marked
      overview.later();
      trends.later();
      if (!mine.isWhole || mine.finished) show();
      else timer ||= window.setTimeout(() => still(show), SHOW_MS);
      if (mine.finished) finish(mine);
    }),
    came: () => still(wake),
    found: (finding) => still(() => {
      events.changed();
      review.found(finding);
      if (mine.isWhole) return; // nobody can follow so many
      const sentence = `${finding.name} at ${clock(finding.start)}`;
      if (finding.kind && isCritical(finding.kind)) alarm(sentence);
      else say(sentence);
    }),
    changed: (finding) => still(() => events.describe(finding)),
    removed: (gone, instead) => still(() => {
      events.removed(gone, instead);
      review.removed(gone, instead);
    }),
    forgot: (count) => still(() => sweep.dropped(count)),
    away: () => still(() => {
      if (mine.isBehind) blankVitals();
      showState();
    }),
    restarted: (reason) => still(() => say(`The stream started anew: ${reason}`)),
    stopped: (status) => still(() => {
      blankVitals();
      showState();
      if (status === 401) askToken();
    }),
    another: () => still(() => {
      say("The live feed was started again");
      connect();
    }),
  });
  now = mine;
  shownProblem = "";
  problem("");
  state("", "Starting");
  put("name", source.name);
  document.body.dataset.mode = mine.isWhole ? "whole" : "live";
  corrections.start(mine);
  events.start(mine);
  setPaused(false);
  sweep.show(mine.isWhole ? null : mine.signal, mine.beats);
  wake();
  showCounts(mine.counts);
  review.start(mine);
  overview.start(mine);
  trends.start(mine);
  reference.start(mine);
  blankVitals();
  mine.start();
}

let drawing = 0; // the next frame of the sweep; 0 while its pen rests
let before = 0; // ms, the last one

/** Draw from now on, until the pen rests: every frame costs, also one in which nothing changes. */
function wake() {
  if (drawing) return;
  before = performance.now();
  drawing = requestAnimationFrame(draw);
}

/** @param {number} at ms */
function draw(at) {
  sweep.advance(Math.max(0, at - before) / 1000);
  before = at;
  drawing = sweep.isResting ? 0 : requestAnimationFrame(draw);
}

/** Show the page's state; "Paused" only once every beat of the signal so far is there. */
function showState() {
  if (!now) return;
  const { finished, link } = now;
  const [words, sentence] = now.hindrance;
  if (shownProblem !== sentence) problem(sentence);
  shownProblem = sentence;
  if (words) state("away", words);
  else if (finished) state("on", "Finished");
  else if (isPressed("pause")) state("on", link.paused && !link.settled ? "Pausing" : "Paused");
  else state(link.sent ? "on" : "", link.sent ? "Live" : "Starting");
}

setInterval(() => {
  if (now?.isSilent) blankVitals();
  sensors.show(now);
  showState();
}, WATCH_MS);

/** @param {Run} mine that came to its end */
function finish(mine) {
  reference.compare();
  events.changed();
  overview.refresh();
  trends.refresh();
  if (mine.isWhole) {
    say(`All of the recording is analysed: ${mine.beats.length} beats, ${mine.findings.length} events.`);
    const critical = mine.findings.filter(({ kind }) => kind && isCritical(kind));
    if (critical.length) {
      const more = critical.length > 1 ? `, and ${critical.length - 1} more` : "";
      alarm(`${critical[0].name} at ${clock(critical[0].start)}${more}`);
    }
  }
}

// ---- controls --------------------------------------------------------------------

/** @param {boolean} yes */
function setPaused(yes) {
  press("pause", yes);
  sweep.frozen = yes;
  wake();
}

$("controls").addEventListener("submit", (submit) => submit.preventDefault());
$("pause").addEventListener("click", () => {
  if (!now) return;
  setPaused(!isPressed("pause"));
  now.pause(isPressed("pause"));
  showState();
});

for (const [key, { name }] of Object.entries(RHYTHMS)) {
  $("rhythm").append(element("option", { value: key, textContent: name }));
}
$("rhythm").addEventListener("change", () => {
  if (now?.source instanceof SimulatedSource) now.source.patient.chosen = chosenRhythm();
});

const chosenRhythm = () => select("rhythm").value || null;

/** @param {string} kind of source */
function selectSource(kind) {
  select("source").value = kind;
  for (const field of document.querySelectorAll("[data-for]")) {
    if (field instanceof HTMLElement) field.hidden = !field.dataset.for?.split(" ").includes(kind);
  }
}

function startSource() {
  const kind = select("source").value;
  selectSource(kind);
  if (kind === "file" && !opening.recording) opening.ask();
  else if (kind === "file") playFile();
  else if (kind === "feed" && about?.feed) run(new FeedSource(about.feed));
  else if (isSensor(kind)) sensors.offer(kind);
  else startPatient();
}

function startPatient() {
  const source = new SimulatedSource(Number(new URLSearchParams(location.search).get("seed") ?? 1));
  source.patient.chosen = chosenRhythm();
  run(source);
}

const isAtOnce = () => select("pace").value === "fast";

let playing = 0; // the last time that a lead was asked for

async function playFile() {
  const { recording } = opening;
  if (!recording) return;
  const lead = Number(select("lead").value);
  const asked = ++playing;
  try {
    const { samples, answers } = await recording.read(lead, isAtOnce());
    if (asked !== playing || opening.recording !== recording) {
      answers.cancel();
      return;
    }
    const Kind = isAtOnce() ? WholeSource : FileSource;
    run(new Kind(`${recording.name}, ${recording.leads[lead]}`, samples, recording.fs, recording.startsAt, answers));
    offerLeads(recording, lead, review);
    if (recording.reference) reference.set(recording.reference);
  } catch (error) {
    opening.refuse(error);
  }
}

const opening = new Opening({
  connected: () => connected,
  read: () => {
    selectSource("file");
    playFile();
  },
  annotations: async (file) => {
    try {
      if (now) reference.set(await readReference(file, now.signal.fs));
    } catch (error) {
      opening.refuse(error);
    }
  },
  unsaid: () => selectSource("file"),
  cancelled: () => { // so what runs goes on
    if (!opening.recording) selectSource(now?.source instanceof FeedSource ? "feed" : "simulated");
  },
  running: () => now?.name ?? "",
  atOnce: isAtOnce,
});

for (const id of ["source", "lead", "pace"]) $(id).addEventListener("change", startSource);

const sensors = new Sensors(run);

watchSaving(() => now, review.strip);

// ---- start ---------------------------------------------------------------------------

/** @type {() => void} */
let ready;
/** @type {Promise<void>} */
const connected = new Promise((resolve) => { ready = resolve; });

async function connect() {
  $("login").hidden = true;
  const known = await askModel();
  if (!known) return;
  about = known;
  put("model", `Model ${about.sha256.slice(0, 8)}, trained on ${about.trained_on}.`);
  const feed = $("source").querySelector("option[value=feed]");
  if (feed instanceof HTMLOptionElement) {
    feed.disabled = !about.feed;
    feed.textContent = about.feed ? "Live feed" : "Live feed (none here: start ekg stream --page)";
  }
  if (about.feed) selectSource("feed");
  startSource();
  ready();
}

/** @returns {Promise<About|null>} null if the server wants a token, or refused */
async function askModel() {
  for (;;) {
    try {
      return await (await request("model")).json();
    } catch (error) {
      const locked = error instanceof Refused && error.status === 401;
      state("away", locked ? "Token required" : "Server away");
      if (locked) askToken();
      else if (error instanceof Refused) problem(error.message);
      if (error instanceof Refused) return null;
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
  }
}

watchDisplay(sweep, review.strip, () => {
  review.describe();
  overview.refresh();
  trends.refresh();
});
onToken(connect);
connect();
