"""Beats before the usual interval joins in: of patients left out, parts of them, and others.

Of people with hardly an S beat (edb and nsrdb) only marks are at hand: what the network would say
of a beat is drawn from what it said of patients left out whose beats came as early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.beats import ATRIAL, PROBABILITY_FLOOR, N, S, from_beats
from runtime.detector import Detector
from runtime.findings import CLASSES
from runtime.model.contract import FS
from runtime.rhythm.baseline import BaselineLimits
from training.held_out import Listening, Patient
from training.recordings import AAMI
from training.weak import entries, read, require_folder

MARKED = ("nsrdb", "edb")  # people with hardly an S beat
HOURS = (3, 15)  # of a day that are read
HALF_S = 30
# Of a patient with runs of S only these beats, if there are enough: the first N beats, the runs,
# and N beats around them. What the network says is lowered by so much in its log-odds of S.
FIRST_N, RUN, AROUND, ENOUGH, LOWERED = 40, 6, 4, 60, (0.0, 2.0, 4.0)
ONE_IN = 2  # so many half-minutes, records of hours, and normal strips are read
# An interval's place in the pools: logs of how much shorter than the usual and than the last one.
EARLY = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45)
FROM_EACH, FEWEST = 40, 20  # beats of a patient in a pool; a pool with fewer takes its neighbours'


@dataclass(frozen=True)
class Heard:
    """Beats of one person before the usual interval joins in.

    Attributes
    ----------
    kind : ``patients``, ``halves``, ``rare``, ``strips``, or a database of marks
    fold : of a patient; -1 of others
    beats : of each sample, label, probabilities, False if atrial fibrillation is not ruled out
    is_s : bool [beats], by the reference
    there : S beats of the reference
    """

    kind: str
    person: str
    fold: int
    beats: Sequence[tuple[int, int, Sequence[float], bool]]
    is_s: NDArray[np.bool_]
    there: int


def of_patient(patient: Patient, fold: int, person: str) -> Heard:
    """The whole recording of a patient left out."""
    samples, rows, labels = patient.relabelled
    return Heard(
        "patients",
        person,
        fold,
        list(zip(samples, labels, rows, patient.sinus_certain, strict=True)),
        patient.truth == S,
        int(patient.there[S]),
    )


def halves(one: Heard) -> Iterator[Heard]:
    """The half-minutes of a recording, each as if nothing had come before."""
    halves = np.array([beat[0] for beat in one.beats]) // (HALF_S * FS)
    for half in np.unique(halves)[::ONE_IN]:
        at = np.flatnonzero(halves == half).tolist()
        is_s = one.is_s[at]
        beats = [one.beats[i] for i in at]
        yield replace(one, kind="halves", beats=beats, is_s=is_s, there=int(is_s.sum()))


def rare(one: Heard) -> Iterator[Heard]:
    """Runs of S with hardly an N beat between, as the time from beat to beat was."""
    kept = np.zeros(len(one.beats), dtype=bool)
    kept[np.flatnonzero(~one.is_s)[:FIRST_N]] = True
    edges = np.flatnonzero(np.diff(one.is_s.astype(int), prepend=0, append=0))
    for first, end in edges.reshape(-1, 2).tolist():
        if end - first >= RUN:
            kept[max(first - AROUND, 0) : end + AROUND] = True
    there = int(one.is_s[kept].sum())
    if there < ENOUGH:
        return
    samples = np.array([beat[0] for beat in one.beats])
    at = np.flatnonzero(kept)
    times = np.cumsum(np.diff(samples, prepend=samples[0])[at]).tolist()
    for lowered in LOWERED:
        beats = []
        for time, i in zip(times, at.tolist(), strict=True):
            _, label, (n, s, *others), _ = one.beats[i]
            less = s * np.exp(-lowered) if one.is_s[i] else s
            total = (n + s) / (n + less) if n + less else 1.0
            beats.append((time, label, [n * total, float(less * total), *others], True))
        person = f"{one.person}, {lowered:g}"
        yield replace(one, kind="rare", person=person, beats=beats, is_s=one.is_s[at], there=there)


def strips() -> Iterator[Heard]:
    """Normal strips of strangers that may be trained on, as the committed model hears them."""
    detector = Detector.load(provider="cpu")
    normal = [one for one in entries("cinc2017") if one.label == "N" and not one.held_back]
    for entry in tqdm(normal[::ONE_IN], desc="hear cinc2017", unit="strip"):
        strip = read(entry)
        stream = detector.stream(strip.fs, events=True)
        assert stream.tracker is not None
        listener = Listening(detector.rhythm_policy.of(BaselineLimits))
        stream.tracker.rr_baseline = listener
        stream.tracker.context = None  # the compiled loops would not ask it
        found = stream.push(strip.signal[0].astype(np.float64)) + stream.finish()
        samples, rows, labels = from_beats(found, FS)
        beats = list(zip(samples, labels, rows, listener.sinus_certain, strict=True))
        yield Heard("strips", entry.name, -1, beats, np.zeros(len(beats), dtype=bool), 0)


def marked(patients: Sequence[Heard], rng: np.random.Generator) -> Iterator[Heard]:
    """People of whom only marks are at hand, with what the network would say of their beats."""
    import wfdb

    drawn = pools(patients)
    for database in MARKED:
        folder = require_folder(database)
        names = (folder / "RECORDS").read_text().split()
        for name in tqdm(names[:: 1 if database == "nsrdb" else ONE_IN], desc=database):
            marks = wfdb.rdann(str(folder / name), "atr")
            fs = float(wfdb.rdheader(str(folder / name)).fs)
            known = [i for i, symbol in enumerate(marks.symbol) if symbol in AAMI]
            samples = np.rint(marks.sample[known] * FS / fs).astype(np.int64)
            labels = np.array([CLASSES.index(AAMI[marks.symbol[i]]) for i in known])
            hours = samples // (3600 * FS)
            day = hours[-1] > max(HOURS)
            for part in [hours == hour for hour in HOURS] if day else [hours >= 0]:
                if part.sum() >= 2:
                    yield _drawn(database, name, samples[part], labels[part], drawn, rng)


def _drawn(
    database: str,
    name: str,
    samples: NDArray[np.int64],
    labels: NDArray[np.int64],
    drawn: Callable[[int, int], NDArray[np.float64]],
    rng: np.random.Generator,
) -> Heard:
    rows, place = np.zeros((len(samples), len(CLASSES))), places(samples, labels)
    for label in ATRIAL:
        for here in np.unique(place[labels == label]).tolist():
            mine = (labels == label) & (place == here)
            s = 1 / (1 + np.exp(-rng.choice(drawn(label, here), int(mine.sum()))))
            rows[mine, N], rows[mine, S] = 1 - s, s
    others = ~np.isin(labels, ATRIAL)
    rows[others, labels[others]] = 1.0
    called = rows.argmax(axis=1).tolist()
    certain = [True] * len(called)
    beats = list(zip(samples.tolist(), called, rows.tolist(), certain, strict=True))
    is_s = labels == S
    return Heard(database, name, -1, beats, is_s, int(is_s.sum()))


def pools(patients: Sequence[Heard]) -> Callable[[int, int], NDArray[np.float64]]:
    """The network's log-odds of S against N, of N or S beats of patients left out, by `places`."""
    pooled: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    for one in patients:
        samples, labels, rows, certain = (np.array(part) for part in zip(*one.beats, strict=True))
        n, s = np.maximum(rows[:, [N, S]], PROBABILITY_FLOOR).T
        log_odds, place = np.log(s / n), places(samples, np.where(one.is_s, S, labels))
        for label, mine in ((S, one.is_s), (N, ~one.is_s)):
            mine = mine & certain & np.isin(labels, ATRIAL)
            for here in np.unique(place[mine]):
                some = log_odds[mine & (place == here)]
                at = np.linspace(0, len(some) - 1, min(len(some), FROM_EACH)).astype(int)
                pooled.setdefault((label, int(here)), []).append(some[at])
    joined = {key: np.concatenate(some) for key, some in pooled.items()}
    side = len(EARLY) + 1

    def drawn(label: int, place: int) -> NDArray[np.float64]:
        def distance(key: tuple[int, int]) -> int:
            return abs(key[1] // side - place // side) * side + abs(key[1] % side - place % side)

        enough = [k for k in joined if k[0] == label and len(joined[k]) >= FEWEST]
        return joined[min(enough, key=distance)]

    return drawn


def places(samples: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How early beats come, beside the usual and beside the last interval: a place in `EARLY`."""
    early, sudden = np.zeros(len(samples)), np.zeros(len(samples))
    usual = last = None
    normal = 0
    logs = np.log(np.clip(np.diff(samples) / FS, 0.2, 4.0))
    for i, log_interval in enumerate(logs.tolist(), start=1):
        usual = log_interval if usual is None else usual
        if labels[i - 1] in ATRIAL:
            early[i] = usual - log_interval
            sudden[i] = min(usual, usual if last is None else last) - log_interval
            last = log_interval
        if labels[i] == N and labels[i - 1] == N:
            normal += 1
            usual += (log_interval - usual) / min(normal, 100)
    return np.digitize(early, EARLY) * (len(EARLY) + 1) + np.digitize(sudden, EARLY)
