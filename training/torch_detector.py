"""A checkpoint in the place of an exported graph: torch computes, all else is the runtime's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.detector import Detector, load_rhythm
from runtime.model.contract import BeatPolicy, Contract
from runtime.model.session import Session
from training import checkpoint
from training.model import FRAME_CLASSES, HOP, EkgNet, deployed
from training.recordings import FS


def detector_of(run: Path, policy: BeatPolicy | None = None) -> Detector:
    """A checkpoint, or the ``model.pt`` of a run's folder, in the place of an exported graph.

    Its rhythm is the shipped one, chosen on networks of the same recipe.

    Parameters
    ----------
    policy : by which frames make a beat; default: as the run had it

    Raises
    ------
    DataError
        There is none, or the file is no checkpoint.
    """
    path = run / "model.pt" if run.is_dir() else run
    net, saved = checkpoint.load(path)
    policy = policy or BeatPolicy.from_dict(cast(dict[str, Any], saved["policy"]))
    data = str(saved["data"])
    contract = Contract(
        FS,
        HOP,
        net.design.delay_samples,
        FRAME_CLASSES,
        net.carry_size,
        policy,
        data,
        data.startswith("SIMULATED"),
    )
    digest = hashlib.sha256(path.read_bytes()).digest()
    return Detector(cast(Session, TorchSession(deployed(net))), contract, digest, load_rhythm())


class TorchSession:
    """Runs a network as `runtime.model.session.Session` runs its graph."""

    provider = "torch"

    def __init__(self, net: EkgNet):
        self._net = net

    @torch.inference_mode()
    def run(
        self, ecg: NDArray[np.float32], carry: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Label the frames of a chunk; shapes as of `EkgNet.forward`."""
        probabilities, carried = self._net(torch.from_numpy(ecg), torch.from_numpy(carry))
        return probabilities.numpy(), carried.numpy()
