"""Beats that are artefact: bumps, steps, swings and jerks of an electrode or an amplifier.

The network takes half a second of motion for a V beat, and a jerk before the next beat for an S.
Each beat that would be V or S is therefore looked at once more, from half a second before it to a
second after it: its form at the scale of its height, how steep and how rough that is, how high
beside the patient's usual QRS complex, and whether that stands where it is due as if nothing had
been. A beat that is artefact is of unknown class, Q: a QRS complex may lie under it.

``python -m training.fit_artefact`` fitted the numbers, on deflections added to signal of patients
that the network had not seen, and on strips of strangers.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..beats import PROBABILITY_FLOOR, Q, S, V
from ..model.contract import FS
from ..signal.features import LARGEST, SmallNetwork
from ..signal.loops import beat_loops
from .policy import RhythmPolicy, Section
from .state import clipped
from .template import BEFORE as TEMPLATE_BEFORE
from .template import MOST_LEFT_OUT, SIZE, STEP, Known, TemplateLimits

FIRST, LAST = -FS // 2, FS  # samples from the R peak: a label waits for more
R = -FIRST // STEP  # the place of the R peak in means of `STEP` samples, of which all below are
HEIGHT = slice(R - 12, R + 13)  # 0.1 s to either side
BEFORE, AFTER, LATER = slice(6, 36), slice(84, 120), slice(120, 180)  # where levels are taken
DEFLECTION = slice(24, 100)  # -0.3 to 0.33 s, where a deflection is measured
INNER, CORE = slice(24, 49), slice(10, 64)  # of it: -0.1 to 0.1 s, -0.22 to 0.23 s
TOP = slice(R - 26, R + 28)  # the same 0.45 s of the signal
SLOPES, CURVES = slice(44, 80), slice(42, 80)  # -0.13 to 0.17 s
QUIET_BEFORE, QUIET_AFTER = slice(0, 36), slice(90, 180)
WAVE = slice(85, 125)  # the T wave
QUARTER = 30  # of a second
# Where the usual complex may begin: here, before, and after.
HERE, EARLIER, NEXT = slice(44, 53), slice(2, 30), slice(66, 150)
VISIBLE = 0.7  # correlation from which on a usual complex is seen
WIDTHS, FLAT_TOP = (0.5, 0.25), 0.08  # shares of the height
FLOOR_MV, STILL_MV = 0.02, 0.002  # added to heights and slopes, whose logs would have no bound
NO_MV = 1e-6
KNOWN_BEATS = 10.0  # N beats, from which on the usual complex is known
FLAT_POWER, FLAT_ENERGY = 1e-9, 1e-6  # so that a flat line is like nothing
# What is further counts as this: a change of level, in heights; the log of a rise beside a fall;
# correlations; a height beside the usual one; the log of an interval beside the usual one; what it
# is off one or two of them; the log-odds of artefact.
MAX_LEVEL, MAX_SLOPES, MIN_ALIKE, MAX_ALIKE, MAX_HEIGHT = 2.0, 3.0, -0.9, 0.99, 3.0
MAX_LATE, OFF, MAX_LOG_ODDS = 1.5, 0.5, 30.0
ECTOPIC = (V, S)
_PARTS = (
    *(HEIGHT, BEFORE, AFTER, LATER, DEFLECTION, INNER, CORE, TOP, SLOPES, CURVES, QUIET_BEFORE),
    *(QUIET_AFTER, WAVE, HERE, EARLIER, NEXT),
)
# As the compiled loops take them; the limits follow.
LOOK = (
    *(FIRST, LAST, FS, R, *(edge for part in _PARTS for edge in (part.start, part.stop))),
    *(QUARTER, VISIBLE, *WIDTHS, FLAT_TOP, FLOOR_MV, STILL_MV, NO_MV, KNOWN_BEATS, FLAT_POWER),
    *(FLAT_ENERGY, MAX_LEVEL, MAX_SLOPES, MIN_ALIKE, MAX_ALIKE, MAX_HEIGHT, MAX_LATE, OFF),
    *(TEMPLATE_BEFORE, PROBABILITY_FLOOR, LARGEST),
)
SPAN_S = 0.25  # to either side of the R peak, that counts as artefact

# Of `.baseline.BaselineState` before a beat: `previous`, `previous_atrial` and `log_interval`.
Before = tuple[int | None, bool, float | None]
NOTHING_BEFORE: Before = (None, False, None)


@dataclass(frozen=True)
class ArtefactLimits(Section):
    """When a V or S beat is artefact.

    Attributes
    ----------
    artefact_v, artefact_s : log-odds from which on a V or an S beat is one
    """

    section = "artefact"
    about = "artefact"
    bounds = {"artefact_v": (0, 1000), "artefact_s": (0, 1000)}

    artefact_v: float
    artefact_s: float


class ArtefactModel(SmallNetwork):
    """Log-odds that a beat called V or S is artefact."""

    about = "artefact"
    inputs = (
        "is S",
        "log-odds of V against N and S",
        "log-odds of S against N",
        "after N or S",
        "usual complex known",
        "log height beside usual",
        "like usual",
        "less like usual than N",
        "rougher than usual",
        "usual before",
        "usual next, alike",
        "usual next, height",
        "interval known",
        "log interval beside usual",
        "log interval to next beside usual",
        "off one interval",
        "off two intervals",
        "log height",
        "log range around",
        "level before less after",
        "change of level",
        "change of level, later",
        "upright",
        "log width, half",
        "log width, quarter",
        "one-sided",
        "log slope",
        "log rise beside fall",
        "log flat top",
        "log wave after",
        "log roughness",
        "log roughness around",
        "log slow",
    )


class Artefacts:
    """Beats of one patient that are artefact. It keeps no state that decides.

    Attributes
    ----------
    found : the last R peaks, samples, that were; not saved
    numbers : places and limits, as the compiled loops take them
    """

    def __init__(self, limits: ArtefactLimits, model: ArtefactModel):
        self.found: deque[int] = deque(maxlen=MOST_LEFT_OUT)
        self._model = model
        self._min_log_odds = {V: limits.artefact_v, S: limits.artefact_s}
        self.numbers = np.array([*LOOK, limits.artefact_v, limits.artefact_s], dtype=np.float64)

    @classmethod
    def of(cls, policy: RhythmPolicy, model: ArtefactModel) -> Artefacts | None:
        """Of a policy; None if it leaves this out, or the usual QRS complex."""
        there = policy.has(ArtefactLimits) and policy.has(TemplateLimits)
        return cls(policy.of(ArtefactLimits), model) if there else None

    def read(
        self,
        row: list[float],
        label: int,
        known: Known,
        before: Before,
        sample: int,
        between: Callable[[int, int], NDArray[np.float32] | None],
    ) -> tuple[list[float], int]:
        """Probabilities and label of a beat that would be V or S: Q if it is artefact.

        Parameters
        ----------
        between : gives the signal between two samples, as `.seconds.Seconds.between`
        others : as of `describe`
        """
        around = between(sample + FIRST, sample + LAST)
        if around is None:
            return row, label
        log_odds = self.log_odds(row, label, around, known, before, sample)
        if log_odds < self._min_log_odds[label]:
            return row, label
        self.found.append(sample)
        others = 1 / (1 + math.exp(min(log_odds, MAX_LOG_ODDS)))
        row = [others * p for p in row]
        row[Q] += 1.0 - others
        return row, Q

    def log_odds(
        self,
        row: list[float],
        label: int,
        around: NDArray[np.float32],
        known: Known,
        before: Before,
        sample: int,
    ) -> float:
        """Log-odds that a beat is artefact; arguments as of `describe`."""
        if beat_loops is None:
            inputs = np.array([describe(row, label, around, known, before, sample)])
            return self._model.log_odds(inputs).item()
        around = np.ascontiguousarray(around, dtype=np.float32)
        network, (usual, *others) = self._model.numbers, known
        found: float = beat_loops.artefact(
            self.numbers, network, around, row, label, usual, *others, *before, sample
        )
        return found


def look(around: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, float, list[float]]:
    """What is seen without any memory of the patient.

    Parameters
    ----------
    around : float32 [samples], mV at 360 Hz, from `FIRST` to `LAST` of the R peak

    Returns
    -------
    means of `STEP` samples, float64; height, mV; log roughness; the last of `ArtefactModel.inputs`
    """
    c = around.astype(np.float64).reshape(-1, STEP) @ _THIRDS
    height = _range(c[HEIGHT]) + FLOOR_MV
    log_height = math.log(height)
    before, after, later = (_median(c[part]) for part in (BEFORE, AFTER, LATER))
    slope = c[1:] - c[:-1]
    curve = slope[1:] - slope[:-1]
    square = curve * curve
    rough = math.log(math.sqrt(_mean(square[CURVES])) + STILL_MV)
    quiet = (_mean(square[QUIET_BEFORE]) + _mean(square[QUIET_AFTER])) / 2
    rise, fall = max(slope[SLOPES].max(), 0.0), max(-slope[SLOPES].min(), 0.0)
    top, wave = c[TOP], c[WAVE]
    within = FLAT_TOP * height
    flat = max((top > top.max() - within).sum(), (top < top.min() + within).sum())
    wave = wave - (wave[0] + (wave[-1] - wave[0]) / (len(wave) - 1) * np.arange(len(wave)))
    slow = np.convolve(c, np.full(QUARTER, 1 / QUARTER), "valid")
    seen = [
        log_height,
        math.log(_range(np.concatenate([c[QUIET_BEFORE], c[QUIET_AFTER]])) + FLOOR_MV) - log_height,
        clipped((before - after) / height, -MAX_LEVEL, MAX_LEVEL),
        min(abs(before - after) / height, MAX_LEVEL),
        min(abs(before - later) / height, MAX_LEVEL),
        *_deflection(c, before, after),
        math.log(max(rise, fall) + STILL_MV) - log_height,
        clipped(math.log((rise + STILL_MV) / (fall + STILL_MV)), -MAX_SLOPES, MAX_SLOPES),
        math.log(flat),
        math.log(_range(wave) + STILL_MV) - log_height,
        rough - log_height,
        math.log(math.sqrt(quiet) + STILL_MV) - rough,
        math.log(_range(slow) + STILL_MV) - log_height,
    ]
    return c, height, rough, seen


_THIRDS = np.full(STEP, 1 / STEP)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.add.reduce(values)) / len(values)


def _median(values: NDArray[np.float64]) -> float:
    """Of an even number of values: `numpy.median` takes ten times as long."""
    ordered, half = np.sort(values), len(values) // 2
    return float(ordered[half - 1] + ordered[half]) / 2


def _range(values: NDArray[np.float64]) -> float:
    return float(values.max() - values.min())


def _deflection(c: NDArray[np.float64], before: float, after: float) -> list[float]:
    """Polarity, log widths at half and a quarter of its height, and how one-sided it is."""
    size = DEFLECTION.stop - DEFLECTION.start
    places = np.arange(size)
    d = c[DEFLECTION] - (before + (after - before) / size * places)
    peak = INNER.start + int(np.abs(d[INNER]).argmax())
    up = 1.0 if d[peak] > 0 else -1.0
    d = d * up
    top, widths = float(d[peak]) + NO_MV, []
    for share in WIDTHS:
        low = d < share * top
        first = np.where(low & (places < peak), places, -1).max()
        last = np.where(low & (places > peak), places, size).min()
        widths.append(math.log(last - first))
    over, under = np.maximum(d[CORE], 0).sum(), np.maximum(-d[CORE], 0).sum()
    return [up, *widths, float((over - under) / (over + under + NO_MV))]


def describe(
    probabilities: Sequence[float],
    label: int,
    around: NDArray[np.float32],
    known: Known,
    before: Before,
    sample: int,
) -> list[float]:
    """`ArtefactModel.inputs` of a beat.

    Parameters
    ----------
    probabilities : of `CLASSES`, as the label was chosen from them
    around : as `look` takes it
    known : the usual QRS complex as it was before the beat
    before : of the beats before
    sample : the R peak
    """
    c, height, rough, seen = look(around)
    n, s, v = (max(p, PROBABILITY_FLOOR) for p in probabilities[: V + 1])
    return [
        float(label == S),
        math.log(v / (n + s)),
        math.log(s / n),
        float(before[1]),
        *_beside_usual(c, height, rough, known, before, sample),
        *seen,
    ]


def _beside_usual(
    c: NDArray[np.float64], height: float, rough: float, known: Known, before: Before, sample: int
) -> list[float]:
    """The part that compares with the usual complex and interval."""
    (usual, correlation_z, log_roughness, beats), (previous, _, log_interval) = known, before
    rr = None if log_interval is None else math.exp(log_interval)
    since = None if previous is None else max(sample - previous, 1) / FS
    beside, to_next = [0.0] * 8, None
    if usual is not None:
        template, trust = usual.astype(np.float64), min(beats / KNOWN_BEATS, 1.0)
        power = template @ template + FLAT_POWER
        products, level = np.correlate(c, template), c - c[R]
        sums, squares = (np.add.accumulate(values) for values in (level, level * level))
        total = sums[SIZE - 1 :].copy()
        energy = squares[SIZE - 1 :].copy()
        total[1:] -= sums[:-SIZE]
        energy[1:] -= squares[:-SIZE]
        energy = np.maximum(energy - total * total / SIZE, 0.0)
        alike = products / np.sqrt(energy * power + FLAT_ENERGY)
        seen = alike * np.minimum(np.maximum(products / power, 0.0), 1.0)
        z = math.atanh(clipped(alike[HERE].max(), MIN_ALIKE, MAX_ALIKE))
        place = NEXT.start + int(seen[NEXT].argmax())
        beside = [
            trust,
            trust * math.log(height / (template.max() - template.min() + FLOOR_MV)),
            trust * z,
            trust * (correlation_z - z),
            trust * (rough - log_roughness),
            trust * seen[EARLIER].max(),
            trust * alike[place],
            trust * clipped(products[place] / power, -1.0, MAX_HEIGHT),
        ]
        if alike[place] > VISIBLE:
            to_next = (place + TEMPLATE_BEFORE - R) * STEP / FS
    late, later, off_one, off_two = 0.0, 0.0, OFF, OFF
    if rr is not None and since is not None:
        late = clipped(math.log(since / rr), -MAX_LATE, MAX_LATE)
    if rr is not None and to_next is not None:
        later = clipped(math.log(to_next / rr), -MAX_LATE, MAX_LATE)
        if since is not None:
            spans = (since + to_next) / rr
            off_one, off_two = min(abs(spans - 1.0), OFF), min(abs(spans - 2.0), OFF)
    known_interval = float(since is not None and rr is not None)
    return [*beside, known_interval, late, later, off_one, off_two]
