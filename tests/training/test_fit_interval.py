"""The usual interval's limits: chosen for patients with S beats and for people who only breathe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runtime.beats import N, S
from runtime.detector import load_rhythm
from runtime.model.contract import FS
from runtime.rhythm.baseline import BaselineLimits
from training.fit_interval import counted, measure, search
from training.interval_people import (
    HALF_S,
    LOWERED,
    MARKED,
    Heard,
    halves,
    places,
    pools,
    rare,
)

LIMITS = load_rhythm().policy.of(BaselineLimits)
BLIND = replace(
    LIMITS,
    baseline_bias=0.0,
    baseline_gain=0.0,
    baseline_sudden=0.0,
    baseline_shortest=0.0,
    baseline_unknown=0.0,
)


def heard(kind: str, seed: int, *, early: float, fold: int = 0, beats: int = 400) -> Heard:
    """Beats of a network that knows nothing: a share of them comes early, and is S."""
    rng = np.random.default_rng(seed)
    is_s = (rng.random(beats) < early) & (np.arange(beats) > 20)
    intervals = 0.9 * np.exp(rng.normal(0, 0.02, beats)) * np.where(is_s, 0.65, 1.0)
    samples = np.rint(np.cumsum(intervals) * FS).astype(int).tolist()
    row = [0.6, 0.4, 0.0, 0.0, 0.0]
    known = [(sample, N, row, True) for sample in samples]
    return Heard(kind, str(seed), fold, known, is_s, int(is_s.sum()))


def people() -> list[Heard]:
    """Some of each kind."""
    patients = [heard("patients", seed, early=0.15, fold=seed % 2) for seed in range(4)]
    others = [heard(name, seed, early=0.01, fold=-1) for seed, name in enumerate(MARKED, 10)]
    strip = heard("strips", 20, early=0.0, fold=-1, beats=30)
    runs = rare(in_runs(heard("patients", 30, early=0.0)))
    parts = [part for one in patients for part in halves(one)]
    return [*patients, *parts, *runs, *others, strip]


def in_runs(one: Heard) -> Heard:
    """The same beats; those after the fiftieth come in runs of twenty early S, and ten N."""
    at = np.arange(len(one.beats))
    is_s = (at >= 50) & (at % 30 < 20)
    intervals = np.where(is_s, 0.6, 0.9)
    samples = np.rint(np.cumsum(intervals) * FS).astype(int).tolist()
    beats = [(sample, *beat[1:]) for sample, beat in zip(samples, one.beats, strict=True)]
    return replace(one, beats=beats, is_s=is_s, there=int(is_s.sum()))


def test_figures_are_those_of_the_beats_called_s() -> None:
    some = people()
    nobody = measure(counted(replace(BLIND, baseline_bias=-50.0), some))
    assert (nobody.mean, nobody.gross, nobody.found, nobody.strips) == (0.0, 0.0, 0.0, 0.0)
    assert set(nobody.false.values()) == {0.0}
    everyone = measure(counted(replace(BLIND, baseline_bias=50.0), some))
    assert everyone.strips == 100.0
    assert everyone.found == 100.0
    hour = 3600 / 0.9
    assert all(false == pytest.approx(hour, rel=0.05) for false in everyone.false.values())
    share = np.mean([one.is_s.mean() for one in some[:4]])
    assert everyone.gross == pytest.approx(200 * share / (1 + share), abs=1.0)


def test_a_search_finds_limits_that_are_better_and_the_same_each_time() -> None:
    some = people()
    start = replace(BLIND, baseline_beats=20.0, baseline_gain=0.5)
    before = measure(counted(start, some)).value
    found = search(start, some, 30, 0)
    assert measure(counted(found, some)).value > before + 5.0
    assert search(start, some, 30, 0) == found


def test_halves_are_every_other_half_minute_each_by_itself() -> None:
    one = heard("patients", 3, early=0.2)
    parts = list(halves(one))
    assert len(parts) == pytest.approx(one.beats[-1][0] / FS / 60, abs=1)
    for part in parts:
        assert (part.beats[-1][0] - part.beats[0][0]) / FS < HALF_S
        assert part.there == part.is_s.sum()


def test_rare_n_beats_are_runs_of_which_the_network_knows_less_and_less() -> None:
    one = in_runs(heard("patients", 3, early=0.0))
    variants = list(rare(one))
    assert len(variants) == len(LOWERED)
    for part, lowered in zip(variants, LOWERED, strict=True):
        assert part.there == one.there == part.is_s.sum()
        assert (~part.is_s).sum() < (~one.is_s).sum()
        for (_, _, row, _), is_s in zip(part.beats, part.is_s, strict=True):
            expected = np.log(0.4 / 0.6) - (lowered if is_s else 0.0)
            assert np.log(row[1] / row[0]) == pytest.approx(expected)
            assert sum(row) == pytest.approx(1.0)
        intervals = np.diff([beat[0] for beat in part.beats]) / FS
        assert intervals[part.is_s[1:]] == pytest.approx(0.6, abs=0.01)
    assert not list(rare(heard("patients", 4, early=0.05)))


def test_what_is_drawn_is_what_was_said_of_beats_as_early_of_the_same_class() -> None:
    def of(s: float, samples: list[int], is_s: list[bool]) -> Heard:
        rows = [[1 - s, s, 0.0, 0.0, 0.0] if one else [0.99, 0.01, 0.0, 0.0, 0.0] for one in is_s]
        known = [(at, N, row, True) for at, row in zip(samples, rows, strict=True)]
        return Heard("patients", "a", 0, known, np.array(is_s), sum(is_s))

    beat = [round(0.9 * FS * i) - (100 if i % 5 == 0 else 0) for i in range(1, 400)]
    is_s = [i % 5 == 0 for i in range(1, 400)]
    drawn = pools([of(0.9, beat, is_s)])
    place = places(np.array(beat), np.where(is_s, S, N))
    early = int(place[4])
    assert place[1] != early
    assert drawn(S, early) == pytest.approx(np.log(9.0))
    assert drawn(N, int(place[1])) == pytest.approx(np.log(0.01 / 0.99))
    assert drawn(N, early) == pytest.approx(np.log(0.01 / 0.99))  # the nearest that is there
