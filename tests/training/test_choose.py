"""Choosing on held-out patients: what is counted is what the runtime does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runtime.beats import CLASSES, Beat
from runtime.sinus import FS, Sinus, SinusPolicy
from training.choose import Patient, choose, counts, figures


def patient(seed: int, beats: int = 400) -> Patient:
    rng = np.random.default_rng(seed)
    intervals = np.exp(rng.normal(-0.2, 0.12, beats)) * np.where(rng.random(beats) < 0.2, 0.6, 1.0)
    probabilities = rng.dirichlet((3.0, 1.5, 0.5, 0.1, 0.1), beats)
    probabilities[200:220, 1] = 0.0  # atrial fibrillation
    followed = (np.arange(beats) < 180) | (np.arange(beats) >= 230)
    truth = rng.integers(-1, 3, beats)
    return Patient("mitdb", np.rint(np.cumsum(intervals) * FS).astype(np.int64),
                   probabilities.argmax(axis=1), probabilities, followed, truth,
                   int((truth == 1).sum()))


@pytest.mark.parametrize("policy", [SinusPolicy(), SinusPolicy(-1.0, 12.0, 0.2, 100.0)])
def test_what_is_counted_is_what_the_runtime_reads(policy: SinusPolicy) -> None:
    one, sinus = patient(1), Sinus(policy)
    read = [sinus.read(Beat(sample / FS, CLASSES[label], shares[label], tuple(shares)),
                       followed=followed).label
            for sample, label, shares, followed in zip(
                one.samples.tolist(), one.labels.tolist(), one.probabilities.tolist(),
                one.followed.tolist(), strict=True)]
    told = np.array(read) == "S"
    counted = counts(one, [SinusPolicy(gain=0.0), policy])
    assert counted[:, 1].tolist() == [(told & (one.truth == 1)).sum(), told.sum()]
    assert counted[1, 0] != counted[1, 1]


def test_cross_validation_does_not_see_its_own_fold(capsys: pytest.CaptureFixture[str]) -> None:
    # Setting 0 is right for one fold and setting 1 for the other: each is judged by the wrong one.
    patients = [replace(patient(seed), there=50) for seed in (3, 4)]
    right, wrong = [50, 50], [0, 50]
    counted = [np.array([right, wrong]).T, np.array([wrong, right]).T]
    assert choose("either", patients, np.array([0, 1]), counted, np.array([True, True])) in (0, 1)
    assert figures(patients[:1], counted[:1])["mitdb"].tolist() == [1.0, 0.0]
    told = capsys.readouterr().out.splitlines()
    assert "best on all: SVEB F1 of mitdb 50.0" in told[0]
    assert "cross-validated: SVEB F1 of mitdb 0.0" in told[1]
