"""The second graph, ``ekg_rhythm.onnx``: what a patient's beats so far say of the rhythm.

The first graph reads the signal and remembers ten seconds. This one reads beats one after another,
and its memory lasts as long as the patient is followed. It is so small that it runs on the CPU
beside every provider, in about 0.01 ms for the beats of a second.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .session import open_session, session_options

RHYTHM_GRAPH = "ekg_rhythm.onnx"  # in artifacts/
FORMAT = 2  # of its metadata
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
        beats : float32 [beats, batch, inputs]
        memory : float32 [1, batch, memory_size]

        Returns
        -------
        log_odds : float32 [beats, batch, outputs]
        memory : float32 [1, batch, memory_size]
        """


class RhythmGraph:
    """`RhythmNetwork` from a file.

    Attributes
    ----------
    INPUTS : of a beat: log of the RR interval before it over 0.8 s (0 if it is not known), 1 if it
        is known, 1 if the beat is certainly N or S, the log of the share of the power before the
        beats that is left in its mean over 24 and over 12 of them, plus 2 (0 without such beats),
        these beats over 24, and by how much the log of the interval has changed
    OUTPUTS : log-odds of fibrillation at the beat itself, as far as it is known then, and at the
        beat ``lag`` before, in the light of those since
    trained_on : one line on the training data

    Raises
    ------
    ModelError
        The file cannot be read, or is not what this runtime is made for.
    """

    INPUTS: ClassVar[tuple[str, ...]] = (
        "log_interval",
        "known",
        "atrial",
        "p_wave_24",
        "p_wave_12",
        "p_wave_beats",
        "change",
    )
    OUTPUTS: ClassVar[tuple[str, ...]] = ("now", "before")

    def __init__(self, path: Path):
        session = open_session(path, "cpu", session_options("cpu", 1))
        metadata = session.get_modelmeta().custom_metadata_map
        try:
            stated = {
                name: json.loads(metadata[name]) for name in ("format", "inputs", "outputs", "lag")
            }
            self.lag, self.trained_on = int(stated["lag"]), str(metadata["trained_on"])
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(
                f"{path} is not a graph over beats that this project's export wrote ({error!r})."
            ) from error
        shapes = {tensor.name: tensor.shape for tensor in session.get_inputs()}
        sizes = {"beats": len(self.INPUTS), "memory": shapes.get("memory", [0])[-1]}
        if not (
            stated["format"] == FORMAT
            and tuple(stated["inputs"]) == self.INPUTS
            and tuple(stated["outputs"]) == self.OUTPUTS
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
