"""Noise, recognised in five seconds of signal by themselves, and in the light of those before.

Two small networks read the features of `.features`. One knows recorded muscle and electrode noise
at any moment. The other knows what a cardiologist calls noise in a strip of a hand-held device, and
that shows less in any five seconds than in how it goes on: `NoiseModel.follow`.
``python -m training.fit_noise`` fits the second; its numbers are in ``artifacts/rhythm.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .features import WindowModel, log_odds
from .loops import single

MAX_LOG_ODDS = 6.0  # of a window, to either side; larger ones count as this


class NoiseMemory(NamedTuple):
    """Mean log-odds of lasting noise over a recording's last windows, and how many they are."""

    mean: float
    windows: float


@dataclass(frozen=True)
class Memory:
    """How much of the windows before is in the verdict on one.

    Attributes
    ----------
    share : of the mean of these windows, this one's included; the rest is this window's own
    windows : so many of them, at most
    prior, prior_windows : a recording begins as if it had had so many windows of these log-odds
    margin : by which a window's own log-odds exceed the verdict at least; signal that is clean
        again is never flagged for what was before
    max_fibrillation : log-odds of ventricular fibrillation, which looks like noise, from which on
        a window is none
    """

    share: float
    windows: float
    prior: float
    prior_windows: float
    margin: float
    max_fibrillation: float

    def __post_init__(self) -> None:
        if not (
            0 <= self.share <= 1
            and 1 <= self.windows <= 86400
            and abs(self.prior) <= MAX_LOG_ODDS
            and 0 <= self.prior_windows <= self.windows
            and abs(self.margin) <= 2 * MAX_LOG_ODDS
            and abs(self.max_fibrillation) <= 100  # NaN is refused everywhere
        ):
            raise ValueError("the memory of noise is out of bounds")

    @property
    def start(self) -> NoiseMemory:
        """What a recording begins with."""
        return NoiseMemory(self.prior, self.prior_windows)


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Both networks of noise.

    Attributes
    ----------
    window : muscle and electrode noise in five seconds
    lasting : noise of a strip, in five seconds
    memory : joins the latter with those before
    fibrillation : of the ventricles, which looks like noise
    """

    window: WindowModel
    lasting: WindowModel
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
            WindowModel.from_dict(lasting),
            Memory(**lasting["memory"]),
            fibrillation,
        )

    def follow(
        self,
        log_odds: Sequence[float],
        fibrillation: Sequence[float],
        before: NoiseMemory | None = None,
    ) -> tuple[list[float], NoiseMemory]:
        """Log-odds of lasting noise in the next windows, in the light of those before.

        A bump in a recording that was quiet is seldom noise, and signal that has been odd for long
        often is: the verdict is partly the mean over the windows so far. But it is never larger
        than the window's own log-odds less `Memory.margin`.

        Parameters
        ----------
        log_odds, fibrillation : of lasting noise, and of fibrillation, for each window, in order,
            one a second
        before : the windows before; None if the recording begins
        """
        memory, followed = self.memory, []
        mean, windows = before or memory.start
        share, most, margin, max_vf = (
            memory.share,
            memory.windows,
            -memory.margin,
            memory.max_fibrillation,
        )
        for own, vf in zip(log_odds, fibrillation, strict=True):
            if vf > max_vf or own < -MAX_LOG_ODDS:
                own = -MAX_LOG_ODDS
            elif own > MAX_LOG_ODDS:
                own = MAX_LOG_ODDS
            windows = windows + 1.0 if windows + 1.0 < most else most
            # In float32, as a state is saved, so that a saved stream goes on as it would have.
            mean = single(mean + (own - mean) / windows)
            change = share * (mean - own)
            followed.append(single(own + (change if change < margin else margin)))
        return followed, NoiseMemory(mean, single(windows))


def kept_log_odds(
    models: Sequence[WindowModel], features: NDArray[np.float64]
) -> list[list[float]]:
    """Log-odds of each window by each model, rounded to float32 as they are kept."""
    found: list[list[float]] = log_odds(models, features).astype(np.float32).tolist()
    return found
