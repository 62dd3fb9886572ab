"""Missing samples: NaN, and values that no heart can have made; bridged the same however cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.signal import foreign
from runtime.signal import missing as found_missing
from runtime.signal.gaps import GAP_S, Gap, Gaps
from runtime.signal.missing import NO_SIGNAL, Bridged, Edge
from runtime.signal.policy import MissingLimits
from runtime.simulate import simulate

FS = 360
LIMITS = MissingLimits(constant_s=1.0, ease_s=0.3)


def bridge(signal: np.ndarray, edges: Sequence[Edge], fs: float) -> Bridged:
    return found_missing.bridge(signal, edges, fs, LIMITS)


def missing_samples(signal: np.ndarray, fs: float) -> np.ndarray:
    return found_missing.missing_samples(signal, fs, LIMITS)


def unlike_ecg(signal: np.ndarray, fs: float) -> int | None:
    return foreign.unlike_ecg(signal, fs, LIMITS)


def ecg(seconds: float = 10, fs: float = FS, scale: float = 1.0) -> np.ndarray:
    return scale * simulate(seconds, seed=4, fs=fs, ectopic=0.0).signal.astype(np.float64)


def cut_out(signal: np.ndarray, fs: float = FS) -> list[tuple[int, int]]:
    """The runs of missing samples."""
    edges = np.flatnonzero(np.diff(missing_samples(signal, fs), prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.parametrize("fs", [100, 250, 360, 1000])
@pytest.mark.parametrize("value", [-999.0, -32768.0, 9999.0, -163.84, 99.0, np.nan, np.inf])
@pytest.mark.parametrize("samples", [1, 3, 40])
def test_a_value_that_stands_for_a_missing_one_is_cut_out(
    fs: int, value: float, samples: int
) -> None:
    signal = ecg(fs=fs)
    signal[500 : 500 + samples] = value
    assert cut_out(signal, fs) == [(500, 500 + samples)]


@pytest.mark.parametrize("fs", [100, 250, 360, 1000])
@pytest.mark.parametrize("height", [20.0, -20.0, 200.0])
@pytest.mark.parametrize("seconds", [0.002, 0.02])
def test_a_spike_is_cut_out_and_the_signal_around_it_stays(
    fs: int, height: float, seconds: float
) -> None:
    signal = ecg(fs=fs)
    clean, size = signal.copy(), max(1, round(seconds * fs))
    signal[500 : 500 + size] += height
    assert cut_out(signal, fs) == [(500, 500 + size)]
    found = bridge(signal[None], [NO_SIGNAL], fs).ecg[0]
    kept = np.delete(found, slice(500, 500 + size))
    expected = np.delete(clean - clean[0], slice(500, 500 + size)).astype(np.float32)
    np.testing.assert_array_equal(kept, expected)
    assert found[500 : 500 + size] == pytest.approx(float(np.median(clean[497:500] - clean[0])))


def test_smooth_spike_that_no_heart_can_make_is_missing() -> None:
    signal = ecg()
    size = round(0.05 * FS)
    signal[500 : 500 + size] += 20 * np.hanning(size)
    missing = missing_samples(signal, FS)
    assert missing[500 + size // 2]
    assert not missing[:500].any()
    assert not missing[500 + size + FS :].any()


def test_large_ecg_and_wander_stay() -> None:
    for fs in (100, 360, 1000):
        signal = ecg(30, fs)
        large = signal * 10 / np.ptp(signal)
        wander = 5 * np.sin(2 * np.pi * 0.3 * np.arange(len(signal)) / fs) + 250
        for one in (large, signal + wander, large + wander):
            assert not missing_samples(one, fs).any()


def test_a_rail_is_missing_as_long_as_it_repeats_itself() -> None:
    signal = ecg(20)
    signal[1000:4000] = 32.767
    assert cut_out(signal) == [(1000, 4000)]


def test_another_level_is_taken_after_half_a_second() -> None:
    signal = ecg(20)
    clean = signal.copy()
    signal[3000:] += 300
    assert cut_out(signal) == [(3000, 3180)]
    found = bridge(signal[None], [NO_SIGNAL], FS).ecg[0]
    assert np.abs(found).max() < 2 * np.ptp(clean)  # the network sees no step


def test_a_recording_may_begin_with_what_is_no_signal() -> None:
    for start in (np.nan, -999.0, -163.84):
        signal = ecg()
        signal[:200] = start
        found = bridge(signal[None], [NO_SIGNAL], FS).ecg[0]
        assert not found[:200].any()
        np.testing.assert_allclose(found[200:], signal[200:] - signal[200], atol=1e-5)


def test_a_flat_line_that_was_recorded_is_not_missing() -> None:
    assert not missing_samples(np.zeros(5000), FS).any()
    assert not missing_samples(np.concatenate([np.zeros(2000), ecg()]), FS).any()
    signal = ecg()
    signal[1000:2000] = np.random.default_rng(1).integers(0, 2, 1000) / 200  # a converter's noise
    assert not missing_samples(signal, FS).any()


@pytest.mark.parametrize("fs", [100, 250, 360, 1000])
@pytest.mark.parametrize("value", [0.0, -2.5, 4.0, None])
def test_a_value_written_in_place_of_signal_is_missing_from_its_first_sample(
    fs: int, value: float | None
) -> None:
    signal = ecg(fs=fs)
    start, size = 3 * fs, 2 * fs
    signal[start : start + size] = signal[start - 1] if value is None else value
    assert cut_out(signal, fs) == [(start - (value is None), start + size)]
    signal = ecg(fs=fs)
    signal[start : start + fs] = 0.0  # no longer than the limit
    assert not missing_samples(signal, fs).any()


def test_after_a_gap_the_signal_is_eased_back() -> None:
    signal = ecg()
    signal[1000:1500] = np.nan
    signal[1500:] += 3.0
    found = bridge(signal[None], [NO_SIGNAL], FS).ecg[0]
    assert abs(found[1500] - found[1499]) < 1e-6
    np.testing.assert_allclose(found[-100:], signal[-100:] - signal[0], atol=1e-3)


signals = st.lists(
    st.tuples(
        st.integers(0, 1500),
        st.sampled_from([1, 2, 3, 40, 200, 400, 1100]),
        st.sampled_from([np.nan, np.inf, -999.0, -163.84, 9.999, 30.0, 0.0]),
        st.booleans(),
    ),
    max_size=8,
)


def with_faults(faults: Sequence[tuple[int, int, float, bool]], fs: float) -> np.ndarray:
    signal = ecg(1600 / fs, fs)
    for at, samples, value, added in faults:
        part = signal[at : at + samples]
        part[:] = part + value if added else value
    return signal


def in_pieces(signal: np.ndarray, sizes: Sequence[int], fs: float) -> Bridged:
    found, edge, at = [], NO_SIGNAL, 0
    mask = np.zeros(len(signal), dtype=bool)
    while at < len(signal):
        size = sizes[len(found) % len(sizes)]
        bridged = bridge(signal[None, at : at + size], [edge], fs)
        (edge,) = bridged.edges
        edge.check()
        found.append(bridged.ecg[0])
        mask[at : at + size] = bridged.missing.get(0, False)
        mask[at - bridged.back.get(0, 0) : at] |= bool(bridged.back)
        at += size
    return Bridged(np.concatenate(found)[None], (edge,), {0: mask}, {})


@settings(max_examples=100)
@given(
    faults=signals,
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=6),
    fs=st.sampled_from([100, 250, 360, 1000]),
)
def test_any_cut_and_any_company_give_the_same(
    faults: list[tuple[int, int, float, bool]], sizes: list[int], fs: int
) -> None:
    signal = with_faults(faults, fs)
    whole, cut = bridge(signal[None], [NO_SIGNAL], fs), in_pieces(signal, sizes, fs)
    np.testing.assert_array_equal(cut.ecg, whole.ecg)
    assert np.isfinite(whole.ecg).all()
    assert cut.edges == whole.edges
    missing = whole.missing.get(0, np.zeros(len(signal), dtype=bool))
    np.testing.assert_array_equal(cut.missing[0], missing)
    company = np.stack([np.zeros(len(signal)), signal, ecg(len(signal) / fs, fs)])
    together = bridge(company, [NO_SIGNAL] * 3, fs)
    np.testing.assert_array_equal(together.ecg[1], whole.ecg[0])
    assert together.edges[1] == whole.edges[0]
    assert set(together.missing) == ({1} if missing.any() else set())


def test_a_state_that_no_signal_leaves_is_refused() -> None:
    good = bridge(ecg()[None], [NO_SIGNAL], FS).edges[0]
    for edge in (NO_SIGNAL, good):
        edge.check()
    for name, value in (
        ("last", 501.0),
        ("came", -1999.0),
        ("away", 0.5),
        ("away", -1.0),
        ("jumped", 2.0),
        ("repeats", 0.5),
        ("begun", 3.0),
        ("ease", math.nan),
        ("offset", 1e10),
    ):
        with pytest.raises(ValueError, match="does not stand"):
            Edge(**(good._asdict() | {name: value})).check()


def test_only_runs_that_can_hide_a_beat_are_gaps() -> None:
    shortest = math.ceil(GAP_S * FS)
    missing = np.zeros(3000, dtype=bool)
    for start, size in ((100, shortest - 1), (1000, shortest), (2000, 15), (2020, 15)):
        missing[start : start + size] = True
    expected = [Gap(1000, 1000 + shortest), Gap(2000, 2035)]
    for cut in (1, 7, 500, 3000):
        gaps, found = Gaps(FS), set()
        for at in range(0, 3000, cut):
            gaps.add(missing[at : at + cut], at)
            found |= set(gaps.at_rate(1, 1))
        assert [gap for gap in expected if gap in found] == expected
        assert (gaps.runs[-1], gaps.at_rate(2, 1)[-1]) == (expected[1], Gap(4000, 4070))
    gaps.forget(2036)
    assert gaps.runs == []


def test_signal_in_other_units_is_recognised_and_gaps_are_not() -> None:
    assert unlike_ecg(1000 * ecg() + 2000, FS) == 0
    assert unlike_ecg(1000 * ecg(), FS) is not None
    gaps = ecg()
    gaps[100:] = np.nan
    sentinels = ecg()
    sentinels[100:] = -999
    for signal in (ecg(), gaps, sentinels, np.full(720, np.nan), np.full(720, 9999.0)):
        assert unlike_ecg(signal, FS) is None
