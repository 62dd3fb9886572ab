"""The rhythm as it ships: the policies and the fitted models of ``artifacts/rhythm.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..model.contract import FS
from ..model.rhythm_network import RhythmNetwork
from ..signal.fast import lags
from ..signal.features import FEATURES, LARGEST, WindowModel
from ..signal.hum import mains
from ..signal.noise import NOT_NOISE, NoiseModel
from ..signal.policy import QualityPolicy
from ..signal.quality import plain_limits
from .artefact import ArtefactModel
from .policy import RhythmPolicy
from .template import FirstBeats

FORMAT = 6  # of rhythm.json


@dataclass(frozen=True, eq=False)
class RhythmModel:
    """Everything learned or chosen that follows the rhythm.

    Attributes
    ----------
    policy, quality : limits of the rules, and of the signal's quality
    fibrillation : of the features of five seconds of signal
    noise : of the same, and of those before
    first_beats : of a beat whose patient is not known yet: what decides on V
    artefact : of a beat that would be V or S
    beats : the second network, which reads beats
    networks : file name -> SHA-256 of the networks that all of it was chosen with
    digest : of the file, 32 bytes
    """

    policy: RhythmPolicy
    quality: QualityPolicy
    fibrillation: WindowModel
    noise: NoiseModel
    first_beats: FirstBeats
    artefact: ArtefactModel
    beats: RhythmNetwork
    networks: Mapping[str, str]
    digest: bytes

    @cached_property
    def plain_limits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mains hum, and limits of seconds with which nothing is wrong, for the compiled loops."""
        return mains(FS, FS // 10), plain_limits(FS, self.quality)

    @cached_property
    def verdict_limits(self) -> tuple[NDArray[np.float64], ...]:
        """Limits of verdicts on five seconds, and networks, as the compiled loops take them."""
        fast, noise = self.quality.fast, self.noise
        memory = noise.memory
        limits = np.array(
            [
                *lags(fast),
                fast.min_likeness,
                fast.like_several,
                memory.windows,
                memory.max_fibrillation,
                NOT_NOISE,
                LARGEST,
            ]
        )
        networks = (self.fibrillation, noise.window, noise.lasting)
        return limits, *(network.numbers for network in networks)

    @classmethod
    def read(cls, stored: Mapping[str, Any], digest: bytes, beats: RhythmNetwork) -> RhythmModel:
        """Understand the contents of ``rhythm.json``.

        Raises
        ------
        ModelError
            Something is missing, or is not what this runtime is made for.
        """
        try:
            if stored["format"] != FORMAT:
                raise ModelError(
                    f"rhythm.json has format {stored['format']}, this runtime reads "
                    f"{FORMAT}; use the runtime that was shipped with it."
                )
            if tuple(stored["features"]) != FEATURES:
                raise ModelError(
                    "rhythm.json has features that this runtime does not compute; "
                    "use the runtime that was shipped with it."
                )
            models = stored["models"]
            fibrillation = WindowModel.from_dict(models["fibrillation"])
            return cls(
                RhythmPolicy.from_dict(stored["policy"]),
                QualityPolicy(**stored["quality"]),
                fibrillation,
                NoiseModel.from_dict(models, fibrillation),
                FirstBeats.from_dict(models["first beats"]),
                ArtefactModel.from_dict(models["artefact"]),
                beats,
                {str(name): str(sha256) for name, sha256 in stored["networks"].items()},
                digest,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"rhythm.json is not what export wrote ({type(error).__name__}: "
                f"{error}); copy it again or run `make export`."
            ) from error

    def fingerprint(self, *more: object) -> bytes:
        """Eight bytes that name the rhythm: another one if anything that decides differs.

        Parameters
        ----------
        more : everything else that decides
        """
        decides = json.dumps(
            [self.policy.to_dict(), asdict(self.quality), repr(more)], sort_keys=True
        )
        return hashlib.sha256(self.digest + decides.encode()).digest()[:8]
