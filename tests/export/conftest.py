"""A small network and the graph that is exported of it, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export import graphs as frame_graphs
from export.embedded import Graphs
from runtime import Detector
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts
from runtime.model.contract import BeatPolicy
from runtime.simulate import simulate
from training.model import Design, EkgNet, deployed

DESIGN = Design(width=16, morphology=((1, 8), (2, 8)), rhythm=((8, 4),), decision=((1, 8),))


@dataclass(frozen=True)
class Exported:
    """A network with random weights, and what its files say of it."""

    net: EkgNet
    described: dict[str, str]

    @cached_property
    def fused(self) -> frame_graphs.Graph:
        """The first of its graphs, filter and CNN: four seconds of work."""
        return next(frame_graphs.graphs(self.net, self.described))


@pytest.fixture(scope="session")
def small() -> Exported:
    torch.manual_seed(0)
    net = deployed(EkgNet(DESIGN))
    described = frame_graphs.describe(net, policy=BeatPolicy(), data="SIMULATED", commit="abc")
    return Exported(net, described)


@pytest.fixture(scope="session")
def signals() -> NDArray[np.float32]:
    """Noise, simulated ECG, and the same with an electrode's offset that jumps: [4, 20 s], mV."""
    noise = np.random.default_rng(0).normal(size=(2, 7200)).astype(np.float32)
    ecg = simulate(20.0, seed=3).signal
    jumping = ecg + np.where(np.arange(7200) > 3600, 50.0, 0.0).astype(np.float32)
    rows = np.stack([*noise, ecg, jumping])
    return rows - rows[:, :1]


@pytest.fixture(scope="module", name="graphs")
def beats_graphs(detector: Detector) -> Graphs:
    """Those of the artifacts that give beats."""
    return Graphs(Artifacts(DEFAULT_ARTIFACTS), detector)
