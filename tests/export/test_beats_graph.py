"""The graphs that give beats: the runtime's beats, however signal is cut and whoever is beside."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from export import embedded, manifest
from export.embedded import Graphs, Slots
from export.graphs import ExportError
from runtime import Detector, ModelError
from runtime.findings import CLASSES, Beat
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts
from runtime.model.contract import FS, HOP
from runtime.model.embedded import BEATS, GOLDEN, WHOLE, GoldenEkg
from runtime.simulate import simulate


@pytest.fixture(scope="module")
def graphs(detector: Detector) -> Graphs:
    return Graphs(Artifacts(DEFAULT_ARTIFACTS), detector)


def of_row(slots: Slots, row: int) -> list[tuple[int, int]]:
    """R peak and label of a signal's beats."""
    valid = slots["valid"][row]
    return list(
        zip(
            slots["r_peaks"][row][valid].tolist(), slots["labels"][row][valid].tolist(), strict=True
        )
    )


def of_beats(beats: Sequence[Beat]) -> list[tuple[int, int]]:
    return [(round(beat.time * FS), CLASSES.index(beat.label)) for beat in beats]


def frames_of(detector: Detector, frames: NDArray[np.float32]) -> Detector:
    """The detector, its network replaced by one that answers these frames, [frames, 6]."""

    def run(
        ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        first = int(carry[0, 0])
        end = first + ecg.shape[1] // HOP
        return frames[None, first:end], np.full_like(carry, end)

    return detector.with_network(run, detector.contract)


cuts = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    cuts,
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.05, 0.5, 3.0]),
    st.booleans(),
)
def test_any_frames_give_the_beats_of_the_runtime(
    detector: Detector,
    graphs: Graphs,
    hops: list[int],
    batch: int,
    seed: int,
    concentration: float,
    few: bool,
) -> None:
    """Also frames of few values, of which many are equal."""
    rng = np.random.default_rng(seed)
    count = sum(hops)
    frames = rng.dirichlet([concentration] * 6, size=(batch, count)).astype(np.float32)
    if few:
        frames = np.round(frames * 4) / 4
        frames[..., 0] += frames.sum(axis=2) == 0
    ecg = (0.2 * rng.normal(size=(batch, count * HOP))).astype(np.float32)
    ecg -= ecg[:, :1]
    sizes = [hop * HOP for hop in hops]
    slots = graphs.of_frames(frames, ecg, sizes)
    for row in range(batch):
        stream, beats = frames_of(detector, frames[row]).stream(FS), []
        for part in np.split(ecg[row], np.cumsum(sizes)[:-1][::2]):  # and cut otherwise
            beats += stream.push(part)
        assert of_row(slots, row) == of_beats(beats)
        found = slots["class_probabilities"][row][slots["valid"][row]]
        np.testing.assert_allclose(
            found.reshape(-1, 5), np.reshape([b.probabilities for b in beats], (-1, 5)), atol=1e-6
        )


@settings(max_examples=15, deadline=None)
@given(cuts, st.integers(1, 3), st.integers(0, 1000), st.floats(-250, 250))
def test_one_graph_gives_the_beats_of_the_runtime(
    detector: Detector, graphs: Graphs, hops: list[int], batch: int, seed: int, offset: float
) -> None:
    seconds = sum(hops) * HOP / FS
    ecg = np.stack(
        [simulate(seconds + 1, seed=seed + row, ectopic=0.3).signal for row in range(batch)]
    )
    ecg = ecg[:, : sum(hops) * HOP].astype(np.float64) + offset
    slots = graphs.whole(ecg, [hop * HOP for hop in hops])
    for row in range(batch):
        assert of_row(slots, row) == of_beats(detector.stream(FS).push(ecg[row]))


def test_empty_slots_are_empty(graphs: Graphs) -> None:
    slots = graphs.whole(simulate(10.0, seed=1).signal[None].astype(np.float64), [3600])
    empty = ~slots["valid"]
    assert 0 < (~empty).sum() < 20
    assert set(slots["r_peaks"][empty]) == set(slots["labels"][empty]) == {-1}
    assert not slots["scores"][empty].any()
    assert not slots["class_probabilities"][empty].any()
    np.testing.assert_allclose(slots["class_probabilities"][~empty].sum(axis=1), 1.0, atol=1e-6)


def test_a_position_of_days_is_exact(graphs: Graphs, detector: Detector) -> None:
    """Floats count to 2^24, 13 hours; a recording may take longer."""
    files, days = Artifacts(DEFAULT_ARTIFACTS), 40 * 24 * 3600 * FS
    graph = embedded.BeatsGraph(files, BEATS)
    ecg = simulate(20.0, seed=3).signal[None]
    frames = graphs.frames(ecg.astype(np.float64))
    less_first = ecg - ecg[:, :1]
    _, state = graph.run(
        {"probabilities": frames[:, :200], "ecg": less_first[:, :3600]},
        np.zeros((1, graph.state_size), dtype=np.float32),
    )
    rest = {"probabilities": frames[:, 200:], "ecg": less_first[:, 3600:]}
    near, _ = graph.run(rest, state)
    later = state.copy()
    later[0, :2] = divmod(days + 3600, 1 << 20)
    far, _ = graph.run(rest, later)
    valid = near["valid"]
    assert valid.sum() > 5
    np.testing.assert_array_equal(far["r_peaks"][valid], near["r_peaks"][valid] + days)


@pytest.mark.parametrize("name", [BEATS, WHOLE])
def test_the_metadata_say_what_is_needed(name: str) -> None:
    metadata = {
        entry.key: entry.value for entry in onnx.load(DEFAULT_ARTIFACTS / name).metadata_props
    }
    assert (metadata["fs"], metadata["units"], metadata["hop"]) == ("360", "mV", "18")
    assert metadata["beat_classes"] == ",".join(CLASSES)
    assert metadata["hold_samples"] == "540"
    assert {"slots", "r_peaks", "valid", "labels", "scores", "class_probabilities"} < set(metadata)


def test_a_graph_of_another_threshold_is_not_written(detector: Detector, graphs: Graphs) -> None:
    policy = replace(detector.contract.policy, threshold=0.9)
    other = detector.with_network(detector.session.run, replace(detector.contract, policy=policy))
    signals = simulate(40.0, seed=3, ectopic=0.3).signal[None].astype(np.float64)
    with pytest.raises(ExportError, match="other beats"):
        embedded.prove(graphs, other, signals)


def test_graphs_of_another_answer_are_refused(tmp_path: Path) -> None:
    shutil.copytree(DEFAULT_ARTIFACTS, tmp_path / "artifacts")
    folder = tmp_path / "artifacts"
    with np.load(folder / GOLDEN) as arrays:
        changed = dict(arrays)
    changed["r_peaks"] += changed["valid"]
    np.savez(folder / GOLDEN, **changed)
    manifest.seal(folder, manifest.roles(folder))
    files = Artifacts(folder)
    with pytest.raises(ModelError, match="other beats in the golden recording"):
        GoldenEkg.read(files).check(files)


def test_written_anew_they_are_the_same(tmp_path: Path) -> None:
    shutil.copytree(DEFAULT_ARTIFACTS, tmp_path / "artifacts")
    assert embedded.main(["--artifacts", str(tmp_path / "artifacts")]) == 0
    old, new = Artifacts(DEFAULT_ARTIFACTS), Artifacts(tmp_path / "artifacts")
    assert {name: old.digest(name) for name in (BEATS, WHOLE)} == {
        name: new.digest(name) for name in (BEATS, WHOLE)
    }
