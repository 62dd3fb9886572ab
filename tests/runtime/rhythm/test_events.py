"""Every family's rules find their events: rates, runs, patterns and pauses."""

from __future__ import annotations

from pathlib import Path

import pytest
from patient import LABELLED, LATE_S, beats_of, events_of, push, quiet, tracker_of

from runtime.findings import Event
from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy, kinds, rules


def kinds_of(pattern: str, rate: float = 75.0) -> list[str]:
    beats = beats_of(pattern, rate=rate)
    return [
        e.kind
        for e in events_of(beats, quiet(len(pattern) * 60 / rate + 3))
        if e.kind != "asystole"
    ]


@pytest.mark.parametrize(
    ("pattern", "rate", "expected"),
    [
        ("NNNNNNNNNNNN", 75, []),
        ("NNNNVVNNNNNN", 75, ["couplet"]),
        ("NNNNVVVNNNNN", 75, ["ventricular_run"]),
        ("NNNNVVVNNNNN", 110, ["ventricular_tachycardia"]),
        ("NNNNVVVVVVNN", 75, ["ventricular_run"]),
        ("NNNSSSNNNNNN", 75, ["supraventricular_run"]),
        ("NNNVNVNVNNNN", 75, ["bigeminy"]),
        ("NNVNNVNNVNNNN", 75, ["trigeminy"]),
        ("NNVNNVNVNVNNN", 75, ["bigeminy"]),
        ("NVNVNNVNNVNNN", 75, ["trigeminy"]),
        ("NNNVNNNVNNNVNN", 75, []),
        ("NNNNN..NNNNN", 75, ["pause"]),
        ("NNNNNNNNNNNN", 45, ["bradycardia"]),
        ("NNNNNNNNNNNNNN", 130, ["tachycardia"]),
    ],
)
def test_each_rule_finds_its_event(pattern: str, rate: float, expected: list[str]) -> None:
    assert kinds_of(pattern, rate) == expected


def test_an_event_has_its_place_confidence_and_rule() -> None:
    (event,) = events_of(beats_of("NNNNVVVVNNNN", rate=110, score=0.8), quiet(8))
    assert event.start == pytest.approx(0.4 + 4 * 60 / 110, abs=1 / FS)
    assert event.end == pytest.approx(0.4 + 7 * 60 / 110, abs=1 / FS)
    assert event.confidence == pytest.approx(0.8, abs=1e-3)
    assert "V beats in a row" in event.rule


def test_v_beats_that_make_a_run_are_no_couplet_too() -> None:
    beats = beats_of("NNNNVVNNNN")
    for run_beats, expected in ((3, ["couplet"]), (2, ["ventricular_run"])):
        found = events_of(beats, quiet(11), LABELLED.replace(run_beats=run_beats))
        assert [e.kind for e in found] == expected


def test_a_ventricular_run_that_quickens_becomes_a_tachycardia() -> None:
    slow = beats_of("NNNNVVVVV", rate=80)
    fast = beats_of("V" * 20, rate=160, start=slow[-1].time + 60 / 160)
    _, begun = push(tracker_of(), [*slow, *fast], quiet(20), 12.0)
    runs = [e for e in begun if e.kind in ("ventricular_run", "ventricular_tachycardia")]
    assert [(e.kind, e.end is None) for e in runs] == [
        ("ventricular_run", True),
        ("ventricular_run", False),
        ("ventricular_tachycardia", True),
    ]
    assert runs[1].end == runs[2].start
    assert runs[2].start == pytest.approx(slow[-2].time, abs=1 / FS)


def test_a_run_of_many_beats_quickens_by_all_of_them() -> None:
    long = beats_of("NNNN" + "V" * 15, rate=80)
    long += beats_of("V" * 40, rate=160, start=long[-1].time + 60 / 160)
    _, begun = push(tracker_of(LABELLED.replace(run_beats=15)), long, quiet(40), 30.0)
    assert "ventricular_tachycardia" in {e.kind for e in begun}


def test_a_bradycardia_after_a_tachycardia_begins_where_that_ended() -> None:
    fast = beats_of("N" * 16, rate=150)
    beats = fast + beats_of("N" * 10, rate=40, start=fast[-1].time + 1.5)
    first, second = events_of(beats, quiet(beats[-1].time + 2))
    assert (first.kind, second.kind) == ("tachycardia", "bradycardia")
    assert first.end == second.start


def test_a_pause_ends_a_run_and_is_no_part_of_one() -> None:
    first = beats_of("NNNNVVV", rate=80)
    escape = beats_of("VVVNNNN", rate=80, start=first[-1].time + 2.4)
    beats = first + escape
    found = [(e.kind, e.start, e.end) for e in events_of(beats, quiet(beats[-1].time + 2))]
    runs = [(start, end) for kind, start, end in found if kind == "ventricular_run"]
    assert runs == [(beats[4].time, beats[6].time), (beats[7].time, beats[9].time)]
    assert ("pause", beats[6].time, beats[7].time) in found
    alone = beats_of("NNNN" + "V", rate=80)
    alone += beats_of("VNNNN", rate=80, start=alone[-1].time + 2.4)
    assert "couplet" not in {e.kind for e in events_of(alone, quiet(alone[-1].time + 2))}


def test_the_heart_rate_of_a_stream_is_below_the_limit_exactly_if_a_bradycardia_begins() -> None:
    for rate in (48.0, 49.5, 50.5, 52.0):
        beats = beats_of("N" * 20, rate=rate)
        tracker = tracker_of()
        signal = quiet(beats[-1].time + 3)
        _, found = push(tracker, beats, signal, len(signal) / FS - LATE_S)
        assert tracker.heart_rate == pytest.approx(rate, abs=0.1)
        assert [event.kind for event in found] == ["bradycardia"] * (rate < 50)


def test_the_limits_are_the_policys() -> None:
    beats, signal = beats_of("NNNNVVVNNNNNNNNN", rate=110), quiet(12)
    assert events_of(beats, signal, LABELLED.replace(run_beats=5)) == []
    (slow,) = events_of(beats, signal, LABELLED.replace(vt_bpm=150.0))
    assert slow.kind == "ventricular_run"
    beats, signal = beats_of("N" * 30, rate=40), quiet(45)
    assert "bradycardia" in {
        e.kind for e in events_of(beats, signal, LABELLED.replace(bradycardia_beats=12))
    }


@pytest.mark.parametrize(
    ("limits", "kind", "words"),
    [
        (
            {"run_beats": 7, "vt_bpm": 111.0},
            "ventricular_tachycardia",
            "7 or more V beats in a row, 7 of them at 111/min or more",
        ),
        (
            {"bradycardia_bpm": 44.0, "bradycardia_beats": 9},
            "bradycardia",
            "mean of 9 intervals below 44/min",
        ),
        ({"pause_s": 2.5}, "pause", "2.5 s or more between two beats"),
        ({"asystole_s": 3.0}, "asystole", "no beat for 3 s"),
        ({"pattern_beats": 4}, "trigeminy", "4 or more V beats, each after two others"),
        ({"af_min_s": 60.0}, "atrial_fibrillation", "for 60 s"),
        ({"vf_on": 2.0}, "ventricular_fibrillation", "a probability of at least 88%"),
    ],
)
def test_a_rule_is_worded_with_the_limits_in_force(
    limits: dict[str, float], kind: str, words: str
) -> None:
    assert words in rules(RhythmPolicy(**limits))[kind]


def test_kinds_and_rules_go_from_the_gravest_to_the_mildest() -> None:
    gravities = [kind.gravity for kind in kinds()]
    assert gravities == sorted(set(gravities), reverse=True)
    assert (
        list(rules(LABELLED))
        == [kind.name for kind in kinds()]
        == [
            "ventricular_fibrillation",
            "asystole",
            "ventricular_tachycardia",
            "ventricular_run",
            "pause",
            "atrial_fibrillation",
            "supraventricular_run",
            "tachycardia",
            "bradycardia",
            "couplet",
            "bigeminy",
            "trigeminy",
        ]
    )


def test_annotations_have_the_rhythms(tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    from outputs_made import annotation_of

    beats = beats_of("NNNVVVNNNNNN", rate=110)
    events = [
        Event("ventricular_tachycardia", beats[3].time, beats[5].time, 0.9, ""),
        Event("tachycardia", beats[0].time, beats[9].time, 0.9, ""),
    ]
    annotation_of(beats, events, fs=360).to_wfdb(tmp_path)
    marks = wfdb.rdann(str(tmp_path / "rec"), "ekg")
    rhythms = [
        (symbol, note.strip("\0"))
        for symbol, note in zip(marks.symbol, marks.aux_note, strict=True)
        if symbol in '+"'
    ]
    assert rhythms == [('"', "tachycardia"), ("+", "(VT"), ("+", "(N")]
    assert [s for s in marks.symbol if s not in '+"'] == [b.label for b in beats]
