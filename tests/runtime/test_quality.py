"""Quality: bad signal is said to be bad, good signal is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.quality import assess
from runtime.simulate import simulate


def test_good_signal_is_good() -> None:
    assert assess(simulate(30).signal, 360).ok


def test_lead_off_is_counted_by_the_second() -> None:
    ecg = simulate(10).signal.copy()
    ecg[720:1800] = 0.5
    assert assess(ecg, 360).flat == pytest.approx(0.3)


def test_clipping_is_seen() -> None:
    ecg = simulate(10).signal.clip(-0.5, 0.6)
    quality = assess(ecg, 360)
    assert quality.clipped > 0.5
    assert not quality.ok


def test_wrong_units_make_an_impossible_range() -> None:
    assert not assess(simulate(10).signal * 1000, 360).ok


def test_short_signal_is_judged_too() -> None:
    assert assess(np.array([0.1]), 360).flat == 1


def test_real_records_are_fit(data: Path) -> None:
    from runtime.records import read

    for name in ("100", "119", "208"):
        recording = read(data / "mitdb" / name, seconds=300)
        assert assess(recording.signal, recording.fs).flat < 0.01
