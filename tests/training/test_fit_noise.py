"""Fitting lasting noise: what a strip counts by, the limit, the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.rhythm.model import FORMAT
from runtime.signal.features import FEATURES
from training import fit_noise
from training.databases import PACED_TEST
from training.fit_noise import (
    BESIDE,
    Piece,
    counting,
    fit,
    follow,
    left_out,
    limit_of,
    store,
    table,
    turned,
    weight_of,
    worst,
)


def piece(seed: int, label: str, *, source: str = "cinc2017", name: str = "") -> Piece:
    """Thirty windows; of a noisy strip five lie apart from all others."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(30, len(FEATURES)))
    if label == "~":
        features[10:15, :5] += 3.0
    return Piece(
        name or f"{source}{seed}",
        source,
        label,
        seed % 5,
        features,
        np.full(30, -6.0),
        np.zeros(34, dtype=bool),
    )


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """One network of few steps, enough for what lies as far apart as these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_noise, "NETWORKS", 1)
        patch.setattr(fit_noise, "STEPS", 25)
        yield


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    strips = [piece(seed, label) for seed, label in enumerate("N" * 60 + "~" * 20 + "A" * 10)]
    return strips + [
        piece(seed, "", source=source) for seed, source in enumerate((*BESIDE, *BESIDE), 100)
    ]


def test_noisy_strips_of_another_fold_are_recognised(pieces: list[Piece]) -> None:
    log_odds = left_out(pieces)
    largest, labels = worst(pieces, log_odds), np.array([one.label for one in pieces])
    limit = limit_of(pieces, log_odds, 0.05)
    assert np.mean(largest[labels == "N"] >= limit) == pytest.approx(0.05, abs=0.02)
    assert np.mean(largest[labels == "~"] >= limit) > 0.8


def test_long_noise_is_also_learnt_after_quiet(pieces: list[Piece]) -> None:
    strips = [one for one in pieces if one.label]
    found = turned(strips)
    noisy = [one for one in strips if one.label == "~"]
    assert [one.label for one in found] == ["~"] * len(noisy) + ["N"] * len(noisy)
    for one in found:
        assert one.ahead == 30
        assert len(one.features) == len(one.fibrillation) == 60
        assert not counting(one)[:30].any()
        assert counting(one)[30:].all()
        assert 0 < weight_of(one) < weight_of(replace(one, ahead=0))
    short = [replace(one, features=one.features[:5]) for one in noisy]
    assert not turned([*short, *(one for one in strips if one.label == "N")])


def test_no_paced_patient_of_the_test_is_learnt_from(pieces: list[Piece]) -> None:
    def weights(more: list[Piece]) -> NDArray[np.float64]:
        return fit([*pieces, *more]).weights

    loud = piece(7, "", source="paced", name=PACED_TEST[0])
    assert np.array_equal(weights([loud]), weights([]))
    assert not np.array_equal(weights([piece(7, "", source="paced", name="102")]), weights([]))


def test_a_strip_doubtful_for_another_reason_is_flagged_at_any_limit(pieces: list[Piece]) -> None:
    one = piece(3, "N")
    one.doubtful[4] = True
    assert worst([one], [follow(fit(pieces), one)]).tolist() == [np.inf]


def test_a_strip_too_short_for_a_window_is_not_noise() -> None:
    one = piece(3, "N")
    short = Piece("x", "cinc2017", "N", 3, one.features[:0], one.fibrillation[:0], one.doubtful[:3])
    assert worst([short], [np.zeros(0)]).tolist() == [-np.inf]


def test_the_table_has_every_label_and_database(pieces: list[Piece]) -> None:
    others = [piece(200, "O")]
    lines = table([*pieces, *others], left_out([*pieces, *others])).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert all(source in lines[0] for source in BESIDE)


def test_what_is_stored_is_a_rhythm_of_this_format(pieces: list[Piece]) -> None:
    stored: dict[str, dict[str, object]] = {"models": {}, "quality": {}, "fitted_on": {}}
    store(stored, fit(pieces), -1.234)
    assert stored["format"] == FORMAT
    assert stored["quality"]["lasting_noise_log_odds"] == -1.23
    lasting = stored["models"]["lasting noise"]
    assert isinstance(lasting, dict)
    assert lasting["memory"]["windows"] == fit_noise.MEMORY.windows
