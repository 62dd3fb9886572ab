"""The noise stress test counts in the noisy blocks alone, for detectors of either kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import noise
from training.recordings import FS, Record
from training.simulated import simulated_records


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return simulated_records(2, seconds=450)


@pytest.fixture(scope="module")
def results(records: list[Record]) -> dict[str, object]:
    hiss = np.random.default_rng(0).normal(0.0, 1.0, 200 * FS)
    knows = noise.measure(
        lambda r: (r.beats, r.labels.astype(np.int64)), records, {"em": hiss}, (12, 0)
    )
    tall = noise.measure(
        noise.labelled(lambda ecg: np.flatnonzero(ecg > 0.5)), records, {"em": hiss}, (12, 0)
    )
    return {
        "model": "0" * 64,
        "records": "made up",
        "this model": knows,
        "detectors": {"tallest": tall},
    }


def test_only_noisy_blocks_count(records: list[Record]) -> None:
    def wrong_outside(record: Record) -> tuple[np.ndarray, np.ndarray]:
        inside = (record.beats >= 300 * FS) & (record.beats < 420 * FS)
        return record.beats[inside], record.labels[inside].astype(np.int64)

    hiss = np.ones(200 * FS) + np.arange(200 * FS) % 2
    curves = noise.measure(wrong_outside, records, {"em": hiss}, (0,))
    assert curves["em"]["0 dB"]["accuracy"] == curves["em"]["clean"]["accuracy"] == 1


def test_noise_lowers_the_figures_and_is_reported_and_drawn(results: dict, tmp_path: Path) -> None:
    assert results["this model"]["em"]["0 dB"]["QRS +P"] == 1
    tallest = results["detectors"]["tallest"]["em"]
    assert tallest["0 dB"]["QRS +P"] < tallest["12 dB"]["QRS +P"] <= tallest["clean"]["QRS +P"]
    text = noise.report(results)
    assert "| 0 dB | 100.00/100.00 | " in text
    assert text.count("tallest") == 1
    noise.draw(results, tmp_path / "noise.png")
    assert (tmp_path / "noise.png").stat().st_size > 10_000
