"""The graphs that give beats, for programs that do not have this runtime.

``ekg_beats.onnx`` does what this runtime does in arrays after the first network, but for naming
events; ``ekg.onnx`` has that network before it. The runtime does not use them, because its arrays
are faster (`docs/embed.md`). They are proven equal to it when they are written, and `ekg doctor`
checks that they still give their golden beats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .artifacts import Artifacts
from .contract import FS
from .session import open_session, session_options

BEATS, WHOLE, GOLDEN = "ekg_beats.onnx", "ekg.onnx", "golden_ekg.npz"
SLOTS = (
    *("r_peaks", "valid", "labels", "scores", "class_probabilities"),
    *("af_probabilities", "fibrillating"),
)
SECONDS = ("seconds", "flaws", "rhythms")
OUTPUTS = (*SLOTS, *SECONDS)
# Of the input `missing`; the last is for samples that are there and not to be looked at again.
THERE, MISSING, PAST_END, CHECKED = range(4)


class BeatsGraph:
    """Either graph, as it is: arrays in, slots, seconds and state out.

    Parameters
    ----------
    files, name : the folder, and the graph in it

    Attributes
    ----------
    state : name of the input that holds it
    state_size : floats of it, zeros where a recording starts

    Raises
    ------
    ModelFileError, ModelError
        The file is missing, altered, or ONNX Runtime cannot read it.
    """

    def __init__(self, files: Artifacts, name: str):
        options = session_options("cpu", 1)
        # ONNX Runtime plans memory by the sizes of inputs; here sizes follow from what is in them,
        # and 1.16 then overwrites values that are still needed.
        options.enable_mem_pattern = False
        self._session = open_session(files.path(name), "cpu", options)
        sizes = {tensor.name: tensor.shape[-1] for tensor in self._session.get_inputs()}
        self.state = "memory" if "memory" in sizes else "state"
        self.state_size = int(sizes[self.state])

    def run(
        self, arrays: Mapping[str, NDArray[Any]], state: NDArray[np.float32]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
        """Slots and seconds of a chunk, by `OUTPUTS`, and the state after it.

        Parameters
        ----------
        arrays : the graph's inputs but the state, by name
        state : float32 [batch, state_size]
        """
        names = [*OUTPUTS, f"{self.state}_out"]
        *found, state = self._session.run(names, {**arrays, self.state: state})
        return dict(zip(OUTPUTS, found, strict=True)), state


@dataclass(frozen=True)
class GoldenEkg:
    """A recording, and the beats and seconds that both graphs find in it, second by second.

    Attributes
    ----------
    given : ``ecg`` float64 [samples], mV, ``missing`` uint8 [samples], and ``probabilities``
        float32 [frames, 6], of the first network
    found : of `OUTPUTS`
    flawed, in_flawed : a signal with missing samples, steps and a pop as it comes, float64
        [samples], mV, and what the graph that takes ECG finds in it
    tolerance : largest difference of a probability that counts as the same answer
    """

    given: dict[str, NDArray[Any]]
    found: dict[str, NDArray[Any]]
    flawed: NDArray[np.float64]
    in_flawed: dict[str, NDArray[Any]]
    tolerance: float

    @classmethod
    def read(cls, files: Artifacts) -> GoldenEkg:
        """Read it from the folder.

        Raises
        ------
        ModelFileError, ModelError
            As `Artifacts.path`, or the file is of another release.
        """
        path = files.path(GOLDEN)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                given = {name: arrays[name] for name in ("ecg", "missing", "probabilities")}
                found = {name: arrays[name] for name in OUTPUTS}
                in_flawed = {name: arrays[f"flawed_{name}"] for name in OUTPUTS}
                flawed = arrays["flawed"]
        except KeyError as error:
            raise ModelError(
                f"{path} is of another release ({error.args[0]}); expected artifacts of this one."
            ) from error
        return cls(given, found, flawed, in_flawed, files.files[GOLDEN]["tolerance"])

    def check(self, files: Artifacts) -> None:
        """Refuse graphs that find other beats here than they did when they were exported.

        Raises
        ------
        ModelFileError, ModelError
            Names the graph and what it finds otherwise.
        """
        ecg, missing = self.given["ecg"], self.given["missing"]
        less_first = {"ecg": (ecg - ecg[0]).astype(np.float32)}
        there = np.full(len(self.flawed), THERE, dtype=np.uint8)
        self._check(files, WHOLE, {"ecg": ecg, "missing": missing}, self.found)
        self._check(files, WHOLE, {"ecg": self.flawed, "missing": there}, self.in_flawed)
        self._check(files, BEATS, self.given | less_first, self.found)

    def _check(
        self,
        files: Artifacts,
        name: str,
        given: Mapping[str, NDArray[Any]],
        expected: Mapping[str, NDArray[Any]],
    ) -> None:
        graph = BeatsGraph(files, name)
        state = np.zeros((1, graph.state_size), dtype=np.float32)
        seconds, found = len(given["ecg"]) // FS, []
        for parts in zip(*(np.split(one, seconds) for one in given.values()), strict=True):
            chunk = {key: part[None] for key, part in zip(given, parts, strict=True)}
            outputs, state = graph.run(chunk, state)
            found.append(outputs)
        for output, answer in expected.items():
            got = np.concatenate([outputs[output][0] for outputs in found])
            largest = 0.0 if answer.dtype != np.float32 else self.tolerance
            if not (
                got.shape == answer.shape
                and np.abs(got.astype(np.float64) - answer).max() <= largest
            ):
                raise ModelError(
                    f"{name} finds other beats in the golden recording than it did when it "
                    f"was exported ({output}); copy the artifacts again, or use another "
                    "release of onnxruntime."
                )
