"""Training data for the models of the rhythm: windows of design patients, weighed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.model.contract import FS
from runtime.signal import features as waveform
from runtime.signal.features import RATE
from runtime.signal.hum import without_hum
from runtime.signal.policy import QualityPolicy
from training.databases import CUDB, DS1, NOISES, SVDB
from training.recordings import load
from training.rhythm_references import (
    cudb_signal,
    fibrillation,
    first_half,
    label_windows,
    mix,
    readable,
)

NOISE_DB = (0.0, -6.0)  # what the noise model has to know


# Electrode motion added to cudb, so that fibrillation is known through artefact, and artefact over
# another rhythm for what it is: copies of each record; shortest and longest stretch of one motion,
# s; log10 of the motion's deviation as a share of the stretch's. All are evenly drawn between.
MOTION_COPIES, MOTION_S, MOTION_GAIN = 2, (4, 15), (-0.5, 0.2)


SVDB_STEP = 6  # every so many windows of svdb; 30 h of rhythms that are not fibrillation


NONE, VF, NOISE, WANDER = 0, 1, 2, 3


@dataclass(frozen=True)
class Windows:
    """Features of readable windows.

    Attributes
    ----------
    features : float64 [windows, features]
    labels : int64 [windows]: NONE, VF, NOISE, WANDER, or -1 if a window is partly one
    patients : str [windows]
    origin : str [windows]: the database, ``mixture``, or ``motion``, cudb with electrode motion
    second : int64 [windows], at which each begins
    """

    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    origin: NDArray[np.str_]
    second: NDArray[np.int64]


# Gives target and weight of each window.
Task = Callable[[Windows], tuple[NDArray[np.bool_], NDArray[np.float64]]]


def design_windows(folder: Path, policy: QualityPolicy) -> Windows:
    """Every second's window of the design patients, clean and, of DS1, with noise."""
    noises = {name: first_half(load("nstdb", name, folder).signal[0]) for name in NOISES}
    random = np.random.default_rng(0)
    parts = []
    for name in CUDB:
        signal, spans = cudb_signal(folder, name), fibrillation(folder, "cudb", name)
        part = _windows(signal, spans, name, "cudb", policy)
        parts += [part, *(_moved(part, signal, noises["em"], random) for _ in range(MOTION_COPIES))]
    for name in DS1:
        parts.append(
            _windows(
                load("mitdb", name, folder).signal[0],
                fibrillation(folder, "mitdb", name),
                name,
                "mitdb",
                policy,
            )
        )
    for name in SVDB:
        parts.append(
            _windows(
                load("svdb", name, folder).signal[0],
                np.zeros((0, 2)),
                name,
                "svdb",
                policy,
                SVDB_STEP,
            )
        )
    for i, name in enumerate(DS1):
        record = load("mitdb", name, folder)
        for j, (noise, samples) in enumerate(noises.items()):
            decibels = NOISE_DB[(i + j) % len(NOISE_DB)]
            mixed, noisy = mix(record, samples, decibels)
            part = _windows(mixed, noisy, name, "mixture", policy)
            label = WANDER if noise == "bw" else NOISE
            parts.append(replace(part, labels=np.where(part.labels == 1, label, -1)))
    return Windows(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Windows)
        )
    )


def fibrillation_task(data: Windows) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Target and weight of each window: more than half for fibrillation, the rest mostly for the
    same patients' other rhythms, which are the hardest to distinguish from it. A patient weighs
    as the root of the number of windows, so that no long episode decides."""
    moved, none = data.origin == "motion", data.labels == NONE
    weight = _shares(
        (~moved & (data.labels == VF), 0.15),
        (none & (data.origin == "cudb"), 0.09),
        (none & np.isin(data.origin, ("mitdb", "svdb")), 0.03),
        (data.labels >= NOISE, 0.03),
        (moved & (data.labels == VF), 0.44),
        (moved & none, 0.26),
        patients=data.patients,
    )
    return data.labels == VF, weight


def noise_task(data: Windows) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Noise against clean signal, baseline wander, which alone hides no beat, and fibrillation,
    which must not pass for noise."""
    clean = data.labels == NONE
    return data.labels == NOISE, _shares(
        (data.labels == NOISE, 0.5),
        ((data.labels == VF) & (data.origin != "motion"), 0.12),
        (clean & (data.origin == "mitdb"), 0.2),
        (clean & (data.origin == "svdb"), 0.06),
        (data.labels == WANDER, 0.12),
    )


def _windows(
    signal: NDArray[np.float32],
    spans: NDArray[np.float64],
    patient: str,
    origin: str,
    policy: QualityPolicy,
    step: int = 1,
) -> Windows:
    kept = readable(signal, policy)
    pieces = waveform.windows(watched(signal))[: len(kept)]
    at = np.flatnonzero(kept[: len(pieces)])[::step]
    return Windows(
        waveform.features(pieces[at]),
        label_windows(len(kept), spans)[at],
        np.full(len(at), patient),
        np.full(len(at), origin),
        at,
    )


def watched(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """Whole seconds of a signal as the runtime judges them: less their hum, at 60 Hz."""
    rows = signal[: len(signal) // FS * FS].reshape(-1, FS)
    return without_hum(rows, FS).reshape(-1, FS // RATE).mean(axis=1, dtype=np.float64)


def _moved(
    part: Windows,
    signal: NDArray[np.float32],
    noise: NDArray[np.float32],
    random: np.random.Generator,
) -> Windows:
    """The same windows of a record through which electrode motion goes, stretch by stretch."""
    ecg, motion = watched(signal), waveform.at_rate(noise, FS)
    moved, at = ecg.copy(), 0
    while at < len(ecg):
        size = min(int(random.integers(*MOTION_S)) * RATE, len(ecg) - at)
        first = int(random.integers(0, len(motion) - size))
        added, own = motion[first : first + size], ecg[at : at + size].std()
        gain = 10 ** random.uniform(*MOTION_GAIN) * max(own, 1e-3) / max(added.std(), 1e-3)
        moved[at : at + size] += gain * (added - added.mean())
        at += size
    features = waveform.features(waveform.windows(moved)[part.second])
    return replace(part, features=features, origin=np.full(len(features), "motion"))


def _shares(
    *groups: tuple[NDArray[np.bool_], float], patients: NDArray[np.str_] | None = None
) -> NDArray[np.float64]:
    """Weights that give each group its share, divided evenly over its windows, or, with
    ``patients``, by the root of their number in each patient."""
    weight = np.zeros(len(groups[0][0]))
    for members, share in groups:
        own = members.astype(np.float64)
        if patients is not None:
            _, which, count = np.unique(patients[members], return_inverse=True, return_counts=True)
            own[members] = count[which] ** -0.5
        weight += share * own / max(own.sum(), 1e-9)
    return weight
