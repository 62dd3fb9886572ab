"""The reference filter with PyTorch operations, on CPU, MPS or CUDA; also what export fuses."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class FirFilter(nn.Module):
    """A causal FIR over a chunk of ECG, with the past handed in and out.

    It is written as a convolution with a stride of one hop and one output channel for each
    sample of the hop (a Toeplitz matrix): the same sums as a plain FIR, but as a matrix product
    that processors run several times faster than a one-channel convolution.
    """

    def __init__(self, taps: NDArray[np.float32], hop: int):
        super().__init__()
        self.hop = hop
        self.weight: Tensor
        self.history = len(taps) - 1
        weight = np.zeros((hop, 1, 1, hop + self.history), dtype=np.float32)
        for sample in range(hop):
            weight[sample, 0, 0, sample : sample + len(taps)] = taps[::-1]
        self.register_buffer("weight", torch.from_numpy(weight))

    def forward(self, ecg: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        """Filter one chunk.

        Parameters
        ----------
        ecg : float32 [batch, samples], mV; samples a multiple of the hop
        carry : float32 [batch, taps - 1], the samples before; zeros where a recording starts

        Returns
        -------
        filtered : float32 [batch, samples], mV
        carry : float32 [batch, taps - 1], to give back with the next chunk
        """
        extended = torch.cat([carry, ecg], dim=1)
        hops = nn.functional.conv2d(
            extended.unsqueeze(1).unsqueeze(1), self.weight, stride=(1, self.hop)
        )
        return hops.squeeze(2).transpose(1, 2).flatten(1), extended[:, -self.history :]
