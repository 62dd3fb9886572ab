"""``python -m runtime report``: the page holds what was found and stays small, also for a day."""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from runtime import Detector, RecordError
from runtime.cli.main import main
from runtime.findings import Event, Flaw
from runtime.records import read
from runtime.report import Study, write
from runtime.report.pages import MAX_TABLE_ROWS
from runtime.report.words import title
from runtime.rhythm import closed
from runtime.simulate import simulate

FS = 360
needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="no matplotlib (pip install matplotlib)"
)


class Page(HTMLParser):
    """Tables by heading, and pictures; complains about what is not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.pictures: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self._heading = ""
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        if tag == "img":
            self.pictures.append(fields)
        self.links += [str(fields[key]) for key in ("href", "src") if key in fields]
        if tag not in ("img", "meta"):
            self._open.append(tag)
        if tag == "h2":
            self._heading = ""
        if tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        if tag in ("td", "th"):
            self.tables[self._heading][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self._open and self._open[-1] == "h2":
            self._heading += text
        if "td" in self._open or "th" in self._open:
            self.tables[self._heading][-1][-1] += text


@needs_matplotlib
def test_report_holds_what_was_found(
    tmp_path: Path, detector: Detector, capsys: pytest.CaptureFixture[str]
) -> None:
    signal = simulate(60, seed=5, ectopic=0.35).signal
    (tmp_path / "sim.csv").write_text("MLII\n" + "\n".join(f"{v:.5f}" for v in signal))
    assert (
        main(
            [
                "--provider",
                "cpu",
                "report",
                str(tmp_path / "sim.csv"),
                "--fs",
                str(FS),
                "--out",
                str(tmp_path / "out"),
                "--strips",
                "2",
            ]
        )
        == 0
    )
    assert "sim.html: lead MLII" in capsys.readouterr().out
    stream = detector.stream(FS, events=True)
    beats = stream.push(read(tmp_path / "sim.csv", fs=FS).signal) + stream.finish()
    events = closed(stream.events())
    assert events
    text = (tmp_path / "out" / "sim.html").read_text()
    assert text.count("Not a medical device") == 2
    page = Page(text)
    counted = {row[0]: int(row[2]) for row in page.tables["Beats by class"][1:]}
    assert counted == {k: sum(beat.label == k for beat in beats) for k in "NSVFQ"}
    listed = page.tables["All rhythm events"][1:]
    assert [row[1] for row in listed] == [title(event.kind) for event in events]
    with (tmp_path / "out" / "sim-report" / "events.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], float(row["start"])) for row in rows] == [
        (event.kind, pytest.approx(event.start, abs=1e-3)) for event in events
    ]
    # It can be sent alone, and every picture is also a file and has words.
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    files = list((tmp_path / "out" / "sim-report").glob("*.png"))
    assert len(files) == len(page.pictures)
    assert all(picture["alt"] for picture in page.pictures)
    assert {row["strip"] for row in rows} - {""} <= {file.name for file in files}


@needs_matplotlib
def test_page_of_a_day_stays_small(
    tmp_path: Path, make_study: Callable[..., Study], beat: Callable
) -> None:
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.6, 1.0, 107_000))
    labels = rng.choice(list("NNNNNNNNSV"), len(times))
    beats = [beat(t, label) for t, label in zip(times, labels, strict=True)]
    events = sorted(
        [
            *(Event("couplet", t, t + 0.5, 0.9, "x") for t in rng.uniform(0, 86000, 2000)),
            *(Event("pause", t, t + 2.5, 0.9, "x") for t in rng.uniform(0, 86000, 40)),
        ],
        key=lambda event: event.start,
    )
    signal = np.tile(simulate(60, fs=100, seed=3).signal, 60 * 24)
    path = write(tmp_path, make_study(86400, beats, events, fs=100, signal=signal), each=2)
    page = Page(path.read_text())
    assert path.stat().st_size < 2e6
    assert len(page.pictures) == 1 + 2 * 2 + 2 + 2 * 2  # overview, events, slowest, fastest, beats
    table = page.tables["Rhythm events"][1:]
    assert len(table) == MAX_TABLE_ROWS
    assert sum(row[1] == "Pause" for row in table) == 40  # the graver kinds are all there
    lines = (tmp_path / "made-report" / "events.csv").read_text().splitlines()
    assert len(lines) == 1 + len(events)


@needs_matplotlib
def test_flaws_are_listed_with_their_longest_run(
    tmp_path: Path, make_study: Callable[..., Study]
) -> None:
    flaws = np.zeros(60, dtype=np.int64)
    flaws[[3, 4, 5, 20]] = int(Flaw.FLAT)
    flaws[5] |= int(Flaw.POWERLINE)
    page = Page(write(tmp_path, make_study(60, flaws=flaws), each=1).read_text())
    assert page.tables["Signal quality"][1:] == [
        ["Flat line or electrode off", "4 s", "6.7%", "3 s"],
        ["Mains hum", "1 s", "1.7%", "1 s"],
    ]


@needs_matplotlib
@pytest.mark.parametrize("seconds", [0.4, 3, 15])
def test_an_empty_report_is_stated_and_names_are_escaped(
    tmp_path: Path, make_study: Callable[..., Study], seconds: float
) -> None:
    text = write(tmp_path, make_study(seconds, name="a&<b>"), each=3).read_text()
    assert "<b>" not in text.split("<table", 1)[0]
    assert "None found" in text
    Page(text)


@needs_matplotlib
def test_old_pictures_are_replaced_and_others_kept(
    tmp_path: Path, make_study: Callable[..., Study]
) -> None:
    events = [Event("couplet", 0.1, 0.5, 0.9, "x"), Event("pause", 8.0, 10.5, 0.8, "x")]
    write(tmp_path, make_study(30, [], events), each=2)
    assert len(list((tmp_path / "made-report").glob("*.png"))) == 3
    (tmp_path / "made-report" / "scan-of-paper.png").write_bytes(b"somebody's own")
    write(tmp_path, make_study(30), each=2)
    assert {file.name for file in (tmp_path / "made-report").glob("*.png")} == {
        "overview.png",
        "scan-of-paper.png",
    }


def test_refusal_of_the_file_system_names_the_path(
    tmp_path: Path, make_study: Callable[..., Study]
) -> None:
    (tmp_path / "made-report").write_text("a file")
    with pytest.raises(RecordError, match="made-report cannot be written: File exists"):
        write(tmp_path, make_study(3), each=1)


def test_missing_matplotlib_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["report", "anything"]) == 2
    assert re.search("matplotlib.*pip install matplotlib", capsys.readouterr().err)
