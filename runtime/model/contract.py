"""The contract that a model file carries in its metadata, understood before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..deprecation import renamed_fields
from ..errors import ModelError
from ..findings import CLASSES

FORMAT = 1  # of metadata and manifest; raised when an old runtime must refuse the new
# The runtime is made for this: the rate (Hz) of the network and of the rhythm, 50 ms frames, and
# the classes of a frame.
FS, HOP, FRAME_CLASSES = 360, 18, ("none", *CLASSES)


@renamed_fields(
    apart="min_frames_between",
    weights="class_weights",
    before="context_before",
    after="context_after",
)
@dataclass(frozen=True)
class BeatPolicy:
    """The rule by which frames make a beat; the model file carries the values that go with it.

    Attributes
    ----------
    threshold : smallest mean probability of 'a beat' over three frames, 0 to 1; this one finds
        beats best in training patients left out (`training.choose`)
    min_frames_between : frames from one beat's to the next's at least (3: 150 ms; their R peaks,
        sought around, may be nearer): a beat's is the strongest of so many before and one fewer
        after, because every one after delays the answer by 50 ms
    class_weights : factor for each class before the largest wins; 1 leaves the network's opinion
    """

    threshold: float = 0.3
    min_frames_between: int = 3
    class_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BeatPolicy:
        """The policy that a checkpoint holds; older ones use other names."""
        old = {"apart": "min_frames_between", "weights": "class_weights"}
        return cls(**{old.get(name, name): value for name, value in values.items()})

    @property
    def context_before(self) -> int:
        """Frames before a moment that decide on it."""
        return self.min_frames_between + 1

    @property
    def context_after(self) -> int:
        """Frames after a moment that must be known before it is decided."""
        return self.min_frames_between


@dataclass(frozen=True)
class Contract:
    """The contents of a model file's metadata; `read` refuses what this runtime is not made for.

    Attributes
    ----------
    fs : Hz
    hop : samples a frame
    delay : samples from a moment to the middle of the frame that labels it
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
                raise ModelError(
                    f"{file} has no metadata {key!r}; expected a model written by "
                    "this project's export."
                )
            return metadata[key]

        if field("format") != str(FORMAT):
            raise ModelError(
                f"{file} has format {field('format')}, this runtime reads format "
                f"{FORMAT}; use the runtime that was shipped with it."
            )
        if field("units") != "mV":
            raise ModelError(f"{file} wants {field('units')}; this runtime feeds mV.")
        try:
            policy = BeatPolicy(
                threshold=float(field("threshold")),
                min_frames_between=int(field("apart")),
                class_weights=tuple(json.loads(field("class_weights"))),
            )
            contract = cls(
                int(field("fs")),
                int(field("hop")),
                int(field("delay_samples")),
                tuple(field("classes").split(",")),
                int(field("carry_size")),
                policy,
                field("trained_on"),
                field("simulated") == "true",
            )
            for key, holds, expected in (
                ("fs", contract.fs == FS, str(FS)),
                ("hop", contract.hop == HOP, str(HOP)),
                ("delay_samples", contract.delay >= 1, "at least 1"),
                ("classes", contract.classes == FRAME_CLASSES, ",".join(FRAME_CLASSES)),
                ("carry_size", contract.carry_size >= 1, "at least 1"),
                ("threshold", 0 <= policy.threshold <= 1, "0 to 1"),
                ("apart", policy.min_frames_between >= 1, "at least 1"),
                (
                    "class_weights",
                    len(policy.class_weights) == len(CLASSES)
                    and all(0 < weight < math.inf for weight in policy.class_weights),
                    f"{len(CLASSES)} positive numbers",
                ),
            ):
                if not holds:
                    raise ModelError(f"{file} has {key} {field(key)}; expected {expected}.")
            return contract
        except (ValueError, TypeError) as error:
            raise ModelError(f"{file} has metadata that makes no sense ({error}).") from error
