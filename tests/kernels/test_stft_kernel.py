"""The spectrogram kernel: its CUDA source on the CPU everywhere, through CuPy on a GPU."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import CupyStft, stft_kernel
from kernels.stft_kernel import FFT_SIZES, cupyx_baseline, frame_count, reference

# Each of the log2(n_fft) levels (the windowing counted as one) turns a value with a rounded
# twiddle, a complex product and a sum: under eight half-ulps of the frame's root energy.
HALF_ULPS_PER_LEVEL = 8

few = settings(max_examples=20, deadline=None, derandomize=True)


def tolerance(power: Any, n_fft: int) -> Any:
    """The error of |X|^2 where X is off by `error` times the root of the frame's energy."""
    error = HALF_ULPS_PER_LEVEL * (np.log2(n_fft) + 1) * 2.0**-24
    energy = power.sum(axis=-1, keepdims=True, dtype=np.float64)
    return 2 * error * np.sqrt(power * energy) + error**2 * energy


def assert_is_reference(stft: CupyStft, ecg: Any) -> None:
    power = stft(ecg)
    expected = reference(ecg, stft.n_fft, hop=stft.hop, fs=stft.fs)
    assert power.shape == expected.shape
    assert (np.abs(power.astype(np.float64) - expected) <= tolerance(expected, stft.n_fft)).all()


@given(
    batch=st.integers(1, 4),
    samples=st.integers(0, 1500),
    n_fft=st.sampled_from(FFT_SIZES),
    hop=st.integers(50, 700),
)
@few
def test_equals_reference(cpu_cuda: Any, batch: int, samples: int, n_fft: int, hop: int) -> None:
    rng = np.random.default_rng(samples)
    ecg = cpu_cuda.place(rng.normal(size=(batch, samples)))
    assert_is_reference(cpu_cuda.stft(n_fft, hop), ecg)


@pytest.mark.parametrize("n_fft", FFT_SIZES)
@pytest.mark.parametrize("cycles", [0, 1, 17, 63.5, "half the rate"])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_pure_tones(cpu_cuda: Any, n_fft: int, cycles: Any, scale: float) -> None:
    turns = 0.5 if cycles == "half the rate" else cycles / n_fft
    tone = scale * np.cos(2 * np.pi * turns * np.arange(n_fft))
    assert_is_reference(cpu_cuda.stft(n_fft, 1), cpu_cuda.place(tone[None]))


@pytest.mark.parametrize("n_fft", FFT_SIZES)
def test_reference_is_scipys_spectrogram(cpu_cuda: Any, n_fft: int) -> None:
    ecg = np.random.default_rng(0).normal(size=(3, 2000)).astype(np.float32)
    with cpu_cuda.installed(cupyx=True):
        expected = cupyx_baseline(n_fft, hop=100)(ecg)
    power = reference(ecg, n_fft, hop=100)
    assert power.shape == expected.shape == (3, frame_count(2000, n_fft, 100), n_fft // 2 + 1)
    # SciPy transforms float32 in float32.
    assert (np.abs(power - expected) <= tolerance(power, n_fft)).all()


def test_a_bad_sample_reaches_its_own_frames_only(cpu_cuda: Any) -> None:
    ecg = np.ones((2, 1024), np.float32)
    ecg[1, 600] = np.nan
    finite = np.isfinite(cpu_cuda.stft(128, 128)(cpu_cuda.place(ecg))).all(axis=2)
    expected = np.ones((2, 8), bool)
    expected[1, 600 // 128] = False
    assert (finite == expected).all()


def test_frames_look_at_no_later_sample(cpu_cuda: Any) -> None:
    stft = cpu_cuda.stft(256, 64)
    ecg = np.random.default_rng(1).normal(size=(1, 1000)).astype(np.float32)
    later = ecg.copy()
    later[:, 5 * 64 + 256 :] += 1
    assert (stft(cpu_cuda.place(ecg))[:, :6] == stft(cpu_cuda.place(later))[:, :6]).all()
    assert stft.frequencies[-1] == 180.0


def test_the_cpu_run_notices_a_missing_barrier(cpu_cuda: Any) -> None:
    stft = cpu_cuda.stft(256)
    code = stft_kernel.source(256, 360.0).replace("__syncthreads();", "")
    stft.kernel = cpu_cuda.raw_module(code).get_function("stft")
    with pytest.raises(AssertionError):
        assert_is_reference(stft, cpu_cuda.place(np.ones((1, 256))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_fft": 200}, "n_fft must be one of"),
        ({"hop": 0}, "hop must be 1 or more"),
        ({"fs": 0.0}, "fs must be a positive rate"),
        ({"fs": float("nan")}, "fs must be a positive rate"),
    ],
)
def test_refuses_a_framing(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CupyStft(**options)


def test_bad_arrays_are_refused_with_the_reason(cpu_cuda: Any) -> None:
    stft = cpu_cuda.stft(128)
    ecg = np.ones((1, 300), np.float32)
    with pytest.raises(TypeError, match="ecg must be float32, got float64"):
        stft(ecg.astype(float))
    with pytest.raises(ValueError, match=r"out must have shape \(1, 3, 65\)"):
        stft(ecg, out=ecg)


@pytest.mark.parametrize("n_fft", FFT_SIZES)
def test_gpu_equals_reference(cupy: Any, n_fft: int) -> None:
    ecg = np.random.default_rng(3).normal(size=(50, 3000)).astype(np.float32)
    power = CupyStft(n_fft, hop=90)(cupy.asarray(ecg)).get()
    expected = reference(ecg, n_fft, hop=90)
    assert (np.abs(power.astype(np.float64) - expected) <= tolerance(expected, n_fft)).all()
