"""A study made up for a test, and a page that is taken apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.findings import Beat, Event, Record
from runtime.report import Study, study_of
from runtime.rhythm import RhythmPolicy
from runtime.signal.gaps import gap_spans
from runtime.simulate import simulate

ALONE = {label: tuple(float(label == other) for other in "NSVFQ") for label in "NSVFQ"}
VOID = {"meta", "path", "rect"}


class Page(HTMLParser):
    """Tables by the section's id, links and pictures; complains about what is not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.classes: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self._open: list[str] = []
        self._section = ""
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        if "class" in fields:
            self.classes.append(str(fields["class"]))
        if "id" in fields:
            self.ids.append(str(fields["id"]))
        if tag == "svg":
            self.pictures.append(fields)
        if tag == "section":
            self._section = str(fields.get("id", ""))
        self.links += [str(fields[key]) for key in ("href", "src") if key in fields]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.tables.setdefault(self._section, []).append([])
        if tag in ("td", "th"):
            self.tables[self._section][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, text: str) -> None:
        if "style" not in self._open and text.strip():
            self.words.append(text.strip())
        if "td" in self._open or "th" in self._open:
            self.tables[self._section][-1][-1] += text

    @property
    def text(self) -> str:
        """Everything that is read on the page."""
        return " ".join(self.words)


@pytest.fixture(scope="session")
def parse() -> Callable[[str], Page]:
    """A page of HTML, taken apart."""
    return Page


@pytest.fixture(scope="session")
def beat() -> Callable[..., Beat]:
    """A beat of a time in s and a label."""
    return lambda time, label="N", score=0.9: Beat(
        float(time), str(label), score, ALONE[str(label)]
    )


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    limits = RhythmPolicy().limits

    def make(
        seconds: float,
        beats: Sequence[Beat] = (),
        events: Sequence[Event] = (),
        *,
        fs: float = 360,
        signal: NDArray[np.floating] | None = None,
        flaws: NDArray[np.int64] | None = None,
        name: str = "made",
        lead: str = "MLII",
        start: datetime | None = None,
        header: tuple[str, ...] = (),
        **described: Any,
    ) -> Study:
        """Make a study of a record that is good all through, unless flaws are given."""
        if signal is None:
            signal = np.zeros(round(seconds * fs))
        if flaws is None:
            flaws = np.zeros(int(seconds), dtype=np.int64)
        record = Record(
            name, lead, fs, np.asarray(signal, dtype=np.float64), 0.0, start=start, header=header
        )
        missing = np.isnan(record.signal)
        made = {"limits": limits, "made_by": "a test", "missing": missing}
        made["gaps"] = gap_spans(missing, fs)
        return study_of(record, beats, events, flaws, **made | described)

    return make


@pytest.fixture(scope="session")
def minute() -> NDArray[np.float32]:
    """A minute of a simulated patient at 360 Hz, mV."""
    return simulate(60, seed=5).signal
