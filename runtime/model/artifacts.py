"""The files that export wrote, checked against their hashes before they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, ModelFileError
from .contract import FORMAT

Run = Callable[
    [NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]
]

_PACKAGE = Path(__file__).resolve().parent.parent
# Installed inside the package; in a checkout or a bundle beside it.
DEFAULT_ARTIFACTS = _PACKAGE / "artifacts"
if not DEFAULT_ARTIFACTS.is_dir():
    DEFAULT_ARTIFACTS = _PACKAGE.parent / "artifacts"


class Artifacts:
    """The folder ``artifacts/``: a manifest and the files it vouches for.

    Raises
    ------
    ModelFileError
        The folder, the manifest or a file is missing.
    ModelError
        The manifest is not readable.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        path = self.folder / "manifest.json"
        if not path.is_file():
            raise ModelFileError(
                f"{path} does not exist; expected the folder that export wrote "
                "(run `make export`, or copy artifacts/ here)."
            )
        try:
            manifest = json.loads(path.read_text())
            self.files: dict[str, dict[str, Any]] = {
                entry["name"]: {
                    "sha256": str(entry["sha256"]),
                    "tolerance": float(entry.get("tolerance", 0.0)),
                }
                for entry in manifest["files"]
            }
            self.format = manifest["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path} is not a manifest ({type(error).__name__}: {error}); "
                "copy it again or run `make export`."
            ) from error
        if self.format != FORMAT:
            raise ModelError(f"{path} has format {self.format}, this runtime reads {FORMAT}.")

    def path(self, name: str) -> Path:
        """A file's path, once its SHA-256 is the manifest's.

        Raises
        ------
        ModelFileError, ModelError
            The file is missing, not listed, or altered.
        """
        path = self.folder / name
        if name not in self.files:
            raise ModelError(
                f"{name} is not in {self.folder / 'manifest.json'}; "
                f"it lists {', '.join(self.files)}."
            )
        if not path.is_file():
            raise ModelFileError(
                f"{path} does not exist although the manifest lists it; "
                "copy it again or run `make export`."
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.files[name]["sha256"]:
            raise ModelError(
                f"{path} is not the file that was exported: its SHA-256 differs "
                "from the manifest's; copy it again or run `make export`."
            )
        return path

    def digest(self, name: str) -> bytes:
        """A file's SHA-256, 32 bytes."""
        return bytes.fromhex(self.files[name]["sha256"])

    def json(self, name: str) -> Any:
        """The contents of a JSON file; raises as `path`, and ModelError if it is not JSON."""
        path = self.path(name)
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise ModelError(
                f"{path} is not JSON ({error}); copy it again or run `make export`."
            ) from error

    def golden(self, model: str) -> Golden:
        """The input and the answer that a model file has to give on every provider."""
        with np.load(self.path("golden.npz"), allow_pickle=False) as arrays:
            tolerance = max(self.files[name]["tolerance"] for name in ("golden.npz", model))
            return Golden(arrays["ecg"], arrays["probabilities"], tolerance)

    def golden_beats(self) -> GoldenBeats:
        """Beats, and the answer that the network over beats has to give."""
        with np.load(self.path("golden_beats.npz"), allow_pickle=False) as arrays:
            tolerance = self.files["golden_beats.npz"]["tolerance"]
            return GoldenBeats(arrays["beats"], arrays["log_odds"], tolerance)

    def golden_rhythm(self, model: str) -> GoldenRhythm:
        """A recording, and the beats and events that have to be found in it."""
        with np.load(self.path("golden_rhythm.npz"), allow_pickle=False) as arrays:
            exact = (
                self.files[model]["tolerance"] <= self.files["golden.npz"]["tolerance"]
            )  # a quantized graph is not
            beats = zip(
                *(arrays[name].tolist() for name in ("samples", "labels", "scores")), strict=True
            )
            events = zip(
                *(arrays[name].tolist() for name in ("kinds", "starts", "ends", "confidences")),
                strict=True,
            )
            return GoldenRhythm(
                arrays["microvolts"],
                tuple(beats),
                tuple(events),
                self.files["golden_rhythm.npz"]["tolerance"],
                exact,
            )


@dataclass(frozen=True)
class Golden:
    """A chunk sequence and its answer.

    Attributes
    ----------
    ecg : float32 [chunks, samples], mV, fed one after another
    probabilities : float32 [chunks, frames, 6]
    tolerance : largest difference that counts as the same answer
    """

    ecg: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    tolerance: float

    def check(self, run: Run, provider: str, carry_size: int) -> None:
        """Refuse a provider that answers differently than the model did when it was exported.

        Raises
        ------
        ModelError
            Says by how much, and how much is allowed.
        """
        carry = np.zeros((1, carry_size), dtype=np.float32)
        for chunk, expected in zip(self.ecg, self.probabilities, strict=True):
            probabilities, carry = run(chunk[None], carry)
            worst = float(np.abs(probabilities[0] - expected).max())
            if not worst <= self.tolerance:
                raise ModelError(
                    f"provider {provider!r} answers the golden input differently than the "
                    f"exported model did (by {worst:.2g}, allowed is {self.tolerance:g}); it "
                    "computes wrongly here, use another provider."
                )


@dataclass(frozen=True)
class GoldenBeats:
    """Beats and an answer.

    Attributes
    ----------
    beats : float32 [beats, batch, inputs]
    log_odds : float32 [beats, batch, outputs]
    tolerance : largest difference that counts as the same answer
    """

    beats: NDArray[np.float32]
    log_odds: NDArray[np.float32]
    tolerance: float

    def check(self, run: Run, memory_size: int) -> None:
        """Refuse a graph that answers differently here; ModelError says by how much."""
        memory = np.zeros((1, self.beats.shape[1], memory_size), dtype=np.float32)
        found, _ = run(self.beats, memory)
        worst = float(np.abs(found - self.log_odds).max())
        if not worst <= self.tolerance:
            raise ModelError(
                "the network over beats answers the golden beats differently than it did when it "
                f"was exported (by {worst:.2g}, allowed is {self.tolerance:g}); copy the "
                "artifacts again, or use another release of onnxruntime."
            )


@dataclass(frozen=True)
class GoldenRhythm:
    """A recording and its answer.

    Attributes
    ----------
    microvolts : int16 [samples], the signal at the network's rate
    beats : of each its R peak (sample), class (index into `CLASSES`) and score
    events : of each its kind, start and end (s) and confidence
    tolerance : largest difference of a score or confidence that counts as the same answer
    exact : False for a network that only comes close: then beats may differ too, a few
    """

    microvolts: NDArray[np.int16]
    beats: tuple[tuple[int, int, float], ...]
    events: tuple[tuple[str, float, float, float], ...]
    tolerance: float
    exact: bool = True
