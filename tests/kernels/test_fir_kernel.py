"""The FIR kernel: its CUDA source on the CPU everywhere, through CuPy where there is a GPU."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import CupyFir, cupy_fir
from kernels.cupy_fir import Launch, cupyx_baseline, reference

TAP_COUNTS = (1, 2, 5, 33, 217)  # none of past, even, short of a step, full halo + 1, the real one

# A float32 sum of K products is off by at most K half-ulps of the sum of their magnitudes (Higham,
# Accuracy and Stability of Numerical Algorithms, section 3.1); the reference rounds once more, and
# one is kept for second-order terms.
HALF_ULP = 2.0**-24
# Products below the normal range are rounded to this spacing.
SUBNORMAL_SPACING = 2.0**-149

few = settings(max_examples=25, deadline=None, derandomize=True)


def taps_of(count: int) -> np.ndarray:
    """Symmetric taps of both signs, as a band-pass has them."""
    half = np.random.default_rng(count).normal(size=(count + 1) // 2)
    return np.concatenate([half, half[: count // 2][::-1]]).astype(np.float32)


def tolerance(ecg: Any, carry: Any, taps: np.ndarray) -> Any:
    """The largest error float32 summation can make, per output."""
    magnitude, _ = reference(np.abs(ecg), np.abs(carry), np.abs(taps))
    rounding = (len(taps) + 2) * HALF_ULP * magnitude.astype(np.float64)
    return rounding + len(taps) * SUBNORMAL_SPACING


def assert_is_reference(fir: CupyFir, ecg: Any, carry: Any) -> None:
    filtered, carry_out = fir(ecg, carry)
    expected, expected_carry = reference(ecg, carry, fir.taps)
    difference = np.abs(filtered.astype(np.float64) - expected)
    assert (difference <= tolerance(ecg, carry, fir.taps)).all()
    assert (carry_out == expected_carry).all()


@given(
    batch=st.integers(1, 40),
    samples=st.integers(0, 700),
    count=st.sampled_from(TAP_COUNTS),
    seed=st.integers(0, 2**32 - 1),
)
@few
def test_equals_reference(cpu_cuda: Any, batch: int, samples: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ecg = cpu_cuda.place(rng.normal(size=(batch, samples)))
    carry = cpu_cuda.place(rng.normal(size=(batch, count - 1)))
    assert_is_reference(cpu_cuda.fir(taps_of(count)), ecg, carry)


@pytest.mark.parametrize(
    ("batch", "samples"),
    [(1, 1), (1, 18), (130, 18), (3, 215), (3, 216), (3, 217), (5, 360), (1, 1536), (2, 5001)],
)
def test_sizes_at_the_edges(cpu_cuda: Any, batch: int, samples: int) -> None:
    rng = np.random.default_rng(samples)
    ecg = cpu_cuda.place(rng.normal(size=(batch, samples)))
    carry = cpu_cuda.place(rng.normal(size=(batch, 216)))
    assert_is_reference(cpu_cuda.fir(taps_of(217)), ecg, carry)


@given(
    count=st.sampled_from(TAP_COUNTS),
    lengths=st.lists(st.one_of(st.just(18), st.integers(0, 400)), min_size=2, max_size=8),
)
@few
def test_cutting_anywhere_changes_no_bit(cpu_cuda: Any, count: int, lengths: list[int]) -> None:
    fir = cpu_cuda.fir(taps_of(count))
    ecg = np.random.default_rng(sum(lengths)).normal(size=(3, sum(lengths))).astype(np.float32)
    whole, whole_carry = fir(cpu_cuda.place(ecg), fir.start(3))
    carry, pieces = fir.start(3), []
    for chunk in np.split(ecg, np.cumsum(lengths)[:-1], axis=1):
        piece, carry = fir(cpu_cuda.place(chunk), carry)
        pieces.append(piece)
    assert np.concatenate(pieces, axis=1).tobytes() == whole.tobytes()
    assert carry.tobytes() == whole_carry.tobytes()


@pytest.mark.parametrize("scale", [0.0, 1e-42, 1e-30, 1e6, 1e34])
def test_extreme_values(cpu_cuda: Any, scale: float) -> None:
    rng = np.random.default_rng(1)
    ecg = cpu_cuda.place(scale * rng.normal(size=(2, 400)))
    carry = cpu_cuda.place(scale * rng.normal(size=(2, 216)))
    assert_is_reference(cpu_cuda.fir(taps_of(217)), ecg, carry)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_sample_reaches_its_own_outputs_only(cpu_cuda: Any, bad: float) -> None:
    fir = cpu_cuda.fir(taps_of(217))
    ecg = np.ones((3, 900), np.float32)
    ecg[1, 300] = bad
    filtered, _ = fir(cpu_cuda.place(ecg), fir.start(3))
    expected = np.ones((3, 900), bool)
    expected[1, 300:517] = False
    assert (np.isfinite(filtered) == expected).all()


def test_reference_is_convolution() -> None:
    rng = np.random.default_rng(2)
    taps, line = taps_of(33), rng.normal(size=300).astype(np.float32)
    filtered, carry_out = reference(line[None, 32:], line[None, :32], taps)
    expected = np.convolve(line.astype(float), taps.astype(float), mode="valid")
    np.testing.assert_allclose(filtered[0], expected, rtol=2 * HALF_ULP, atol=1e-14)
    assert (carry_out[0] == line[-32:]).all()


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("count", TAP_COUNTS)
def test_cupyx_baseline_is_the_same_filter(cpu_cuda: Any, method: str, count: int) -> None:
    rng = np.random.default_rng(count)
    ecg = rng.normal(size=(2, 500)).astype(np.float32)
    carry = rng.normal(size=(2, count - 1)).astype(np.float32)
    with cpu_cuda.installed(cupyx=True):
        filtered, carry_out = cupyx_baseline(taps_of(count), method=method)(ecg, carry)
    expected, expected_carry = reference(ecg, carry, taps_of(count))
    # An FFT spreads rounding errors over all outputs: relative to the largest, not to each.
    np.testing.assert_allclose(filtered, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert (carry_out == expected_carry).all()
    assert carry_out.base is None  # no view of the line: copying the carry is part of the work


def test_writes_into_the_given_arrays(cpu_cuda: Any) -> None:
    fir = cpu_cuda.fir(taps_of(33))
    ecg, carry = cpu_cuda.place(np.ones((2, 50))), fir.start(2)
    out, carry_out = cpu_cuda.guarded((2, 50)), cpu_cuda.guarded((2, 32))
    results = fir(ecg, carry, out=out, carry_out=carry_out)
    assert results[0] is out
    assert results[1] is carry_out
    assert (out == fir(ecg, carry)[0]).all()


@pytest.mark.parametrize(
    ("replace", "error", "message"),
    [
        ({"ecg": [[1.0]]}, TypeError, r"ecg must be a cupy.ndarray, got builtins.list"),
        ({"ecg": np.ones((2, 50))}, TypeError, "ecg must be float32, got float64"),
        ({"ecg": np.ones(50, np.float32)}, ValueError, r"ecg must have shape \(any, any\), got"),
        ({"ecg": np.ones((50, 2), np.float32).T}, ValueError, "ecg must be C-contiguous"),
        ({"carry": np.ones((2, 31), np.float32)}, ValueError, r"carry must have shape \(2, 32\)"),
        ({"carry": np.ones((3, 32), np.float32)}, ValueError, r"carry must have shape \(2, 32\)"),
        ({"out": np.ones((2, 49), np.float32)}, ValueError, r"out must have shape \(2, 50\)"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(
    cpu_cuda: Any, replace: dict[str, Any], error: type[Exception], message: str
) -> None:
    fir = cpu_cuda.fir(taps_of(33))
    arguments = {"ecg": np.ones((2, 50), np.float32), "carry": fir.start(2)} | replace
    with pytest.raises(error, match=message):
        fir(arguments.pop("ecg"), arguments.pop("carry"), **arguments)


def test_refuses_outputs_that_overlap(cpu_cuda: Any) -> None:
    fir = cpu_cuda.fir(taps_of(33))
    ecg, carry = np.ones((2, 50), np.float32), fir.start(2)
    with pytest.raises(ValueError, match="out overlaps"):
        fir(ecg, carry, out=ecg)
    with pytest.raises(ValueError, match="carry_out overlaps"):
        fir(ecg, carry, carry_out=carry)


def test_an_empty_batch_launches_nothing(cpu_cuda: Any) -> None:
    fir = cpu_cuda.fir(taps_of(33))
    filtered, carry = fir(np.ones((0, 50), np.float32), fir.start(0))
    assert filtered.shape == (0, 50)
    assert carry.shape == (0, 32)


@pytest.mark.parametrize("taps", [[], [[1.0]], [1.0, np.nan], np.zeros(cupy_fir.MAX_TAPS + 1)])
def test_refuses_taps(taps: Any) -> None:
    with pytest.raises(ValueError, match="taps must"):
        cupy_fir.source(taps)


def test_taps_are_compiled_in_to_the_bit() -> None:
    taps = np.array([1 / 3, -1e-40, 3.4e38, 0.1], np.float32)
    literals = re.search(r"TAP_VALUES (.*)", cupy_fir.source(taps))
    assert literals is not None
    written = [float(text.rstrip("f")) for text in literals[1].split(", ")]
    assert np.array(written, np.float32).tobytes() == taps.tobytes()


@given(
    batch=st.integers(1, 10**6),
    samples=st.integers(0, 10**6),
    taps=st.integers(1, cupy_fir.MAX_TAPS),
)
def test_launch_covers_every_output_once(batch: int, samples: int, taps: int) -> None:
    launch = Launch.plan(batch, samples, taps)
    span = launch.threads_per_row * cupy_fir.OUTPUTS
    assert launch.rows_per_block * launch.threads_per_row <= launch.threads <= cupy_fir.MAX_THREADS
    assert launch.shared_bytes <= 48 * 1024
    assert (launch.tiles - 1) * span < max(samples, 1) <= launch.tiles * span
    groups, rest = divmod(launch.blocks, launch.tiles)
    assert rest == 0
    assert (groups - 1) * launch.rows_per_block < batch <= groups * launch.rows_per_block


def test_host_and_kernel_agree_on_the_layout() -> None:
    text = Path(cupy_fir.__file__).with_name("fir.cu").read_text(encoding="utf-8")
    assert f"#define OUTPUTS {cupy_fir.OUTPUTS}\n" in text
    assert f"#define MAX_THREADS {cupy_fir.MAX_THREADS}\n" in text
    multiple = cupy_fir.HALO_MULTIPLE
    assert f"(TAP_COUNT + {multiple - 1}) / {multiple} * {multiple})" in text


def test_the_cpu_run_notices_a_missing_barrier(cpu_cuda: Any) -> None:
    fir = cpu_cuda.fir(taps_of(33))
    code = cupy_fir.source(fir.taps).replace("__syncthreads();", "")
    fir.kernel = cpu_cuda.raw_module(code).get_function("fir")
    with pytest.raises(AssertionError):
        assert_is_reference(fir, cpu_cuda.place(np.ones((4, 200))), fir.start(4))


def test_the_cpu_run_notices_a_small_tile(cpu_cuda: Any) -> None:
    fir = cpu_cuda.fir(taps_of(33))
    kernel = fir.kernel
    fir.kernel = lambda *launch, shared_mem: kernel(*launch, shared_mem=shared_mem - 64)
    with pytest.raises(AssertionError, match="past its shared memory"):
        fir(cpu_cuda.place(np.ones((4, 200))), fir.start(4))


@pytest.mark.parametrize("count", TAP_COUNTS)
@pytest.mark.parametrize(("batch", "samples"), [(1, 360), (3, 7), (1000, 18), (33, 5001)])
def test_gpu_equals_reference(cupy: Any, batch: int, samples: int, count: int) -> None:
    rng = np.random.default_rng(batch)
    ecg = rng.normal(size=(batch, samples)).astype(np.float32)
    carry = rng.normal(size=(batch, count - 1)).astype(np.float32)
    fir = CupyFir(taps_of(count))
    filtered, carry_out = fir(cupy.asarray(ecg), cupy.asarray(carry))
    expected, expected_carry = reference(ecg, carry, fir.taps)
    difference = np.abs(filtered.get().astype(np.float64) - expected)
    assert (difference <= tolerance(ecg, carry, fir.taps)).all()
    assert (carry_out.get() == expected_carry).all()


def test_gpu_cutting_changes_no_bit(cupy: Any) -> None:
    fir = CupyFir(taps_of(217))
    ecg = cupy.random.default_rng(4).standard_normal((20, 3000), dtype=np.float32)
    carry, pieces = fir.start(20), []
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.get_current_stream().synchronize()
    whole, _ = fir(ecg, carry, stream=stream)
    for cut in (slice(0, 18), slice(18, 19), slice(19, 2000), slice(2000, 3000)):
        piece, carry = fir(cupy.ascontiguousarray(ecg[:, cut]), carry)
        pieces.append(piece)
    stream.synchronize()
    assert cupy.concatenate(pieces, axis=1).get().tobytes() == whole.get().tobytes()


def test_gpu_filters_keep_their_own_taps(cupy: Any) -> None:
    ecg = cupy.ones((1, 10), np.float32)
    first, second = CupyFir([1.0]), CupyFir([2.0])
    assert float(first(ecg, first.start(1))[0][0, 0]) == 1.0
    assert float(second(ecg, second.start(1))[0][0, 0]) == 2.0
    assert float(first(ecg, first.start(1))[0][0, 0]) == 1.0
