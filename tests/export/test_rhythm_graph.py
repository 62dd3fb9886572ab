"""The second network's graph: equal to torch, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export import rhythm, rhythm_graph
from export.graphs import ExportError
from runtime.model.rhythm_network import RhythmGraph
from training.rhythm_net import LAG, RhythmNet


def network(seed: int = 0) -> RhythmNet:
    torch.manual_seed(seed)
    return RhythmNet(hidden=12).eval()


def test_the_graph_is_the_network(tmp_path: Path) -> None:
    net, beats = network(), rhythm.golden_beats()
    model = rhythm_graph.graph(net, {"trained_on": "nobody"})
    assert rhythm_graph.prove(model, net, beats) < 1e-5
    onnx.save(model, tmp_path / "graph.onnx")
    graph = RhythmGraph(tmp_path / "graph.onnx")
    assert (graph.lag, graph.memory_size, graph.trained_on) == (LAG, 12, "nobody")
    expected, _ = rhythm_graph.answer(net, beats)
    found, _ = graph.run(beats, np.zeros((1, 1, 12), dtype=np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_another_network_is_noticed() -> None:
    model = rhythm_graph.graph(network(1), {"trained_on": "nobody"})
    with pytest.raises(ExportError, match="differs from torch"):
        rhythm_graph.prove(model, network(2), rhythm.golden_beats())
