"""``python -m runtime report``: the page holds what was found and stays small, also for a day."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Detector, RecordError
from runtime.cli.main import main
from runtime.findings import Event, Flaw
from runtime.records import read
from runtime.report import Layout, Study, languages, write
from runtime.report.pages import MAX_TABLE_ROWS
from runtime.report.words import Words
from runtime.simulate import simulate

FS = 360
pytestmark = pytest.mark.needs("jinja2")


def test_report_holds_what_was_found(
    tmp_path: Path,
    detector: Detector,
    parse: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    signal = simulate(60, seed=5, ectopic=0.35).signal
    (tmp_path / "sim.csv").write_text("MLII\n" + "\n".join(f"{v:.5f}" for v in signal))
    arguments = ["report", str(tmp_path / "sim.csv"), "--fs", str(FS), "--strips", "7"]
    assert main(["--provider", "cpu", *arguments, "--out", str(tmp_path / "out")]) == 0
    assert "sim.html: lead MLII" in capsys.readouterr().out
    annotation = detector.annotate(read(tmp_path / "sim.csv", fs=FS))
    beats, events = annotation.beats, annotation.events
    assert events
    page = parse((tmp_path / "out" / "sim.html").read_text(encoding="utf-8"))
    assert page.text.count("Not a medical device.") == 2
    words = Words("en")
    counted = {row[0]: row[1] for row in page.tables["classes"][1:]}
    for label in "NSVFQ":
        assert int(counted[words.beats(label)]) == sum(beat.label == label for beat in beats)
    assert int(counted["All"]) == len(beats)
    listed = page.tables["events"][1:]
    assert [row[1] for row in listed] == [words.kind(event.kind) for event in events]
    with (tmp_path / "out" / "sim-report" / "events.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], float(row["start"])) for row in rows] == [
        (event.kind, pytest.approx(event.start, abs=1e-3)) for event in events
    ]
    # It can be sent alone, every link leads somewhere, every picture is a file and has words.
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    files = {file.name for file in (tmp_path / "out" / "sim-report").glob("*.svg")}
    assert 0 < len(files) == page.classes.count("strip") <= 7
    assert {row["strip"] for row in rows} - {""} <= files
    assert all(picture["aria-label"] for picture in page.pictures)
    assert "found 99.98" in page.text  # how sure: the figures of the model that is loaded


def test_identity_clock_and_header_are_those_of_the_file(
    tmp_path: Path, make_study: Callable[..., Study], beat: Callable, parse: Callable[[str], Any]
) -> None:
    study = make_study(
        7200,
        [beat(t) for t in np.arange(0.5, 7200)],
        [Event("pause", 3600.0, 3602.5, 0.9, "")],
        fs=10,
        start=datetime(2026, 2, 3, 23, 30),
        header=("84 F", "Digoxin"),
    )
    page = parse(write(tmp_path, study, Layout()).read_text(encoding="utf-8"))
    assert "2026-02-03, 23:30:00" in page.text
    assert "84 F · Digoxin" in page.text
    assert [row[0] for row in page.tables["rows"][1:]] == [
        "23:30:00",
        "day 2 00:00:00",
        "day 2 01:00:00",
    ]
    assert page.tables["events"][1][0] == "day 2 00:30:00.0"
    assert "night" in page.text
    nameless = write(tmp_path, make_study(60), Layout()).read_text(encoding="utf-8")
    assert "not stated by the file" in nameless


def test_page_of_a_day_stays_small(
    tmp_path: Path, make_study: Callable[..., Study], beat: Callable, parse: Callable[[str], Any]
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
    layout = Layout(strips=6)
    path = write(tmp_path, make_study(86400, beats, events, fs=100, signal=signal), layout)
    page = parse(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 1e6
    assert len(page.tables["rows"]) == 25
    table = page.tables["events"][1:]
    assert len(table) == MAX_TABLE_ROWS
    assert sum(row[1] == "Pause" for row in table) == 40  # the graver kinds are all there
    assert "The 300 gravest; 1,740 of the milder kinds" in page.text
    lines = (tmp_path / "made-report" / "events.csv").read_text().splitlines()
    assert len(lines) == 1 + len(events)


def test_time_that_is_left_out_is_shown_and_totalled(
    tmp_path: Path, make_study: Callable[..., Study], beat: Callable, parse: Callable[[str], Any]
) -> None:
    flaws = np.zeros(100, dtype=np.int64)
    flaws[3:7] = int(Flaw.FLAT)
    flaws[5] |= int(Flaw.POWERLINE)
    events = [
        Event("ventricular_fibrillation", 20.0, 50.0, 0.9, ""),
        Event("asystole", 60.0, 65.5, 1.0, ""),
        Event("ventricular_tachycardia", 22.0, 24.0, 0.9, ""),
    ]
    beats = [beat(t, "S" if 20 < t < 50 else "N") for t in np.arange(0.5, 100) if not 60 < t < 65.5]
    page = parse(
        write(tmp_path, make_study(100, beats, events, flaws=flaws), Layout()).read_text(
            encoding="utf-8"
        )
    )
    for words in (
        "Ventricular fibrillation or flutter 30.0 s",
        "Asystole 5.5 s",
        "Signal that cannot be read 4.0 s",
        "Flat line or electrode off 4.0 s (4.0",
        "Mains hum 1.0 s (1.0",
        "34 of the 95 beats found lie in time that is not analysed",
        "1 of the 3 events found lie in ventricular fibrillation",
        "Of 0:01:40, 0:01:00",
    ):
        assert words in page.text
    assert page.tables["classes"][2][1] == "0"  # no S beat is made of fibrillation
    kinds = [row[0] for row in page.tables["kinds"][1:]]
    assert kinds == ["Ventricular fibrillation or flutter", "Asystole"]
    with (tmp_path / "made-report" / "events.csv").open() as file:
        assert [row["counted"] for row in csv.DictReader(file)] == ["yes", "yes", "no"]


@pytest.mark.parametrize("seconds", [0.4, 3, 15])
def test_an_empty_report_is_stated_and_names_are_escaped(
    tmp_path: Path, make_study: Callable[..., Study], parse: Callable[[str], Any], seconds: float
) -> None:
    study = make_study(seconds, name="a&<b>", lead='"</style>', header=("<script>",))
    text = write(tmp_path, study, Layout(disclosure=True)).read_text(encoding="utf-8")
    assert "<b>a" not in text
    assert "<script>" not in text
    assert text.count("</style>") == 1
    assert "No rhythm event was found." in parse(text).text


@pytest.mark.parametrize("language", languages())
def test_a_report_is_written_in_each_language(
    tmp_path: Path,
    make_study: Callable[..., Study],
    beat: Callable,
    parse: Callable[[str], Any],
    language: str,
) -> None:
    beats = [beat(t, "V" if t % 7 < 1 else "N") for t in np.arange(0.5, 300)]
    events = [
        Event("pause", 20.0, 22.5, 0.9, "an English rule"),
        Event("atrial_fibrillation", 100.0, 200.0, 0.9, "another English rule"),
    ]
    study = make_study(300, beats, events, fs=50)
    text = write(tmp_path, study, Layout(language=language)).read_text(encoding="utf-8")
    assert f'<html lang="{language}">' in text
    page, words = parse(text), Words(language)
    assert words["title"] in page.text
    assert words.kind("pause") in page.text
    assert ("English rule" in page.text) == (language == "en")


def test_full_disclosure_is_on_demand(
    tmp_path: Path, make_study: Callable[..., Study], parse: Callable[[str], Any]
) -> None:
    study = make_study(700, signal=np.tile(simulate(70, fs=100, seed=3).signal, 10), fs=100)
    plain = parse(write(tmp_path, study, Layout(strips=0)).read_text(encoding="utf-8"))
    whole = parse(
        write(tmp_path, study, Layout(strips=0, disclosure=True)).read_text(encoding="utf-8")
    )
    assert "disclosure" not in plain.ids
    assert len(whole.pictures) - len(plain.pictures) == 2  # of ten minutes, and of the rest


@pytest.mark.parametrize(("paper", "size"), [("", None), ("Letter-landscape", "letter landscape")])
def test_a_page_asks_for_paper_only_if_that_is_wanted(
    tmp_path: Path, make_study: Callable[..., Study], paper: str, size: str | None
) -> None:
    text = write(tmp_path, make_study(30), Layout(paper=paper)).read_text(encoding="utf-8")
    assert re.findall(r"^ *size: ([\w ]+);", text, re.MULTILINE) == ([size] if size else [])


def test_old_pictures_are_replaced_and_others_kept(
    tmp_path: Path, make_study: Callable[..., Study]
) -> None:
    events = [Event("couplet", 0.1, 0.5, 0.9, "x"), Event("pause", 8.0, 10.5, 0.8, "x")]
    write(tmp_path, make_study(30, [], events), Layout())
    folder = tmp_path / "made-report"
    assert len(list(folder.glob("*.svg"))) == 2
    (folder / "scan-of-paper.png").write_bytes(b"somebody's own")
    for old in ("overview.png", "couplet-0.00.00.png", "slowest-0.00.10.png", "V-0.00.10.png"):
        (folder / old).write_bytes(b"of the release before")
    write(tmp_path, make_study(30), Layout())
    assert {file.name for file in folder.iterdir()} == {"events.csv", "scan-of-paper.png"}


def test_refusal_of_the_file_system_names_the_path(
    tmp_path: Path, make_study: Callable[..., Study]
) -> None:
    (tmp_path / "made-report").write_text("a file")
    with pytest.raises(RecordError, match="made-report cannot be written: File exists"):
        write(tmp_path, make_study(3), Layout())


def test_missing_jinja2_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", "anything"]) == 2
    assert re.search("jinja2.*pip install jinja2", capsys.readouterr().err)
