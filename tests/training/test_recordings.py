"""Recordings: counts, splits, leads, resampling, fibrillation and windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from training import rhythm_references
from training.databases import DS1, DS2, PACED
from training.errors import DataError
from training.recordings import FS, Record, class_counts, folds, load, windows
from training.simulated import simulated_records


def test_beats_of_both_sets_are_the_ones_every_paper_counts(data: Path) -> None:
    ds1, ds2 = (class_counts(load("mitdb", name, data) for name in names) for names in (DS1, DS2))
    assert ds1.tolist() == [45_866, 944, 3_788, 415, 8]
    assert ds2.tolist() == [44_259, 1_837, 3_221, 388, 7]


def test_no_patient_is_in_both_sets() -> None:
    assert len(DS1) == len(DS2) == 22
    assert not set(DS1) & set(DS2)
    assert not (set(DS1) | set(DS2)) & set(PACED)


def test_mlii_comes_first_wherever_it_was_recorded_second(data: Path) -> None:
    assert load("mitdb", "114", data).leads == ("MLII", "V5")


def test_svdb_is_resampled_with_its_beats(data: Path) -> None:
    record = load("svdb", "800", data)
    assert record.seconds == pytest.approx(1800, abs=1)
    # At a beat the signal moves; half a beat later it does not.
    slope = np.abs(np.gradient(record.signal[0]))
    near = [slope[b - 15 : b + 16].max() for b in record.beats[5:200]]
    between = (record.beats[5:200] + record.beats[6:201]) // 2
    away = [slope[b - 15 : b + 16].max() for b in between]
    assert np.median(near) > 3 * np.median(away)


def test_folds_split_patients_and_share_out_rare_beats() -> None:
    records = simulated_records(12, seconds=60)
    split = folds(records, 4)
    assert sorted(r.name for fold in split for r in fold) == [r.name for r in records]
    assert [len(fold) for fold in split] == [3, 3, 3, 3]
    rare = [sum(int((r.labels == 1).sum()) for r in fold) for fold in split]
    assert max(rare) - min(rare) <= max(1, sum(rare) // 4)


def test_windows_carry_their_rarest_beat() -> None:
    signal = np.zeros((1, 4 * FS), dtype=np.float32)
    record = Record(
        "x",
        "made up",
        ("I",),
        signal,
        np.array([10, 100, 400, 1100]),
        np.array([0, 2, 0, 1], dtype=np.int8),
        np.zeros((0, 2), dtype=np.int64),
    )
    signal, labels = windows(record)
    assert signal.shape == (4, FS)
    assert labels.tolist() == [2, 0, -1, 1]


def test_an_unreadable_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    (tmp_path / "mitdb" / "1.hea").write_text("this is no header")
    with pytest.raises(DataError, match="cannot be read as a WFDB record"):
        load("mitdb", "1", tmp_path)


BRACKETS = {
    "closed": ([(100, "["), (200, "]"), (300, "["), (400, "]")], [(100, 200), (300, 400)]),
    "open": ([(100, "["), (200, "]"), (300, "[")], [(100, 200), (300, 1000)]),
    "end first": ([(50, "]"), (80, "N"), (100, "["), (200, "]")], [(100, 200)]),
    "end first, open": ([(50, "]"), (100, "[")], [(100, 1000)]),
    "begun twice": ([(100, "["), (150, "["), (200, "]"), (250, "]"), (300, "N")], [(100, 200)]),
    "none": ([(100, "N")], []),
}


@pytest.mark.parametrize(("marks", "episodes"), BRACKETS.values(), ids=BRACKETS)
def test_fibrillation_lasts_to_its_end_mark_or_the_records_end(
    marks: list[tuple[int, str]], episodes: list[tuple[int, int]], tmp_path: Path
) -> None:
    (tmp_path / "cudb").mkdir()
    (tmp_path / "cudb" / "x.hea").write_text("x 1 360 1000\nx.dat 16 200 16 0 0 0 0 II\n")
    (tmp_path / "cudb" / "x.dat").write_bytes(bytes(2000))
    samples, symbols = zip(*marks, strict=True)
    wfdb.wrann(
        "x", "atr", np.array(samples), symbol=list(symbols), write_dir=str(tmp_path / "cudb")
    )
    found = load("cudb", "x", tmp_path).flutter
    assert found.shape == (len(episodes), 2)
    assert found.tolist() == [list(episode) for episode in episodes]


def test_both_readers_of_fibrillation_agree(data: Path) -> None:
    """Of cudb's records these eight end in fibrillation that has no end mark."""
    for name in ("cu15", "cu19", "cu20", "cu28", "cu29", "cu30", "cu31", "cu35"):
        record = load("cudb", name, data)
        spans = rhythm_references.fibrillation(data, "cudb", name)
        assert record.flutter.shape == spans.shape
        np.testing.assert_allclose(record.flutter / FS, spans, atol=1 / FS)
