"""Quality: bad signal is said to be bad, good signal is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.detector import load_rhythm
from runtime.errors import InputError
from runtime.findings import DOUBTFUL, Flaw, Quality
from runtime.model.artifacts import DEFAULT_ARTIFACTS
from runtime.rhythm import RhythmModel
from runtime.signal.hum import without_hum
from runtime.signal.policy import QualityPolicy
from runtime.signal.quality import assess, assess_rows, flat_share, flaws_of
from runtime.simulate import simulate

Assess = Callable[[np.ndarray, float], Quality]


def test_good_signal_is_good(judge: Assess) -> None:
    assert judge(simulate(30).signal, 360).ok


def test_lead_off_is_counted_by_the_second(judge: Assess) -> None:
    ecg = simulate(10).signal.copy()
    ecg[720:1800] = 0.5
    assert judge(ecg, 360).flat == pytest.approx(0.3)


def test_clipping_is_seen(judge: Assess) -> None:
    quality = judge(simulate(10).signal.clip(-0.5, 0.6), 360)
    assert quality.clipped > 0.5
    assert not quality.ok


@pytest.mark.parametrize(("held_s", "railed"), [(0.08, False), (0.2, True)])
def test_amplifiers_end_is_held_longer_than_a_quiet_extreme(
    held_s: float, railed: bool, judge: Assess
) -> None:
    ecg = simulate(10).signal.astype(np.float64)
    start, size = 5 * 360 + 40, round(held_s * 360)
    ecg[start : start + size] = ecg.min() - 0.3 + 0.004 * np.sin(np.arange(size) / size * np.pi)
    assert bool(judge(ecg, 360).seconds[5] & Flaw.RAILED) is railed


def test_wrong_units_make_an_impossible_range(judge: Assess) -> None:
    assert not judge(simulate(10).signal * 1000, 360).ok


def test_short_signal_is_judged_too(judge: Assess) -> None:
    assert judge(np.array([0.1]), 360).flat == 1


def test_real_records_are_fit(data: Path, judge: Assess) -> None:
    from runtime.records import read

    for name in ("100", "119", "208"):
        recording = read(data / "mitdb" / name, seconds=300)
        assert judge(recording.signal, recording.fs).flat < 0.01


def test_each_second_has_its_flaws(judge: Assess) -> None:
    ecg = simulate(20).signal.copy()
    ecg[5 * 360 : 7 * 360] = 0.5
    ecg[10 * 360 + 90 : 10 * 360 + 270] += 9.0  # the amplifier jumps and comes back
    flaws = judge(ecg, 360).seconds
    assert len(flaws) == 20
    assert [i for i, flaw in enumerate(flaws) if flaw & Flaw.FLAT] == [5, 6]
    assert [i for i, flaw in enumerate(flaws) if flaw & Flaw.MISSING] == [5, 6, 10]


@pytest.mark.parametrize(("fs", "samples"), [(360.0, 1), (500.0, 1), (1000.0, 2)])
@pytest.mark.parametrize("height", [4.0, -8.0])
def test_a_pacemakers_spike_is_no_jump(
    fs: float, samples: int, height: float, judge: Assess
) -> None:
    ecg = simulate(20, fs=fs).signal.copy()
    for at in range(round(0.3 * fs), len(ecg), round(0.8 * fs)):
        ecg[at : at + samples] += height
    away = Flaw.RAILED | Flaw.MISSING  # the second if the jump is larger than any spike left in
    assert not any(flaw & away for flaw in judge(ecg, fs).seconds)
    ecg[round(10.5 * fs) :] += height
    assert [i for i, f in enumerate(judge(ecg, fs).seconds) if f & away] == [10]


def test_hum_is_taken_off_and_beats_are_left() -> None:
    clean = simulate(10).signal.reshape(10, 360)
    time = np.arange(3600).reshape(10, 360) / 360
    hum = 0.5 * np.sin(2 * np.pi * 50 * time + 1) + 0.2 * np.sin(2 * np.pi * 60 * time)
    np.testing.assert_allclose(without_hum(clean + hum, 360), clean, atol=0.02)
    np.testing.assert_allclose(without_hum(clean, 360), clean, atol=0.02)


@pytest.mark.parametrize("mains", [50.0, 60.0])
@pytest.mark.parametrize("fs", [250.0, 360.0, 500.0])
def test_hum_is_named_but_filtered_out_and_so_no_fault(
    mains: float, fs: float, judge: Assess
) -> None:
    made = simulate(10, fs=fs)
    quality = judge(made.signal + 0.4 * np.sin(2 * np.pi * mains * np.arange(10 * fs) / fs), fs)
    assert quality.powerline == 1
    assert quality.ok
    assert judge(made.signal, fs).powerline == 0


def test_baseline_wander_is_seen(judge: Assess) -> None:
    made = simulate(20)
    wander = 12 * np.sin(2 * np.pi * 0.5 * np.arange(len(made.signal)) / 360)
    assert judge(made.signal + wander, 360).baseline > 0.5
    assert judge(made.signal + wander / 16, 360).baseline == 0


def test_the_limits_are_the_policys(shipped: RhythmModel) -> None:
    made = simulate(10, noise_mv=0.0)
    policy = replace(shipped.quality, flat_mv=5.0)
    assert assess(made.signal, 360, policy, shipped.noise).flat == 1


def test_the_limits_ship_in_the_artifacts(shipped: RhythmModel) -> None:
    stored = json.loads((DEFAULT_ARTIFACTS / "rhythm.json").read_text())["quality"]
    assert asdict(shipped.quality) == stored
    with pytest.raises(TypeError, match="missing"):
        QualityPolicy()  # type: ignore[call-arg]  # the code holds no values


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("flat_mv", -0.1),
        ("clipped_s", 61.0),
        ("railed_s", float("nan")),
        ("rail_mv", -1.0),
        ("jump_mv_s", float("inf")),
        ("baseline_mv", 1001.0),
        ("powerline_mv", -1e-9),
        ("noise_log_odds", 101.0),
    ],
)
def test_limits_that_no_stream_could_use_are_refused(
    shipped: RhythmModel, limit: str, value: float
) -> None:
    with pytest.raises(InputError, match=rf"{limit} of the signal's quality is .*; expected"):
        replace(shipped.quality, **{limit: value})


def test_what_follows_the_last_whole_second_counts(judge: Assess) -> None:
    signal = simulate(3, seed=1).signal[:716].copy()
    assert judge(signal, 360).ok
    signal[360:] = signal[360]
    assert judge(signal, 360).flat == 0.5
    assert judge(signal[:440], 360).ok  # 0.2 s are too short to be judged


def test_patients_together_are_judged_as_each_alone(judge: Assess, shipped: RhythmModel) -> None:
    signals = np.stack([simulate(8, seed=seed).signal for seed in range(4)])
    signals[1, 360:720] = 0.2  # flat
    signals[2] = signals[2].clip(-0.2, 0.3)
    signals[3] += 0.4 * np.sin(2 * np.pi * 50 * np.arange(signals.shape[1]) / 360)
    together = assess_rows(signals, 360, shipped.quality, shipped.noise)
    assert together == [judge(signal, 360) for signal in signals]
    assert [q.flat > 0 for q in together] == [False, True, False, False]
    assert [q.clipped > 0 for q in together] == [False, False, True, False]
    assert [q.powerline > 0 for q in together] == [False, False, False, True]


@given(
    rate=st.sampled_from((100.0, 128.0, 250.0, 257.0, 360.0, 1000.0)),
    samples=st.integers(1, 3000),
    seed=st.integers(0, 100),
)
def test_any_signal_is_judged(judge: Assess, rate: float, samples: int, seed: int) -> None:
    quality = judge(np.random.default_rng(seed).standard_normal(samples), rate)
    assert len(quality.seconds) == max(1, int(samples / round(rate) + 0.75))
    for share in ("flat", "clipped", "baseline", "noise", "powerline"):
        assert 0 <= getattr(quality, share) <= 1
    assert set(quality.to_dict()) >= {"ok", "flat", "noise"}


@given(
    rate=st.sampled_from((100.0, 128.0, 257.0, 360.0, 1000.0)),
    seed=st.integers(0, 20),
    size=st.sampled_from((0.01, 0.3, 1.0, 3.0, 8.0)),
    digits=st.integers(1, 4),
    cut=st.floats(0.3, 1.0),
    hum=st.sampled_from((0.0, 0.15, 0.2, 0.21, 0.4)),
    mains=st.sampled_from((50.0, 60.0)),
)
def test_a_second_alone_is_judged_as_among_others(
    judge: Assess,
    shipped: RhythmModel,
    rate: float,
    seed: int,
    size: float,
    digits: int,
    cut: float,
    hum: float,
    mains: float,
) -> None:
    made = simulate(3, fs=rate, seed=seed).signal[-round(rate) :].astype(np.float64)
    wave = hum * np.sin(2 * np.pi * mains * np.arange(len(made)) / rate)
    ecg = np.round(size * np.minimum(made, cut * made.max()) + wave, digits)
    both = np.stack([ecg, ecg])
    assert judge(ecg, rate) == assess_rows(both, rate, shipped.quality, shipped.noise)[0]
    low, high = np.array([ecg.min()]), np.array([ecg.max()])
    assert (
        flaws_of(ecg[None], rate, shipped.quality, low, high)[0]
        == flaws_of(both, rate, shipped.quality, low.repeat(2), high.repeat(2))[0]
    )


@pytest.mark.needs("torch")
def test_muscle_noise_is_seen_where_it_is(data: Path, judge: Assess) -> None:
    from training import rhythm_references
    from training.recordings import load

    if not (data / "nstdb").is_dir():
        pytest.skip("nstdb is not among the recordings at hand")
    record = load("mitdb", "101", data)  # a design record, with the design half of the noise
    noise = rhythm_references.first_half(load("nstdb", "ma", data).signal[0])
    mixed, noisy = rhythm_references.mix(record, noise, -6.0)
    seconds = np.array([bool(f & DOUBTFUL) for f in judge(mixed, 360).seconds])
    inside = np.zeros(len(seconds), dtype=bool)
    for start, end in noisy.astype(int):
        inside[start:end] = True
    assert seconds[inside].mean() > 0.8
    assert seconds[~inside].mean() < 0.02


@pytest.mark.parametrize("rate", [240, 330, 450])
def test_a_heart_too_fast_for_all_its_beats_is_no_good_quality(rate: int, judge: Assess) -> None:
    made = simulate(60, seed=5, ectopic=0.0, noise_mv=0.01).signal.astype(np.float64)
    fast = resample(made, round(len(made) * 75 / rate))
    quality = judge(fast, 360)
    assert quality.fast > 0.5
    assert not quality.ok
    assert judge(fast[: 3 * 360], 360).fast == 1  # of a short signal too
    assert judge(made, 360).fast == 0


def resample(signal: np.ndarray, samples: int) -> np.ndarray:
    """The same in so many samples, by its spectrum."""
    spectrum = np.fft.rfft(signal)[: samples // 2 + 1]
    return np.fft.irfft(spectrum, samples) * samples / len(signal)


def test_what_is_missing_is_no_flat_line_and_no_rail(judge: Assess) -> None:
    ecg = simulate(20).signal.astype(np.float64)
    ecg[5 * 360 : 8 * 360] = np.nan
    ecg[12 * 360 : 12 * 360 + 100] = 9999
    quality = judge(ecg, 360)
    assert [i for i, flaw in enumerate(quality.seconds) if flaw & Flaw.MISSING] == [5, 6, 7, 12]
    assert (quality.flat, quality.clipped) == (0, 0)
    assert quality.missing == pytest.approx((3 * 360 + 100) / 7200)
    assert quality.range_mv < 5


@pytest.mark.parametrize("name", ["100", "119", "201", "208", "222"])
def test_no_usual_heart_is_called_too_fast(name: str, data: Path, judge: Assess) -> None:
    from runtime.records import read

    recording = read(data / "mitdb" / name, seconds=600)
    assert judge(recording.signal, recording.fs).fast < 0.004


@pytest.mark.parametrize(("seconds", "flat"), [(1, 0), (2, 2), (3, 3), (10, 4)])
def test_flat_share_counts_seconds_beside_others(seconds: int, flat: int) -> None:
    policy = load_rhythm().quality
    ecg = simulate(seconds, seed=3).signal.astype(np.float64)
    ecg[: flat * 360] = 0.5
    assert flat_share(ecg, 360, policy) == pytest.approx(flat / seconds)


def test_flat_share_of_a_long_signal_is_that_of_its_seconds() -> None:
    ecg = np.tile([0.0, 1.0], 100 * 1300 // 2)  # longer than what is looked at together, twice
    ecg[100 * 599 : 100 * 601] = ecg[100 * 1000 : 100 * 1001] = 0.5
    assert flat_share(ecg, 100, load_rhythm().quality) == 2 / 1300
