"""Fit the models of `runtime.waveform` and `runtime.rhythm` on design patients.

``python -m training.fit_rhythm`` uses the odd-numbered patients of cudb, DS1 of mitdb, and the
first half of nstdb's noises mixed into DS1. The even-numbered patients, DS2 and the second
halves are for `training.evaluate_rhythm`. With ``--check`` it prints what six-fold
cross-validation over the design patients gives, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from runtime import Detector, quality, rhythm, waveform
from training import io
from training.io import FS

OUT = Path(waveform.__file__).with_name("rhythm.json")
CUDB_DESIGN, CUDB_TEST = io.CUDB[::2], io.CUDB[1::2]
PENALTY = 0.05  # on squared weights; 0.01 does as well in cross-validation
NOISE_DB = (0.0, -6.0)  # what the noise model has to know
FOLDS = 6
NONE, VF, NOISE = 0, 1, 2


@dataclass(frozen=True)
class Windows:
    """Features of readable windows.

    Attributes
    ----------
    features : float64 [windows, features]
    labels : int64 [windows]: NONE, VF, NOISE, or -1 where a window is partly one
    patients : str [windows]
    origin : str [windows]: the database, or ``mixture``
    """

    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    origin: NDArray[np.str_]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.fit_rhythm", description=__doc__)
    parser.add_argument("--check", action="store_true", help="cross-validate, write nothing")
    args = parser.parse_args(arguments)
    folder = io.require_data(["mitdb", "cudb", "nstdb"])
    data = design_windows(folder)
    tasks = {"fibrillation": fibrillation_task, "noise": noise_task}
    if args.check:
        for name, task in tasks.items():
            print(name, cross_validated(data, *task(data)))
        return
    fits = {}
    for name, task in tasks.items():
        target, weight = task(data)
        used = weight > 0
        fits[name] = fit(data.features[used], target[used], weight[used])
    fits["atrial"] = fit(*atrial_windows(folder), squares=False)
    stored = {"fitted_on": {"cudb": CUDB_DESIGN, "mitdb": io.DS1,
                            "nstdb": "first half of em, ma and bw, mixed into DS1"},
              "fitted_by": "python -m training.fit_rhythm", "penalty": PENALTY,
              "features": waveform.FEATURES,
              "models": {name: {key: np.round(getattr(model, key), 6).tolist()
                                for key in ("mean", "scale", "weights", "bias")}
                         for name, model in fits.items()}}
    OUT.write_text(json.dumps(stored) + "\n")
    print(f"wrote {OUT}")


def design_windows(folder: Path) -> Windows:
    """Every second's window of the design patients, clean and, of DS1, with noise."""
    parts = []
    for database, names in (("cudb", CUDB_DESIGN), ("mitdb", io.DS1)):
        for name in names:
            signal = io.load(database, name, folder).signal[0]
            parts.append(_windows(signal, fibrillation(folder, database, name), name, database))
    noises = {name: first_half(io.load("nstdb", name, folder).signal[0]) for name in io.NOISES}
    for i, name in enumerate(io.DS1):
        record = io.load("mitdb", name, folder)
        for j, (noise, samples) in enumerate(noises.items()):
            decibels = NOISE_DB[(i + j) % len(NOISE_DB)]
            mixed, noisy = mix(record, samples, decibels)
            part = _windows(mixed, noisy, name, "mixture")
            # Baseline wander alone hides no beat: it is neither noise nor its absence.
            label = -1 if noise == "bw" else NOISE
            parts.append(Windows(part.features, np.where(part.labels == 1, label, -1),
                                 part.patients, part.origin))
    return Windows(*(np.concatenate([getattr(part, key) for part in parts])
                     for key in ("features", "labels", "patients", "origin")))


def fibrillation(folder: Path, database: str, name: str) -> NDArray[np.float64]:
    """Start and end of each marked episode of flutter or fibrillation, s, [episodes, 2].

    An episode without an end lasts to the record's.
    """
    import wfdb

    marks = wfdb.rdann(str(folder / database / name), "atr")
    header = wfdb.rdheader(str(folder / database / name))
    spans: list[list[float]] = []
    for symbol, sample in zip(marks.symbol, marks.sample, strict=True):
        if symbol == "[":
            spans.append([sample / header.fs, header.sig_len / header.fs])
        elif symbol == "]" and spans:
            spans[-1][1] = sample / header.fs
    return np.array(spans, dtype=np.float64).reshape(-1, 2)


def first_half(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of a noise recording that thresholds and models may see."""
    return samples[: len(samples) // 2]


def mix(record: io.Record, noise: NDArray[np.float32], decibels: float
        ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Add noise as PhysioNet's ``nst`` does: from 5:00 on, in every other two minutes.

    Signal power is that of a sine as tall as the record's median QRS, noise power the mean
    variance within a second.

    Returns
    -------
    signal : float32 [samples], mV
    noisy : float64 [blocks, 2], s
    """
    ecg, reach = record.signal[0], round(0.05 * FS)
    inside = record.beats[(record.beats >= reach) & (record.beats < len(ecg) - reach)]
    around = ecg[inside[:, None] + np.arange(-reach, reach)]
    power = np.median(np.ptp(around, axis=1))**2 / 8
    rows = noise[: len(noise) // FS * FS].reshape(-1, FS)
    gain = np.sqrt(power / rows.var(axis=1).mean() / 10 ** (decibels / 10))
    starts = np.arange(300, len(ecg) / FS, 240.0)
    noisy = np.stack([starts, np.minimum(starts + 120, len(ecg) / FS)], axis=1)
    mixed, used = ecg.copy(), 0
    for start, end in (noisy * FS).astype(np.int64):
        mixed[start:end] += gain * np.take(noise - noise.mean(),
                                           np.arange(used, used + end - start), mode="wrap")
        used += end - start
    return mixed, noisy


def label_windows(count: int, spans: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 for windows inside a span, 0 outside, -1 across an edge; one starts each second."""
    start = np.arange(count)[:, None]
    end = start + waveform.WINDOW_S
    inside = ((start >= spans[:, 0]) & (end <= spans[:, 1])).any(axis=1)
    touched = ((start < spans[:, 1]) & (end > spans[:, 0])).any(axis=1)
    return np.where(inside, 1, np.where(touched, -1, 0))


def readable(signal: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which windows hold no unreadable second, as a stream would judge, bool [windows]."""
    rows = signal[: len(signal) // FS * FS].reshape(-1, FS)
    flaws = quality.flaws_of(rows, FS, quality.QualityPolicy(),
                             np.minimum.accumulate(rows.min(axis=1)),
                             np.maximum.accumulate(rows.max(axis=1)))
    bad = np.cumsum(np.pad(flaws & int(quality.UNREADABLE) != 0, (1, 0)))
    return np.asarray(bad[waveform.WINDOW_S:] == bad[:-waveform.WINDOW_S])


def fibrillation_task(data: Windows) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """What to find, and how much each window counts: half for fibrillation, the other half
    mostly for the same patients' other rhythms, which are the hardest to tell from it."""
    clean = data.labels == NONE
    return data.labels == VF, _shares(
        (data.labels == VF, 0.5), (clean & (data.origin == "cudb"), 0.3),
        (clean & (data.origin == "mitdb"), 0.1), (data.labels == NOISE, 0.1))


def noise_task(data: Windows) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Noise against clean DS1 and against fibrillation, which must not pass for noise."""
    return data.labels == NOISE, _shares(
        (data.labels == NOISE, 0.5), (data.labels == VF, 0.15),
        ((data.labels == NONE) & (data.origin == "mitdb"), 0.35))


def atrial_windows(folder: Path
                   ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Irregularity of the intervals that the detector finds in DS1, whether it is atrial
    fibrillation, and weights. Flutter is neither, for its ventricular answer may be regular."""
    detector = Detector.load(provider="cpu")
    rows, labels = [], []
    for name in io.DS1:
        stream = detector.stream(FS)
        beats = stream.push(io.load("mitdb", name, folder).signal[0]) + stream.finish()
        intervals, ends = zip(*((round((b.time - a.time) * FS), b.time) for a, b in pairwise(beats)
                                if a.label in "NS" and b.label in "NS"), strict=True)
        spans = {mark: rhythm_marks(folder, name, mark) for mark in ("(AFIB", "(AFL")}
        for last in range(rhythm.ATRIAL_INTERVALS, len(ends), 2):
            first = last - rhythm.ATRIAL_INTERVALS
            moment = ends[(first + last) // 2]
            inside = {mark: bool(((moment >= span[:, 0]) & (moment < span[:, 1])).any())
                      for mark, span in spans.items()}
            if not inside["(AFL"]:
                rows.append(rhythm.irregularity(intervals[first:last]))
                labels.append(inside["(AFIB"])
    target = np.array(labels)
    return np.array(rows), target, _shares((target, 0.5), (~target, 0.5))


def rhythm_marks(folder: Path, name: str, mark: str) -> NDArray[np.float64]:
    """Start and end of each stretch of mitdb that the reference gives this rhythm, s."""
    import wfdb

    marks = wfdb.rdann(str(folder / "mitdb" / name), "atr")
    length = wfdb.rdheader(str(folder / "mitdb" / name)).sig_len / FS
    changes = [(sample / FS, note.strip("\0")) for sample, symbol, note
               in zip(marks.sample, marks.symbol, marks.aux_note, strict=True) if symbol == "+"]
    ends = [start for start, _ in changes[1:]] + [length]
    return np.array([(start, end) for (start, note), end in zip(changes, ends, strict=True)
                     if note == mark], dtype=np.float64).reshape(-1, 2)


def fit(features: NDArray[np.float64], target: NDArray[np.bool_], weight: NDArray[np.float64],
        *, squares: bool = True) -> waveform.Model:
    """Weighted logistic regression with a penalty on the squared weights."""
    size = features.shape[1] * (2 if squares else 1)
    model = waveform.Model(features.mean(axis=0), features.std(axis=0) + 1e-9, np.zeros(size), 0.0)
    penalty = PENALTY if squares else 0.0  # two features need none
    inputs = np.column_stack([model.expand(features), np.ones(len(features))])
    sign, share = np.where(target, 1.0, -1.0), weight / weight.sum()

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (inputs @ w)
        free = np.append(w[:-1], 0.0)  # the bias goes unpenalised
        slope = inputs.T @ (share * sign * -np.exp(-np.logaddexp(0.0, margin)))
        return (float(share @ np.logaddexp(0.0, -margin) + penalty * free @ free),
                slope + 2 * penalty * free)

    best = minimize(loss, np.zeros(size + 1), jac=True, method="L-BFGS-B").x
    return waveform.Model(model.mean, model.scale, best[:-1], float(best[-1]))


def cross_validated(data: Windows, target: NDArray[np.bool_], weight: NDArray[np.float64]
                    ) -> dict[str, float]:
    """Sensitivity at a few specificities, patients held out in turn."""
    patients = sorted(set(data.patients.tolist()), key=lambda name: (name[:2] != "cu", name))
    odds = np.zeros(len(target))
    for fold in range(FOLDS):
        held = np.isin(data.patients, patients[fold::FOLDS])
        used = ~held & (weight > 0)
        odds[held] = fit(data.features[used], target[used], weight[used]).log_odds(
            data.features[held])
    yes, no = odds[target & (weight > 0)], odds[~target & (weight > 0)]
    return {f"Se at Sp {specificity:g}": round(float(
        (yes > np.quantile(no, specificity)).mean()), 4) for specificity in (0.95, 0.97, 0.99)}


def _windows(signal: NDArray[np.float32], spans: NDArray[np.float64], patient: str, origin: str
             ) -> Windows:
    kept = readable(signal)
    pieces = waveform.windows(waveform.at_rate(signal, FS))[: len(kept)]
    kept = kept[: len(pieces)]
    labels = label_windows(len(kept), spans)[kept]
    return Windows(waveform.features(pieces[kept]), labels, np.full(len(labels), patient),
                   np.full(len(labels), origin))


def _shares(*groups: tuple[NDArray[np.bool_], float]) -> NDArray[np.float64]:
    weight = np.zeros(len(groups[0][0]))
    for members, share in groups:
        weight[members] = share / max(int(members.sum()), 1)
    return weight


if __name__ == "__main__":
    main()
