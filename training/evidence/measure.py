"""What is counted in one recording: beats, runs, episodes, heart rate, and scores kept.

Everything is a sum, so that recordings are added up and patients drawn anew by sums alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runtime.detector import Detector
from runtime.findings import CLASSES, DOUBTFUL
from runtime.records import Annotation
from runtime.rhythm.events.rates import RATE_INTERVALS, heart_rate
from training import ec57
from training.evidence.cases import Case
from training.evidence.runs import Rhythm, Spans, compare_runs, inside
from training.recordings import AAMI, flutter
from training.scores import align

LEARNING_S = ec57.LEARNING_S
SHORT_S = 2 * LEARNING_S  # a shorter recording is counted from its start
RATE_EVERY_S = 10.0  # a heart rate is compared so often
BINS = 10  # of the scores
ATRIAL, VENTRICULAR = ("atrial_fibrillation",), ("ventricular_fibrillation",)
# Sums that mean nothing where the reference does not tell classes of beats, or rhythms.
NEEDS = {
    "classes": ("VEB ", "SVEB ", "VE ", "SVE ", "beats"),
    "rhythm": ("AF ",),
}
ECTOPIC = {"VE": "VF", "SVE": "S"}  # classes that runs are made of


@dataclass(frozen=True)
class Measured:
    """Counts of one recording.

    Attributes
    ----------
    sums : by name; `training.evidence.figures` says what is made of them
    scores : float64 [BINS, 3]: beats whose score lies there, how many were right, sum of scores
    atrial : float64 [BINS, 3]: the same of seconds reported as atrial fibrillation, by the event's
    rate : beats a minute in the mean of the reference; NaN of none
    noisy : share of the seconds whose beats are called doubtful
    """

    case: Case
    sums: dict[str, float]
    scores: NDArray[np.float64]
    atrial: NDArray[np.float64]
    rate: float
    noisy: float


def measure(detector: Detector, case: Case) -> Measured:
    """Annotate a recording as a user would, and count."""
    record = case.record
    annotation = detector.annotate(record)
    seconds = record.seconds
    start = LEARNING_S if seconds > SHORT_S else 0.0
    reference = _Reference(case, seconds)
    sums = _beats(case, annotation, start) | _rates(reference, annotation, start, seconds)
    for kind, classes in ECTOPIC.items():
        spans = _spans(annotation, VENTRICULAR if kind == "VE" else ATRIAL)
        ours = _ours(annotation, classes, spans)
        # EC57: fibrillation is a run of the longest kind.
        fibrillation = reference.ventricular if kind == "VE" else reference.atrial
        there = reference.rhythm(classes, fibrillation)
        found = compare_runs(there, ours, start_s=start, within_s=ec57.MATCH_S)
        sums |= {f"{kind} {name}": count for name, count in found.items()}
    for name, spans, kinds, blind in (
        ("AF", reference.fibrillating, ATRIAL, reference.fluttering),
        ("AF or flutter", reference.atrial, ATRIAL, ()),
        ("VF", reference.ventricular, VENTRICULAR, ()),
    ):
        reported = _spans(annotation, kinds)
        shared = _episodes(spans, reported, blind, start, seconds)
        sums |= {f"{name} {what}": amount for what, amount in shared.items()}
    flaws = annotation.quality.seconds
    intervals = np.diff(reference.times)
    for what, names in NEEDS.items():
        if what not in case.named.marked:
            sums = {name: 0 if name.startswith(names) else n for name, n in sums.items()}
    return Measured(
        case,
        sums | {"seconds": seconds - start},
        _scores(reference, annotation, start),
        _atrial_scores(reference, annotation, start)
        if "rhythm" in case.named.marked
        else np.zeros((BINS, 3)),
        float(60 / intervals.mean()) if len(intervals) else float("nan"),
        sum(bool(flaw & DOUBTFUL) for flaw in flaws) / max(len(flaws), 1),
    )


class _Reference:
    """The reference in seconds: beats with their classes, fibrillation and flutter."""

    def __init__(self, case: Case, seconds: float) -> None:
        fs = case.record.fs
        marks = case.reference.marks()
        beats = [(sample / fs, AAMI[symbol]) for sample, symbol, _ in marks if symbol in AAMI]
        self.times = np.array([time for time, _ in beats], dtype=np.float64)
        self.labels = np.array([CLASSES.index(label) for _, label in beats], dtype=np.int64)
        changes = [
            (sample / fs, note)
            for (sample, symbol, _), note in zip(marks, case.notes, strict=True)
            if symbol == "+" and note.startswith("(")
        ]
        changes.append((seconds, ""))
        rhythms = [(note, (a, b)) for (a, note), (b, _) in pairwise(changes) if b > a]
        self.fibrillating = [span for note, span in rhythms if note.startswith("(AFIB")]
        self.fluttering = [span for note, span in rhythms if note.startswith("(AFL")]
        self.atrial = _joined([*self.fibrillating, *self.fluttering])
        ends = flutter(marks, round(seconds * fs))
        self.ventricular = [(a / fs, b / fs) for a, b in ends]

    def rhythm(self, classes: str, fibrillation: Spans) -> Rhythm:
        wanted = [CLASSES.index(label) for label in classes]
        return Rhythm(self.times, np.isin(self.labels, wanted), fibrillation)


def _ours(annotation: Annotation, classes: str, spans: Spans) -> Rhythm:
    return Rhythm(annotation.times, np.isin(annotation.labels, list(classes)), spans)


def _spans(annotation: Annotation, kinds: Sequence[str]) -> list[tuple[float, float]]:
    end = annotation.record.seconds
    return [(e.start, min(e.end or end, end)) for e in annotation.events if e.kind in kinds]


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _beats(case: Case, annotation: Annotation, start: float) -> dict[str, float]:
    """bxb's statistics as sums, and the share of beats rightly labelled."""
    record = case.record
    marks = [*zip(annotation.samples.tolist(), annotation.labels.tolist(), strict=True)]
    for begin, end in _spans(annotation, VENTRICULAR):
        marks += [(round(begin * record.fs), "["), (round(end * record.fs), "]")]
    samples, symbols = zip(*sorted(marks), strict=True) if marks else ((), ())
    compared = ec57.compare(
        case.reference,
        ec57.Annotations(np.array(samples, dtype=np.int64), symbols),
        record.fs,
        start_s=start,
        record_samples=len(record.signal),
    )
    sums: dict[str, float] = {}
    for name, ratio in compared.statistics.items():
        sums |= {f"{name}, right": ratio.part, f"{name}, of": ratio.whole}
    beats = compared.count("NSVFQ", "NSVFQOX")
    right = sum(compared.count(label, label) for label in CLASSES)
    return sums | {
        "beats": beats,
        "beats rightly labelled": right,
        "RR error squared, ms2": compared.rr_squared_error_ms2,
        "RR errors": compared.rr_errors,
    }


def _episodes(
    there: Spans, reported: Spans, blind: Spans, start: float, end: float
) -> dict[str, float]:
    """Episodes met, and tenths of a second in common; ``blind`` spans are left out."""

    def drawn(spans: Spans) -> NDArray[np.bool_]:
        line = np.zeros(round(end * 10), dtype=bool)
        for a, b in spans:
            line[round(a * 10) : round(b * 10)] = True
        line[: round(start * 10)] = False
        return line

    def met(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[int, int]:
        edges = np.flatnonzero(np.diff(np.pad(one.astype(np.int8), 1))).reshape(-1, 2)
        return len(edges), sum(bool(other[a:b].any()) for a, b in edges)

    kept = ~drawn(blind)
    kept[: round(start * 10)] = False
    real, called = drawn(there) & kept, drawn(reported) & kept
    episodes, found = met(real, called)
    claims, right = met(called, real)
    return {
        "episodes": episodes,
        "episodes found": found,
        "episodes reported": claims,
        "episodes reported rightly": right,
        "seconds": float(real.sum()) / 10,
        "seconds reported": float(called.sum()) / 10,
        "seconds found": float((real & called).sum()) / 10,
        "other seconds": float((kept & ~real).sum()) / 10,
        "other seconds kept": float((kept & ~real & ~called).sum()) / 10,
    }


def _rates(
    reference: _Reference, annotation: Annotation, start: float, end: float
) -> dict[str, float]:
    """The heart rate every ten seconds, of reference and detector by the same rule, squared error.

    Left out are moments in ventricular fibrillation, and those at which the reference has fewer
    than `RATE_INTERVALS` intervals.
    """
    sums = {"rate errors": 0.0, "rate error squared": 0.0, "rate": 0.0, "rates not given": 0.0}
    moments = np.arange(start + RATE_EVERY_S, end, RATE_EVERY_S)
    moments = moments[~inside(moments, reference.ventricular)]
    for moment in moments.tolist():
        real = _rate_at(reference.times, moment)
        if real is None:
            continue
        given = _rate_at(annotation.times, moment)
        if given is None:
            sums["rates not given"] += 1
            continue
        sums["rate errors"] += 1
        sums["rate"] += real
        sums["rate error squared"] += (real - given) ** 2
    return sums


def _rate_at(times: NDArray[np.float64], moment: float) -> float | None:
    last = bisect_right(times, moment)
    intervals = np.diff(times[max(last - RATE_INTERVALS - 1, 0) : last])
    return heart_rate(intervals.tolist()) if len(intervals) == RATE_INTERVALS else None


def _scores(reference: _Reference, annotation: Annotation, start: float) -> NDArray[np.float64]:
    """Reported beats by their score, and how many of them were there and rightly labelled."""
    fs = annotation.record.fs
    labels = np.array([CLASSES.index(label) for label in annotation.labels], dtype=np.int64)
    _, there, reported, partner = align(
        np.rint(reference.times * fs).astype(np.int64),
        reference.labels,
        annotation.samples,
        labels,
        ec57.MATCH_S * fs,
    )
    counted = (annotation.times >= start) & ~inside(annotation.times, reference.ventricular)
    kept = partner >= 0
    kept[kept] = counted[partner[kept]]
    scores = np.array([annotation.beats[beat].score for beat in partner[kept].tolist()])
    right = there[kept] == reported[kept]
    return _binned(scores, right, np.ones(len(scores)))


def _atrial_scores(
    reference: _Reference, annotation: Annotation, start: float
) -> NDArray[np.float64]:
    """Seconds reported as atrial fibrillation by the event's score, and those in it; the
    reference's flutter is none."""
    middles = np.arange(start, annotation.record.seconds - 0.1, 0.1) + 0.05
    there, parts = inside(middles, reference.fibrillating), [np.zeros((BINS, 3))]
    for event, span in zip(
        [e for e in annotation.events if e.kind in ATRIAL], _spans(annotation, ATRIAL), strict=True
    ):
        right = there[inside(middles, [span])]
        parts.append(
            _binned(np.full(len(right), event.confidence), right, np.full(len(right), 0.1))
        )
    return np.sum(parts, axis=0)


def _binned(
    scores: NDArray[np.float64], right: NDArray[np.bool_], amount: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How much has a score in each bin, how much of that is right, and the sum of its scores."""
    bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    return np.stack(
        [
            np.bincount(bins, weights=amount * weights, minlength=BINS)
            for weights in (np.ones(len(bins)), right.astype(np.float64), scores)
        ],
        axis=1,
    )
