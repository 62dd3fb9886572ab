"""The network in float16. It is measured at each export, and not shipped.

float16 halves a file of 330 kB, which nobody needs, and is no faster in ONNX Runtime on a
processor, which computes such a graph in float32 and casts. Filter, history and softmax stay in
float32: of an electrode's offset a float16 sample leaves few bits for the ECG.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from training.model import EkgNet


class Half(EkgNet):
    """A network's copy whose CNN computes in float16."""

    def __init__(self, net: EkgNet):
        super().__init__(net.design)
        self.fir, self.cnn = copy.deepcopy(net.fir), copy.deepcopy(net.cnn).half()
        self.eval()

    def logits(self, ecg: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        past, rest = carry.split([self.fir.history, self.cnn.carry_size], dim=1)
        filtered, past = self.fir(ecg, past)
        logits, rest = self.cnn.logits(filtered.half(), rest.half())
        return logits.float(), torch.cat([past, rest.float()], dim=1)
