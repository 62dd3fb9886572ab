"""Each number of a report against what `annotate` writes, on ten real records."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from runtime import Detector
from runtime.findings import DOUBTFUL, Beat, Event
from runtime.records import read
from runtime.report import Layout, flaws_of_seconds, study_of, write
from runtime.report.words import Words

pytestmark = [pytest.mark.needs("jinja2", "wfdb"), pytest.mark.slow]
RECORDS = [
    *("cudb/cu01", "cudb/cu05", "mitdb/100", "mitdb/105", "mitdb/119"),
    *("mitdb/200", "mitdb/207", "mitdb/222", "mitdb/231", "svdb/800"),
]
SECONDS = 600.0
STANDSTILL = ("ventricular_fibrillation", "asystole")


def outside(beats: list[Beat], out: list[tuple[float, float]]) -> list[Beat]:
    return [beat for beat in beats if not any(start < beat.time < end for start, end in out)]


def intervals_of(beats: list[Beat], out: list[tuple[float, float]]) -> list[tuple[int, float]]:
    """Index of the first beat and length in s of each interval that touches nothing left out."""
    return [
        (i, b.time - a.time)
        for i, (a, b) in enumerate(pairwise(beats))
        if not any(start < b.time - 1e-9 and a.time + 1e-9 < end for start, end in out)
    ]


@pytest.mark.parametrize("name", RECORDS)
def test_report_equals_annotate(
    data: Path, detector: Detector, tmp_path: Path, parse: Callable[[str], Any], name: str
) -> None:
    record = read(data / name, seconds=SECONDS)
    found = detector.annotate(record)
    beats, events = found.beats, found.events
    flaws = flaws_of_seconds(record, detector.assess)
    limits = detector.rhythm_policy.limits
    study = study_of(record, beats, events, flaws, limits=limits)
    page = parse(write(tmp_path, study, Layout(strips=4)).read_text(encoding="utf-8"))
    words = Words("en")
    out = [(e.start, float(e.end or 0)) for e in events if e.kind in STANDSTILL]
    out += [(s - 1e-9, s + 1.0) for s, flaw in enumerate(flaws) if int(flaw) & DOUBTFUL]
    kept = outside(beats, out)
    classes = {row[0]: row[1:] for row in page.tables["classes"][1:]}
    for label in "NSVFQ":
        count = sum(beat.label == label for beat in kept)
        row = classes[words.beats(label)]
        assert row[0] == words.number(count)
        assert row[1] == words.percent(count / max(1, len(kept)))
    assert classes["All"][0] == words.number(len(kept))
    if len(kept) < len(beats):
        uncounted = (
            f"{words.number(len(beats) - len(kept))} of the {words.number(len(beats))} beats"
        )
        assert uncounted in page.text
    intervals = intervals_of(kept, out)
    rate = 60 / mean(length for _, length in intervals)
    assert f"at a mean heart rate of {words.number(rate, 1)}/min" in page.text
    longest = max(length for _, length in intervals)
    assert f"Longest RR {words.number(longest, 2)} s" in page.text
    normal = [(i, s) for i, s in intervals if kept[i].label == kept[i + 1].label == "N"]
    assert f"SDNN {words.number(1000 * stdev(s for _, s in normal), 1)} ms" in page.text
    assert f"NN intervals {words.number(len(normal))}" in page.text
    eight = dict(intervals)
    rates = [
        60 * 8 / sum(eight[j] for j in range(i, i + 8))
        for i in range(len(kept) - 8)
        if all(j in eight for j in range(i, i + 8))
    ]
    assert f"from {words.number(min(rates), 1)}/min" in page.text
    assert f"to {words.number(max(rates), 1)}/min" in page.text
    check_events(page, events, words)
    # One definition of the rate: no bradycardia without a rate below its limit, nor the other way.
    listed = {row[1] for row in page.tables["events"][1:] if len(row) > 1}
    slow, fast = limits["bradycardia_bpm"], limits["tachycardia_bpm"]
    assert ("Bradycardia" in listed) <= (min(rates) < slow)
    assert ("Tachycardia" in listed) <= (max(rates) > fast)


def check_events(page: Any, events: list[Event], words: Words) -> None:
    """Every event is listed, but for those that end in a standstill; no pause is in a run."""
    still = [(e.start, float(e.end or 0)) for e in events if e.kind in STANDSTILL]
    listed = [(row[0], row[1]) for row in page.tables["events"][1:] if len(row) > 1]
    for event in events:
        touches = event.kind not in STANDSTILL and any(
            start < float(event.end or 0) and event.start < end for start, end in still
        )
        row = (words.moment(event.start, 1), words.kind(event.kind))
        assert row in listed or touches
    assert len(listed) <= len(events)
    runs = [e for e in events if e.kind.endswith(("_run", "_tachycardia"))]
    for pause in (e for e in events if e.kind == "pause"):
        assert not any(
            run.start < float(pause.end or 0) - 1e-6 and pause.start + 1e-6 < float(run.end or 0)
            for run in runs
        )


def test_no_beat_or_strip_is_made_of_fibrillation(
    data: Path, detector: Detector, tmp_path: Path, parse: Callable[[str], Any]
) -> None:
    """cu01 read "S 22.0 %", with six strips of fibrillation as supraventricular beats."""
    record = read(data / "cudb/cu01")
    found = detector.annotate(record)
    beats, events = found.beats, found.events
    assert sum(beat.label == "S" for beat in beats) > 50
    flaws = flaws_of_seconds(record, detector.assess)
    study = study_of(record, beats, events, flaws, limits=detector.rhythm_policy.limits)
    page = parse(write(tmp_path, study, Layout()).read_text(encoding="utf-8"))
    assert page.tables["classes"][2][:2] == ["Supraventricular (S)", "0"]
    strips = {file.name.split("-")[0] for file in (tmp_path / "cu01-report").glob("*.svg")}
    assert "S" not in strips
    assert "ventricular_fibrillation" in strips
    assert "Ventricular fibrillation or flutter 0:04:54" in page.text
