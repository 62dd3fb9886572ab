"""A detector on strangers: what is counted, its intervals, the tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from runtime import Detector
from runtime.simulate import simulate
from training import download, strangers
from training.strangers import FIGURES, Finding, interval, listen, report, summary
from training.weak import Entry, WeakRecord


def finding(
    person: str = "1",
    label: str = "N",
    events: tuple[str, ...] = (),
    noise: float = 0.0,
    **beats: int,
) -> Finding:
    return Finding(
        Entry("cinc2017", person, person, label), beats, {"N": 4, "V": 1}, frozenset(events), noise
    )


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("V", (0, 1)),
        ("S", (1, 1)),
        ("S beats", (3, 20)),
        ("V beats", (0, 20)),
        ("V alone", (1, 1)),
        ("S alone", (0, 1)),
        ("V beats alone", (1, 5)),
        ("grave", (1, 1)),
        ("AF", (0, 1)),
        ("noise", (1, 1)),
    ],
)
def test_each_figure_counts_what_it_says(name: str, counted: tuple[float, float]) -> None:
    one = finding(N=17, S=3, events=("ventricular_run", "bradycardia"), noise=0.1)
    assert one.figure(name) == counted


def test_mild_events_are_not_grave_and_fibrillation_is_told() -> None:
    one = finding(events=("atrial_fibrillation", "couplet", "pause"))
    assert one.figure("grave") == (0, 1)
    assert one.figure("AF") == (1, 1)


def test_an_interval_is_that_of_a_share_of_people() -> None:
    with_v = [finding(str(i), V=1, N=9) for i in range(20)]
    without = [finding(str(i), N=10) for i in range(20, 100)]
    value, low, high = interval([*with_v, *without], "V")
    spread = 1.96 * np.sqrt(0.2 * 0.8 / 100)
    assert value == 0.2
    assert [low, high] == pytest.approx([0.2 - spread, 0.2 + spread], abs=0.02)
    # Three leads of the same people tell no more than one.
    thrice = interval([*with_v, *without] * 3, "V")
    assert thrice == pytest.approx([value, low, high])


def test_a_share_of_no_beats_is_none() -> None:
    assert np.isnan(interval([finding()], "S beats")).all()


def test_the_tables_keep_labels_apart() -> None:
    results = summary([finding("1", N=10), finding("2", N=9, V=1), finding("3", "A", S=5, N=5)])
    table = report(results)
    assert table.splitlines()[0] == "| cinc2017, in % | N (2) | A (1) |"
    assert "| with a V | 50.0 (0.0 to 100.0) | 0.0 (0.0 to 0.0) |" in table
    assert "| S of the beats | 0.0 (0.0 to 0.0) | 50.0 (50.0 to 50.0) |" in table
    assert all(words in table for words in FIGURES.values())


def test_a_recording_is_heard_at_its_own_rate(detector: Detector) -> None:
    ecg = simulate(30.0, fs=300).signal.astype(np.float32)
    entry = Entry("cinc2017", "made up", "1", "N")
    (found,) = listen(detector, WeakRecord(entry, ("ECG",), 300.0, ecg[None]))
    assert 25 < sum(found.beats.values()) == sum(found.alone.values()) < 50


def test_what_is_absent_is_left_out_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(download, "PROJECT", Path("/nowhere/project"))
    monkeypatch.delenv("EKG_DATA", raising=False)
    strangers.main([])
    told = capsys.readouterr().out
    for database in ("cinc2017", "ptbxl", "cpsc2021"):
        assert f"{database} is not at hand; expected EKG_DATA to name a folder" in told


def test_a_few_recordings_of_each_database_through_the_committed_model(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (data / "cinc2017" / "RECORDS").is_file():
        pytest.skip("cinc2017 is not among the recordings at hand")
    strangers.main(["--databases", "cinc2017", "ptbxl", "--limit", "12", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "strangers.json").read_text())
    for labels in (results["cinc2017"], results["ptbxl"]):
        assert len(labels) > 1
        assert sum(figures["recordings"] for figures in labels.values()) == 12
        for figures in labels.values():
            for name in FIGURES:
                value, low, high = figures[name]
                assert 0 <= low <= value <= high <= 1
    assert (tmp_path / "strangers.md").read_text() in capsys.readouterr().out
