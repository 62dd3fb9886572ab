"""A recording as a page that a person reads: trend, counts, events and their strips, quality.

Made to stay small for a day of signal: the overview is binned, strips are a few of each kind and
the table of events is cut; ``events.csv`` holds all of them. Pictures need ``matplotlib``.
"""

from __future__ import annotations

import base64
import csv
import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..findings import CLASSES, DOUBTFUL, Beat, Event, Flaw, Record
from ..records import writing
from ..rhythm.follow import KINDS, VF
from ..signal.quality import assess

STRIP_S = 10.0  # 250 mm of paper
LEAD_IN_S = 1.0  # of signal before an event that is longer than its strip
LARGEST_TABLE = 300  # rows
LARGEST_TREND = 300  # bins
EXTREMES = ("slowest", "fastest")  # of the heart rate; each has a strip
BIN_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
QUALITY_PIECE_S = 600  # judged at once: at a rate that is not whole, longer pieces would drift
RATE_INTERVALS = 8  # a heart rate is the median over so many, as in `Rhythm.heart_rate`
CLASS_NAMES = {"N": "Normal", "S": "Supraventricular", "V": "Ventricular", "F": "Fusion",
               "Q": "Paced or unknown"}
FLAW_NAMES = {Flaw.FLAT: "Flat line or electrode off", Flaw.RAILED: "At the amplifier's end",
              Flaw.CLIPPED: "Clipped", Flaw.BASELINE: "Baseline storm",
              Flaw.NOISE: "Muscle or motion noise", Flaw.POWERLINE: "Mains hum"}
NOTICE = ("Not a medical device. A network's opinion on one lead, without clinical validation: not "
          "for diagnosis, not for treatment, not for alarms.")


@dataclass(frozen=True)
class Study:
    """A recording and what was found in it.

    Attributes
    ----------
    events : those that have ended
    made_by : the model, in words
    """

    recording: Record
    beats: Sequence[Beat]
    events: Sequence[Event]
    made_by: str

    @property
    def seconds(self) -> float:
        return len(self.recording.signal) / self.recording.fs

    @cached_property
    def times(self) -> NDArray[np.float64]:
        """Of the beats, s."""
        return np.array([beat.time for beat in self.beats], dtype=np.float64)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Of the beats, index into `CLASSES`."""
        return np.array([CLASSES.index(beat.label) for beat in self.beats], dtype=np.int64)

    @cached_property
    def flaws(self) -> NDArray[np.int64]:
        """What is wrong with each second, the bits of `Flaw`; also the last, if a quarter is there.
        """
        signal, fs = self.recording.signal, self.recording.fs
        size = QUALITY_PIECE_S * round(fs)
        found: list[int] = []
        for second in range(0, int(self.seconds), QUALITY_PIECE_S):
            at = round(second * fs)
            if len(piece := signal[at : at + size]) >= round(fs):
                found += map(int, assess(piece, fs).seconds)
        return np.array(found, dtype=np.int64)

    @cached_property
    def rates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Moments in s, and the heart rate there in beats a minute.

        Told from intervals in signal that can be read and outside of ventricular fibrillation.
        """
        if len(self.times) <= RATE_INTERVALS:
            return np.zeros(0), np.zeros(0)
        intervals = np.diff(self.times)
        bad = np.concatenate([[0], np.cumsum(self.flaws & int(DOUBTFUL) != 0)])
        first, last = (np.clip(np.floor(t).astype(np.int64), 0, len(bad) - 1)
                       for t in (self.times[:-1], self.times[1:] + 1))
        sound = bad[last] == bad[first]
        for event in self.events:
            if event.kind == VF:
                sound &= (self.times[1:] < event.start) | (self.times[:-1] > (event.end or 0.0))
        whole = sliding_window_view(sound, RATE_INTERVALS).all(axis=1)
        median = np.median(sliding_window_view(intervals, RATE_INTERVALS)[whole], axis=1)
        middle = sliding_window_view(self.times[1:], RATE_INTERVALS)[whole, RATE_INTERVALS // 2]
        return middle, 60.0 / median


@dataclass(frozen=True)
class Trend:
    """A recording in few numbers over time.

    Attributes
    ----------
    edges : [bins + 1], s
    rate : [3, bins], 10th percentile, median and 90th percentile, beats a minute; NaN: none
    anomalies : [4, bins], beats of S, V, F and Q a minute
    flaws : [6, bins], share of the seconds with each flaw, in the order of `FLAW_NAMES`
    """

    edges: NDArray[np.float64]
    rate: NDArray[np.float64]
    anomalies: NDArray[np.float64]
    flaws: NDArray[np.float64]


@dataclass(frozen=True)
class Excerpt:
    """A stretch of signal that is drawn, and why.

    Attributes
    ----------
    kind : of the event, or class of the beat
    start, end : of what is shown, s
    words, rule : what stands over it
    begin : of the strip, s; it is `STRIP_S` long
    """

    kind: str
    start: float
    end: float
    words: str
    rule: str
    begin: float

    @property
    def file(self) -> str:
        """Sorts by kind, then by time."""
        return f"{self.kind}-{clock(self.start).replace(':', '.')}.png"


def trend(study: Study) -> Trend:
    """Bin a study for its overview."""
    step = next((s for s in BIN_S if study.seconds / s <= LARGEST_TREND),
                np.ceil(study.seconds / LARGEST_TREND / 3600) * 3600)
    starts = np.arange(0.0, study.seconds, step)
    if len(starts) > 1 and study.seconds - starts[-1] < step / 2:
        starts = starts[:-1]  # a beat in the last second would be 60 a minute
    edges = np.append(starts, study.seconds)
    minutes = np.diff(edges) / 60
    anomalies = np.array([np.histogram(study.times[study.labels == k], edges)[0]
                          for k in range(1, len(CLASSES))]) / minutes
    moments, rates = study.rates
    rate = np.full((3, len(edges) - 1), np.nan)
    for i, part in enumerate(np.split(rates, np.searchsorted(moments, edges[1:-1]))):
        if len(part):
            rate[:, i] = np.percentile(part, (10, 50, 90))
    at = np.arange(len(study.flaws)) + 0.5
    there = np.maximum(np.histogram(at, edges)[0], 1)
    flaws = np.array([np.histogram(at[study.flaws & int(flaw) != 0], edges)[0] / there
                      for flaw in FLAW_NAMES])
    return Trend(edges, rate, anomalies, flaws)


def excerpts(study: Study, each: int) -> list[Excerpt]:
    """What is drawn: of each kind of event the longest, of couplets and beats the surest.

    Parameters
    ----------
    each : at most so many of a kind
    """
    chosen: list[Excerpt] = []
    for kind in KINDS:
        of_kind = sorted((event for event in study.events if event.kind == kind), key=lambda e: (
            0.0 if e.kind == "couplet" else e.start - (e.end or 0.0), -e.confidence, e.start))
        chosen += sorted((_event_excerpt(study, event) for event in of_kind[:each]),
                         key=lambda excerpt: excerpt.start)
    moments, rates = study.rates
    if len(rates):
        for name, at in zip(EXTREMES, (int(rates.argmin()), int(rates.argmax())), strict=True):
            chosen.append(_excerpt(study, name, moments[at], moments[at],
                                   f"{name.capitalize()} heart rate: {rates[at]:.0f}/min"))
    for k, label in reversed(list(enumerate(CLASSES))[1:]):
        few: list[Excerpt] = []
        of_class = [study.beats[int(i)] for i in np.flatnonzero(study.labels == k)]
        for beat in sorted(of_class, key=lambda b: (-b.score, b.time)):
            if len(few) == each:
                break
            if not any(e.begin <= beat.time <= e.begin + STRIP_S for e in (*chosen, *few)):
                few.append(_excerpt(study, label, beat.time, beat.time,
                                    f"{CLASS_NAMES[label]} beat, score {beat.score:.2f}"))
        chosen += sorted(few, key=lambda excerpt: excerpt.start)
    return chosen


def _event_excerpt(study: Study, event: Event) -> Excerpt:
    end = event.end if event.end is not None else study.seconds
    return _excerpt(study, event.kind, event.start, end,
                    f"{title(event.kind)}, {_length(end - event.start)}, confidence "
                    f"{event.confidence:.2f}", event.rule)


def _excerpt(study: Study, kind: str, start: float, end: float, words: str, rule: str = ""
             ) -> Excerpt:
    long = end - start > STRIP_S - 2 * LEAD_IN_S
    begin = start - LEAD_IN_S if long else (start + end - STRIP_S) / 2
    return Excerpt(kind, start, end, words, rule, max(0.0, min(begin, study.seconds - STRIP_S)))


def write(folder: Path, study: Study, *, each: int,
          progress: Callable[[Sequence[Excerpt]], Iterable[Excerpt]] = iter) -> Path:
    """Write ``folder/NAME.html`` and, in ``folder/NAME-report``, its pictures and events.

    The page holds its pictures itself: it can be sent alone.

    Parameters
    ----------
    each : strips of a kind, at most
    progress : is given what is drawn and gives it on, one by one

    Raises
    ------
    RecordError
        What the file system refuses, with the path.
    """
    from . import plots

    name = study.recording.name
    pictures = folder / f"{name}-report"
    path = folder / f"{name}.html"
    with writing(pictures):
        for old in pictures.glob("*.png"):  # of an earlier report, and nothing else
            if _OURS.fullmatch(old.name):
                old.unlink()
        chosen = excerpts(study, each)
        _write_events(pictures / "events.csv", study, chosen)
        plots.save(plots.overview(study, trend(study)), pictures / "overview.png")
        for excerpt in progress(chosen):
            plots.save(plots.strip(study, excerpt), pictures / excerpt.file)
        path.write_text(page(study, chosen, pictures), encoding="utf-8")
    return path


# What `write` names the pictures.
_OURS = re.compile(rf"overview\.png|({'|'.join((*KINDS, *EXTREMES, *CLASSES))})-[\d.]+\.png")


def _write_events(path: Path, study: Study, chosen: Sequence[Excerpt]) -> None:
    files = {(excerpt.kind, excerpt.start): excerpt.file for excerpt in chosen}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("kind", "start", "end", "confidence", "rule", "strip"))
        writer.writerows((e.kind, f"{e.start:.3f}", f"{e.end:.3f}", f"{e.confidence:.4f}", e.rule,
                          files.get((e.kind, e.start), "")) for e in study.events)


def page(study: Study, chosen: Sequence[Excerpt], pictures: Path) -> str:
    """The whole page as HTML; the pictures are read and put into it."""
    recording, name = study.recording, html.escape(study.recording.name)
    parts = [
        f"<header><h1>ECG report: {name}</h1>"
        f"<p class=notice role=note>{NOTICE}</p>{_facts(study)}</header><main>",
        "<section><h2>Overview</h2><div class=wide>", _picture(
            pictures / "overview.png", f"Heart rate, anomalies, rhythm events and signal quality "
            f"of {recording.name} over {clock(study.seconds)}"), "</div></section>",
        "<div class=two>", _beats_table(study), _quality_table(study), "</div>",
        _kinds_table(study, chosen)]
    for kind in dict.fromkeys(excerpt.kind for excerpt in chosen):
        of_kind = [excerpt for excerpt in chosen if excerpt.kind == kind]
        parts.append(f"<section id={kind}><h2>{title(kind)}</h2>")
        parts += [f"<figure>{_picture(pictures / e.file, f'{e.words}, at {clock(e.start, 1)}')}"
                  "</figure>" for e in of_kind]
        parts.append("</section>")
    parts += [_events_table(study), _reading(study)]
    return (f"<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
            f"<meta name=viewport content='width=device-width, initial-scale=1'>"
            f"<title>ECG report: {name}</title><style>{STYLE}</style></head>\n<body>\n"
            + "\n".join(parts) + f"\n</main><footer><p>{NOTICE}</p></footer>\n</body></html>\n")


def _facts(study: Study) -> str:
    recording, (moments, rates) = study.recording, study.rates
    count, anomalies = len(study.beats), int((study.labels > 0).sum())
    facts = [("Lead", recording.lead), ("Length", clock(study.seconds)),
             ("Rate", f"{recording.fs:g} Hz"),
             ("Beats", f"{count:,}" + (f", {anomalies:,} not normal ({anomalies / count:.1%})"
                                       if count else ""))]
    if len(rates):
        slow, fast = int(rates.argmin()), int(rates.argmax())
        facts.append(("Heart rate", f"{np.median(rates):.0f}/min (median); {rates[slow]:.0f} at "
                      f"{clock(moments[slow])} to {rates[fast]:.0f} at {clock(moments[fast])}"))
    doubtful = float((study.flaws & int(DOUBTFUL) != 0).mean()) if len(study.flaws) else 0.0
    facts += [("Rhythm events", f"{len(study.events):,}"),
              ("Signal", f"{1 - doubtful:.1%} fit to be read"
               + (f"; {recording.gaps:.2%} missing" if recording.gaps else ""))]
    return "<dl>" + "".join(f"<div><dt>{key}</dt><dd>{html.escape(value)}</dd></div>"
                            for key, value in facts) + "</dl>"


def _beats_table(study: Study) -> str:
    counts = np.bincount(study.labels, minlength=len(CLASSES))
    whole, hours = max(1, len(study.beats)), study.seconds / 3600
    return _table("Beats by class", ("Class", "Name", "Beats", "Share", "An hour"), [
        (f"<b class={label}>{label}</b>", CLASS_NAMES[label], f"{count:,}", f"{count / whole:.1%}",
         f"{count / hours:,.0f}") for label, count in zip(CLASSES, counts, strict=True)])


def _quality_table(study: Study) -> str:
    rows = []
    for flaw, name in FLAW_NAMES.items():
        bad = study.flaws & int(flaw) != 0
        if bad.any():
            ends = np.flatnonzero(np.diff(np.concatenate([[0], bad.astype(np.int8), [0]])))
            rows.append((name, f"{bad.sum():,} s", f"{bad.mean():.1%}",
                         f"{int((ends[1::2] - ends[::2]).max())} s"))
    return _table("Signal quality", ("Found", "In all", "Share", "Longest"),
                  rows or [("Nothing wrong", "", "", "")])


def _kinds_table(study: Study, chosen: Sequence[Excerpt]) -> str:
    rows = []
    for kind in KINDS:
        events = [event for event in study.events if event.kind == kind]
        if events:
            lengths = [(event.end or event.start) - event.start for event in events]
            drawn = sum(excerpt.kind == kind for excerpt in chosen)
            rows.append((f"<a href=#{kind}>{title(kind)}</a>" if drawn else title(kind),
                         f"{len(events):,}", _length(sum(lengths)), _length(max(lengths)),
                         clock(min(event.start for event in events)), str(drawn)))
    return _table("Rhythm events by kind", ("Kind", "Events", "In all", "Longest", "First at",
                                            "Drawn"), rows or [("None found", *[""] * 5)])


def _events_table(study: Study) -> str:
    shown = sorted(study.events, key=lambda event: KINDS.index(event.kind))[:LARGEST_TABLE]
    rows = [(clock(e.start, 1), title(e.kind), _length((e.end or e.start) - e.start),
             f"{e.confidence:.2f}", html.escape(e.rule))
            for e in sorted(shown, key=lambda event: event.start)]
    left_out = len(study.events) - len(shown)
    note = (f"<p>The {LARGEST_TABLE} gravest; {left_out:,} of the milder kinds are in "
            "<code>events.csv</code> only.</p>" if left_out else "")
    return _table("All rhythm events" if not left_out else "Rhythm events",
                  ("Start", "Event", "Length", "Confidence", "Rule"),
                  rows or [("None found", *[""] * 4)], note)


def _reading(study: Study) -> str:
    return (
        "<section><h2>How to read it</h2><p>Strips are 25 mm/s and 10 mm/mV: a small square is "
        "0.04 s and 0.1 mV; printed at full size it is a millimetre. The signal is as recorded, "
        "unfiltered. Each beat is marked with its letter over its R peak, those that are not "
        "normal have a band; a red bar on the paper's lower edge is the event, grey are seconds "
        "that are not fit to be read. Heart rate is the median of "
        f"{RATE_INTERVALS} intervals; the trend shows its median and, pale, its 10th to 90th "
        "percentile. Confidence is the mean score of the event's beats, or its model's "
        f"probability.</p><p>Made by {html.escape(study.made_by)}.</p></section>")


def _table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = ""
           ) -> str:
    head = "".join(f"<th scope=col>{name}</th>" for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (f"<section><h2>{heading}</h2>{note}<div class=wide><table><thead><tr>{head}</tr>"
            f"</thead><tbody>{body}</tbody></table></div></section>")


def _picture(path: Path, words: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(words)}">'


def title(kind: str) -> str:
    """A kind or class in words."""
    if kind in CLASS_NAMES:
        return f"{CLASS_NAMES[kind]} beats"
    if kind in ("slowest", "fastest"):
        return f"{kind.capitalize()} heart rate"
    return kind.replace("_", " ").capitalize()


def clock(seconds: float, digits: int = 0) -> str:
    """s as hours, minutes and seconds: 1:02:03, with so many digits after the point."""
    unit = 10**digits
    whole, part = divmod(round(seconds * unit), unit)
    text = f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{text}.{part:0{digits}d}" if digits else text


def _length(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


STYLE = """
:root{color-scheme:light;--line:#d8dfe4;--quiet:#55636f;--alarm:#b3261e}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px 20px;max-width:1340px;background:#fff;color:#17212b;
 font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
h1{font-size:26px;margin:0 0 8px}h2{font-size:18px;margin:30px 0 10px}
.notice{margin:0 0 16px;padding:8px 12px;background:#fff2d6;color:#7a4b00;border-radius:6px;
 font-weight:600}
dl{display:flex;flex-wrap:wrap;gap:10px 34px;margin:0}dt{font-size:12px;color:var(--quiet)}
dd{margin:0;font-weight:600}
.two{display:flex;flex-wrap:wrap;gap:0 48px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 18px 4px 0;border-bottom:1px solid var(--line);
 vertical-align:top}
th{font-size:12px;color:var(--quiet);font-weight:600}
figure{margin:0 0 14px}img{display:block;max-width:100%;height:auto}
figure img{width:262mm}
b.S{color:#8f5200}b.V{color:#b3261e}b.F{color:#7b2f9e}b.Q{color:#0a5cad}a{color:#0b6b63}
footer{margin-top:34px;border-top:1px solid var(--line);color:var(--quiet);font-size:13px}
@media(max-width:860px){figure,.wide{overflow-x:auto}figure img,.wide img{max-width:none}}
@media print{@page{size:A4 landscape;margin:12mm}body{padding:0;max-width:none}
 figure,tr{break-inside:avoid}h2{break-after:avoid}}
"""
