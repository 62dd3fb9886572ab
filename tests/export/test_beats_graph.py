"""The graphs that give beats: the runtime's, however signal is cut and whoever is beside."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from beats_driver import cut, flaws_of_row, followed, same
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from export import embedded, manifest
from export.embedded import Graphs
from export.graphs import ExportError
from runtime import Detector, ModelError
from runtime.findings import CLASSES
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts
from runtime.model.contract import FS, HOP
from runtime.model.embedded import (
    BEATS,
    CHECKED,
    GOLDEN,
    MISSING,
    OUTPUTS,
    PAST_END,
    WHOLE,
    GoldenEkg,
)
from runtime.records import read
from runtime.rhythm import rules, schema
from runtime.rhythm.events.atrial import KNOWN_BEATS
from runtime.signal.missing import NO_SIGNAL, bridge
from runtime.simulate import simulate


def frames_of(detector: Detector, frames: NDArray[np.float32]) -> Detector:
    """The detector, its network replaced by one that answers these frames, [frames, 6]."""

    def run(
        ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        first = int(carry[0, 0])
        end = first + ecg.shape[1] // HOP
        return frames[None, first:end], np.full_like(carry, end)

    return detector.with_network(run, detector.contract)


def beating(rng: np.random.Generator, seconds: int, row: int) -> NDArray[np.float64]:
    """A patient in mV: sinus rhythm with ectopic beats, and stretches of fibrillation and flaws."""
    ecg = simulate(seconds, seed=int(rng.integers(1 << 30)), ectopic=0.2).signal.astype(np.float64)
    for _ in range(int(rng.integers(0, 4))):
        start, length = rng.integers(0, len(ecg)), int(rng.integers(100, 4000))
        part = ecg[start : start + length]
        moments = np.arange(len(part)) / FS
        kind = rng.integers(0, 5)
        if kind == 0:
            part += rng.normal(size=len(part)) * 0.6
        elif kind == 1:
            part[:] = 0.2
        elif kind == 2:
            part += 8 * np.sin(2 * np.pi * moments)
        elif kind == 3:
            part[:] = 0.7 * np.sin(2 * np.pi * 4.5 * moments) * (1 + 0.3 * np.sin(moments))
        else:
            part += 0.4 * np.sin(2 * np.pi * 50 * moments)
    return ecg + row


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 150),
    st.integers(1, 4),
    st.integers(1, 40),
    st.sampled_from([0.05, 0.5, 3.0]),
    st.booleans(),
)
def test_any_frames_give_the_beats_of_the_runtime(
    detector: Detector,
    graphs: Graphs,
    seed: int,
    count: int,
    batch: int,
    most: int,
    concentration: float,
    few: bool,
) -> None:
    """Also frames of few values, of which many are equal."""
    rng = np.random.default_rng(seed)
    frames = rng.dirichlet([concentration] * 6, size=(batch, count)).astype(np.float32)
    if few:
        frames = np.round(frames * 4) / 4
        frames[..., 0] += frames.sum(axis=2) == 0
    ecg = (0.2 * rng.normal(size=(batch, count * HOP))).astype(np.float32)
    ecg -= ecg[:, :1]
    slots = graphs.of_frames(frames, ecg, cut(count, seed, most))
    for row in range(batch):
        stream = frames_of(detector, frames[row]).stream(FS, events=True)
        same(slots, row, stream.push(ecg[row]))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([5, 40, 5000]))
def test_one_graph_gives_the_beats_of_the_runtime(
    detector: Detector, graphs: Graphs, seed: int, batch: int, most: int
) -> None:
    """Rhythm, fibrillation and flaws of seconds too, with missing samples, to a recording's end."""
    rng = np.random.default_rng(seed)
    seconds = int(rng.integers(6, 40))
    ecg = np.stack([beating(rng, seconds, row) for row in range(batch)])
    length = int(rng.integers(1, ecg.shape[1]))
    for row in range(batch):
        for _ in range(int(rng.integers(0, 5))):
            start = int(rng.integers(1, ecg.shape[1]))
            ecg[row, start : start + int(rng.choice([1, 3, 20, 30, 400, 3000]))] = np.nan
    held, missing = bridged(ecg, length, detector)
    slots = graphs.whole(held, cut(held.shape[1] // HOP, seed, most), missing)
    for row in range(batch):
        stream = detector.stream(FS, events=True)
        beats = stream.push(ecg[row, :length]) + stream.finish()
        same(slots, row, beats)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 40, 5000]))
def test_artefact_is_that_of_the_runtime(
    detector: Detector, graphs: Graphs, seed: int, most: int
) -> None:
    """Bumps of half a second, also in the first and the last second."""
    rng = np.random.default_rng(seed)
    ecg = simulate(60, seed=seed, ectopic=0.1).signal.astype(np.float64)[None]
    for place in (100, *range(2500, ecg.shape[1] - 200, 1100), ecg.shape[1] - 300):
        width = int(rng.integers(60, 200))
        bump = rng.uniform(2.0, 6.0) * np.sin(np.pi * np.linspace(0, 1, width))
        ecg[0, place : place + width] += bump[: ecg.shape[1] - place]
    held, missing = bridged(ecg, ecg.shape[1], detector)
    slots = graphs.whole(held, cut(held.shape[1] // HOP, seed, most), missing)
    stream = detector.stream(FS, events=True)
    beats = stream.push(ecg[0]) + stream.finish()
    assert stream.artefacts
    same(slots, 0, beats)


def bridged(
    ecg: NDArray[np.float64], length: int, detector: Detector
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The signal up to a length, bridged by the runtime, then held; and the graph's ``missing``."""
    part = ecg[:, :length]
    found = bridge(part, [NO_SIGNAL] * len(part), FS, detector.quality_policy.missing)
    hold = 540 + HOP
    end = (length + hold) // HOP * HOP - length
    held = np.concatenate([found.ecg, found.ecg[:, -1:].repeat(end, axis=1)], axis=1)
    missing = np.full(held.shape, PAST_END, dtype=np.uint8)
    missing[:, :length] = CHECKED
    for row, mask in found.missing.items():
        missing[row, :length][mask] = MISSING
    return held.astype(np.float64), missing


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([7, 20, 45]))
def test_seconds_are_judged_as_by_the_runtime(
    detector: Detector, graphs: Graphs, seed: int, most: int
) -> None:
    """Flaws of each second that is closed."""
    rng = np.random.default_rng(seed)
    ecg = beating(rng, 20, 0)[None]
    ecg[0, 2000:2400] = np.nan
    held, missing = bridged(ecg, ecg.shape[1], detector)
    found = graphs.whole(held, cut(held.shape[1] // HOP, seed, most), missing)
    used = found["seconds"][0] >= 0
    assert found["seconds"][0][used].tolist() == list(range(18))
    _, expected, _ = followed(detector, ecg[0])
    found_flaws = flaws_of_row(found, 0)
    assert [expected[second] for second in range(2, 18)] == [
        found_flaws[second] for second in range(2, 18)
    ]


def test_atrial_fibrillation_is_that_of_the_runtime(
    detector: Detector, graphs: Graphs, data: Path
) -> None:
    """Record 203 of mitdb is in atrial fibrillation."""
    ecg = np.asarray(read(str(data / "mitdb" / "203")).signal, dtype=np.float64)[None, : 240 * FS]
    found = graphs.whole(ecg, [FS] * 240)
    stream, lasting = detector.stream(FS, events=True), {}
    for at in range(0, ecg.shape[1], FS):
        stream.push(ecg[0, at : at + FS])
        assert stream.tracker is not None
        _, states = schema().unpack(stream.tracker.save())
        told = detector.rhythm_policy.af_unknown * (1 - states["atrial"].beats / KNOWN_BEATS)
        lasting[stream.tracker.seconds.next - 1] = (
            states["atrial"].log_odds + told,
            stream.tracker.current == "atrial_fibrillation",
        )
    used = found["seconds"][0] >= 0
    rhythms = dict(
        zip(found["seconds"][0][used].tolist(), found["rhythms"][0][used].tolist(), strict=True)
    )
    assert sum(rhythms.values()) > 200
    assert all(rhythms[second] & 1 for second, (_, af) in lasting.items() if af)
    valid = found["valid"][0]
    at = (found["r_peaks"][0][valid] // FS - 2).tolist()
    odds = [lasting[second][0] for second in at if second >= 2]
    probabilities = found["af_probabilities"][0][valid][-len(odds) :]
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-np.array(odds))), atol=1e-4)


def test_ventricular_fibrillation_is_that_of_the_runtime(
    detector: Detector, graphs: Graphs, data: Path
) -> None:
    """Record cu01 of cudb fibrillates from 214 s on."""
    record = read(str(data / "cudb" / "cu01"), start_s=190.0, seconds=70.0)
    ecg = np.interp(np.arange(70 * FS) / FS, np.arange(70 * 250) / 250, record.signal)
    found = graphs.whole(ecg[None], [FS] * 70)
    used = found["seconds"][0] >= 0
    lasts = found["rhythms"][0][used] & 2
    stream, expected = detector.stream(FS, events=True), {}
    for at in range(0, len(ecg), FS):
        stream.push(ecg[at : at + FS])
        assert stream.tracker is not None
        vf = stream.tracker.current == "ventricular_fibrillation"
        expected[stream.tracker.seconds.next - 1] = 2 * vf
    assert 20 < sum(expected.values()) / 2 < 50
    assert [expected[second] for second in range(2, 68)] == lasts[2:].tolist()


@pytest.mark.parametrize("sizes", [[FS] * 175, [FS * 175]])
def test_a_rate_that_lasts_becomes_the_usual_one(
    detector: Detector, graphs: Graphs, sizes: list[int]
) -> None:
    """A minute and more of early beats in a row, which the usual interval follows in the end."""
    slow = simulate(60.0, seed=4, heart_rate=60.0).signal.astype(np.float64)
    fast = simulate(115.0, seed=5, heart_rate=125.0).signal.astype(np.float64)
    ecg = np.concatenate([slow, fast])[None, : sum(sizes)]
    same(graphs.whole(ecg, sizes), 0, detector.stream(FS, events=True).push(ecg[0]))


def test_empty_slots_are_empty(graphs: Graphs) -> None:
    slots = graphs.whole(simulate(10.0, seed=1).signal[None].astype(np.float64), [3600])
    empty = ~slots["valid"]
    assert 0 < (~empty).sum() < 20
    assert set(slots["r_peaks"][empty]) == set(slots["labels"][empty]) == {-1}
    for name in ("scores", "class_probabilities", "af_probabilities", "fibrillating"):
        assert not slots[name][empty].any()
    np.testing.assert_allclose(slots["class_probabilities"][~empty].sum(axis=1), 1.0, atol=1e-6)


def test_a_position_of_days_is_exact(graphs: Graphs) -> None:
    """Floats count to 2^24, 13 hours; a recording may take longer."""
    files, days = Artifacts(DEFAULT_ARTIFACTS), 40 * 24 * 3600 * FS
    graph = embedded.BeatsGraph(files, BEATS)
    ecg = simulate(20.0, seed=3).signal[None]
    frames, there = graphs.frames(ecg.astype(np.float64)), np.zeros((1, 3600), dtype=np.uint8)
    less_first = ecg - ecg[:, :1]
    _, state = graph.run(
        {"probabilities": frames[:, :200], "ecg": less_first[:, :3600], "missing": there},
        np.zeros((1, graph.state_size), dtype=np.float32),
    )
    rest = {"probabilities": frames[:, 200:], "ecg": less_first[:, 3600:], "missing": there}
    near, _ = graph.run(rest, state)
    later = state.copy()
    later[0, :2] = divmod(days + 3600, 1 << 20)
    far, _ = graph.run(rest, later)
    valid = near["valid"]
    assert valid.sum() > 5
    np.testing.assert_array_equal(far["r_peaks"][valid], near["r_peaks"][valid] + days)
    np.testing.assert_array_equal(far["labels"], near["labels"])
    np.testing.assert_array_equal(far["seconds"], near["seconds"] + days // FS)


@pytest.mark.parametrize("name", [BEATS, WHOLE])
def test_the_metadata_say_what_is_needed(name: str, detector: Detector) -> None:
    metadata = {
        entry.key: entry.value for entry in onnx.load(DEFAULT_ARTIFACTS / name).metadata_props
    }
    assert (metadata["fs"], metadata["units"], metadata["hop"]) == ("360", "mV", "18")
    assert metadata["beat_classes"] == ",".join(CLASSES)
    assert metadata["hold_samples"] == "540"
    assert {"slots", "inputs", "missing", "end", "session_options", *OUTPUTS} < set(metadata)
    # A program that names the other events itself has their rules and limits.
    policy = detector.rhythm_policy
    assert json.loads(metadata["event_limits"]) == policy.to_dict()
    assert json.loads(metadata["events"]) == rules(policy)


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


def test_a_golden_recording_of_another_release_is_refused(tmp_path: Path) -> None:
    shutil.copytree(DEFAULT_ARTIFACTS, tmp_path / "artifacts")
    folder = tmp_path / "artifacts"
    with np.load(folder / GOLDEN) as arrays:
        older = {name: values for name, values in arrays.items() if name != "flawed"}
    np.savez(folder / GOLDEN, **older)
    manifest.seal(folder, manifest.roles(folder))
    with pytest.raises(ModelError, match="is of another release"):
        GoldenEkg.read(Artifacts(folder))


def test_written_anew_they_are_the_same(tmp_path: Path) -> None:
    shutil.copytree(DEFAULT_ARTIFACTS, tmp_path / "artifacts")
    assert embedded.main(["--artifacts", str(tmp_path / "artifacts")]) == 0
    old, new = Artifacts(DEFAULT_ARTIFACTS), Artifacts(tmp_path / "artifacts")
    assert {name: old.digest(name) for name in (BEATS, WHOLE)} == {
        name: new.digest(name) for name in (BEATS, WHOLE)
    }
