"""The whole network as one kernel: on the CPU by the shim, and on a GPU where there is one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import CupyNet, Network, cupy_net, net_launch
from kernels.cupy_net import reference
from kernels.net_launch import TILES, Gpu, Launch, Tile
from kernels.network import Block, Convolution
from runtime.simulate import simulate

MODEL = Path(__file__).parents[2] / "artifacts" / "ekg_cnn.onnx"
H100 = Gpu(132, 227 * 1024)
HERE = "__syncthreads();\n        const float *here"  # where a piece of the weights begins


def small() -> Network:
    """Odd sizes: two layers in front, channels that the warps cannot share out equally."""
    rng = np.random.default_rng(1)

    def layer(channels: int, out: int, taps: int, step: int = 1, dilation: int = 1) -> Convolution:
        weight = rng.normal(size=(out, channels, taps)) / np.sqrt(channels * taps)
        bias = rng.normal(size=out) / 4
        return Convolution(weight.astype(np.float32), bias.astype(np.float32), step, dilation)

    def block(inner: int, dilation: int) -> Block:
        return layer(8, inner, 1), layer(inner, inner, 3, 1, dilation), layer(inner, 8, 1)

    front = layer(1, 4, 5, 2), layer(4, 8, 4, 3)
    return Network(front, (block(8, 1), block(4, 3), block(8, 2)), layer(8, 3, 1))


def real() -> Network:
    return Network.of(onnx.load(MODEL))


NETWORKS: dict[str, Callable[[], Network]] = {"small": small, "real": real}


@pytest.fixture(scope="module", params=NETWORKS)
def net(request: pytest.FixtureRequest, cpu_cuda: Any) -> CupyNet:
    """On the CPU."""
    made: CupyNet = cpu_cuda.net(NETWORKS[request.param]())
    return made


def chunk(network: Network, batch: int, frames: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(batch, frames * network.frame)).astype(np.float32)
    carry = rng.random(size=(batch, network.carry_size)).astype(np.float32)
    return signal, carry


def assert_is_reference(network: Network, got: Any, signal: Any, carry: Any) -> None:
    probabilities, carry_out = reference(signal, carry, network)
    np.testing.assert_allclose(got[0], probabilities, atol=1e-5, rtol=0)
    np.testing.assert_allclose(got[1], carry_out, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 20])
def test_the_definition_is_the_graph(frames: int) -> None:
    network = real()
    signal, carry = chunk(network, 3, frames)
    session = onnxruntime.InferenceSession(MODEL)
    answers = session.run(["probabilities", "carry_out"], {"ecg": signal, "carry": carry})
    assert_is_reference(network, answers, signal, carry)


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (7, 20), (2, 3), (1, 45), (70, 1)])
def test_equals_the_definition(
    cpu_cuda: Any, net: CupyNet, tile: Tile, batch: int, frames: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(
        net,
        "_launches",
        lambda *size: Launch.plan(net.network, tile, Gpu(1, H100.shared_bytes), *size),
    )
    signal, carry = map(cpu_cuda.place, chunk(net.network, batch, frames))
    assert_is_reference(net.network, net(signal, carry), signal, carry)


@given(
    batch=st.integers(1, 5), cuts=st.lists(st.integers(0, 30), max_size=4), seed=st.integers(0, 9)
)
def test_cutting_changes_no_bit(cpu_cuda: Any, batch: int, cuts: list[int], seed: int) -> None:
    net = cpu_cuda.net(small())
    signal, _ = chunk(net.network, batch, 30, seed)
    whole, end = net(cpu_cuda.place(signal), net.start(batch))
    carry, pieces = net.start(batch), []
    for piece in np.split(signal, np.multiply(sorted(cuts), net.network.frame), axis=1):
        answer, carry = net(cpu_cuda.place(piece), carry)
        pieces.append(answer)
    assert np.concatenate(pieces, axis=1).tobytes() == whole.tobytes()
    assert carry.tobytes() == end.tobytes()


def test_an_ecg_is_labelled_as_by_the_graph(cpu_cuda: Any) -> None:
    net = cpu_cuda.net(real())
    ecg = np.stack([simulate(3.0, seed=seed, ectopic=0.3).signal for seed in range(4)])
    ecg -= ecg[:, :1]
    session = onnxruntime.InferenceSession(MODEL)
    expected, end = session.run(
        ["probabilities", "carry_out"], {"ecg": ecg, "carry": net.start(len(ecg))}
    )
    carry, frames = net.start(len(ecg)), []
    for piece in np.split(ecg, 3, axis=1):
        answer, carry = net(cpu_cuda.place(piece), carry)
        frames.append(answer)
    np.testing.assert_allclose(np.concatenate(frames, axis=1), expected, atol=1e-5)
    np.testing.assert_allclose(carry, end, atol=1e-5 * float(np.abs(end).max()))


def test_nan_stays_in_its_own_stream(cpu_cuda: Any) -> None:
    net = cpu_cuda.net(small())
    signal, carry = chunk(net.network, 3, 4)
    clean, _ = net(cpu_cuda.place(signal), carry)
    signal[1, 0] = np.nan
    answer, _ = net(cpu_cuda.place(signal), carry)
    assert np.isnan(answer[1]).any()
    assert answer[[0, 2]].tobytes() == clean[[0, 2]].tobytes()


def test_large_logits_do_not_overflow(cpu_cuda: Any) -> None:
    network = small()
    network = replace(network, head=replace(network.head, weight=500 * network.head.weight))
    signal, carry = map(cpu_cuda.place, chunk(network, 3, 20))
    probabilities, _ = cpu_cuda.net(network)(signal, carry)
    np.testing.assert_allclose(probabilities.sum(axis=2), 1, atol=1e-5)


@pytest.mark.parametrize(("batch", "frames"), [(0, 4), (3, 0)])
def test_an_empty_chunk_keeps_the_carry(cpu_cuda: Any, batch: int, frames: int) -> None:
    net = cpu_cuda.net(small())
    signal, carry = chunk(net.network, batch, frames)
    probabilities, carry_out = net(signal, carry)
    assert probabilities.shape == (batch, frames, 3)
    assert (carry_out == carry).all()


@pytest.mark.parametrize(
    ("replace", "error", "message"),
    [
        ({"filtered": np.ones((2, 7), np.float32)}, ValueError, "7 samples a stream, .* of 6"),
        ({"filtered": np.ones(12, np.float32)}, ValueError, r"must have shape \(any, any\)"),
        ({"filtered": np.ones((2, 12))}, TypeError, "filtered must be float32"),
        ({"carry": np.ones((2, 9), np.float32)}, ValueError, r"carry must have shape \(2, 79\)"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(
    cpu_cuda: Any, replace: dict[str, Any], error: type[Exception], message: str
) -> None:
    net = cpu_cuda.net(small())
    arguments = {"filtered": np.ones((2, 12), np.float32), "carry": net.start(2)} | replace
    with pytest.raises(error, match=message):
        net(arguments["filtered"], arguments["carry"])


def test_a_gpu_with_too_little_shared_memory_is_refused(
    cpu_cuda: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = real()
    enough = TILES[0].needs(network)
    device = cpu_cuda.cupy.cuda.Device
    limits = device.attributes | {"MaxSharedMemoryPerBlockOptin": enough - 4}
    monkeypatch.setattr(device, "attributes", limits)
    with pytest.raises(ValueError, match=f"{enough - 4} bytes .* the network needs {enough}"):
        cpu_cuda.net(network)
    limits["MaxSharedMemoryPerBlockOptin"] = enough
    assert list(cpu_cuda.net(network).kernels) == [TILES[0]]


@pytest.mark.parametrize("name", ["ekg_fused.onnx", "ekg_fused_int8.onnx"])
def test_another_graph_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="another network than the kernel computes"):
        Network.of(onnx.load(MODEL.with_name(name)))


@pytest.mark.parametrize(
    "change",
    [
        lambda net: replace(net, front=net.front[:1]),  # channels that do not follow
        lambda net: replace(net, front=(replace(net.front[0], step=5), net.front[1])),
        lambda net: replace(net, blocks=(net.blocks[1][::-1],)),
        lambda net: replace(net, blocks=()),
        lambda net: replace(net, front=(replace(net.front[0], dilation=2), net.front[1])),
        lambda net: replace(net, blocks=((replace(net.blocks[0][0], step=2), *net.blocks[0][1:]),)),
        lambda net: replace(net, blocks=((*net.blocks[0][:2], net.front[0]),)),
        lambda net: replace(net, head=net.blocks[0][1]),
    ],
)
def test_other_layers_are_refused(change: Callable[[Network], Network]) -> None:
    with pytest.raises(ValueError, match="another network than the kernel computes"):
        change(small())


@given(
    batch=st.integers(1, 10**5),
    frames=st.integers(1, 2000),
    tile=st.sampled_from(TILES),
    multiprocessors=st.integers(1, 200),
    shared_kib=st.integers(70, 227),
)
def test_launches_cover_every_frame_once(
    batch: int, frames: int, tile: Tile, multiprocessors: int, shared_kib: int
) -> None:
    network, done = small(), 0
    gpu = Gpu(multiprocessors, shared_kib * 1024)
    for launch, times in Launch.plan(network, tile, gpu, batch, frames):
        assert launch.rows * launch.frames <= tile.columns
        assert launch.shared_bytes <= gpu.shared_bytes
        assert (launch.blocks - 1) * launch.rows < batch <= launch.blocks * launch.rows
        assert (launch.rows - 1) * multiprocessors < batch  # none has more than its share
        done += times * launch.frames
    assert done == frames


def test_one_stream_and_many_take_the_tiles_meant_for_them() -> None:
    def chosen(batch: int, frames: int) -> Tile:
        return Launch.choose(real(), TILES, H100, batch, frames)[0][0].tile

    assert [chosen(1, 20), chosen(10_000, 20), chosen(1, 600)] == [TILES[0], TILES[1], TILES[1]]


def test_a_day_in_one_chunk_is_planned_at_once() -> None:
    (launch, times), *rest = Launch.choose(real(), TILES, H100, 1, 24 * 3600 * 20)
    assert launch.frames * times + sum(last.frames for last, _ in rest) == 24 * 3600 * 20
    assert len(rest) <= 1


def test_a_batch_too_large_for_a_launch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net_launch, "GRID_LIMIT", 9)
    with pytest.raises(ValueError, match="1000 streams are more than one launch takes"):
        Launch.plan(small(), TILES[0], H100, 1000, 30)


def test_a_history_too_long_to_index_is_refused() -> None:
    """`take_history` divides by a multiplication, which is exact below 2^32 only."""

    def far(dilation: int) -> Network:
        down, middle, up = small().blocks[0]
        return replace(small(), blocks=((down, replace(middle, dilation=dilation), up),))

    assert Launch.plan(far(4000), TILES[1], Gpu(1, H100.shared_bytes), 99, 1)[0][0].rows == 8
    with pytest.raises(ValueError, match="another network"):
        far(12_000)


def test_a_net_is_freed_at_once(cpu_cuda: Any) -> None:
    """Its memory on the GPU is not kept until Python looks for cycles."""
    net = cpu_cuda.net(small())
    net(*map(cpu_cuda.place, chunk(net.network, 2, 4)))
    gone = weakref.ref(net)
    gc.disable()
    try:
        del net
        assert gone() is None
    finally:
        gc.enable()


def test_another_device_is_refused(cpu_cuda: Any) -> None:
    net = cpu_cuda.net(small())
    net.weights = SimpleNamespace(device="another")
    with pytest.raises(ValueError, match="the network is on another, the current device is cpu"):
        net(*map(cpu_cuda.place, chunk(net.network, 2, 4)))


@pytest.mark.parametrize("late", ["wait_for_copies();", HERE])
def test_the_cpu_run_notices_weights_that_arrive_too_late(cpu_cuda: Any, late: str) -> None:
    net = cpu_cuda.net(small())
    for tile in net.kernels:
        code = cupy_net.source(net.network, tile)
        assert late in code
        code = code.replace(late, HERE.removeprefix("__syncthreads();") if late == HERE else "")
        net.kernels[tile] = cpu_cuda.raw_module(code).get_function("net")
        net.kernels[tile].max_dynamic_shared_size_bytes = H100.shared_bytes
    signal, carry = map(cpu_cuda.place, chunk(net.network, 4, 8))
    with pytest.raises(AssertionError):
        assert_is_reference(net.network, net(signal, carry), signal, carry)


@pytest.mark.parametrize("barrier", ["__syncthreads();  // its output", "    __syncthreads();\n"])
def test_the_cpu_run_notices_a_missing_barrier(cpu_cuda: Any, barrier: str) -> None:
    net = cpu_cuda.net(small())
    for tile in net.kernels:
        code = cupy_net.source(net.network, tile)
        assert barrier in code
        code = code.replace(barrier, barrier.replace("__syncthreads();", "                "))
        net.kernels[tile] = cpu_cuda.raw_module(code).get_function("net")
        net.kernels[tile].max_dynamic_shared_size_bytes = H100.shared_bytes
    signal, carry = map(cpu_cuda.place, chunk(net.network, 4, 8))
    with pytest.raises(AssertionError):
        assert_is_reference(net.network, net(signal, carry), signal, carry)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (133, 20), (1000, 3), (2, 200)])
def test_gpu_equals_the_definition(cupy: Any, network: str, batch: int, frames: int) -> None:
    net = CupyNet(NETWORKS[network]())
    signal, carry = chunk(net.network, batch, frames)
    got = [part.get() for part in net(cupy.asarray(signal), cupy.asarray(carry))]
    assert_is_reference(net.network, got, signal, carry)


def test_gpu_cutting_changes_no_bit(cupy: Any) -> None:
    net = CupyNet(real())
    signal = cupy.random.default_rng(4).standard_normal((500, 30 * 18), dtype=np.float32)
    carry, pieces = net.start(500), []
    cupy.cuda.get_current_stream().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    whole, end = net(signal, carry, stream=stream)
    stream.synchronize()
    for cut in (slice(0, 18), slice(18, 18 * 9), slice(18 * 9, 18 * 30)):
        piece, carry = net(cupy.ascontiguousarray(signal[:, cut]), carry)
        pieces.append(piece)
    # One batch is cut into other blocks than its halves, too.
    half, _ = net(signal[:250], net.start(250))
    assert cupy.concatenate(pieces, axis=1).get().tobytes() == whole.get().tobytes()
    assert carry.get().tobytes() == end.get().tobytes()
    assert half.get().tobytes() == whole[:250].get().tobytes()
