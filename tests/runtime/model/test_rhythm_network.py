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
from runtime.model.rhythm_network import RHYTHM_GRAPH, RhythmGraph

GRAPH = RhythmGraph(DEFAULT_ARTIFACTS / RHYTHM_GRAPH)


def beats(rng: np.random.Generator, count: int, batch: int) -> np.ndarray:
    rows = np.zeros((count, batch, len(GRAPH.INPUTS)), dtype=np.float32)
    rows[..., 1] = rng.random((count, batch)) < 0.9
    rows[..., 0] = rng.uniform(-1.4, 1.6, (count, batch)) * rows[..., 1]
    rows[..., 2] = rng.random((count, batch)) < 0.9
    rows[..., 3:5] = rng.uniform(-2.6, 2.0, (count, batch, 2))
    rows[..., 5] = rng.random((count, batch))
    rows[..., 6] = rng.uniform(-3.0, 3.0, (count, batch))
    return rows


def start(batch: int) -> np.ndarray:
    return np.zeros((1, batch, GRAPH.memory_size), dtype=np.float32)


@given(
    seed=st.integers(0, 1000),
    batch=st.integers(1, 4),
    cuts=st.lists(st.integers(1, 59), max_size=8),
)
def test_however_beats_are_cut_and_batched_the_answer_is_the_same(
    seed: int, batch: int, cuts: list[int]
) -> None:
    rows = beats(np.random.default_rng(seed), 60, batch)
    memory, found = start(batch), []
    for piece in np.split(rows, sorted(set(cuts))):
        log_odds, memory = GRAPH.run(piece, memory)
        found.append(log_odds)
    for i in range(batch):
        alone, last = GRAPH.run(rows[:, i : i + 1], start(1))
        np.testing.assert_allclose(np.concatenate(found)[:, i], alone[:, 0], atol=1e-4)
        np.testing.assert_allclose(memory[0, i], last[0, 0], atol=1e-4)


def test_any_memory_gives_numbers() -> None:
    rows = beats(np.random.default_rng(0), 5, 1)
    log_odds, memory = GRAPH.run(rows, np.full_like(start(1), 1e9))
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
        (lambda props: props.update(outputs='["now"]'), "reads other beats than this runtime"),
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


@pytest.mark.needs("onnx")
@pytest.mark.parametrize("change", ["cell", "operator"])
def test_cells_that_the_loops_do_not_know_are_left_to_the_graph(
    tmp_path: Path, change: str
) -> None:
    import onnx

    model = onnx.load(DEFAULT_ARTIFACTS / RHYTHM_GRAPH)
    if change == "cell":
        gru = next(node for node in model.graph.node if node.op_type == "GRU")
        next(one for one in gru.attribute if one.name == "linear_before_reset").i = 0
    else:
        next(node for node in model.graph.node if node.op_type == "Tanh").op_type = "Sigmoid"
    onnx.save(model, tmp_path / RHYTHM_GRAPH)
    other = RhythmGraph(tmp_path / RHYTHM_GRAPH)
    rows = beats(np.random.default_rng(3), 4, 1)
    alone, _ = other.run(rows, start(1))
    two, _ = other.run(rows.repeat(2, axis=1), start(2))
    np.testing.assert_allclose(alone[:, 0], two[:, 0], atol=1e-5)
    assert np.abs(alone - GRAPH.run(rows, start(1))[0]).max() > 1e-3


def test_another_graph_or_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a graph over beats"):
        RhythmGraph(DEFAULT_ARTIFACTS / "ekg_fused.onnx")
    shutil.copy(DEFAULT_ARTIFACTS / "manifest.json", tmp_path / RHYTHM_GRAPH)
    with pytest.raises(ModelError, match="cannot be loaded by ONNX Runtime"):
        RhythmGraph(tmp_path / RHYTHM_GRAPH)
