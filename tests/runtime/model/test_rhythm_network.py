"""The second graph: what it reads, what it remembers, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ModelError
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts
from runtime.model.rhythm_network import INPUTS, RHYTHM_GRAPH, RhythmGraph

GRAPH = RhythmGraph(DEFAULT_ARTIFACTS / RHYTHM_GRAPH)


def beats(rng: np.random.Generator, batch: int, count: int) -> np.ndarray:
    rows = np.zeros((batch, count, len(INPUTS)), dtype=np.float32)
    rows[..., 0] = rng.uniform(0.0, 8.0, (batch, count)) * (rng.random((batch, count)) < 0.9)
    rows[..., 1] = rng.random((batch, count)) < 0.9
    rows[..., 2:4] = rng.uniform(-4.6, 0.0, (batch, count, 2))
    rows[..., 4] = rng.integers(0, 25, (batch, count))
    return rows


@given(
    seed=st.integers(0, 1000),
    batch=st.integers(1, 4),
    cuts=st.lists(st.integers(1, 59), max_size=8),
)
def test_however_beats_are_cut_and_batched_the_answer_is_the_same(
    seed: int, batch: int, cuts: list[int]
) -> None:
    rows = beats(np.random.default_rng(seed), batch, 60)
    pieces = np.split(rows, sorted(set(cuts)), axis=1)
    memory, found = np.zeros((batch, GRAPH.memory_size), dtype=np.float32), []
    for piece in pieces:
        log_odds, memory = GRAPH.run(piece, memory)
        found.append(log_odds)
    for i in range(batch):
        alone, last = GRAPH.run(rows[i : i + 1], np.zeros((1, GRAPH.memory_size), dtype=np.float32))
        np.testing.assert_allclose(np.concatenate(found, axis=1)[i], alone[0], atol=1e-4)
        np.testing.assert_allclose(memory[i], last[0], atol=1e-4)


def test_any_interval_and_any_memory_give_numbers() -> None:
    rows = np.zeros((1, 5, len(INPUTS)), dtype=np.float32)
    rows[0, :, 0] = 0.0, 1e-9, 0.003, 600.0, 1e9
    log_odds, memory = GRAPH.run(rows, np.full((1, GRAPH.memory_size), 1e9, dtype=np.float32))
    assert np.isfinite(log_odds).all()
    assert np.isfinite(memory).all()


def test_the_golden_beats_are_checked_when_the_rhythm_is_loaded() -> None:
    golden = Artifacts(DEFAULT_ARTIFACTS).golden_beats()
    golden.check(GRAPH.run, GRAPH.memory_size)
    assert golden.log_odds.min() < -2 < 2 < golden.log_odds.max()  # both rhythms are among them

    def wrong(rows: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_odds, memory = GRAPH.run(rows, memory)
        return log_odds + np.float32(0.01), memory

    with pytest.raises(ModelError, match=r"by 0\.01, allowed is 0\.001"):
        golden.check(wrong, GRAPH.memory_size)


@pytest.mark.needs("onnx")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda props: props.pop("lag"), r"is not a graph over beats .*lag"),
        (lambda props: props.update(lag="soon"), "is not a graph over beats"),
        (lambda props: props.update(lag="9999"), "reads other beats than this runtime"),
        (lambda props: props.update(format="9"), "reads other beats than this runtime"),
        (lambda props: props.update(inputs='["pulse"]'), "reads other beats than this runtime"),
    ],
)
def test_a_graph_of_another_contract_is_refused(
    tmp_path: Path, change: Callable[[dict[str, str]], object], sentence: str
) -> None:
    import onnx

    model = onnx.load(DEFAULT_ARTIFACTS / RHYTHM_GRAPH)
    props = {entry.key: entry.value for entry in model.metadata_props}
    change(props)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, props)
    onnx.save(model, tmp_path / RHYTHM_GRAPH)
    with pytest.raises(ModelError, match=sentence):
        RhythmGraph(tmp_path / RHYTHM_GRAPH)


def test_another_graph_or_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a graph over beats"):
        RhythmGraph(DEFAULT_ARTIFACTS / "ekg_fused.onnx")
    shutil.copy(DEFAULT_ARTIFACTS / "manifest.json", tmp_path / RHYTHM_GRAPH)
    with pytest.raises(ModelError, match="cannot be loaded by ONNX Runtime"):
        RhythmGraph(tmp_path / RHYTHM_GRAPH)
