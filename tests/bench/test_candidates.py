"""The candidates: the same network in all, and what does not agree or does not run is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import candidates, in_process, reference

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


@pytest.fixture(scope="module")
def net():
    return reference.network(ARTIFACTS)


@pytest.fixture(scope="module")
def found():
    return candidates.candidates(ARTIFACTS, compiled=False)


def test_every_candidate_answers_as_the_reference_does(net, found):
    ecg = in_process.patients(1)
    expected = reference.expected_answers(net, ecg)
    names = {candidate.name for candidate in found[0]}
    assert {
        "ekg fused",
        "SciPy filter + ekg cnn",
        "plain ONNX Runtime",
        candidates.WINDOWS,
        candidates.CARRIED,
        "TorchScript",
    } <= names
    for candidate in found[0]:
        worst = reference.agreement(candidate.run, candidate.start(1), expected, ecg)
        assert worst < (1e-5 if candidate.exact else 1.0), candidate.name


def test_refused_candidates_are_listed_with_the_reason(found):
    refused = {entry["what"]: entry["reason"] for entry in found[1]}
    assert "--quick" in refused["torch.compile"]
    assert all(refused.values())


def test_a_wrong_answer_is_refused(net, found):
    candidate = next(c for c in found[0] if c.name == "ekg fused")
    spoilt = candidates.Candidate(
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
    candidates.require_provider("cpu", {"CPUExecutionProvider": 3}, "graph")
    for nodes in (
        {"CUDAExecutionProvider": 2, "CPUExecutionProvider": 1},
        {"CPUExecutionProvider": 3},
        {},
    ):
        with pytest.raises(candidates.Refused, match="asked to run on cuda"):
            candidates.require_provider("cuda", nodes, "graph")


def test_patients_differ_and_start_at_zero():
    ecg = in_process.patients(4)
    assert ecg.dtype == np.float32
    assert (ecg[:, 0] == 0).all()
    assert len({row.tobytes() for row in ecg}) == 4
