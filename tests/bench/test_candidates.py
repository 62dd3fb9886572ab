"""The candidates: the same network in all, and what does not agree or does not run is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench import candidates as bench
from bench import in_process
from training.recordings import FS

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


@pytest.fixture(scope="module")
def net():
    return bench.network(ARTIFACTS)


@pytest.fixture(scope="module")
def found():
    return bench.candidates(ARTIFACTS, compiled=False)


def test_every_candidate_answers_as_the_reference_does(net, found):
    ecg = in_process.patients(1)
    expected = bench.expected_answers(net, ecg)
    names = {candidate.name for candidate in found[0]}
    assert {
        "ekg fused",
        "SciPy filter + ekg cnn",
        "plain ONNX Runtime",
        bench.WINDOWS,
        bench.CARRIED,
        "TorchScript",
    } <= names
    for candidate in found[0]:
        worst = bench.agreement(candidate.run, candidate.start(1), expected, ecg)
        assert worst < (1e-5 if candidate.exact else 1.0), candidate.name


def test_refused_candidates_are_listed_with_the_reason(found):
    refused = {entry["what"]: entry["reason"] for entry in found[1]}
    assert "--quick" in refused["torch.compile"]
    assert all(refused.values())


def test_weights_come_out_of_the_graph_with_and_without_batch_norms(net):
    trained = bench.network(ARTIFACTS, folded=False)
    ecg = torch.from_numpy(in_process.patients(2)[:, :FS])
    one, _ = net(ecg, net.start(2))
    other, _ = trained(ecg, trained.start(2))
    assert torch.allclose(one, other, atol=1e-6)
    assert sum(p.numel() for p in trained.parameters()) > sum(p.numel() for p in net.parameters())


def test_a_wrong_answer_is_refused(net, found):
    candidate = next(c for c in found[0] if c.name == "ekg fused")
    spoilt = bench.Candidate(
        "spoilt",
        "cpu",
        lambda ecg, carry: tuple(a + 0.01 for a in candidate.run(ecg, carry)),
        candidate.carry_size,
    )
    refused: list[dict[str, str]] = []
    kept = in_process.agreeing([candidate, spoilt], net, 1, refused)
    assert [c.name for c, _ in kept] == ["ekg fused"]
    assert refused[0]["what"] == "spoilt, cpu, batch 1"


def test_a_candidate_on_another_provider_is_refused():
    bench.require_provider("cpu", {"CPUExecutionProvider": 3}, "graph")
    for nodes in (
        {"CUDAExecutionProvider": 2, "CPUExecutionProvider": 1},
        {"CPUExecutionProvider": 3},
        {},
    ):
        with pytest.raises(bench.Refused, match="asked to run on cuda"):
            bench.require_provider("cuda", nodes, "graph")


def test_multiply_adds_are_those_of_the_graph(net):
    frames = [FS // 3, FS // 9] + [FS // 18] * 32
    weights = [p.numel() for name, p in net.cnn.named_parameters() if name.endswith("weight")]
    assert bench.multiply_adds(net) == 217 * FS + sum(
        count * size for count, size in zip(frames, weights, strict=True)
    )


@pytest.mark.parametrize("events", [False, True])
def test_the_stream_gives_the_reference_networks_beats(detector, net, events):
    differing, beats = bench.differing_beats(
        detector, net, in_process.simulate(60.0, seed=1).signal, events=events
    )
    assert differing == 0
    assert beats > 50


def test_patients_differ_and_start_at_zero():
    ecg = in_process.patients(4)
    assert ecg.dtype == np.float32
    assert (ecg[:, 0] == 0).all()
    assert len({row.tobytes() for row in ecg}) == 4
