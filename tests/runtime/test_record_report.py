"""``python -m runtime report``: the page and its pictures say what was found, also of a day."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from runtime import Beat, Detector, RecordError
from runtime.cli.main import main
from runtime.findings import Event, Flaw, Record
from runtime.records import read
from runtime.report import pages as report
from runtime.report.pages import Study, excerpts, trend, write
from runtime.rhythm.follow import closed
from runtime.simulate import simulate

plt = pytest.importorskip("matplotlib", reason="no matplotlib (pip install matplotlib)")
FS = 360
ALONE = (0.0, 0.0, 1.0, 0.0, 0.0)


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


def study(seconds: float, beats: list[Beat], events: list[Event] | None = None, *, fs: float = FS,
          signal: np.ndarray | None = None, name: str = "made") -> Study:
    made = np.zeros(round(seconds * fs)) if signal is None else signal
    return Study(Record(name, "MLII", fs, made, 0.0), beats, events or [], "a test")


def test_a_report_says_what_was_found(tmp_path: Path, detector: Detector,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    signal = simulate(60, seed=5, ectopic=0.35).signal
    (tmp_path / "sim.csv").write_text("MLII\n" + "\n".join(f"{v:.5f}" for v in signal))
    assert main(["--provider", "cpu", "report", str(tmp_path / "sim.csv"), "--fs", str(FS), "--out",
                 str(tmp_path / "out"), "--strips", "2"]) == 0
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
    assert [row[1] for row in listed] == [report.title(event.kind) for event in events]
    with (tmp_path / "out" / "sim-report" / "events.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], float(row["start"])) for row in rows] == [
        (event.kind, pytest.approx(event.start, abs=1e-3)) for event in events]
    # It can be sent alone, and every picture is also a file and has words.
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    files = list((tmp_path / "out" / "sim-report").glob("*.png"))
    assert len(files) == len(page.pictures)
    assert all(picture["alt"] for picture in page.pictures)
    assert {row["strip"] for row in rows} - {""} <= {file.name for file in files}


def test_a_name_is_drawn_as_it_is_even_where_it_looks_like_a_formula(tmp_path: Path) -> None:
    from runtime.report import plots

    made = study(20, [Beat(t, "N", 0.9, ALONE) for t in np.arange(0.5, 20)],
                 [Event("pause", 8.0, 10.5, 0.9, "$x_1$")], signal=simulate(20, seed=5).signal)
    made = replace(made, recording=replace(made.recording, lead=r"a$\frac{$b", name="$1$"))
    plots.save(plots.strip(made, excerpts(made, 1)[0]), tmp_path / "strip.png")


def test_a_strip_is_to_scale_and_holds_its_event() -> None:
    from runtime.report import plots

    signal = simulate(60, seed=5).signal
    beats = [Beat(t, "V" if t == 20.5 else "N", 0.9, ALONE) for t in np.arange(0.5, 60)]
    event = Event("pause", 20.5, 23.0, 0.9, "a rule")
    made = study(60, beats, [event], signal=signal)
    chosen = {excerpt.kind: excerpt for excerpt in excerpts(made, 1)}
    assert chosen["pause"].begin <= 20.5
    assert chosen["pause"].begin + report.STRIP_S >= 23.0
    figure = plots.strip(made, chosen["pause"])
    (axes,) = figure.axes
    (x, y), (right, up) = axes.transData.transform([(21.0, 0.0), (22.0, 1.0)])
    millimetre = figure.dpi / 25.4
    assert (right - x, up - y) == pytest.approx((25 * millimetre, 10 * millimetre), rel=1e-3)
    letters = [text.get_text() for text in axes.texts if len(text.get_text()) == 1]
    assert sorted(letters) == ["N"] * 9 + ["V"]
    drawn = axes.lines[0].get_xydata()  # type: ignore[attr-defined]
    np.testing.assert_allclose(drawn[:, 1], signal[(drawn[:, 0] * FS).round().astype(int)])


def test_a_beat_in_the_last_moment_is_no_high_rate() -> None:
    beats = [Beat(810.07, "V", 0.9, ALONE)]
    assert trend(study(810.3, beats)).anomalies.max() <= 12


def test_the_trend_holds_every_beat_and_flaw() -> None:
    beats = [Beat(t, "S" if i % 10 == 0 else "N", 0.9, ALONE)
             for i, t in enumerate(np.arange(0.2, 1190, 0.8))]
    signal = np.tile(simulate(60, seed=3).signal, 20)
    signal[600 * FS : 660 * FS] = 0.0
    made = study(1200, beats, signal=signal)
    binned = trend(made)
    assert len(binned.edges) - 1 <= report.LARGEST_TREND
    minutes = np.diff(binned.edges) / 60
    assert (binned.anomalies * minutes).sum(axis=1) == pytest.approx(
        [sum(beat.label == "S" for beat in beats), 0, 0, 0])
    flat = binned.flaws[list(report.FLAW_NAMES).index(Flaw.FLAT)]
    np.testing.assert_array_equal(flat > 0.5, (binned.edges[:-1] >= 600)
                                  & (binned.edges[1:] <= 660))
    # Where the signal cannot be read there is no heart rate, elsewhere it is 75.
    told = np.isfinite(binned.rate[1])
    np.testing.assert_allclose(binned.rate[:, told], 75.0)
    assert not told[flat > 0.5][1:-1].any()
    assert told.mean() > 0.9


def test_a_day_gives_a_page_that_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                            ) -> None:
    # Judging the quality of a day takes ten seconds, and is not what is looked at here.
    monkeypatch.setattr(Study, "flaws", np.zeros(86400, dtype=np.int64))
    hours, rng = 24, np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.6, 1.0, 107_000))
    labels = rng.choice(list("NNNNNNNNSV"), len(times))
    beats = [Beat(float(t), str(k), 0.9, ALONE) for t, k in zip(times, labels, strict=True)]
    events = sorted([*(Event("couplet", t, t + 0.5, 0.9, "x") for t in rng.uniform(0, 86000, 2000)),
                     *(Event("pause", t, t + 2.5, 0.9, "x") for t in rng.uniform(0, 86000, 40))],
                    key=lambda event: event.start)
    signal = np.tile(simulate(60, fs=100, seed=3).signal, 60 * hours)
    made = study(86400, beats, events, fs=100, signal=signal)
    path = write(tmp_path, made, each=2)
    page = Page(path.read_text())
    assert path.stat().st_size < 2e6
    assert len(page.pictures) == 1 + 2 * 2 + 2 + 2 * 2  # overview, events, slowest, fastest, beats
    table = page.tables["Rhythm events"][1:]
    assert len(table) == report.LARGEST_TABLE
    assert sum(row[1] == "Pause" for row in table) == 40  # the graver kinds are all there
    lines = (tmp_path / "made-report" / "events.csv").read_text().splitlines()
    assert len(lines) == 1 + len(events)
    assert len(trend(made).edges) - 1 <= report.LARGEST_TREND


def test_nothing_found_and_names_that_look_like_markup_are_no_trouble(tmp_path: Path) -> None:
    for seconds in (0.4, 3, 15):
        path = write(tmp_path, study(seconds, [], name="a&<b>"), each=3)
        text = path.read_text()
        assert "<b>" not in text.split("<table", 1)[0]
        assert "None found" in text
        Page(text)


def test_strips_at_the_ends_stay_inside_the_recording(tmp_path: Path) -> None:
    events = [Event("couplet", 0.1, 0.5, 0.9, "x"),
              Event("atrial_fibrillation", 1.0, 30.0, 0.8, "x")]
    made = study(30, [], events, signal=simulate(30, seed=2).signal)
    for excerpt in excerpts(made, 2):
        assert 0 <= excerpt.begin <= 20
    write(tmp_path, made, each=2)
    assert len(list((tmp_path / "made-report").glob("*.png"))) == 3
    (tmp_path / "made-report" / "scan-of-paper.png").write_bytes(b"somebody's own")
    write(tmp_path, study(30, [], [], signal=made.recording.signal), each=2)
    assert {file.name for file in (tmp_path / "made-report").glob("*.png")} == {
        "overview.png", "scan-of-paper.png"}


def test_a_report_that_cannot_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "made-report").write_text("a file")
    with pytest.raises(RecordError, match="made-report cannot be written: File exists"):
        write(tmp_path, study(3, []), each=1)


def test_without_matplotlib_it_says_what_to_install(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert main(["report", "anything"]) == 2
    assert re.search("matplotlib.*pip install matplotlib", capsys.readouterr().err)
