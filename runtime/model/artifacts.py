"""What export wrote: read, checked against its hashes, and understood before it is used."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..beats import BeatPolicy
from ..errors import ModelError, ModelFileError
from ..findings import CLASSES

FORMAT = 1  # of metadata, manifest and tokens; raised when an old runtime must refuse the new
# What the runtime is made for: the rate (Hz) that it follows the rhythm at, 50 ms frames, and what
# a frame may be.
FS, HOP, FRAME_CLASSES = 360, 18, ("none", *CLASSES)


@dataclass(frozen=True)
class Contract:
    """What a model file says of itself; `read` refuses what this runtime is not made for.

    Attributes
    ----------
    fs : Hz; hop : samples a frame; delay : samples from a moment to the middle of the frame
        that speaks of it
    classes : of a frame: none, N, S, V, F, Q
    carry_size : floats of history
    policy : the operating point chosen with the model
    trained_on : one line on the training data
    simulated : trained on simulated ECG only, so no use for real signal
    """

    fs: int
    hop: int
    delay: int
    classes: tuple[str, ...]
    carry_size: int
    policy: BeatPolicy
    trained_on: str
    simulated: bool

    @classmethod
    def read(cls, metadata: dict[str, str], file: str) -> Contract:
        """Understand a model's metadata.

        Raises
        ------
        ModelError
            Names the first key that is missing or makes no sense, and what is expected of it.
        """
        def field(key: str) -> str:
            if key not in metadata:
                raise ModelError(f"{file} has no metadata {key!r}; expected a model written by "
                                 "this project's export.")
            return metadata[key]

        if field("format") != str(FORMAT):
            raise ModelError(f"{file} has format {field('format')}, this runtime reads format "
                             f"{FORMAT}; use the runtime that was shipped with it.")
        if field("units") != "mV":
            raise ModelError(f"{file} wants {field('units')}; this runtime feeds mV.")
        try:
            policy = BeatPolicy(
                threshold=float(field("threshold")), apart=int(field("apart")),
                weights=tuple(json.loads(field("class_weights"))))
            contract = cls(
                int(field("fs")), int(field("hop")), int(field("delay_samples")),
                tuple(field("classes").split(",")), int(field("carry_size")), policy,
                field("trained_on"), field("simulated") == "true")
            for key, holds, expected in (
                ("fs", contract.fs == FS, str(FS)),
                ("hop", contract.hop == HOP, str(HOP)),
                ("delay_samples", contract.delay >= 1, "at least 1"),
                ("classes", contract.classes == FRAME_CLASSES, ",".join(FRAME_CLASSES)),
                ("carry_size", contract.carry_size >= 1, "at least 1"),
                ("threshold", 0 <= policy.threshold <= 1, "0 to 1"),
                ("apart", policy.apart >= 1, "at least 1"),
                ("class_weights", len(policy.weights) == len(CLASSES)
                 and all(0 < weight < math.inf for weight in policy.weights),
                 f"{len(CLASSES)} positive numbers"),
            ):
                if not holds:
                    raise ModelError(f"{file} has {key} {field(key)}; expected {expected}.")
            return contract
        except (ValueError, TypeError) as error:
            raise ModelError(f"{file} has metadata that makes no sense ({error}).") from error


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
            raise ModelFileError(f"{path} does not exist; expected the folder that export wrote "
                                 "(run `make export`, or copy artifacts/ here).")
        try:
            manifest = json.loads(path.read_text())
            self.files: dict[str, dict[str, Any]] = {entry["name"]: {
                "sha256": str(entry["sha256"]), "tolerance": float(entry.get("tolerance", 0.0))}
                for entry in manifest["files"]}
            self.format = manifest["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is not a manifest ({type(error).__name__}: {error}); "
                             "copy it again or run `make export`.") from error
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
            raise ModelError(f"{name} is not in {self.folder / 'manifest.json'}; "
                             f"it lists {', '.join(self.files)}.")
        if not path.is_file():
            raise ModelFileError(f"{path} does not exist although the manifest lists it; "
                                 "copy it again or run `make export`.")
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.files[name]["sha256"]:
            raise ModelError(f"{path} is not the file that was exported: its SHA-256 differs "
                             "from the manifest's; copy it again or run `make export`.")
        return path

    def digest(self, name: str) -> bytes:
        """A file's SHA-256, 32 bytes."""
        return bytes.fromhex(self.files[name]["sha256"])

    def golden(self, model: str) -> Golden:
        """The input and the answer that a model file has to give on every provider."""
        with np.load(self.path("golden.npz"), allow_pickle=False) as arrays:
            tolerance = max(self.files[name]["tolerance"] for name in ("golden.npz", model))
            return Golden(arrays["ecg"], arrays["probabilities"], tolerance)


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
