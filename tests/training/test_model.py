"""The network: small, causal, and the same however its input is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.model import (
    HOP,
    Design,
    EkgNet,
    deployed,
    label_frames,
    parameter_count,
)
from training.recordings import FS

TOLERANCE = 1e-5  # the design's: however a recording is cut, the frames are the same


@pytest.fixture(scope="module")
def net() -> EkgNet:
    """Untrained, but with batch norms that do something."""
    torch.manual_seed(0)
    net = EkgNet()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr, operator]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr, operator]
    return net.eval()


def signal(seed: int, hops: int, batch: int = 2) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).normal(size=(batch, hops * HOP)).astype(np.float32)
    )


def test_limits_of_the_design(net: EkgNet) -> None:
    assert parameter_count(net) < 100_000
    assert net.design.delay_samples / FS <= 1.5
    # A token of carry, recent signal and counters must stay below 32 KB as base64.
    assert (net.carry_size + 700) * 4 * 4 / 3 < 32_000


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_any_cut_gives_the_same_frames(net: EkgNet, seed: int, hops: list[int]) -> None:
    ecg = signal(seed, sum(hops))
    with torch.inference_mode():
        whole, last = net(ecg, net.start(2))
        carry, pieces = net.start(2), []
        for piece in ecg.split([n * HOP for n in hops], dim=1):
            frames, carry = net(piece, carry)
            pieces.append(frames)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(carry, last, atol=1e-4, rtol=1e-5)


def test_frames_do_not_depend_on_later_signal(net: EkgNet) -> None:
    ecg = signal(1, 200)
    changed = ecg.clone()
    changed[:, 150 * HOP :] = 0
    with torch.inference_mode():
        before, after = (net(x, net.start(2))[0][:, :150] for x in (ecg, changed))
    torch.testing.assert_close(before, after, atol=1e-6, rtol=0)


def test_folding_the_batch_norms_changes_nothing(net: EkgNet) -> None:
    folded = EkgNet()
    folded.load_state_dict(net.state_dict())
    deployed(folded)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    ecg = signal(2, 100)
    with torch.inference_mode():
        expected, given_ = net(ecg, net.start(2))[0], folded(ecg, folded.start(2))[0]
    torch.testing.assert_close(given_, expected, atol=TOLERANCE, rtol=0)


def test_frames_are_probabilities(net: EkgNet) -> None:
    frames = label_frames(net, signal(3, 500).numpy() * 100)
    assert frames.shape == (2, 500, 6)
    np.testing.assert_allclose(frames.sum(axis=2), 1.0, atol=1e-5)


def test_pieces_do_not_change_whole_records(net: EkgNet) -> None:
    ecg = signal(4, 700, batch=1).numpy()
    np.testing.assert_allclose(
        label_frames(net, ecg, chunk_s=3.0), label_frames(net, ecg), atol=TOLERANCE
    )


def test_a_design_survives_its_dictionary() -> None:
    design = Design(look_ahead=12, width=48)
    assert Design.from_dict(design.to_dict()) == design
