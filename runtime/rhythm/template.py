"""The patient's usual QRS complex, as evidence about the next beat.

The network sees ten seconds and knows V beats of most patients. It does not know this patient:
wide complexes that have always been there (a bundle branch block) it may call V, and escape or
interpolated V beats that are not early it may call N. Here the mean complex of each patient's last
N beats is kept, a template. How much less a beat resembles it than these beats do joins the
network's opinion, as monitors have long matched templates (Krasteva and Jekova, Ann Biomed Eng
35:2065, 2007). So does how rough the signal is: noise makes a beat unlike and rough, but the
complex of a V beat is wide, and smoother than usual. ``python -m training.choose`` chose the
numbers, on patients that the network had not seen.

Of the first beats, as in a strip of half a minute, the template knows little. As far as it does
not, the learned numbers of `FirstBeats` join in its place.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..beats import ATRIAL, NO_BEAT, PROBABILITY_FLOOR, Beats, N, S, V, choose_label
from ..errors import InputError
from ..signal.features import SmallNetwork
from ..signal.loops import beat_loops, single
from .policy import Section
from .state import Matrix, Maybe, Number, clipped, saved

STEP = 3  # samples of which a mean is one of the template's: 120 Hz hold a QRS complex
BEFORE, AFTER = 12, 18  # of these, on either side of the R peak: 100 and 150 ms
SHIFT = 4  # R peaks are placed on the largest deflection, which differs: 33 ms to either side
FIRST = -(BEFORE + SHIFT) * STEP - STEP // 2  # samples from the R peak: the piece to compare
LAST = FIRST + (BEFORE + AFTER + 2 * SHIFT + 1) * STEP
SIZE = BEFORE + AFTER + 1
ORDINARY_Z = 2.0  # Fisher's z of a correlation of 0.96: how alike N beats are in most patients
FIRST_FEW = 5  # N beats: so few do not show how alike they are
STILL_MV = 0.002  # added to a roughness, whose log without any noise would have no bound
MAX_ROUGHNESS = 1.5  # of a difference of logs, to either side; larger ones count as this
MAX_LOG_ODDS_SHIFT = 50.0
Known = tuple[NDArray[np.float32] | None, float, float, float]  # the fields of `TemplateState`
MOST_LEFT_OUT = 4096  # more than beats in ten minutes
HEIGHT_KNOWN = 10  # N beats, from which on the usual height is known
# Where its height is seen: 50 ms to either side, the width of a QRS complex. In means of `STEP`
# samples a pacemaker's spike is low.
PEAK = slice(-FIRST - 6 * STEP, -FIRST + 6 * STEP)


@dataclass(frozen=True)
class TemplateLimits(Section):
    """Weights of the template in the decision between V and atrial beats, in log-odds of V.

    Likeness is the correlation with the template at the best shift, as Fisher's z (``arctanh``),
    in which 0.99 and 0.9 differ as much as 0.9 and 0.29.

    Attributes
    ----------
    template_gain : log-odds for each unit by which the beat is less alike than N beats are in the
        mean
    template_margin : a beat that is less alike by no more than this is rather N
    template_roughness : log-odds taken off for each unit of the log of how much rougher the signal
        is than around N beats
    min_correlation, max_correlation : correlations beyond count as these: noise is like nothing
    template_beats : number of N beats remembered; of fewer, as in a strip of half a minute, the
        template counts in proportion
    template_min_normal : smallest probability of a beat that is remembered as N
    pop_times, pop_mv : a deflection more than so many times as high as the usual QRS complex, and
        higher than so many mV, is no beat: an electrode pops or is pulled
    """

    section = "template"
    about = "the usual QRS complex"
    bounds = {
        "template_gain": (0, 1000),
        "template_margin": (-10, 10),
        "template_roughness": (0, 1000),
        "min_correlation": (-0.999, 0.999),
        "max_correlation": (-0.999, 0.999),
        "template_beats": (1, 1_000_000),
        "template_min_normal": (0, 1),
        "pop_times": (1, 1e6),
        "pop_mv": (0, 1e6),
    }

    template_gain: float
    template_margin: float
    template_roughness: float
    min_correlation: float
    max_correlation: float
    template_beats: float
    template_min_normal: float
    pop_times: float
    pop_mv: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.min_correlation < self.max_correlation:
            raise InputError(
                f"min_correlation of {self.about} is {self.min_correlation:g} and "
                f"max_correlation {self.max_correlation:g}; expected the first below "
                "the second."
            )


class FirstBeats(SmallNetwork):
    """Correction to the log-odds of V against N and S while few N beats are known.

    What is not known of a beat is 0. ``python -m training.fit_first_beats`` fits the numbers, on
    half-minutes of patients that the network had not seen and on strips of strangers.
    """

    inputs = (
        "log-odds of S against N",
        "log-odds of V against N and S",
        "less alike than N beats",
        "rougher than N beats",
        "known",
    )
    about = "the first beats"

    @staticmethod
    def row(
        probabilities: Sequence[float], compared: tuple[float, float, float] | None, trust: float
    ) -> list[float]:
        """`inputs` of a beat.

        Parameters
        ----------
        compared : what `QrsTemplate.compare` gives of it
        trust : how well the usual QRS complex is known, 0 to 1
        """
        n, s, v = (max(one, PROBABILITY_FLOOR) for one in probabilities[: V + 1])
        atrial = max(probabilities[N] + probabilities[S], PROBABILITY_FLOOR)
        z_below, roughness_above, _ = compared or (0.0, 0.0, 0.0)
        return [math.log(s / n), math.log(v / atrial), z_below, roughness_above, trust]


@dataclass(slots=True)
class TemplateState:
    """The usual QRS complex of one patient.

    Attributes
    ----------
    template : float32 [`SIZE`], mV, mean 0: that of N beats; None before the first
    correlation_z : mean correlation of N beats with it, as Fisher's z
    log_roughness : log of the mean size of second differences around them, mV, in the mean
    beats : N beats that these were taken from, as far as they are remembered
    """

    template: NDArray[np.float32] | None = saved(Maybe(Matrix((SIZE,))))
    correlation_z: float = saved(Number(-4.0, 4.0), ORDINARY_Z)  # Fisher's z of 0.999 is 3.8
    log_roughness: float = saved(Number(-20.0, 20.0), 0.0)
    beats: float = saved(Number(0.0), 0.0)

    def check(self) -> None:
        """Raise ValueError for a state that `QrsTemplate` cannot have left."""
        if (self.template is None) != (self.beats < 1):
            raise ValueError("a template of no beat")


class QrsTemplate:
    """The usual QRS complex of one patient.

    Parameters
    ----------
    first_beats : what joins in as far as the usual QRS complex is not known; None: nothing

    Attributes
    ----------
    state : the template so far
    numbers : the limits, as the compiled loops take them
    left_out : the last R peaks, samples, that were found to be no beat; not saved
    known : of each beat of the last block the state before it; None if its signal is not there
    """

    def __init__(
        self,
        limits: TemplateLimits,
        weights: Sequence[float],
        first_beats: FirstBeats | None = None,
    ):
        self.limits, self._weights, self._first_beats = limits, weights, first_beats
        self.left_out: deque[int] = deque(maxlen=MOST_LEFT_OUT)
        self.known: list[Known | None] = []
        self.state, self._max_beats = TemplateState(), single(limits.template_beats)
        self.numbers = np.array(
            [
                limits.template_min_normal,
                limits.min_correlation,
                limits.max_correlation,
                self._max_beats,
                STILL_MV,
                MAX_ROUGHNESS,
                ORDINARY_Z,
                FIRST_FEW,
                PEAK.start,
                PEAK.stop,
                limits.pop_mv,
            ]
        )

    def relabel(self, beats: Beats, around: Callable[[int], NDArray[np.float32] | None]) -> Beats:
        """The next beats in the light of those before: N or S may become V, and V one of these.

        What is far higher than the patient's beats is labelled `NO_BEAT`.

        Parameters
        ----------
        around : gives the signal around an R peak, float32 [samples], mV at 360 Hz, from `FIRST`
            to `LAST` of it; None if the recording has less: the beat stays as it is
        """
        rows, labels, state = [], [], self.state
        self.known = known = []
        for sample, row, label in zip(*beats, strict=True):
            trust, piece, compared = self.trust, around(sample), None
            before = state.template, state.correlation_z, state.log_roughness, state.beats
            known.append(None if piece is None else before)
            if piece is not None:
                found = self.compare(row[N], piece)
                if found is False:
                    self.left_out.append(sample)
                    rows.append(row)
                    labels.append(NO_BEAT)
                    continue
                compared = found
            correction = self.correct(row, compared, trust) if trust < 1.0 else 0.0
            row, label = self.decide(row, label, compared, correction)
            rows.append(row)
            labels.append(label)
        return Beats(beats.samples, rows, labels)

    def is_too_high(self, around: NDArray[np.float32]) -> bool:
        """True for a deflection that this heart cannot have made; argument as of `compare`."""
        peak, template, limits = around[PEAK], self.state.template, self.limits
        if not len(peak) or float(peak.max() - peak.min()) <= limits.pop_mv:  # nearly always
            return False
        if template is None or self.state.beats < HEIGHT_KNOWN:
            return False
        height = float(np.ptp(peak.reshape(-1, STEP).mean(axis=1)))
        return height > max(limits.pop_mv, limits.pop_times * float(np.ptp(template)))

    @property
    def trust(self) -> float:
        """How well the usual QRS complex is known, 0 to 1."""
        return self.state.beats / self._max_beats

    def correct(
        self,
        probabilities: list[float],
        compared: tuple[float, float, float] | None,
        trust: float,
    ) -> float:
        """What `FirstBeats` adds to the log-odds of V, as far as the usual QRS complex is unknown.

        Arguments as of `FirstBeats.row`.
        """
        if self._first_beats is None or trust >= 1.0:
            return 0.0
        row = self._first_beats.row(probabilities, compared, trust)
        return (1 - trust) * self._first_beats.log_odds(np.array([row])).item()

    def decide(
        self,
        probabilities: list[float],
        label: int,
        compared: tuple[float, float, float] | None,
        correction: float = 0.0,
    ) -> tuple[list[float], int]:
        """Probabilities and label of a beat, from those of the network.

        Parameters
        ----------
        compared : what `compare` gives; None if nothing is known of the beat
        correction : what `correct` gives
        """
        shift = correction + self.shift(compared)
        if shift == 0.0 or (shift < 0.0 and label in ATRIAL):  # N or S already, and more so
            return probabilities, label
        moved = towards_v(probabilities, shift)
        among = (N, S, V) if label <= V else (label, V)
        return moved, choose_label(moved, self._weights, among)

    def shift(self, compared: tuple[float, float, float] | None) -> float:
        """What the usual QRS complex adds to the log-odds of V of a beat that compares so."""
        if compared is None:
            return 0.0
        limits, (z_below, roughness_above, trust) = self.limits, compared
        return trust * (
            limits.template_gain * (z_below - limits.template_margin)
            - limits.template_roughness * roughness_above
        )

    def compare(
        self, normal: float, around: NDArray[np.float32]
    ) -> tuple[float, float, float] | Literal[False] | None:
        """Compare a beat with the usual ones; one that is certainly N is remembered.

        Parameters
        ----------
        normal : the network's probability of N

        Returns
        -------
        how much less like the template the beat is than N beats are, Fisher's z, and how much
        rougher the signal is around it than around them, a log, and how well these are known, 0 to
        1; None if nothing is known yet; False for a deflection that this heart cannot have made
        """
        if beat_loops is None:
            return False if self.is_too_high(around) else self._compare(normal, around)
        around = np.ascontiguousarray(around, dtype=np.float32)
        piece = np.empty(SIZE, dtype=np.float32)
        found = beat_loops.compare(self.state, self.numbers, normal, around, piece)
        if found is False and not self.is_too_high(around):
            numbers = np.append(self.numbers[:-1], np.inf)  # of any height
            found = beat_loops.compare(self.state, numbers, normal, around, piece)
        return found  # type: ignore[no-any-return]

    def _compare(
        self, normal: float, around: NDArray[np.float32]
    ) -> tuple[float, float, float] | None:
        """`compare` of a deflection that is not too high."""
        limits, state = self.limits, self.state
        template, usual = state.template, normal > limits.template_min_normal
        if template is None and not usual:
            return None
        square, correlation, piece = _placed(around, template)
        roughness = math.log(math.sqrt(square) + STILL_MV)
        if template is None:
            self._remember(piece, ORDINARY_Z, roughness)
            return None
        z = math.atanh(clipped(correlation, limits.min_correlation, limits.max_correlation))
        compared = (
            state.correlation_z - z,
            clipped(roughness - state.log_roughness, -MAX_ROUGHNESS, MAX_ROUGHNESS),
            self.trust,
        )
        if usual:
            self._remember(piece, z, roughness)
        return compared

    def _remember(self, piece: NDArray[np.float32], z: float, roughness: float) -> None:
        """One more N beat, its mean 0. In float32, as a state is saved."""
        state = self.state
        beats = state.beats = min(state.beats + 1.0, self._max_beats)
        if state.template is None:
            state.template, state.log_roughness = piece, single(roughness)
        else:
            state.template = state.template + (piece - state.template) * np.float32(1 / beats)
            state.log_roughness = single(
                state.log_roughness + (roughness - state.log_roughness) / beats
            )
        state.correlation_z = single(
            state.correlation_z + (z - state.correlation_z) / max(beats, FIRST_FEW)
        )


def _placed(
    around: NDArray[np.float32], template: NDArray[np.float32] | None
) -> tuple[float, float, NDArray[np.float32]]:
    """Lay the template on a beat where it fits best.

    Returns
    -------
    mean square of the second differences around the beat, mV²; correlation; the beat there, float32
    [`SIZE`], its mean 0
    """
    coarse = (around[::STEP] + around[1::STEP] + around[2::STEP]) * _THIRD
    slope = coarse[1:] - coarse[:-1]
    second = slope[1:] - slope[:-1]
    square, shift = float(second.dot(second)) / len(second), SHIFT
    if template is not None:  # its mean is 0, so the beat's level makes no difference
        products = np.correlate(coarse, template)
        shift = int(products.argmax())
    piece = coarse[shift : shift + SIZE]
    piece = piece - float(piece.dot(_ONES)) / SIZE
    if template is None:
        return square, 0.0, piece
    power = float(piece.dot(piece)) * float(template.dot(template))
    return square, products.item(shift) / math.sqrt(power + _FLAT), piece


def towards_v(probabilities: Sequence[float], shift: float) -> list[float]:
    """Shift the log-odds of V against N and S by so much; F and Q keep their probabilities."""
    n, s, v, *others = probabilities
    atrial, together = n + s, n + s + v
    log_odds = math.log(max(v, PROBABILITY_FLOOR) / max(atrial, PROBABILITY_FLOOR)) + min(
        max(shift, -MAX_LOG_ODDS_SHIFT), MAX_LOG_ODDS_SHIFT
    )
    v = together / (1 + math.exp(-log_odds))
    left, normal = together - v, max(n, PROBABILITY_FLOOR)
    normal /= normal + s
    return [left * normal, left * (1 - normal), v, *others]


_ONES, _THIRD = np.ones(SIZE, dtype=np.float32), np.float32(1 / STEP)
_FLAT = 1e-9  # so that a flat line is like nothing
