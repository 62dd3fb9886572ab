"""The limits by which a signal is judged; the values ship in ``artifacts/rhythm.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..errors import InputError
from .gaps import GAP_S

MAX_CONSTANT_S = 1.0  # a beat is decided 1.3 s after its R peak, and not taken back


class MissingLimits(NamedTuple):
    """Limits of missing samples.

    Attributes
    ----------
    constant_s : so long a signal repeats one value exactly before that stands for missing samples
    ease_s : time constant of the way back to the signal's own level after a gap
    """

    constant_s: float
    ease_s: float


class FastLimits(NamedTuple):
    """Limits from which on a heart is too fast.

    In mitdb and svdb 67 of 226,800 windows are such, 64 in 207's flutter and 804.

    Attributes
    ----------
    min_bpm, max_bpm : beats a minute: of slower hearts beats are found, none is faster
    min_likeness : how alike the signal is one beat later
    like_several : share of the likeness after several beats
    """

    min_bpm: float
    max_bpm: float
    min_likeness: float
    like_several: float


@dataclass(frozen=True)
class QualityPolicy:
    """Limits from which on something is a flaw.

    The values ship in ``artifacts/rhythm.json``; ``docs/rhythm.md`` gives the source of each.

    Attributes
    ----------
    flat_mv : smallest movement within a second; a QRS of any lead is larger, a loose lead less
    clipped_s : so long at the signal's extreme without a break: peaks are cut off
    railed_s : so long within ``rail_mv`` of it: nothing but the amplifier's end is seen; or
    rail_mv : how near to the extreme counts as the amplifier's end
    jump_mv_s : a slope that no heart makes, of a step that stays: it jumps there or back
    baseline_mv : largest swing within a second of the level that the ECG rides on
    powerline_mv : amplitude of a lasting 50 or 60 Hz oscillation
    noise_log_odds : of the noise model (`.noise`), for muscle and electrode motion
    lasting_noise_log_odds : of noise as in hand-held strips, in the light of the seconds before
    strip_noise_log_odds : of noise in a strip of 6 to 60 s as a whole
    strip_lasting_noise_log_odds : of lasting noise in a strip that is not noise as a whole
    constant_s : so long one value repeats itself exactly before it stands for missing samples
    ease_s : time constant of the way back to the signal's own level after missing samples
    fast_bpm : above this beats are lost; the signal repeats itself so often, and at most
    fast_max_bpm : times a minute
    fast_likeness : and is so much alike after one beat, and less between two
    fast_like_several : and at least this share of what it is after several
    """

    flat_mv: float
    clipped_s: float
    railed_s: float
    rail_mv: float
    jump_mv_s: float
    baseline_mv: float
    powerline_mv: float
    noise_log_odds: float
    lasting_noise_log_odds: float
    strip_noise_log_odds: float
    strip_lasting_noise_log_odds: float
    constant_s: float
    ease_s: float
    fast_bpm: float
    fast_max_bpm: float
    fast_likeness: float
    fast_like_several: float

    def __post_init__(self) -> None:
        require_bounds(
            self,
            "the signal's quality",
            {
                "flat_mv": (0, 1000),
                "clipped_s": (0, 60),
                "railed_s": (0, 60),
                "rail_mv": (0, 1000),
                "jump_mv_s": (0, 1e9),
                "baseline_mv": (0, 1000),
                "powerline_mv": (0, 1000),
                "noise_log_odds": (-100, 100),
                "lasting_noise_log_odds": (-100, 100),
                "strip_noise_log_odds": (-100, 100),
                "strip_lasting_noise_log_odds": (-100, 100),
                "constant_s": (GAP_S, MAX_CONSTANT_S),
                "ease_s": (1e-3, 60),
                "fast_bpm": (120, 600),
                "fast_max_bpm": (610, 1200),
                "fast_likeness": (0, 1),
                "fast_like_several": (0, 1),
            },
        )

    @cached_property
    def missing(self) -> MissingLimits:
        """The limits of missing samples."""
        return MissingLimits(self.constant_s, self.ease_s)

    @cached_property
    def fast(self) -> FastLimits:
        """The limits of hearts too fast."""
        return FastLimits(
            self.fast_bpm, self.fast_max_bpm, self.fast_likeness, self.fast_like_several
        )


def require_bounds(policy: object, what: str, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a policy whose numbers no stream could use.

    Raises
    ------
    InputError
        Names the first that lies outside.
    """
    for name, (lowest, highest) in bounds.items():
        value = getattr(policy, name)
        if not lowest <= value <= highest:  # NaN is refused too
            raise InputError(f"{name} of {what} is {value:g}; expected {lowest:g} to {highest:g}.")
