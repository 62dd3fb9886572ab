"""Quality: bad signal is said to be bad, good signal is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.findings import DOUBTFUL, Flaw
from runtime.signal.quality import QualityPolicy, assess, assess_rows, without_hum
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


def test_each_second_has_its_flaws() -> None:
    ecg = simulate(20).signal.copy()
    ecg[5 * 360 : 7 * 360] = 0.5
    ecg[10 * 360 + 90 : 10 * 360 + 270] += 9.0  # the amplifier jumps and comes back
    flaws = assess(ecg, 360).seconds
    assert len(flaws) == 20
    assert [i for i, flaw in enumerate(flaws) if flaw & Flaw.FLAT] == [5, 6]
    assert [i for i, flaw in enumerate(flaws) if flaw & Flaw.RAILED] == [10]


@pytest.mark.parametrize(("fs", "samples"), [(360.0, 1), (500.0, 1), (1000.0, 2)])
@pytest.mark.parametrize("height", [4.0, -8.0])
def test_a_pacemakers_spike_is_no_jump(fs: float, samples: int, height: float) -> None:
    ecg = simulate(20, fs=fs).signal.copy()
    for at in range(round(0.3 * fs), len(ecg), round(0.8 * fs)):
        ecg[at : at + samples] += height
    assert not any(flaw & Flaw.RAILED for flaw in assess(ecg, fs).seconds)
    ecg[round(10.5 * fs):] += height
    assert [i for i, f in enumerate(assess(ecg, fs).seconds) if f & Flaw.RAILED] == [10]


def test_hum_is_taken_off_and_beats_are_left() -> None:
    clean = simulate(10).signal.reshape(10, 360)
    time = np.arange(3600).reshape(10, 360) / 360
    hum = 0.5 * np.sin(2 * np.pi * 50 * time + 1) + 0.2 * np.sin(2 * np.pi * 60 * time)
    np.testing.assert_allclose(without_hum(clean + hum, 360), clean, atol=0.02)
    np.testing.assert_allclose(without_hum(clean, 360), clean, atol=0.02)


@pytest.mark.parametrize("mains", [50.0, 60.0])
@pytest.mark.parametrize("fs", [250.0, 360.0, 500.0])
def test_hum_is_named_but_filtered_out_and_so_no_fault(mains: float, fs: float) -> None:
    made = simulate(10, fs=fs)
    quality = assess(made.signal + 0.4 * np.sin(2 * np.pi * mains * np.arange(10 * fs) / fs), fs)
    assert quality.powerline == 1
    assert quality.ok
    assert assess(made.signal, fs).powerline == 0


def test_a_baseline_storm_is_seen() -> None:
    made = simulate(20)
    storm = 12 * np.sin(2 * np.pi * 0.5 * np.arange(len(made.signal)) / 360)
    assert assess(made.signal + storm, 360).baseline > 0.5
    assert assess(made.signal + storm / 16, 360).baseline == 0


def test_the_policy_is_the_users() -> None:
    made = simulate(10, noise_mv=0.0)
    assert assess(made.signal, 360, QualityPolicy(flat_mv=5.0)).flat == 1


@given(rate=st.sampled_from((100.0, 128.0, 250.0, 257.0, 360.0, 1000.0)),
       samples=st.integers(1, 3000), seed=st.integers(0, 100))
def test_any_signal_is_judged(rate: float, samples: int, seed: int) -> None:
    ecg = np.random.default_rng(seed).standard_normal(samples)
    quality = assess(ecg, rate)
    assert len(quality.seconds) == max(1, int(samples / round(rate) + 0.75))
    for share in ("flat", "clipped", "baseline", "noise", "powerline"):
        assert 0 <= getattr(quality, share) <= 1
    assert set(quality.to_dict()) >= {"ok", "flat", "noise"}


def test_what_follows_the_last_whole_second_counts() -> None:
    signal = simulate(3, seed=1).signal[:716].copy()
    assert assess(signal, 360).ok
    signal[360:] = signal[360]
    assert assess(signal, 360).flat == 0.5
    assert assess(signal[:440], 360).ok  # 0.2 s tell nothing


def test_patients_together_are_judged_as_each_alone() -> None:
    signals = np.stack([simulate(8, seed=seed).signal for seed in range(4)])
    signals[1, 360:720] = 0.2  # flat
    signals[2] = signals[2].clip(-0.2, 0.3)
    signals[3] += 0.4 * np.sin(2 * np.pi * 50 * np.arange(signals.shape[1]) / 360)
    together = assess_rows(signals, 360)
    assert together == [assess(signal, 360) for signal in signals]
    assert [q.flat > 0 for q in together] == [False, True, False, False]
    assert [q.clipped > 0 for q in together] == [False, False, True, False]
    assert [q.powerline > 0 for q in together] == [False, False, False, True]


@given(rate=st.sampled_from((100.0, 128.0, 257.0, 360.0, 1000.0)), seed=st.integers(0, 20),
       size=st.sampled_from((0.01, 0.3, 1.0, 3.0, 8.0)), digits=st.integers(1, 4),
       cut=st.floats(0.3, 1.0), hum=st.sampled_from((0.0, 0.15, 0.2, 0.21, 0.4)),
       mains=st.sampled_from((50.0, 60.0)))
def test_a_second_alone_is_judged_as_among_others(
        rate: float, seed: int, size: float, digits: int, cut: float, hum: float, mains: float
        ) -> None:
    made = simulate(3, fs=rate, seed=seed).signal[-round(rate):].astype(np.float64)
    wave = hum * np.sin(2 * np.pi * mains * np.arange(len(made)) / rate)
    ecg = np.round(size * np.minimum(made, cut * made.max()) + wave, digits)
    assert assess(ecg, rate) == assess_rows(np.stack([ecg, ecg]), rate)[0]


@pytest.mark.needs("torch")
def test_muscle_noise_is_seen_where_it_is(data: Path) -> None:
    from training import fit_rhythm
    from training.recordings import load

    if not (data / "nstdb").is_dir():
        pytest.skip("nstdb is not among the recordings at hand")
    record = load("mitdb", "101", data)  # a design record, with the design half of the noise
    noise = fit_rhythm.first_half(load("nstdb", "ma", data).signal[0])
    mixed, noisy = fit_rhythm.mix(record, noise, -6.0)
    seconds = np.array([bool(f & DOUBTFUL) for f in assess(mixed, 360).seconds])
    inside = np.zeros(len(seconds), dtype=bool)
    for start, end in noisy.astype(int):
        inside[start:end] = True
    assert seconds[inside].mean() > 0.8
    assert seconds[~inside].mean() < 0.02
