"""Strangers: labels, people held back, and which of the beats found are believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import Detector
from training import download, weak_beats
from training.errors import DataError
from training.recordings import FS
from training.weak import FIFTH, Entry, entries, label_of_codes, read
from training.weak_beats import BESIDE, at_360, believe, believed, steps_without_beats

N, S, V = 0, 1, 2


def test_a_fifth_of_the_people_is_held_back_whatever_else_is_at_hand() -> None:
    people = [Entry("cinc2017", name, name, "N") for name in map("A{:05d}".format, range(4000))]
    held_back = [entry.person for entry in people if entry.held_back]
    assert len(held_back) == pytest.approx(4000 / FIFTH, rel=0.1)
    assert held_back[:4] == ["A00007", "A00009", "A00010", "A00014"]


@pytest.mark.parametrize(
    ("codes", "label"),
    [
        ("NORM SR", "N"),
        ("NORM", "N"),
        ("SR IMI", "sinus"),
        ("SR CLBBB NORM", "block"),
        ("AFIB CRBBB", "A"),
        ("AFIB PVC", "O"),
        ("SR PAC", "O"),
        ("PACE", "O"),
        ("IMI", "O"),
    ],
)
def test_diagnoses_say_which_beats_are_normal(codes: str, label: str) -> None:
    assert label_of_codes(set(codes.split())) == label


def test_a_database_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PROJECT", Path("/nowhere/project"))
    monkeypatch.delenv("EKG_DATA", raising=False)
    with pytest.raises(DataError, match="cinc2017 is not at hand; expected EKG_DATA to name"):
        entries("cinc2017")


@pytest.fixture
def known(data: Path) -> Callable[[str], list[Entry]]:
    def entries_or_skip(database: str) -> list[Entry]:
        if not (data / database / "RECORDS").is_file():
            pytest.skip(f"{database} is not among the recordings at hand")
        return entries(database)

    return entries_or_skip


@pytest.mark.parametrize(
    ("database", "fs", "leads"), [("cinc2017", 300, 1), ("ptbxl", 100, 12), ("cpsc2021", 200, 2)]
)
def test_recordings_are_read_in_mv_at_their_rate_and_resampled(
    database: str, fs: float, leads: int, known: Callable[[str], list[Entry]]
) -> None:
    first = read(known(database)[0])
    assert (first.fs, len(first.leads)) == (fs, leads)
    assert 0.3 < np.ptp(first.signal[0]) < 20
    there = at_360(first)
    assert there.shape[1] == np.ceil(first.signal.shape[1] * FS / fs)
    if database == "ptbxl":  # beats are looked for in II
        np.testing.assert_allclose(np.ptp(there[0]), np.ptp(first.signal[1]), rtol=0.1)


def test_nobody_held_back_is_trained_on(
    known: Callable[[str], list[Entry]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weak_beats, "CACHE", tmp_path)
    held_back = {
        entry.name
        for database in ("cinc2017", "ptbxl")
        for entry in known(database)
        if entry.held_back
    }
    others = weak_beats.strangers(60 * FS, limit=80)
    assert {r.name for pool in others.pools for r in pool}.isdisjoint(held_back)
    assert all(len(pool) > 3 for pool in others.pools)
    for record in (r for pool in others.pools for r in pool):
        assert (record.labels == N).all()
        assert record.beats[-1] < record.signal.shape[1]
    assert others.noise.shape[1] == 60 * FS
    assert np.isfinite(others.noise).all()


def test_what_was_found_is_kept_for_the_same_recordings(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weak_beats, "CACHE", tmp_path)
    one, two = (Entry("cinc2017", name, name, "N") for name in "ab")
    rng = np.random.default_rng(0)
    signals = {name: rng.normal(0, 0.3, (1, 10 * FS)).astype(np.float32) for name in "ab"}
    signals["a"][0, 300::300] += 5.0
    first = weak_beats.found(detector, "cinc2017", [one, two], signals)
    assert len(first["a"][0]) > 3
    again = weak_beats.found(detector, "cinc2017", [one, two], {})  # there is no signal to ask
    for name in "ab":
        for kept, asked in zip(again[name], first[name], strict=True):
            np.testing.assert_array_equal(kept, asked)
    assert len([*tmp_path.iterdir()]) == 1
    assert weak_beats.found(detector, "cinc2017", [two], signals).keys() == {"b"}


REGULAR = np.arange(1, 20) * 300


def found(
    *, also: tuple[int, ...] = (), without: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Normal beats every 300 samples, V beats also there, and some not found."""
    beats = np.sort(np.concatenate([np.setdiff1d(REGULAR, without), np.array(also, dtype=int)]))
    return beats, np.where(np.isin(beats, also), V, N)


def test_in_sinus_rhythm_a_beat_that_nothing_needs_is_none() -> None:
    good, unknown = believe(*found(also=(1600, 1640)), 6000, regular=True)
    np.testing.assert_array_equal(good, REGULAR)
    assert not len(unknown)


def test_in_sinus_rhythm_a_beat_that_is_due_is_normal() -> None:
    good, unknown = believe(*found(without=(1500,), also=(1520,)), 6000, regular=True)
    assert len(good) == len(REGULAR)
    assert 1520 in good
    assert not len(unknown)


def test_where_neither_is_so_nothing_is_known_but_beside_the_beats_that_are() -> None:
    beats, labels = found(without=(1500,), also=(1290,))
    good, unknown = believe(beats, labels, 6000, regular=True)
    np.testing.assert_array_equal(good, np.setdiff1d(REGULAR, [1500]))
    assert unknown.tolist() == [[1200 + BESIDE, 1800 - BESIDE]]


def test_a_missed_beat_leaves_its_place_unknown() -> None:
    good, unknown = believe(*found(without=(1500, 1800)), 6000, regular=True)
    assert len(good) == len(REGULAR) - 2
    assert unknown.tolist() == [[1200 + BESIDE, 2100 - BESIDE]]


def test_a_bundle_branch_block_whose_beats_were_all_taken_for_v_is_normal() -> None:
    good, unknown = believe(REGULAR, np.full(len(REGULAR), V), 6000, regular=True)
    np.testing.assert_array_equal(good, REGULAR[1:-1])  # at the ends nothing says so
    assert unknown.tolist() == [[0, 600 - BESIDE], [5400 + BESIDE, 6000]]


def test_in_fibrillation_early_beats_are_normal_and_v_is_not_known() -> None:
    beats = np.array([200, 420, 800, 950, 1500, 1800, 2200])
    labels = np.array([N, S, N, S, N, V, N])
    good, unknown = believe(beats, labels, 2400, regular=False)
    np.testing.assert_array_equal(good, beats[labels != V])
    assert unknown.tolist() == [[1500 + BESIDE, 2200 - BESIDE]]


@given(
    beats=st.lists(st.integers(0, 5999), max_size=40, unique=True),
    regular=st.booleans(),
    seed=st.integers(0, 100),
)
def test_believed_beats_were_found_and_lie_where_it_is_known(
    beats: list[int], regular: bool, seed: int
) -> None:
    where = np.array(sorted(beats), dtype=np.int64)
    labels = np.random.default_rng(seed).choice(5, len(where), p=(0.7, 0.1, 0.1, 0.05, 0.05))
    good, unknown = believe(where, labels, 6000, regular=regular)
    assert set(good) <= set(where)
    assert (np.diff(unknown, axis=1) > 0).all()
    assert not any(begin <= beat <= end for beat in good for begin, end in unknown)


def test_a_strip_of_few_believed_beats_is_left_out() -> None:
    entry, signal = Entry("cinc2017", "x", "x", "N"), np.zeros((1, 6000), dtype=np.float32)
    record = believed(entry, signal, *found())
    assert record is not None
    assert (record.labels == N).all()
    assert believed(entry, signal, REGULAR[:5], np.full(5, N)) is None
    half = REGULAR[:9]  # of the rest nothing is known
    assert believed(entry, signal, half, np.full(9, N)) is None


def test_noise_keeps_its_shape_and_loses_its_beats() -> None:
    wave = np.sin(np.arange(3000) / 40).astype(np.float32)
    ecg = wave.copy()
    ecg[1500] += 3.0
    steps = steps_without_beats(ecg, np.array([1500, 2500]), np.array([N, V]))
    assert len(steps) == 3000 - 2 * weak_beats.AROUND
    assert np.abs(steps).max() < 0.03
