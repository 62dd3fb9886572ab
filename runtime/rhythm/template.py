"""Like the patient's usual beat or not, measured by the QRS complex's own shape.

The network sees ten seconds and knows what V beats look like in most patients. It does not know
what is usual in this one: wide complexes that have always been there (a bundle branch block) it may
call V, and escape or interpolated V beats that are not early it may call N. Here the mean shape of
each patient's last N beats is kept, and how much less like it a beat is than these beats are joins
the network's opinion, as monitors have long matched templates (Krasteva and Jekova, Ann Biomed Eng
35:2065, 2007). So does how rough the signal is: noise makes a beat unlike and rough, but the
complex of a V beat is wide, and smoother than usual. `python -m training.choose` chose the numbers,
on patients that the network had not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..findings import CLASSES, Beat
from .baseline import LEAST, require_bounds, single

STEP = 3  # samples of which a mean is one of the shape's: 120 Hz hold a QRS complex
BEFORE, AFTER = 12, 18  # of these, on either side of the R peak: 100 and 150 ms
SHIFT = 4  # R peaks are placed on the largest deflection, which differs: 33 ms to either side
FIRST = -(BEFORE + SHIFT) * STEP - STEP // 2  # samples from the R peak, of what is looked at
LAST = FIRST + (BEFORE + AFTER + 2 * SHIFT + 1) * STEP
SIZE = BEFORE + AFTER + 1
ORDINARY = 2.0  # Fisher's z of a correlation of 0.96: how alike N beats are in most patients
FIRST_FEW = 5  # N beats, that say little of how alike they are
STILL_MV = 0.002  # a signal rougher than this is rough; a recording without any noise is not
ROUGHEST = 1.5  # of a log; what is rougher or smoother still says no more
_N, _S, _V = (CLASSES.index(label) for label in "NSV")


@dataclass(frozen=True)
class MorphologyPolicy:
    """How the usual shape decides between V and what comes from the atria, in log-odds of V.

    Likeness is the correlation with the usual shape at the best shift, as Fisher's z
    (``arctanh``), in which 0.99 and 0.9 differ as much as 0.9 and 0.29.

    Attributes
    ----------
    gain : of the log-odds, times how much less alike the beat is than N beats are in the mean
    margin : of that; a beat less alike than they by no more is rather N
    roughness : taken off, times the log of how much rougher the signal is than around N beats
    least, most : correlations beyond count as these: noise is like nothing
    beats : how many N beats are remembered
    sure : least probability of a beat that is remembered as N
    """

    gain: float = 5.0
    margin: float = 0.8
    roughness: float = 3.0
    least: float = 0.7
    most: float = 0.99
    beats: float = 50.0
    sure: float = 0.8

    def __post_init__(self) -> None:
        require_bounds(self, "the usual shape", _BOUNDS)
        if not self.least < self.most:
            raise InputError(f"least of the usual shape is {self.least:g} and most "
                             f"{self.most:g}; expected least below most.")


_BOUNDS = {"gain": (0, 1000), "margin": (-10, 10), "roughness": (0, 1000), "least": (-0.999, 0.999),
           "most": (-0.999, 0.999), "beats": (1, 1_000_000), "sure": (0, 1)}


class Morphology:
    """The usual shape of one patient's QRS complex, and what it makes of the next beat.

    Attributes
    ----------
    shape : float32 [`SIZE`], mV, mean 0: that of N beats; None before the first
    alike : how alike N beats are to it, Fisher's z, in the mean
    rough : log of the mean size of second differences around them, mV, in the mean
    beats : N beats that these were taken from, as far as they are remembered
    """

    def __init__(self, policy: MorphologyPolicy | None = None):
        self.policy = policy or MorphologyPolicy()
        self.shape: NDArray[np.float32] | None = None
        self.alike, self.rough = ORDINARY, 0.0
        self.beats = 0.0
        self._most = single(self.policy.beats)

    def read(self, beat: Beat, around: NDArray[np.float32] | None) -> Beat:
        """The next beat in the light of those before: N or S may become V, and V either.

        Parameters
        ----------
        around : float32 [samples], mV at 360 Hz, from `FIRST` to `LAST` of the R peak; None where
            the recording has less: the beat stays as it is
        """
        compared = None if around is None else self.compare(beat, around)
        if compared is None:
            return beat
        unlike, rougher = compared
        policy = self.policy
        return moved(beat, policy.gain * (unlike - policy.margin) - policy.roughness * rougher)

    def compare(self, beat: Beat, around: NDArray[np.float32]) -> tuple[float, float] | None:
        """Hold a beat against the usual ones; one that is surely N is remembered.

        Returns
        -------
        how much less like the usual shape the beat is than N beats are, Fisher's z, and how much
        rougher the signal is around it than around them, a log; None where none is known
        """
        policy, usual = self.policy, beat.probabilities[_N] > self.policy.sure
        shape = self.shape
        if shape is None and not usual:
            return None
        coarse = (around[::STEP] + around[1::STEP] + around[2::STEP]) * _THIRD
        slope = coarse[1:] - coarse[:-1]
        second = slope[1:] - slope[:-1]
        rough = math.log(math.sqrt(float(second.dot(second)) / len(second)) + STILL_MV)
        shift = SHIFT
        if shape is not None:  # its mean is 0, so the level of the beat is no matter
            products = np.correlate(coarse, shape)
            shift = int(products.argmax())
        piece = coarse[shift : shift + SIZE]
        piece = piece - float(piece.dot(_ONES)) / SIZE
        if shape is None:
            self._remember(piece, ORDINARY, rough)
            return None
        power = float(piece.dot(piece)) * float(shape.dot(shape))
        likeness = products.item(shift) / math.sqrt(power + _NOTHING)
        alike = math.atanh(min(max(likeness, policy.least), policy.most))
        compared = self.alike - alike, min(max(rough - self.rough, -ROUGHEST), ROUGHEST)
        if usual:
            self._remember(piece, alike, rough)
        return compared

    def _remember(self, piece: NDArray[np.float32], alike: float, rough: float) -> None:
        """One more N beat, its mean 0. In float32, as a state is saved."""
        beats = self.beats = min(self.beats + 1.0, self._most)
        if self.shape is None:
            self.shape, self.rough = piece, single(rough)
        else:
            self.shape = self.shape + (piece - self.shape) * np.float32(1 / beats)
            self.rough = single(self.rough + (rough - self.rough) / beats)
        self.alike = single(self.alike + (alike - self.alike) / max(beats, FIRST_FEW))


def moved(beat: Beat, push: float) -> Beat:
    """The beat with so much more log-odds of V against N and S; of F and Q shape says nothing.

    What is N or S already, and more so, is left as it is.
    """
    if push <= 0.0 and beat.label in ("N", "S"):
        return beat
    shares = list(beat.probabilities)
    atria, ventricle = shares[_N] + shares[_S], shares[_V]
    odds = math.log(max(ventricle, LEAST) / max(atria, LEAST)) + min(max(push, -50.0), 50.0)
    shares[_V] = (atria + ventricle) / (1 + math.exp(-odds))
    left, normal = atria + ventricle - shares[_V], max(shares[_N], LEAST)
    normal /= normal + shares[_S]
    shares[_N], shares[_S] = left * normal, left * (1 - normal)
    if beat.label not in ("N", "S", "V"):
        label = "V" if shares[_V] > shares[CLASSES.index(beat.label)] else beat.label
    elif shares[_V] > max(shares[_N], shares[_S]):
        label = "V"
    else:
        label = "S" if shares[_S] > shares[_N] else "N"
    return Beat(beat.time, label, shares[CLASSES.index(label)], tuple(shares))


_ONES, _THIRD = np.ones(SIZE, dtype=np.float32), np.float32(1 / STEP)
_NOTHING = 1e-9  # so that a flat line is like nothing
