"""Figures of what was counted: gross, average over recordings, and 95 % intervals.

Gross figures add the counts up first, average ones are the mean of the recordings in which the
figure is defined (EC57's two summaries). Intervals are of the gross figure, by drawing patients
anew with replacement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evidence.cases import NEVER, TRAINED
from training.evidence.measure import BINS, Measured
from training.evidence.runs import SIZES

DRAWS = 1000
LEAST_PATIENTS = 2  # for an interval


@dataclass(frozen=True)
class Figure:
    """A figure of two sums.

    Attributes
    ----------
    name : as a reader has it
    part, whole : names of the sums
    form : "share" of the whole, in %; or "rms", the root of the mean of squares, in `unit`
    """

    name: str
    part: str
    whole: str
    form: str = "share"
    unit: str = "%"

    def of(self, part: float, whole: float) -> float:
        """The figure, NaN if there is nothing to divide by."""
        if not whole:
            return math.nan
        return math.sqrt(part / whole) if self.form == "rms" else 100 * part / whole


def _ec57(name: str) -> Figure:
    return Figure(name, f"{name}, right", f"{name}, of")


BEATS = (
    *(
        _ec57(name)
        for name in (
            "QRS sensitivity",
            "QRS positive predictivity",
            "VEB sensitivity",
            "VEB positive predictivity",
            "VEB false positive rate",
            "SVEB sensitivity",
            "SVEB positive predictivity",
        )
    ),
    Figure("beats found and rightly labelled", "beats rightly labelled", "beats"),
)
RUNS = tuple(
    Figure(
        f"{kind} {size} {'sensitivity' if of == 'there' else 'positive predictivity'}",
        f"{kind} {size}, {of} and met",
        f"{kind} {size}, {of}",
    )
    for kind in ("VE", "SVE")
    for size in SIZES
    for of in ("there", "reported")
)
RHYTHM = tuple(
    Figure(f"{name} {words}", f"{name} {part}", f"{name} {whole}")
    for name in ("AF", "AF or flutter", "VF")
    for words, part, whole in (
        ("episode sensitivity", "episodes found", "episodes"),
        ("episode positive predictivity", "episodes reported rightly", "episodes reported"),
        ("duration sensitivity", "seconds found", "seconds"),
        ("duration positive predictivity", "seconds found", "seconds reported"),
        ("duration specificity", "other seconds kept", "other seconds"),
    )
)
ERRORS = (
    Figure("RR interval error", "RR error squared, ms2", "RR errors", "rms", "ms"),
    Figure("heart rate error", "rate error squared", "rate errors", "rms", "/min"),
)
SECTIONS = {"Beats": BEATS, "Runs": RUNS, "Rhythm": RHYTHM, "Intervals and rate": ERRORS}
ALL = tuple(figure for figures in SECTIONS.values() for figure in figures)
Subgroups = Mapping[str, Callable[[Measured], bool]]
SUBGROUPS: dict[str, Subgroups] = {
    "age": {
        "under 60": lambda m: m.case.age is not None and m.case.age < 60,
        "60 to 74": lambda m: m.case.age is not None and 60 <= m.case.age < 75,
        "75 and over": lambda m: m.case.age is not None and m.case.age >= 75,
    },
    "sex": {"women": lambda m: m.case.sex == "F", "men": lambda m: m.case.sex == "M"},
    "mean heart rate": {
        "under 60": lambda m: m.rate < 60,
        "60 to 99": lambda m: 60 <= m.rate < 100,
        "100 and over": lambda m: m.rate >= 100,
    },
    "lead": {
        "MLII": lambda m: m.case.record.lead == "MLII",
        "another": lambda m: m.case.record.lead != "MLII",
    },
    "seconds called noisy": {
        "under 1 %": lambda m: m.noisy < 0.01,
        "1 % and more": lambda m: m.noisy >= 0.01,
    },
}


def summarise(measured: Sequence[Measured]) -> dict[str, Any]:
    """Everything that stands on the page, as plain values for JSON."""
    groups = dict.fromkeys(m.case.named.group for m in measured)
    members = {group: [m for m in measured if m.case.named.group == group] for group in groups}
    strangers = [m for m in measured if m.case.named.seen == NEVER]
    mitdb = [m for m in strangers if m.case.named.group.startswith("DS2")]
    return {
        "groups": {group: group_of(those) for group, those in members.items()},
        "subgroups of DS2, both leads": {
            by: {name: group_of([m for m in mitdb if holds(m)]) for name, holds in parts.items()}
            for by, parts in SUBGROUPS.items()
        },
        "calibration": {
            what: {
                kind: calibration(getattr(m, scores) for m in measured if m.case.named.seen == kind)
                for kind in (NEVER, TRAINED)
            }
            for what, scores in (("beats", "scores"), ("s of atrial fibrillation", "atrial"))
        },
        "records": [record_of(m) for m in measured],
    }


def group_of(measured: Sequence[Measured]) -> dict[str, Any]:
    """Every figure of some recordings."""
    patients = _patients(measured)
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(patients) or 1, size=(DRAWS, len(patients)))
    return {
        "recordings": len(measured),
        "patients": len(patients),
        "hours": sum(m.sums["seconds"] for m in measured) / 3600,
        "seen": sorted({m.case.named.seen for m in measured}),
        "figures": {
            figure.name: _figure(figure, measured, list(patients.values()), drawn) for figure in ALL
        },
    }


def _patients(measured: Iterable[Measured]) -> dict[str, list[Measured]]:
    patients: dict[str, list[Measured]] = {}
    for one in measured:
        patients.setdefault(one.case.patient, []).append(one)
    return patients


def _figure(
    figure: Figure,
    measured: Sequence[Measured],
    patients: Sequence[Sequence[Measured]],
    drawn: np.ndarray[Any, np.dtype[np.int64]],
) -> dict[str, Any]:
    sums = np.array([[m.sums[figure.part], m.sums[figure.whole]] for m in measured])
    sums = sums.reshape(-1, 2)
    part, whole = sums.sum(axis=0).tolist()
    each = [figure.of(*pair) for pair in sums.tolist() if pair[1]]
    result = {
        "gross": figure.of(part, whole),
        "part": part,
        "whole": whole,
        "average": float(np.mean(each)) if each else math.nan,
        "recordings": len(each),
        "unit": figure.unit,
    }
    counts = np.array(
        [
            [sum(m.sums[name] for m in those) for name in (figure.part, figure.whole)]
            for those in patients
        ]
    ).reshape(-1, 2)
    if (counts[:, 1] > 0).sum() < LEAST_PATIENTS:
        return result | {"low": math.nan, "high": math.nan}
    again = [figure.of(*pair) for pair in counts[drawn].sum(axis=1).tolist()]
    low, high = np.nanpercentile(again, [2.5, 97.5]).tolist()
    return result | {"low": low, "high": high}


def calibration(scores: Iterable[NDArray[np.float64]]) -> dict[str, Any]:
    """What share of what was reported was right, by the score it was given.

    ``error`` is the mean distance of score and share right, each bin weighted by what lies in it
    (expected calibration error).

    Parameters
    ----------
    scores : `Measured.scores` or `Measured.atrial`, one for each recording
    """
    total = sum(scores, start=np.zeros((BINS, 3)))
    bins = [
        {
            "from": i / BINS,
            "to": (i + 1) / BINS,
            "reported": round(reported, 1),
            "right": right / reported if reported else math.nan,
            "score": score / reported if reported else math.nan,
        }
        for i, (reported, right, score) in enumerate(total.tolist())
    ]
    whole = total[:, 0].sum()
    error = float(np.abs(total[:, 1] - total[:, 2]).sum() / whole) if whole else math.nan
    return {"reported": round(float(whole), 1), "error": error, "bins": bins}


def record_of(measured: Measured) -> dict[str, Any]:
    """One recording's figures with their counts, those that are defined."""
    case = measured.case
    return {
        "record": case.named.title,
        "group": case.named.group,
        "lead": case.record.lead,
        "seen": case.named.seen,
        "age": case.age,
        "sex": case.sex,
        "rate": measured.rate,
        "noisy": measured.noisy,
        "figures": {
            figure.name: {
                "value": figure.of(measured.sums[figure.part], measured.sums[figure.whole]),
                "part": measured.sums[figure.part],
                "whole": measured.sums[figure.whole],
            }
            for figure in ALL
            if measured.sums[figure.whole]
        },
    }
