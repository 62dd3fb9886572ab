"""The reference: the graph's weights in torch, and the beats that the product finds with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import in_process, reference
from training.recordings import FS

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


@pytest.fixture(scope="module")
def net():
    return reference.network(ARTIFACTS)


def test_weights_come_out_of_the_graph_with_and_without_batch_norms(net):
    trained = reference.network(ARTIFACTS, folded=False)
    ecg = torch.from_numpy(in_process.patients(2)[:, :FS])
    one, _ = net(ecg, net.start(2))
    other, _ = trained(ecg, trained.start(2))
    assert torch.allclose(one, other, atol=1e-6)
    assert sum(p.numel() for p in trained.parameters()) > sum(p.numel() for p in net.parameters())


def test_multiply_adds_are_those_of_the_graph(net):
    frames = [FS // 3, FS // 9] + [FS // 18] * 32
    weights = [p.numel() for name, p in net.cnn.named_parameters() if name.endswith("weight")]
    assert reference.multiply_adds(net) == 217 * FS + sum(
        count * size for count, size in zip(frames, weights, strict=True)
    )


@pytest.mark.parametrize("events", [False, True])
def test_the_stream_gives_the_reference_networks_beats(detector, net, events):
    differing, beats = reference.differing_beats(
        detector, net, in_process.simulate(60.0, seed=1).signal, events=events
    )
    assert differing == 0
    assert beats > 50
