"""Fitting the verdict on a strip: parts of any length, what counts, the limit, the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.detector import load_rhythm
from runtime.rhythm.model import FORMAT
from runtime.signal.features import FEATURES, WINDOW_S
from runtime.signal.noise import NOT_NOISE, NoiseModel
from training import fit_whole_noise
from training.databases import PACED_TEST
from training.fit_noise import MEMORY, Piece
from training.fit_whole_noise import (
    BESIDE,
    CLEAR,
    NOISY,
    WINDOWS,
    Part,
    fit,
    flagged_already,
    left_out,
    limit_of,
    measured,
    part_of,
    parts_of,
    store,
    table,
    weights_of,
)

COUNT = 30  # windows


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_whole_noise, "NETWORKS", 1)
        patch.setattr(fit_whole_noise, "STEPS", 60)
        patch.setattr(fit_whole_noise, "BATCH", 128)
        yield


@pytest.fixture(scope="module")
def noise() -> NoiseModel:
    return load_rhythm().noise


def piece(
    noise: NoiseModel, seed: int, label: str, *, source: str = "cinc2017", name: str = ""
) -> Piece:
    """Thirty windows; all those of a noisy strip lie apart from others."""
    rng, size = np.random.default_rng(seed), len(FEATURES)
    spread = rng.normal(size=(COUNT, size)) + (1.5 if label == "~" else 0.0) * (np.arange(size) < 5)
    return Piece(
        name or f"{source}{seed}",
        source,
        label,
        seed % 5,
        noise.lasting.mean[:size] + noise.lasting.scale[:size] * spread,
        np.full(COUNT, -6.0),
        np.zeros(COUNT + WINDOW_S - 1, dtype=bool),
    )


@pytest.fixture(scope="module")
def pieces(noise: NoiseModel) -> list[Piece]:
    strips = [piece(noise, i, label) for i, label in enumerate("N" * 40 + "~" * 15 + "A" * 5)]
    return strips + [piece(noise, i, "", source=source) for i, source in enumerate(BESIDE, 100)]


def test_noisy_strips_of_another_fold_are_recognised(
    noise: NoiseModel, pieces: list[Piece]
) -> None:
    parts = parts_of(pieces, noise)
    found = left_out(parts)
    limit = limit_of(parts, found, set(), 0.05)
    whole = np.array([part.whole for part in parts])
    labels = np.array([part.piece.label for part in parts])
    assert np.mean(found[whole & (labels == "N")] >= limit) <= 0.05
    assert np.mean(found[whole & (labels == "~")] >= limit) > 0.8
    assert len({line.count("|") for line in table(parts, found, set()).splitlines()}) == 1


def test_parts_have_any_length_of_a_strip(noise: NoiseModel, pieces: list[Piece]) -> None:
    parts = parts_of(pieces, noise)
    strips = [one for one in pieces if one.label]
    assert sum(part.whole for part in parts) == len(strips)
    assert len(parts) > 5 * len(strips)
    assert WINDOWS == (2, 56)  # of five seconds each, in 6 and in 60 s
    short = replace(pieces[0], features=pieces[0].features[:1])
    assert parts_of([short], noise) == []


def test_what_may_be_learnt_from(noise: NoiseModel) -> None:
    def part(one: Piece, doubtful: float = 0.0) -> Part:
        return replace(part_of(one, 0, COUNT, noise), doubtful=doubtful)

    flawed = piece(noise, 1, "N")
    flawed.doubtful[3] = True
    assert not part(flawed).counts
    assert part(piece(noise, 1, "N")).counts
    assert not part(piece(noise, 1, "", source="paced", name=PACED_TEST[0])).counts
    mixed = piece(noise, 1, "", source="mixed")
    for doubtful, counts, is_noise in ((CLEAR, True, False), (0.5, False, False), (NOISY, True, 1)):
        assert part(mixed, doubtful).counts == counts
        assert part(mixed, doubtful).noise == is_noise
    assert not part(piece(noise, 1, "", source="cudb"), NOISY).noise


def test_each_database_has_its_weight(noise: NoiseModel, pieces: list[Piece]) -> None:
    parts = parts_of(pieces, noise)
    weights = weights_of(parts)
    for source, (_, weight) in BESIDE.items():
        own = [part.piece.source == source for part in parts]
        assert weights[own].sum() == pytest.approx(weight)
    for whole in (True, False):
        own = [bool(part.piece.label) and part.whole == whole for part in parts]
        assert weights[own].sum() == pytest.approx(1.0)


def test_what_fibrillates_is_not_noise(noise: NoiseModel, pieces: list[Piece]) -> None:
    model = fit(parts_of(pieces, noise))
    one = piece(noise, 7, "~")
    vf = replace(one, fibrillation=np.full(COUNT, MEMORY.strip_max_fibrillation + 0.1))
    assert part_of(one, 0, COUNT, noise).log_odds(model) > NOT_NOISE
    assert part_of(vf, 0, COUNT, noise).log_odds(model) == NOT_NOISE


def test_the_limit_leaves_room_for_strips_flagged_already(
    noise: NoiseModel, pieces: list[Piece]
) -> None:
    normal = [one for one in pieces if one.label == "N"]
    parts = [part_of(one, 0, COUNT, noise, whole=True) for one in normal]
    log_odds = np.arange(len(parts), dtype=float)
    assert limit_of(parts, log_odds, set(), 0.1) == 36
    assert limit_of(parts, log_odds, {normal[0].name, normal[1].name}, 0.1) == 38
    lasting = [fit_whole_noise.SECONDS_LIMIT, 0.0]
    assert flagged_already(normal[:2], lasting) == {normal[0].name}


def test_what_is_stored_is_of_this_format(noise: NoiseModel, pieces: list[Piece]) -> None:
    stored: dict[str, Any] = {
        "models": {"lasting noise": {}},
        "quality": {},
        "fitted_on": {},
    }
    store(stored, fit(parts_of(pieces, noise)), 0.987)
    assert stored["format"] == FORMAT
    assert stored["quality"]["strip_noise_log_odds"] == 0.99
    assert (
        stored["models"]["lasting noise"]["memory"]["strip_max_fibrillation"]
        == MEMORY.strip_max_fibrillation
    )


def test_pieces_are_kept_for_the_next_time(
    noise: NoiseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [piece(noise, 1, "N")]
    monkeypatch.setattr(fit_whole_noise, "require_data", lambda names: tmp_path)
    monkeypatch.setattr("training.fit_noise.measured", lambda folder, rhythm: iter(made))
    for _ in range(2):
        (found,) = measured(tmp_path / "pieces")
        assert found.name == made[0].name
        monkeypatch.setattr("training.fit_noise.measured", None)
