"""Noise, recognised in five seconds of signal, in the light of those before, and in a whole strip.

Three small networks read the features of `.features`. One knows recorded muscle and electrode
noise at any moment. The second knows what a cardiologist calls noise in a strip of a hand-held
device, and that shows less in any five seconds than in how it goes on: `NoiseModel.follow`. The
third judges such a strip as a whole, when it ends: `NoiseModel.noisy`. ``training.fit_noise`` fits
the second, ``training.fit_whole_noise`` the third; their numbers are in ``artifacts/rhythm.json``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .features import FEATURES, SmallNetwork, WindowModel, comparable, log_odds
from .loops import single

NOT_NOISE = -100.0  # log-odds of a window in which fibrillation is likely
# s; so long a recording is a strip, which has one verdict. Of a longer one each second has its own.
STRIP_S = (6.0, 60.0)


class StripModel(SmallNetwork):
    """Log-odds of lasting noise: five seconds, beside their mean over the windows so far."""

    inputs = (
        *FEATURES,
        *(f"mean of {name}" for name in FEATURES),
        "log of the number of windows",
    )
    about = "lasting noise"


class WholeModel(SmallNetwork):
    """Log-odds of noise in a strip as a whole: the mean over its windows.

    Their number is no input: that noisy strips are short is an accident of the strips it is fitted
    on.
    """

    inputs = tuple(f"mean of {name}" for name in FEATURES)
    about = "a strip's noise"


class NoiseMemory(NamedTuple):
    """What is kept of a recording's windows so far.

    Attributes
    ----------
    means : float32 [features], of the `comparable` features
    windows : how many they are
    fibrillation : mean log-odds of it
    """

    means: NDArray[np.float32]
    windows: float
    fibrillation: float = 0.0


NO_WINDOW = NoiseMemory(np.zeros(len(FEATURES), dtype=np.float32), 0.0)


@dataclass(frozen=True)
class Memory:
    """How far the windows before are remembered.

    Attributes
    ----------
    windows : so many of them, at most
    max_fibrillation : log-odds of ventricular fibrillation, which looks like noise, from which on
        a window is none
    strip_max_fibrillation : their mean from which on a strip is none as a whole
    """

    windows: float
    max_fibrillation: float
    strip_max_fibrillation: float

    def __post_init__(self) -> None:
        if not (
            1 <= self.windows <= 86400
            and abs(self.max_fibrillation) <= 100  # NaN is refused everywhere
            and abs(self.strip_max_fibrillation) <= 100
        ):
            raise ValueError("the memory of noise is out of bounds")


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """The networks of noise.

    Attributes
    ----------
    window : muscle and electrode noise in five seconds
    lasting : noise of a strip, in five seconds and those before
    whole : noise of a strip as a whole
    memory : how far it looks back
    fibrillation : of the ventricles, which looks like noise
    """

    window: WindowModel
    lasting: StripModel
    whole: WholeModel
    memory: Memory
    fibrillation: WindowModel

    @classmethod
    def from_dict(cls, fits: Mapping[str, Any], fibrillation: WindowModel) -> NoiseModel:
        """The model of ``noise``, ``lasting noise`` and ``whole noise`` in ``rhythm.json``.

        Raises
        ------
        KeyError, TypeError, ValueError
            The numbers are not those of such a model.
        """
        lasting = fits["lasting noise"]
        return cls(
            WindowModel.from_dict(fits["noise"]),
            StripModel.from_dict(lasting),
            WholeModel.from_dict(fits["whole noise"]),
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
        before = before or NO_WINDOW
        inputs, after = with_means(features, own, memory.windows, before)
        (followed,) = kept_log_odds((self.lasting,), inputs)
        for i, vf in enumerate(fibrillation):
            if vf > memory.max_fibrillation:
                followed[i] = NOT_NOISE
        mean = mean_fibrillation(before, fibrillation, memory.windows)
        return followed, after._replace(fibrillation=mean)

    def whole_log_odds(self, windows: NoiseMemory) -> float:
        """Log-odds of noise in a strip as a whole, of which these windows are remembered."""
        if windows.fibrillation > self.memory.strip_max_fibrillation:
            return NOT_NOISE
        ((found,),) = kept_log_odds((self.whole,), windows.means[None].astype(np.float64))
        return found

    def noisy(self, windows: NoiseMemory | None, seconds: float, limit: float) -> bool | None:
        """Whether a recording is noise as a whole; None if it is no strip.

        Parameters
        ----------
        windows : of the recording, as far as they are remembered; None if there are none
        seconds : its length
        limit : log-odds from which on it is
        """
        if windows is None or not is_strip(seconds):
            return None
        return self.whole_log_odds(windows) >= limit


def is_strip(seconds: float) -> bool:
    """True for a recording of a length that is judged as a whole too."""
    return STRIP_S[0] <= seconds <= STRIP_S[1]


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
    means, windows, fibrillation = before
    inputs = np.empty((len(features), len(StripModel.inputs)))
    size = features.shape[1]
    inputs[:, :size] = features
    for row, values in zip(inputs, own, strict=True):
        windows = windows + 1.0 if windows + 1.0 < most else most
        # In float32, as a state is saved, so that a saved stream goes on as it would have.
        means = (means + (values - means) / windows).astype(np.float32)
        row[size:-1] = means
        row[-1] = math.log(windows)
    return inputs, NoiseMemory(means, single(windows), fibrillation)


def mean_fibrillation(before: NoiseMemory, log_odds: Iterable[float], most: float) -> float:
    """`NoiseMemory.fibrillation` after windows that follow, ``most`` of them being remembered."""
    windows, mean = before.windows, before.fibrillation
    for one in log_odds:
        windows = windows + 1.0 if windows + 1.0 < most else most
        mean = single(mean + (one - mean) / windows)
    return mean


def kept_log_odds(
    models: Sequence[SmallNetwork], features: NDArray[np.float64]
) -> list[list[float]]:
    """Log-odds of each window by each model, rounded to float32 as they are kept."""
    found: list[list[float]] = log_odds(models, features).astype(np.float32).tolist()
    return found
