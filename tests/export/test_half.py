"""The network in float16: nearly the same answer, and the same however the signal is cut."""

from __future__ import annotations

import torch

from export.half import Half
from runtime.simulate import simulate
from training.model import HOP, EkgNet, deployed


def test_float16_answers_nearly_as_float32_however_the_signal_is_cut() -> None:
    torch.manual_seed(1)
    net = deployed(EkgNet())
    half = Half(net)
    ecg = torch.from_numpy(simulate(20.0, seed=2).signal[None, : 300 * HOP])
    ecg = 3.0 + ecg - ecg[:, :1]  # an electrode's offset, in which float16 would lose the ECG
    with torch.inference_mode():
        expected, _ = net(ecg, net.start(1))
        whole, _ = half(ecg, half.start(1))
        first, carry = half(ecg[:, : 70 * HOP], half.start(1))
        second, _ = half(ecg[:, 70 * HOP :], carry)
    assert whole.dtype == carry.dtype == torch.float32
    assert 0 < (whole - expected).abs().max() < 0.02
    assert (torch.cat([first, second], dim=1) - whole).abs().max() < 0.005
    assert next(net.cnn.parameters()).dtype == torch.float32  # the network itself is as it was
