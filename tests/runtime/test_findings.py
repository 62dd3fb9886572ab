"""Plain values: beats, flaws, quality."""

from __future__ import annotations

import pytest

from runtime.findings import (
    CLASSES,
    DOUBTFUL,
    FLAT_LINE,
    IMPOSSIBLE_RANGE_MV,
    UNREADABLE,
    Beat,
    Flaw,
    Quality,
)


@pytest.mark.parametrize("label", CLASSES)
def test_every_class_but_n_is_an_anomaly(label: str) -> None:
    assert Beat(1.0, label, 0.9, (0.2,) * 5).anomaly == (label != "N")


def test_good_quality_has_no_share_of_any_doubtful_flaw() -> None:
    assert Quality(0, 0, 2.0).ok
    assert Quality(0, 0, 2.0, noisy=False).ok
    assert Quality(0, 0, 2.0, powerline=1.0).ok  # hum is filtered out
    assert Quality(0, 0, 2.0, missing=0.001).ok  # too few in a row to hide a beat
    for flawed in (
        Quality(0.1, 0, 2.0),
        Quality(0, 0.1, 2.0),
        Quality(0, 0, 2.0, baseline=0.1),
        Quality(0, 0, 2.0, noise=0.1),
        Quality(0, 0, 2.0, fast=0.1),
        Quality(0, 0, 2.0, missing=0.1, seconds=(Flaw.NONE, Flaw.MISSING)),
        Quality(0, 0, IMPOSSIBLE_RANGE_MV + 0.1),
        Quality(0, 0, 2.0, noisy=True),
    ):
        assert not flawed.ok


def test_quality_as_json_is_rounded_and_without_single_seconds() -> None:
    quality = Quality(1 / 3, 0, 1.23456, seconds=(Flaw.FLAT, Flaw.NONE, Flaw.NONE))
    assert quality.to_dict() == {
        "ok": False,
        "flat": 0.3333,
        "clipped": 0,
        "baseline": 0.0,
        "noise": 0.0,
        "powerline": 0.0,
        "missing": 0.0,
        "fast": 0.0,
        "noisy": None,
        "range_mv": 1.2346,
    }
    assert "seconds" not in repr(quality)


def test_what_cannot_be_read_is_doubtful_too() -> None:
    assert UNREADABLE in DOUBTFUL
    assert {flaw for flaw in Flaw if flaw not in DOUBTFUL} == {
        Flaw.CLIPPED,
        Flaw.POWERLINE,
        Flaw.MISSING,
        Flaw.FAST,
    }
    assert sum(Flaw) == 255  # one bit for each, as states are saved


def test_notes_say_which_kind_of_doubt() -> None:
    assert Quality(0.0, 0.0, 2.0, powerline=1.0).notes == ()
    assert Quality(1.0, 0.0, 0.0).notes == (FLAT_LINE,)
    assert Quality(0.0, 0.0, 2.0, noise=0.25, missing=1.0).notes == (
        "the signal is missing",
        "in 25.00% of the signal there is muscle or motion noise: beats may be false",
    )
    assert len(Quality.of_second(Flaw.RAILED | Flaw.FAST | Flaw.POWERLINE).notes) == 2
    assert Quality.of_second(Flaw(0)).notes == ()
