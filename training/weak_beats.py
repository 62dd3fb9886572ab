"""Beats to train on from recordings that have one label each.

The committed detector says where the beats are; the label, and the rhythm of a person whose every
beat is N, say which of them to believe (`believe`). Where that is not known there is no loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.detector import Detector
from training.detect import as_arrays
from training.download import PROJECT
from training.errors import DataError
from training.recordings import FS, Record
from training.weak import NOISE, REGULAR, Entry, WeakRecord, entries, read

CACHE = PROJECT / "runs" / "weak"
HEARD = "II"  # the lead in which beats are looked for, where there are twelve
# Intervals of sinus rhythm, as shares of the median one: one beat is missing, one is too many.
LONGEST, SHORTEST = 1.5, 0.6
TWO_SHORTEST = 1.4  # two intervals together are longer, else there is no beat between them
LONGEST_S = 2.0  # an interval of fibrillation
MOST_UNKNOWN, FEWEST = 1 / 3, 6  # share of a strip, and believed beats in it
BESIDE = round(0.1 * FS)  # of a believed beat: known, whatever is unknown beyond
AROUND = round(0.3 * FS)  # of a beat that is cut out of noise
ROWS = 3  # of hand-held noise, beside nstdb's six


class Strangers(NamedTuple):
    """What is trained on beside Holter recordings; none of it is of people held back.

    Attributes
    ----------
    normal, fibrillating : hand-held strips
    clinical : ten seconds of twelve leads
    noise : float32 [rows, samples], mV: hand-held noise without beats
    name : names all of it in a line
    """

    normal: list[Record]
    fibrillating: list[Record]
    clinical: list[Record]
    noise: NDArray[np.float32]
    name: str

    @property
    def pools(self) -> tuple[list[Record], ...]:
        """What crops are drawn from, in the order of `Recipe.strangers`."""
        return self.normal, self.fibrillating, self.clinical


Found = tuple[NDArray[np.int64], NDArray[np.int64]]  # samples at 360 Hz, indices into `CLASSES`


def strangers(row: int, *, limit: int | None = None) -> Strangers:
    """Everything of cinc2017 and ptbxl that can be trained on.

    Parameters
    ----------
    row : samples of a row of noise
    limit : read only so many recordings of each database

    Raises
    ------
    DataError
        A database is not at hand.
    """
    teacher = Detector.load(provider="cpu")
    pools: dict[str, list[Record]] = {"N": [], "A": [], "clinical": []}
    noise, told = [], []
    for database in ("cinc2017", "ptbxl"):
        known = [e for e in entries(database) if not e.held_back and e.label != "O"][:limit]
        signals = {e.name: at_360(read(e)) for e in tqdm(known, desc=f"read {database}")}
        beats = found(teacher, database, known, signals, keep=limit is None)
        taken = 0
        for entry in known:
            if entry.label == NOISE:
                noise.append(steps_without_beats(signals[entry.name][0], *beats[entry.name]))
            elif record := believed(entry, signals[entry.name], *beats[entry.name]):
                pools[entry.label if database == "cinc2017" else "clinical"].append(record)
                taken += 1
        told.append(f"{database} ({taken} records)")
    return Strangers(
        pools["N"],
        pools["A"],
        pools["clinical"],
        _rows(noise, row),
        " + ".join(told) + ", noise from cinc2017",
    )


def at_360(record: WeakRecord) -> NDArray[np.float32]:
    """Its signal at 360 Hz, [leads, samples], the lead in which to look for beats first."""
    from scipy.signal import resample_poly

    ratio = Fraction(FS) / Fraction(record.fs).limit_denominator(1000)
    order = sorted(range(len(record.leads)), key=lambda i: record.leads[i] != HEARD)
    return np.ascontiguousarray(
        resample_poly(record.signal[order], ratio.numerator, ratio.denominator, axis=1),
        dtype=np.float32,
    )


def found(
    teacher: Detector,
    database: str,
    known: Sequence[Entry],
    signals: dict[str, NDArray[np.float32]],
    *,
    keep: bool = True,
) -> dict[str, Found]:
    """What the teacher, its network alone, finds in each recording.

    With ``keep`` it is kept in `CACHE`, by the teacher's digest, and read from there.
    """
    path = CACHE / f"{database}-{teacher.digest.hex()[:16]}.npz"
    names = [entry.name for entry in known]
    if keep and path.is_file():
        with np.load(path) as saved:
            if saved["names"].tolist() == names:
                ends = np.cumsum(saved["counts"])[:-1]
                return dict(
                    zip(
                        names,
                        zip(
                            np.split(saved["samples"], ends),
                            np.split(saved["labels"], ends),
                            strict=True,
                        ),
                        strict=True,
                    )
                )
    beats = {}
    for name in tqdm(names, desc=f"find beats, {database}"):
        stream = teacher.stream(FS)
        beats[name] = as_arrays(stream.push(signals[name][0]) + stream.finish())
    if keep:
        CACHE.mkdir(parents=True, exist_ok=True)
        samples, labels = (np.concatenate(part) for part in zip(*beats.values(), strict=True))
        part = path.with_suffix(".part.npz")  # one that broke off would be read next time
        np.savez(
            part,
            names=names,
            counts=[len(s) for s, _ in beats.values()],
            samples=samples,
            labels=labels,
        )
        part.replace(path)
    return beats


def believed(
    entry: Entry, signal: NDArray[np.float32], beats: NDArray[np.int64], labels: NDArray[np.int64]
) -> Record | None:
    """A recording with beats to train on, all N; None where they are too doubtful.

    That is where less than `FEWEST` are believed, or more than `MOST_UNKNOWN` of it is not known.
    """
    samples = signal.shape[1]
    good, unknown = believe(beats, labels, samples, regular=entry.label in REGULAR)
    lost = int(np.diff(unknown, axis=1).sum())
    if len(good) < FEWEST or lost > MOST_UNKNOWN * samples:
        return None
    leads = tuple(map(str, range(len(signal))))
    return Record(
        entry.name, entry.database, leads, signal, good, np.zeros(len(good), dtype=np.int8), unknown
    )


def believe(
    beats: NDArray[np.int64], labels: NDArray[np.int64], samples: int, *, regular: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which beats are beats, and N, and where that is not known.

    In sinus rhythm (``regular``) what was not found to be N is no beat if the rhythm is only
    regular without it, and N if it is regular with it: a beat stands where one is due. In atrial
    fibrillation nothing is due; what was found to be N or S is N (none is early), the rest unknown.

    Parameters
    ----------
    beats, labels : as found in a recording of so many samples
    regular : every beat of the recording is N, in sinus rhythm

    Returns
    -------
    beats : int64 [beats], N
    unknown : int64 [stretches, 2], first and last sample of what is not known
    """
    doubtful = labels != 0 if regular else labels > 1
    shortest, longest = 0.0, LONGEST_S * FS
    if regular and len(beats) > 1:
        usual = float(np.median(np.diff(beats)))
        shortest, longest = SHORTEST * usual, LONGEST * usual
        none = _superfluous(beats, doubtful, shortest, TWO_SHORTEST * usual)
        beats, doubtful = beats[~none], doubtful[~none]
    before = np.diff(beats, prepend=-samples)
    after = np.diff(beats, append=3 * samples)
    due = (before >= shortest) & (before <= longest) & (after >= shortest) & (after <= longest)
    good = beats[(before >= shortest) & (~doubtful | (due & regular))]
    edges = np.concatenate([[0], good, [samples]])
    gaps = np.diff(edges) > longest
    bad = np.setdiff1d(beats, good)
    gaps[np.searchsorted(good, bad)] = True
    unknown = np.stack([edges[:-1][gaps] + BESIDE, edges[1:][gaps] - BESIDE], axis=1)
    if gaps[0]:
        unknown[0, 0] = 0
    if gaps[-1]:
        unknown[-1, 1] = samples
    return good, unknown[unknown[:, 0] < unknown[:, 1]]


def _superfluous(
    beats: NDArray[np.int64], doubtful: NDArray[np.bool_], one: float, two: float
) -> NDArray[np.bool_]:
    """The doubtful beats without which intervals are no longer than in between."""
    none = np.zeros(len(beats), dtype=bool)
    for i in np.flatnonzero(doubtful):
        earlier = beats[:i][~none[:i]]
        later = beats[i + 1 :][~doubtful[i + 1 :]][:1]
        if len(earlier) and len(later):
            none[i] = later[0] - earlier[-1] < two
        else:
            beside = later if len(later) else earlier[-1:]
            none[i] = len(beside) > 0 and abs(int(beside[0]) - int(beats[i])) < one
    return none


def steps_without_beats(
    ecg: NDArray[np.float32], beats: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """From sample to sample of a noisy strip, mV, without what was found to be N or S around it.

    Summed up again the pieces join. What was found to be V stays: in noise it is mostly none.
    """
    kept = np.ones(len(ecg), dtype=bool)
    for beat in beats[labels < 2]:
        kept[max(beat - AROUND, 0) : beat + AROUND] = False
    return np.diff(ecg, prepend=ecg[:1])[kept]


def _rows(steps: Sequence[NDArray[np.float32]], row: int) -> NDArray[np.float32]:
    """Noise of its steps, less the drift that comes of summing them, in `ROWS`."""
    from scipy.signal import lfilter

    every = np.concatenate([*steps, np.zeros(0, dtype=np.float32)])
    level = lfilter([1.0], [1.0, -np.exp(-2 * np.pi * 0.05 / FS)], every)
    if not len(level):
        raise DataError("cinc2017 holds no noise to train on; expected the whole database.")
    return np.resize(level, (ROWS, row)).astype(np.float32)  # begins again where it ends
