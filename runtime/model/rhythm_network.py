"""The second graph, ``ekg_rhythm.onnx``: what a patient's beats so far say of the rhythm.

The first graph reads the signal and remembers ten seconds. This one reads beats one after another,
and its memory lasts as long as the patient is followed. It is so small that it runs on the CPU
beside every provider, in about 0.02 ms a beat.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .session import open_session, session_options

RHYTHM_GRAPH = "ekg_rhythm.onnx"  # in artifacts/
FORMAT = 1  # of its metadata
# Of a beat: s since the beat before (0: not known), 1 if it is certainly N or S, the logarithm of
# the share of the power before the beats that is left in its mean over 24 and over 12 of them, and
# the number of beats in these means (0: not known).
INPUTS = ("interval_s", "atrial", "p_wave_24", "p_wave_12", "p_wave_beats")
OUTPUTS = ("now", "before")
MAX_MEMORY = 256  # numbers
MAX_LAG = 64  # beats


class RhythmNetwork(Protocol):
    """What reads beats.

    Attributes
    ----------
    memory_size : numbers that it remembers, zeros where a recording starts
    lag : the second of its answers is about the beat so many before
    """

    memory_size: int
    lag: int

    def run(
        self, beats: NDArray[np.float32], memory: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read the beats that follow.

        Parameters
        ----------
        beats : float32 [batch, beats, 5], `INPUTS`
        memory : float32 [batch, memory_size]

        Returns
        -------
        log_odds : float32 [batch, beats, 2], of atrial fibrillation at the beat itself, as far as
            it is known then, and at the beat ``lag`` beats before, in the light of those since
        memory : float32 [batch, memory_size]
        """


class RhythmGraph:
    """`RhythmNetwork` from a file.

    Attributes
    ----------
    trained_on : one line on the training data

    Raises
    ------
    ModelError
        The file cannot be read, or is not what this runtime is made for.
    """

    def __init__(self, path: Path):
        session = open_session(path, "cpu", session_options("cpu", 1))
        metadata = session.get_modelmeta().custom_metadata_map
        try:
            stated = {name: json.loads(metadata[name]) for name in ("format", "inputs", "lag")}
            self.lag, self.trained_on = int(stated["lag"]), str(metadata["trained_on"])
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(
                f"{path} is not a graph over beats that this project's export wrote ({error!r})."
            ) from error
        shapes = {tensor.name: tensor.shape for tensor in session.get_inputs()}
        sizes = {"beats": len(INPUTS), "memory": shapes.get("memory", [0])[-1]}
        if not (
            stated["format"] == FORMAT
            and tuple(stated["inputs"]) == INPUTS
            and {name: shape[-1] for name, shape in shapes.items()} == sizes
            and isinstance(sizes["memory"], int)
            and 1 <= sizes["memory"] <= MAX_MEMORY
            and 1 <= self.lag <= MAX_LAG
        ):
            raise ModelError(
                f"{path} reads other beats than this runtime gives it; "
                "use the runtime that was shipped with it."
            )
        self.memory_size = int(sizes["memory"])
        self._session = session

    def run(
        self, beats: NDArray[np.float32], memory: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `RhythmNetwork.run`."""
        log_odds, memory = self._session.run(_RESULTS, {"beats": beats, "memory": memory})
        return log_odds, memory


_RESULTS = ("log_odds", "memory_out")
