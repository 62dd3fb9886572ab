"""Sessions: strict about where nodes run, any chunk into a fixed graph, threads that exist."""

from __future__ import annotations

import ctypes
import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Detector, ModelError, ProviderError
from runtime.model import providers, session
from runtime.model.session import FixedChunks, Session, missing_libraries, thread_plan, usable_cores
from runtime.simulate import simulate

ARTIFACTS = Path(__file__).resolve().parents[3] / "artifacts"
FUSED, STATIC = ARTIFACTS / "ekg_fused.onnx", ARTIFACTS / "ekg_fused_static.onnx"
# A provider of the plain Linux wheel that runs no node of ours: what a broken one looks like.
IDLE = "AzureExecutionProvider"
KNOWS_PLACES = hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")

needs_idle = pytest.mark.skipif(
    IDLE not in onnxruntime.get_available_providers(),
    reason=f"this onnxruntime has no {IDLE} to stand in",
)


@pytest.fixture
def idle_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """'cuda' is a provider that starts but runs nothing."""
    monkeypatch.setitem(providers.ONNX_NAMES, "cuda", IDLE)
    monkeypatch.setattr(providers, "options", lambda name, sha: {})
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr(session, "missing_libraries", list)


def test_the_cpu_runs_every_node() -> None:
    placement = Session(FUSED, "cpu").placement
    if KNOWS_PLACES:
        assert list(placement) == ["CPUExecutionProvider"]
        assert placement["CPUExecutionProvider"] > 100
    else:
        assert placement == {}


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"x.onnx cannot be loaded by ONNX Runtime \d"):
        Session(tmp_path / "x.onnx", "cpu")


def test_a_model_of_another_project_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    made = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", floats, [1])],
        [helper.make_tensor_value_info("y", floats, [1])],
    )
    onnx.save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        tmp_path / "other.onnx",
    )
    with pytest.raises(ModelError, match=r"other.onnx takes x; expected .* takes ecg and carry"):
        Session(tmp_path / "other.onnx", "cpu")


@needs_idle
@pytest.mark.usefixtures("idle_cuda")
def test_a_provider_that_leaves_all_nodes_to_the_cpu_is_refused() -> None:
    with pytest.raises(
        ProviderError,
        match=r"'cuda' does not start: .*CPU.*"
        r"requirements-runtime-cuda.txt",
    ):
        Session(FUSED, "cuda")


@needs_idle
@pytest.mark.usefixtures("idle_cuda")
def test_nodes_left_to_the_cpu_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = session._assigned

    def some_on_cuda(opened: onnxruntime.InferenceSession) -> list[tuple[str, str]]:
        nodes = real(opened) or [("Slice", "")] * 9
        return [
            (name, IDLE if i > 1 else "CPUExecutionProvider") for i, (name, _) in enumerate(nodes)
        ]

    monkeypatch.setattr(session, "_assigned", some_on_cuda)
    with pytest.raises(
        ProviderError,
        match=r"does not run every node of ekg_fused.onnx: 2 of "
        r"\d+ are left to the CPU \(\w+.*update onnxruntime",
    ):
        Session(FUSED, "cuda")


@needs_idle
def test_a_missing_library_is_named_with_its_remedy(
    idle_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "libcudnn.so.9: cannot open shared object file: No such file or directory"
    monkeypatch.setattr(session, "missing_libraries", lambda: [words])
    with pytest.raises(
        ProviderError,
        match=r"libcudnn.so.9: cannot open .*pip install -r "
        r"requirements-runtime-cuda.txt.*for CUDA 13.0",
    ):
        Session(FUSED, "cuda")


@needs_idle
def test_auto_falls_back_to_the_cpu_and_logs_the_reason(
    idle_cuda: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ekg"):
        detector = Detector.load(ARTIFACTS, provider="auto")
    assert detector.provider == "cpu"
    assert "'cuda' does not start" in caplog.text
    assert "Using provider 'cpu' instead" in caplog.text


def test_a_silent_fall_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime that builds a CPU session where another was asked for, without a word."""
    opened = session._open(FUSED, "cpu", session.session_options("cpu", 1), {})
    monkeypatch.setattr(session, "_open", lambda *_: opened)
    monkeypatch.setattr(session, "missing_libraries", list)
    with pytest.raises(ProviderError, match=r"'coreml' does not start: .*fell back to the CPU"):
        Session(FUSED, "coreml")


def test_core_ml_gets_strict_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a Mac: fixed shapes, a cache of the model's own, no other provider in the list."""
    asked = {}

    def refuse(path: str, options: onnxruntime.SessionOptions, **rest: object) -> None:
        key = "session.disable_cpu_ep_fallback"
        asked.setdefault("strict", options.get_session_config_entry(key))
        asked.update(rest)
        raise RuntimeError("no Mac here")

    monkeypatch.setenv("EKG_CACHE", str(tmp_path))
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(ProviderError, match=r"'coreml' does not start.*: no Mac here; .*macOS"):
        Session(FUSED, "coreml")
    [(name, told)] = asked["providers"]  # type: ignore[misc]
    assert name == "CoreMLExecutionProvider"
    assert told["ModelFormat"] == "MLProgram"
    assert Path(told["ModelCacheDirectory"]).is_dir()
    assert Path(told["ModelCacheDirectory"]).parent == tmp_path
    assert asked["strict"] == "1"
    assert asked["enable_fallback"] == 0


def test_sessions_use_one_thread_that_does_not_spin() -> None:
    options = session.session_options("cpu", 1)
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ((), []),
        (("libcudnn.so.9",), ["libcudnn.so.9"]),
        (("libcuda.so.1", "libcublas.so.13"), ["libcuda.so.1", "libcublas.so.13"]),
    ],
)
def test_libraries_that_the_loader_does_not_find_are_missing(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], said: list[str]
) -> None:
    asked = []

    def load(name: str) -> None:
        asked.append(name)
        if name in missing:
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert [words.split(":")[0] for words in missing_libraries()] == said
    assert {"libcudart.so.13", "libcublasLt.so.13", "libcudnn.so.9"} <= set(asked)


def test_a_build_without_cuda_has_no_missing_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "cuda_version", "")
    assert missing_libraries() == []


@settings(max_examples=20)
@given(hops=st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_the_static_graph_takes_any_chunk(hops: list[int]) -> None:
    """Cut anyhow, two signals at once: what the free graph answers, and nothing later."""
    free, fixed = sessions()
    ecg = np.random.default_rng(len(hops)).normal(size=(2, sum(hops) * 18)).astype(np.float32)
    expected, _ = free.run(ecg, start(free, 2))
    carry, pieces = start(fixed, 2), []
    for chunk in np.split(ecg, np.cumsum(hops)[:-1] * 18, axis=1):
        frames, carry = fixed.run(chunk, carry)
        assert frames.shape == (2, chunk.shape[1] // 18, 6)
        pieces.append(frames)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("waiting", [-18.0, -3.0, 1.0, 5.5, 378.0, 1e6, -1e9])
def test_a_forged_sample_count_does_not_change_the_number_of_frames(waiting: float) -> None:
    chunks = FixedChunks(lambda ecg, carry: (ecg.reshape(1, 4, 2), carry), samples=8, carry_size=1)
    carry = np.zeros((1, chunks.carry_size), np.float32)
    carry[0, -1] = waiting
    assert chunks.run(np.ones((1, 6), np.float32), carry)[0].shape == (1, 3, 2)


def test_a_fixed_graph_runs_full_chunks_once_and_the_rest_padded() -> None:
    ran = []

    def graph(ecg: np.ndarray, carry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ran.append((ecg.copy(), carry.copy()))
        return ecg.reshape(1, 4, 1), carry + 1

    chunks = FixedChunks(graph, samples=4, carry_size=1)
    frames, carry = chunks.run(np.float32([[1, 2, 3, 4, 5, 6]]), np.zeros((1, 6), np.float32))
    assert frames.ravel().tolist() == [1, 2, 3, 4, 5, 6]
    assert carry.ravel().tolist() == [1, 5, 6, 0, 0, 2]  # graph's own, samples, their number
    frames, carry = chunks.run(np.float32([[7, 8]]), carry)
    assert frames.ravel().tolist() == [7, 8]
    assert [ecg.ravel().tolist() for ecg, _ in ran] == [[1, 2, 3, 4], [5, 6, 0, 0], [5, 6, 7, 8]]
    assert [carry.item() for _, carry in ran] == [0, 1, 1]
    assert carry.ravel().tolist() == [2, 0, 0, 0, 0, 0]


def test_a_detector_on_the_static_graph_finds_the_same_beats() -> None:
    """The path that Core ML takes, on the CPU: streamed, saved, resumed."""
    fixed = Detector.load(ARTIFACTS, provider="cpu", model="ekg_fused_static.onnx")
    free = Detector.load(ARTIFACTS, provider="cpu")
    ecg = simulate(30.0, seed=2, ectopic=0.3).signal
    expected = free.predict(ecg).beats  # type: ignore[union-attr]
    stream, beats = fixed.stream(), []
    for chunk in np.array_split(ecg, 37):
        beats += stream.push(chunk)
        stream = fixed.resume(stream.save())
    beats += stream.finish()
    assert [(beat.time, beat.label) for beat in beats] == [(b.time, b.label) for b in expected]


@pytest.mark.parametrize(
    ("wanted", "cores", "threads"),
    [(1, 8, 1), (4, 8, 4), (16, 8, 8), (0, 8, 8), (0, 1, 1), (2, 1, 1)],
)
def test_threads_are_never_more_than_cores(wanted: int, cores: int, threads: int) -> None:
    assert thread_plan(wanted, cores) == threads


@pytest.mark.parametrize(
    ("files", "own", "cores"),
    [
        ({"cpu.max": "max 100000"}, "0::/", 8),
        ({"cpu.max": "250000 100000"}, "0::/", 2),
        ({"cpu.max": "50000 100000"}, "0::/", 1),
        ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b", 3),
        ({"cpu.max": "400000 100000"}, "0::/of/the/host", 4),  # a container sees its own root only
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/", 8),
        (
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "600000",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            "4:cpu,cpuacct:/x\n2:memory:/y",
            6,
        ),
        ({}, "0::/", 8),
    ],
)
def test_usable_cores_follow_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], own: str, cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (tmp_path / "own").write_text(own + "\n")
    assert usable_cores(tmp_path / "cgroup", tmp_path / "own") == cores


def test_cores_without_affinity_or_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 10)
    assert usable_cores(tmp_path / "no", tmp_path / "none") == 10


def sessions() -> tuple[Session, Session]:
    if not _SESSIONS:
        _SESSIONS.extend((Session(FUSED, "cpu"), Session(STATIC, "cpu")))
    return _SESSIONS[0], _SESSIONS[1]


_SESSIONS: list[Session] = []


def start(of: Session, batch: int) -> np.ndarray:
    return np.zeros((batch, int(of.metadata["carry_size"])), dtype=np.float32)
