"""Noise, recognised in five seconds of signal by themselves, and in the light of those before.

Two small networks read the features of `.features`. One knows recorded muscle and electrode noise
at any moment. The other knows what a cardiologist calls noise in a strip of a hand-held device, and
that shows less in any five seconds than in how it goes on: `NoiseModel.follow`.
``python -m training.fit_noise`` fits the second; its numbers are in ``artifacts/rhythm.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .features import FEATURES, SmallNetwork, WindowModel, comparable, log_odds
from .loops import single

NOT_NOISE = -100.0  # log-odds of a window in which fibrillation is likely


class StripModel(SmallNetwork):
    """Log-odds of lasting noise: five seconds, beside their mean over the windows so far."""

    inputs = (
        *FEATURES,
        *(f"mean of {name}" for name in FEATURES),
        "log of the number of windows",
    )
    about = "lasting noise"


class NoiseMemory(NamedTuple):
    """What is kept of a recording's windows so far.

    Attributes
    ----------
    means : float32 [features], of the `comparable` features
    windows : how many they are
    """

    means: NDArray[np.float32]
    windows: float


NO_WINDOW = NoiseMemory(np.zeros(len(FEATURES), dtype=np.float32), 0.0)


@dataclass(frozen=True)
class Memory:
    """How far the windows before are remembered.

    Attributes
    ----------
    windows : so many of them, at most
    max_fibrillation : log-odds of ventricular fibrillation, which looks like noise, from which on
        a window is none
    """

    windows: float
    max_fibrillation: float

    def __post_init__(self) -> None:
        if not (
            1 <= self.windows <= 86400
            and abs(self.max_fibrillation) <= 100  # NaN is refused everywhere
        ):
            raise ValueError("the memory of noise is out of bounds")


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Both networks of noise.

    Attributes
    ----------
    window : muscle and electrode noise in five seconds
    lasting : noise of a strip, in five seconds and those before
    memory : how far it looks back
    fibrillation : of the ventricles, which looks like noise
    """

    window: WindowModel
    lasting: StripModel
    memory: Memory
    fibrillation: WindowModel

    @classmethod
    def from_dict(cls, fits: Mapping[str, Any], fibrillation: WindowModel) -> NoiseModel:
        """The model of ``noise`` and ``lasting noise`` in ``rhythm.json``.

        Raises
        ------
        KeyError, TypeError, ValueError
            The numbers are not those of such a model.
        """
        lasting = fits["lasting noise"]
        return cls(
            WindowModel.from_dict(fits["noise"]),
            StripModel.from_dict(lasting),
            Memory(**lasting["memory"]),
            fibrillation,
        )

    def follow(
        self,
        features: NDArray[np.float64],
        fibrillation: Sequence[float],
        before: NoiseMemory | None = None,
    ) -> tuple[list[float], NoiseMemory]:
        """Log-odds of lasting noise in the next windows, in the light of those before.

        A bump in a recording that was quiet is seldom noise, and signal that has been odd for long
        often is.

        Parameters
        ----------
        features : [windows, features], in order, one window a second
        fibrillation : log-odds of it in each window
        before : the windows before; None if the recording begins
        """
        memory = self.memory
        size = len(FEATURES)
        own = comparable(features, self.lasting.mean[:size], self.lasting.scale[:size])
        inputs, after = with_means(features, own, memory.windows, before or NO_WINDOW)
        (followed,) = kept_log_odds((self.lasting,), inputs)
        for i, vf in enumerate(fibrillation):
            if vf > memory.max_fibrillation:
                followed[i] = NOT_NOISE
        return followed, after


def with_means(
    features: NDArray[np.floating],
    own: NDArray[np.float64],
    most: float,
    before: NoiseMemory = NO_WINDOW,
) -> tuple[NDArray[np.float64], NoiseMemory]:
    """`StripModel.inputs` of windows that follow one another, and what is kept of them.

    Parameters
    ----------
    features, own : [windows, features], as they are and `comparable`
    most : windows that are remembered
    """
    means, windows = before
    inputs = np.empty((len(features), len(StripModel.inputs)))
    size = features.shape[1]
    inputs[:, :size] = features
    for row, values in zip(inputs, own, strict=True):
        windows = windows + 1.0 if windows + 1.0 < most else most
        # In float32, as a state is saved, so that a saved stream goes on as it would have.
        means = (means + (values - means) / windows).astype(np.float32)
        row[size:-1] = means
        row[-1] = math.log(windows)
    return inputs, NoiseMemory(means, single(windows))


def kept_log_odds(
    models: Sequence[SmallNetwork], features: NDArray[np.float64]
) -> list[list[float]]:
    """Log-odds of each window by each model, rounded to float32 as they are kept."""
    found: list[list[float]] = log_odds(models, features).astype(np.float32).tolist()
    return found
