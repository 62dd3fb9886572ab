"""RR intervals and heart rate variability, against NeuroKit2 and by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime import InputError
from runtime.findings import Beat, Event
from runtime.records.intervals import Hrv, hrv, sound_intervals


def beats_at(times: NDArray[np.float64], labels: str | None = None) -> list[Beat]:
    labels = labels or "N" * len(times)
    return [
        Beat(float(time), label, 0.9, (0.2,) * 5) for time, label in zip(times, labels, strict=True)
    ]


def breathing(seconds: float, seed: int = 0) -> NDArray[np.float64]:
    """Times of beats whose rate varies at 0.1 and 0.25 Hz."""
    rng = np.random.default_rng(seed)
    times = [0.0]
    while times[-1] < seconds:
        at = times[-1]
        slow, fast = np.sin(2 * np.pi * 0.1 * at), np.sin(2 * np.pi * 0.25 * at)
        times.append(at + 0.8 + 0.04 * slow + 0.02 * fast + rng.normal(0, 0.003))
    return np.array(times)


def all_sound(times: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.ones(max(0, len(times) - 1), dtype=bool)


def test_definitions() -> None:
    times = np.cumsum([0.0, 0.8, 0.9, 0.8, 1.0])
    found = hrv(beats_at(times), all_sound(times))
    assert found.intervals == 4
    assert found.mean_ms == pytest.approx(875)
    assert found.sdnn_ms == pytest.approx(np.std([800, 900, 800, 1000], ddof=1))
    assert found.rmssd_ms == pytest.approx(np.sqrt((100**2 + 100**2 + 200**2) / 3))
    assert found.pnn50 == pytest.approx(100)
    assert (found.lf_ms2, found.hf_ms2, found.lf_hf) == (None, None, None)


def test_differences_of_just_50_ms_do_not_count() -> None:
    times = np.cumsum([0, 288, 306, 288, 307]) / 360  # 18 samples are 50 ms
    assert hrv(beats_at(times), all_sound(times)).pnn50 == pytest.approx(100 / 3)


def test_ectopic_beats_are_left_out() -> None:
    times = np.cumsum([0.0, 0.8, 0.82, 0.5, 1.1, 0.8, 0.84])
    found = hrv(beats_at(times, "NNNVNNN"), all_sound(times))
    assert found.intervals == 4
    assert found.mean_ms == pytest.approx(np.mean([800, 820, 800, 840]))
    # The intervals on both sides of the V beat do not follow each other.
    assert found.rmssd_ms == pytest.approx(np.sqrt((20**2 + 40**2) / 2))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_beats_give_none(count: int) -> None:
    times = np.arange(count, dtype=float)
    found = hrv(beats_at(times), all_sound(times))
    assert found == Hrv(max(0, count - 1), 1000.0 if count == 2 else None, None, None, None)


@pytest.mark.needs("neurokit2")
@given(st.integers(0, 1000))
def test_time_domain_is_neurokits(seed: int) -> None:
    import neurokit2

    times = breathing(120, seed)
    ours = hrv(beats_at(times), all_sound(times))
    rri = {"RRI": np.diff(times) * 1000, "RRI_Time": times[1:]}
    theirs = neurokit2.hrv_time(rri).iloc[0]
    assert ours.sdnn_ms == pytest.approx(theirs["HRV_SDNN"])
    assert ours.rmssd_ms == pytest.approx(theirs["HRV_RMSSD"], rel=0.01)
    assert ours.pnn50 == pytest.approx(theirs["HRV_pNN50"], abs=1.0)


@pytest.mark.needs("neurokit2")
def test_lf_and_hf_are_where_the_rate_varies() -> None:
    times = breathing(620)
    found = hrv(beats_at(times), all_sound(times), frequency=True)
    assert found.lf_ms2 is not None
    assert found.hf_ms2 is not None
    assert found.lf_hf == pytest.approx(found.lf_ms2 / found.hf_ms2)
    # Sines of 40 and 20 ms have a power of 800 and 200 ms^2.
    assert found.lf_ms2 == pytest.approx(800, rel=0.25)
    assert found.hf_ms2 == pytest.approx(200, rel=0.35)


@pytest.mark.needs("neurokit2")
def test_lf_and_hf_need_two_minutes() -> None:
    times = breathing(100)
    with pytest.raises(InputError, match="LF and HF need 120 s"):
        hrv(beats_at(times), all_sound(times), frequency=True)
    times = breathing(290)
    holes = all_sound(times)
    holes[::4] = False
    with pytest.raises(InputError, match="LF and HF need 120 s"):
        hrv(beats_at(times), holes, frequency=True)


def test_intervals_across_gaps_noise_and_fibrillation_do_not_count() -> None:
    times = np.arange(20) + 0.5
    doubtful = np.zeros(20, dtype=bool)
    doubtful[3] = True
    events = [
        Event("ventricular_fibrillation", 8.6, 9.2, 0.9, ""),
        Event("asystole", 11.6, 12.4, 0.9, ""),
        Event("bigeminy", 0.5, 19.5, 0.9, ""),
    ]
    sound = sound_intervals(times, doubtful, events, [(14.6, 14.7)])
    # Second 3 lies in the intervals from 2.5 and 3.5, each event in one, the gap in one.
    assert np.flatnonzero(~sound).tolist() == [2, 3, 8, 11, 14]


def test_no_interval_of_one_beat() -> None:
    assert sound_intervals(np.array([1.0]), np.zeros(2, dtype=bool), []).shape == (0,)
    assert sound_intervals(np.zeros(0), np.zeros(0, dtype=bool), []).shape == (0,)
