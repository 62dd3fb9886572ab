"""A study as one page of HTML for screen and paper, with a table of its events beside it.

The templates in ``templates/`` say how it looks, the files in ``languages/`` what it says. A day
stays small: the trend is binned, strips are few, and the table of events is cut; ``events.csv``
holds all of them. Needs ``jinja2``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..findings import CLASSES
from ..records import need, writing
from ..rhythm import RATE_INTERVALS
from . import plots
from .excerpts import Excerpt, choose_excerpts, extremes
from .pdf import print_page
from .study import LEFT_OUT, Study
from .summary import DAY_S, EventRow, Summary, nights, trend_of
from .words import AF, KINDS, PAUSE, Words, elapsed

MAX_TABLE_ROWS = 300
PAPERS = {
    "A4": "A4 portrait",
    "A4-landscape": "A4 landscape",
    "Letter": "letter portrait",
    "Letter-landscape": "letter landscape",
}
COLOURS = {"N": "#4c5b66", "S": "#8f5200", "V": "#b3261e", "F": "#7b2f9e", "Q": "#0a5cad"}
# Of an event by its gravity: critical, of concern, and what many healthy people have.
GRAVITY_COLOURS = ((100, "#b3261e"), (60, "#c27803"), (0, "#3f6ea8"))
LEFT_OUT_COLOUR = "#8a97a1"
# What `write` calls the pictures, now and in the release before.
PICTURES = re.compile(
    rf"overview\.png|({'|'.join((*KINDS, *CLASSES))}|\w+est\w*)-[\d.]+\.(png|svg)"
)
MAX_TICKS = 9
TICK_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200)


@dataclass(frozen=True)
class Layout:
    """The reader's wishes.

    Attributes
    ----------
    strips : in all, at most
    language : one of `.words.languages`
    disclosure : draw the whole signal too
    paper : one of `PAPERS`; empty: the printer's
    pdf : print the page to PDF too
    """

    strips: int = 18
    language: str = "en"
    disclosure: bool = False
    paper: str = ""
    pdf: bool = False


def write(folder: Path, study: Study, layout: Layout) -> Path:
    """Write ``folder/NAME.html`` and, into ``folder/NAME-report``, its strips and events.

    The page holds its pictures itself: it can be sent alone.

    Returns
    -------
    the page's path

    Raises
    ------
    RecordError
        The file system refuses something; names the path.
    MissingPackageError
        Names what is needed.
    """
    name = study.record.name
    pictures = folder / f"{name}-report"
    path = folder / f"{name}.html"
    page = Page(study, layout)
    with writing(pictures):
        for old in pictures.iterdir():  # of an earlier report, and nothing else
            if PICTURES.fullmatch(old.name):
                old.unlink()
        page.write_events(pictures / "events.csv")
        for strip in page.strips:
            svg = page.template("strip.svg").render(strip=strip)
            (pictures / f"{strip.excerpt.name}.svg").write_text(svg, encoding="utf-8")
        page.write(path, layout.paper)
        if layout.pdf:
            # A browser prints on the paper that a page asks for.
            asking = pictures / "printed.html"
            page.write(asking, layout.paper or "A4")
            try:
                print_page(asking, folder / f"{name}.pdf")
            finally:
                asking.unlink()
    return path


class Page:
    """A study laid out: everything that the templates name."""

    def __init__(self, study: Study, layout: Layout):
        self.study, self.layout, self.summary = study, layout, Summary(study)
        self.words = Words(layout.language, study.record.start)
        self.chosen = choose_excerpts(self.summary, layout.strips)
        self.strips = [plots.strip_of(self.summary, excerpt) for excerpt in self.chosen]
        jinja2 = need("jinja2", "to write a report")
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._templates.filters |= {
            "elapsed": elapsed,
            "mm": lambda value: f"{value:.2f}".rstrip("0").rstrip("."),
            # Inside a string of CSS.
            "css": lambda text: re.sub(r"[^\w .,;:()+·-]", " ", text),
        }
        self._templates.globals |= {
            "w": self.words,
            "study": study,
            "record": study.record,
            "s": self.summary,
            "colours": COLOURS,
            "gravity": gravity_colour,
            "caption": self._caption,
        }
        self._markup = jinja2.filters.Markup

    def template(self, name: str) -> Any:
        """Return a template of the package."""
        return self._templates.get_template(name)

    def write(self, path: Path, paper: str) -> None:
        """Write the page, for paper of `PAPERS` or, if empty, for any."""
        stream = self.template("report.html").stream(**self._figures(), paper=PAPERS.get(paper, ""))
        stream.enable_buffering(100)
        with path.open("wb") as file:
            stream.dump(file, encoding="utf-8")

    def write_events(self, path: Path) -> None:
        """Write all events as a table."""
        files = {id(e.event): f"{e.name}.svg" for e in self.chosen if e.event is not None}
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(
                ("kind", "start", "end", "counted", "rate", "confidence", "rule", "strip")
            )
            rates = {id(row.event): row.rate for row in self.summary.events}
            for event, settled in zip(self.study.events, self.study.settled, strict=True):
                rate = rates.get(id(settled))
                writer.writerow(
                    (
                        event.kind,
                        f"{event.start:.3f}",
                        f"{self.study.end_of(event):.3f}",
                        "no" if settled is None else "yes",
                        "" if rate is None else f"{rate:.1f}",
                        f"{event.confidence:.4f}",
                        event.rule,
                        files.get(id(settled), ""),
                    )
                )

    def _figures(self) -> dict[str, Any]:
        study, summary, words = self.study, self.summary, self.words
        shown = self._shown()
        links = {excerpt.kind: excerpt.name for excerpt in reversed(self.chosen)}
        for name, extreme in extremes(summary).items():
            showing = (e.name for e in self.chosen if e.shows(extreme.start, extreme.end))
            if name not in links and (found := next(showing, None)):
                links[name] = found

        def linked(kind: str, text: str) -> Any:
            if kind not in links:
                return text
            return self._markup('<a href="#{}">{}</a>').format(links[kind], text)

        return {
            "sentences": list(self._sentences()),
            "kinds": list(KINDS),
            "rules": {e.kind: words.rule(e, study.limits) for e in study.counted_events},
            "basis": words(
                "basis",
                intervals=RATE_INTERVALS,
                **self._limits("run_beats", "pause_s", "min_confidence"),
            ),
            "atrial": summary.episodes_of(AF),
            "pauses": summary.episodes_of(PAUSE),
            "uncounted": int((~study.counted).sum()),
            "uncounted_events": sum(settled is None for settled in study.settled),
            "linked": linked,
            "strips": self.strips,
            "shown": shown,
            "more": len(summary.events) - len(shown),
            "disclosure": plots.sheets(study) if self.layout.disclosure else None,
        } | self._trend()

    def _shown(self) -> list[EventRow]:
        """The gravest events, in order of time."""
        order = list(KINDS)
        gravest = sorted(self.summary.events, key=lambda row: order.index(row.event.kind))
        return sorted(gravest[:MAX_TABLE_ROWS], key=lambda row: row.event.start)

    def _limits(self, *names: str) -> dict[str, str]:
        return {
            name: self.words.plain(self.study.limits[name]) if name in self.study.limits else "–"
            for name in names
        }

    def _trend(self) -> dict[str, Any]:
        study, trend = self.study, trend_of(self.study)
        low, mean, high = trend.rate
        known = bool(np.isfinite(low).any())
        rate_scale = plots.scale_of(
            float(np.nanmin(low)) if known else 0.0, float(np.nanmax(high)) if known else 100.0, 150
        )
        below = np.zeros(len(trend.edges) - 1)
        ectopic_scale = plots.scale_of(0.0, max(1.0, float(trend.ectopic.sum(axis=0).max())), 90)
        bars = []
        for label, counts in zip(CLASSES[1:], trend.ectopic, strict=True):
            tops = np.where(counts > 0, below + counts, np.nan)
            bars.append((label, plots.band(trend.edges, below, tops, study.seconds, ectopic_scale)))
            below = below + counts
        rr_scale = plots.Scale(0.0, plots.MAX_RR_S, 240, (0.0, 0.6, 1.2, 1.8, 2.4))
        return {
            "rate_scale": rate_scale,
            "rate_band": plots.band(trend.edges, low, high, study.seconds, rate_scale),
            "rate_mean": plots.steps(trend.edges, mean, study.seconds, rate_scale),
            "ectopic_scale": ectopic_scale,
            "ectopic_bars": bars,
            "lanes": plots.lanes(study),
            "night_bars": [
                (
                    round(900 * start / study.seconds, 1),
                    round(900 * (end - start) / study.seconds, 1),
                )
                for start, end in nights(study.record.start, study.seconds)
            ],
            "ticks": list(self._ticks()),
            "tick_s": self._tick_s,
            "rr_scale": rr_scale,
            "tachogram_paths": plots.tachogram(study),
            "lorenz_scale": plots.Scale(0.0, plots.MAX_RR_S, 300, rr_scale.ticks),
            "lorenz_paths": plots.lorenz(study),
        }

    @property
    def _tick_s(self) -> float:
        return next((s for s in TICK_S if self.study.seconds / s <= MAX_TICKS), DAY_S)

    def _ticks(self) -> Iterator[tuple[float, float]]:
        """Places on the axis of time, of 900, and their moments in s."""
        seconds, start, step = self.study.seconds, self.study.record.start, self._tick_s
        begun = 0 if start is None else (start.hour * 60 + start.minute) * 60 + start.second
        for moment in np.arange(-begun % step, seconds + 1e-6, step).tolist():
            yield round(900 * moment / seconds, 1), moment

    def _sentences(self) -> Iterator[str]:
        """The summary, written from the figures."""
        words, summary, study = self.words, self.summary, self.study
        told = {
            "duration": elapsed(study.seconds),
            "analysed": elapsed(study.analysed_s),
            "share": words.percent(study.analysed_s / study.seconds),
            "beats": words.number(len(study.beat_times)),
        }
        rate = summary.rate
        if rate is not None and rate.least is not None and rate.greatest is not None:
            yield words(
                "rhythm",
                **told,
                mean=words.number(rate.mean, 1),
                least=words.number(rate.least.value, 1),
                least_at=words.moment(rate.least.start),
                greatest=words.number(rate.greatest.value, 1),
                greatest_at=words.moment(rate.greatest.start),
            )
        else:
            yield words("no_rhythm", **told)
        if summary.ectopic:
            values: dict[str, str] = {}
            for label in "SV":
                of_class, low = summary.classes[label], label.lower()
                values |= {
                    low: words.number(of_class.count),
                    f"{low}_share": words.percent(of_class.share),
                    f"{low}_pairs": words.number(of_class.pairs),
                    f"{low}_runs": words.number(of_class.runs),
                }
            yield words("ectopic", **values)
        else:
            yield words("no_ectopic")
        events = [
            words(
                "event",
                kind=words.kind(kind),
                count=words.number(summary.episodes[kind].count),
                longest=words.length(summary.episodes[kind].longest),
            )
            for kind in KINDS
            if kind in summary.episodes
        ]
        yield words("events", found="; ".join(events)) if events else words("no_events")

    def _caption(self, excerpt: Excerpt) -> list[str]:
        words, parts = self.words, []
        if excerpt.event is not None:
            parts.append(words.length(excerpt.end - excerpt.start))
        if excerpt.rr is not None:
            parts.append(words("caption_rr", rr=words.number(excerpt.rr, 2)))
        if excerpt.rate is not None:
            parts.append(words("caption_rate", rate=words.number(excerpt.rate, 1)))
        if excerpt.score is not None:
            parts.append(words("caption_score", score=words.number(round(excerpt.score, 4), 2)))
        if excerpt.event is not None:
            confidence = words.number(excerpt.event.confidence, 2)
            parts.append(words("caption_confidence", confidence=confidence))
        return parts


def gravity_colour(kind: str) -> str:
    """Return the colour of a kind of event by its gravity, of anything else a quiet one."""
    if kind not in KINDS:
        return LEFT_OUT_COLOUR if kind in LEFT_OUT else GRAVITY_COLOURS[-1][1]
    gravity = KINDS[kind].gravity
    return next(colour for least, colour in GRAVITY_COLOURS if gravity >= least)
