"""Two annotators compared beat by beat as ANSI/AAMI EC57 asks, exactly as PhysioNet's bxb counts.

`compare` gives the statistics of the WFDB program ``bxb``, EC57's reference implementation, and
`summarise` those of ``sumstats``. `training.bxb` pairs and counts the beats;
`training.bxb_texts` writes the programs' texts and `training.ec57_report` is the command;
the papers' convention is in `training.scores`; docs/ec57.md holds the two side by side.

Sources: ANSI/AAMI EC57:1998; G. Moody, WFDB Applications Guide, bxb(1) and sumstats(1),
https://physionet.org/physiotools/wag/.

>>> result = compare(
...     Annotations([100, 400, 700], "NVN"), Annotations([105, 395, 900], "NVN"), fs=360, start_s=0
... )
>>> result.statistics["QRS sensitivity"]
Ratio(part=2, whole=3)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.bxb import BEATS, END_OF_REFERENCE, LABELS, Mark, pair_beats

MATCH_S = 0.150  # annotations this far apart can still be one beat
LEARNING_S = 300.0  # a detector may learn for five minutes before it counts


def compare(
    reference: Annotations,
    test: Annotations,
    fs: float,
    *,
    start_s: float = LEARNING_S,
    stop_s: float | None = None,
    window_s: float = MATCH_S,
    record_samples: int | None = None,
) -> Comparison:
    """Compare two annotators exactly as bxb does.

    Parameters
    ----------
    fs : sampling frequency, Hz
    start_s, stop_s : the part compared; ``stop_s=0`` ends with the first annotator that ends,
        None with the record or, if its length is unknown, with the reference
    window_s : largest distance of two annotations of one beat
    record_samples : length of the record as its header states it

    Raises
    ------
    ValueError
        Annotations do not fit together, ``fs`` is not positive, or the comparison would
        stop before it starts.

    Notes
    -----
    Beats are taken in time order. The earlier of the two current beats is paired with the other
    one if they are within the window and either nearer to each other than the later beat is to
    its next candidate, or that candidate has a nearer partner of its own (the rule of November
    2002). A beat without a partner is missed or extra; extra beats within fibrillation of the
    reference are not counted. The RR interval error is taken at every step, also at missed and
    extra beats, wherever both current intervals are free of fibrillation and shutdown.
    """
    if not fs > 0:
        raise ValueError(f"fs must be positive, got {fs}.")
    start, window = _to_samples(start_s, fs), _to_samples(window_s, fs)
    end = record_samples or END_OF_REFERENCE if stop_s is None else _to_samples(stop_s, fs)
    if 0 < end < start:
        raise ValueError(f"The comparison would stop at sample {end} before it starts at {start}.")
    tally = pair_beats(reference.marks(), test.marks(), start=start, end=end, window=window)
    second = _to_samples(1.0, fs)
    return Comparison(
        tally.counts,
        tally.rr_squared_error * (1000.0 / second) ** 2,
        tally.rr_errors,
        int((tally.shutdown + _to_samples(0.5, fs)) / second),
    )


def summarise(comparisons: Sequence[Comparison]) -> Summary:
    """Sum and average comparisons of several records."""
    total = sum(comparisons, start=Comparison(np.zeros((len(LABELS),) * 2, dtype=np.int64)))
    gross, each = _summed(total), [_summed(c) for c in comparisons]
    average = {
        name: 100.0 * _mean(r[name].part / r[name].whole for r in each if r[name].whole)
        for name in gross
    }
    errors = [float(f"{c.rr_error_ms:.2f}") for c in comparisons if c.rr_errors]
    return Summary(len(comparisons), total, gross, average | {"RR interval error": _mean(errors)})


@dataclass(frozen=True, eq=False)
class Annotations:
    """One annotator's marks in the order of its file.

    Attributes
    ----------
    samples : int [marks], sample numbers
    symbols : one WFDB symbol per mark, beats or not: ``[`` and ``]`` bound fibrillation
    subtypes : int [marks]; ``~`` with both bits of 0x30 set begins a shutdown, and without
        subtypes no shutdown is seen
    """

    samples: ArrayLike
    symbols: Sequence[str]
    subtypes: ArrayLike | None = None

    def marks(self) -> list[Mark]:
        """Sample, symbol and subtype of each mark; ValueError if they do not fit together."""
        samples = np.asarray(self.samples)
        if samples.size and not np.issubdtype(samples.dtype, np.integer):
            raise ValueError(f"Samples of annotations must be integers, got {samples.dtype}.")
        subtypes = np.zeros(samples.shape, int) if self.subtypes is None else self.subtypes
        subtypes = np.asarray(subtypes)
        if samples.ndim != 1 or not len(samples) == len(self.symbols) == len(subtypes):
            raise ValueError(
                "Annotations need one symbol and subtype for each sample, got samples of shape "
                f"{samples.shape}, {len(self.symbols)} symbols and {len(subtypes)} subtypes."
            )
        return list(zip(samples.tolist(), self.symbols, subtypes.tolist(), strict=True))


@dataclass(frozen=True)
class Ratio:
    """A share that keeps its two counts, because EC57 prints them."""

    part: int
    whole: int

    @property
    def percent(self) -> float:
        """Per cent; nan if there is nothing to divide by."""
        return 100.0 * self.part / self.whole if self.whole else math.nan


@dataclass(frozen=True, eq=False)
class Comparison:
    """EC57's matrix and what bxb derives from it.

    Attributes
    ----------
    counts : int64 [7, 7]; rows are the reference, columns the test, both in the order of `LABELS`
    rr_squared_error_ms2 : sum of the squared differences of the RR intervals, ms²
    rr_errors : number of differences in that sum
    shutdown_s : time that the test annotator marked as unreadable, whole seconds
    """

    counts: NDArray[np.int64]
    rr_squared_error_ms2: float = 0.0
    rr_errors: int = 0
    shutdown_s: int = 0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.counts + other.counts,
            self.rr_squared_error_ms2 + other.rr_squared_error_ms2,
            self.rr_errors + other.rr_errors,
            self.shutdown_s + other.shutdown_s,
        )

    def count(self, reference: str, test: str = LABELS) -> int:
        """Events that the one calls any of these labels and the other any of those."""
        cells = np.ix_(
            [LABELS.index(label) for label in reference], [LABELS.index(label) for label in test]
        )
        return int(self.counts[cells].sum())

    @property
    def statistics(self) -> dict[str, Ratio]:
        """bxb's statistics by the names it prints; EC57 forgives F and Q called v, Q called s."""
        count = self.count
        found, veb, sveb = count(BEATS, BEATS), count("V", "V"), count("S", "S")
        false_veb = count("NSOX", "V")
        return {
            "QRS sensitivity": Ratio(found, count(BEATS)),
            "QRS positive predictivity": Ratio(found, count(LABELS, BEATS)),
            "VEB sensitivity": Ratio(veb, count("V")),
            "VEB positive predictivity": Ratio(veb, veb + false_veb),
            "VEB false positive rate": Ratio(false_veb, false_veb + count("NSFQOX", "NSFQ")),
            "SVEB sensitivity": Ratio(sveb, count("S")),
            "SVEB positive predictivity": Ratio(sveb, count("NSVFOX", "S")),
        }

    @property
    def missed_in_shutdown(self) -> dict[str, Ratio]:
        """Reference beats lost to shutdown; bxb leaves S out of the part of all beats."""
        return {"Beats": Ratio(self.count("NVFQ", "X"), self.count(BEATS))} | {
            label: Ratio(self.count(label, "X"), self.count(label)) for label in "NSVF"
        }

    @property
    def rr_error_ms(self) -> float:
        """Root mean square error of the RR intervals, ms; nan if none could be compared."""
        return math.sqrt(self.rr_squared_error_ms2 / self.rr_errors) if self.rr_errors else math.nan

    def without_sveb(self) -> Comparison:
        """S counted with N, as bxb does if it gives no SVEB statistics."""
        counts = self.counts.copy()
        counts[0] += counts[1]
        counts[:, 0] += counts[:, 1]
        counts[1] = counts[:, 1] = 0
        return replace(self, counts=counts)


@dataclass(frozen=True, eq=False)
class Summary:
    """Several records together, as sumstats gives them.

    Attributes
    ----------
    total : the sum of the records
    gross : statistics of that sum
    average : means of the records' statistics that are defined, in %, and last of the
        RR interval errors as bxb prints them, ms
    """

    records: int
    total: Comparison
    gross: dict[str, Ratio]
    average: dict[str, float]


def _summed(comparison: Comparison) -> dict[str, Ratio]:
    """sumstats reads tables in which F and Q called s share a column, and so forgives both."""
    right = comparison.count("S", "S")
    return comparison.statistics | {
        "SVEB positive predictivity": Ratio(right, comparison.count("NSVOX", "S"))
    }


def _mean(values: Iterable[float]) -> float:
    """From a plain sum in order, as in C: a more exact one can round the last digit otherwise."""
    listed = list(values)
    return float(np.cumsum(listed)[-1]) / len(listed) if listed else math.nan


def _to_samples(seconds: float, fs: float) -> int:
    """Nearest sample, halves up, as the WFDB library converts times."""
    return int(seconds * fs + 0.5)
