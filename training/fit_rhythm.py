"""Fit the models of ventricular fibrillation, noise and atrial fibrillation on design patients.

``python -m training.fit_rhythm`` uses cudb, DS1 of mitdb, svdb, and the first half of nstdb's
noises mixed into DS1. DS2 and the second halves are for `training.evaluate_rhythm`, which judges
each patient of cudb by models fitted without a sixth of cudb, the patient's own (`left_out`). With
``--check`` it prints what six-fold cross-validation gives for single windows, and writes nothing.
Atrial fibrillation is judged by beats, so a new network wants it fitted anew, before it is
exported and DS2 is read: ``--run`` names its training run. The policies stay as
``artifacts/rhythm.json`` has them; ``python -m export.rhythm`` puts the result there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from runtime import Detector
from runtime.beats import from_beats
from runtime.detector import DEFAULT_ARTIFACTS, load_rhythm
from runtime.errors import EkgError
from runtime.model.artifacts import Artifacts
from runtime.model.contract import FS
from runtime.rhythm.events.atrial import FEATURES as ATRIAL_FEATURES
from runtime.rhythm.events.atrial import (
    AfFeatures,
    AtrialLimits,
    LinearModel,
    is_certainly_atrial,
    samples_before,
)
from runtime.signal import features as waveform
from runtime.signal.features import WindowModel, comparable
from runtime.signal.quality import QualityPolicy
from training.databases import CUDB, DS1, NOISES, SVDB
from training.download import require_data
from training.errors import DataError
from training.recordings import load
from training.results import require_writable
from training.rhythm_references import (
    cudb_signal,
    fibrillation,
    first_half,
    label_windows,
    mix,
    readable,
    rhythm_marks,
)
from training.torch_detector import detector_of

OUT = Path("runs/rhythm.json")
PENALTY = 0.001  # on the logistic model's squared weights
# Of a network: units in the hidden layer; networks whose log-odds are averaged; steps; windows in
# a step; noise on the inputs, in deviations of each, so that none of them is trusted too much.
HIDDEN, NETWORKS, STEPS, BATCH, JITTER = 8, 4, 480, 1024, 0.4
NOISE_DB = (0.0, -6.0)  # what the noise model has to know
# Electrode motion added to windows of cudb, so that fibrillation is known through artefact, and
# artefact over another rhythm for what it is: copies of each; log10 of the noise's deviation as a
# share of the window's, evenly drawn between.
MOTION_COPIES, MOTION_GAIN = 2, (-0.5, 0.2)
SVDB_STEP = 6  # every so many windows of svdb; 30 h of rhythms that are not fibrillation
FOLDS = 6
# Of svdb, which has no rhythm marks: intervals without order and no P wave before half an hour of
# beats. It counts as neither.
UNMARKED = ("804",)
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.fit_rhythm", description=__doc__)
    parser.add_argument("--check", action="store_true", help="cross-validate, write nothing")
    parser.add_argument(
        "--run",
        type=Path,
        help="training run whose network finds the beats (default: the exported)",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    args = parser.parse_args(arguments)
    try:
        require_writable(args.out.parent)
        stored = Artifacts(DEFAULT_ARTIFACTS).json("rhythm.json")
        folder = require_data(["mitdb", "cudb", "nstdb", "svdb"])
        detector = detector_of(args.run) if args.run else Detector.load(provider="cpu")
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    data = design_windows(folder, load_rhythm().quality)
    tasks: dict[str, Task] = {"fibrillation": fibrillation_task, "noise": noise_task}
    if args.check:
        for name, task in tasks.items():
            target, weight = task(data)
            odds = held_out_odds(data, task)
            print(name, separation(odds[weight > 0], target[weight > 0]))
        return
    fits: dict[str, WindowModel | LinearModel] = {}
    for name, task in tasks.items():
        target, weight = task(data)
        used = weight > 0
        fits[name] = fit_network(data.features[used], target[used], weight[used])
    fits |= {name: fit(*windows) for name, windows in atrial_windows(folder, detector).items()}
    stored |= {
        "fitted_on": {
            "cudb": CUDB,
            "mitdb": DS1,
            "svdb": SVDB,
            "nstdb": "first half of em, ma and bw, mixed into DS1",
        },
        "fitted_by": "python -m training.fit_rhythm",
        "features": waveform.FEATURES,
        "atrial_features": ATRIAL_FEATURES,
        "models": {name: model.to_dict() for name, model in fits.items()},
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(stored) + "\n")
    print(f"wrote {args.out}; `python -m export.rhythm {args.out}` puts it into artifacts/")


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


def atrial_windows(
    folder: Path, detector: Detector
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]]:
    """Features of the beats that the detector finds in DS1 and svdb, true for those in atrial
    fibrillation (``atrial``: in the middle of the intervals; ``onset``: at their end), and weights.

    Flutter is neither, because its ventricular answer may be regular. svdb has no rhythm marks and
    counts as free of fibrillation, but for the records that `UNMARKED` names.
    """
    limits = detector.rhythm_policy.of(AtrialLimits)
    found: dict[str, list[tuple[tuple[float, ...], bool, str]]] = {"atrial": [], "onset": []}
    for database, names in (("mitdb", DS1), ("svdb", SVDB)):
        for name in names:
            if name in UNMARKED:
                continue
            signal = load(database, name, folder).signal[0]
            stream = detector.stream(FS)
            beats = stream.push(signal) + stream.finish()
            spans = {
                mark: rhythm_marks(folder, name, mark) if database == "mitdb" else np.zeros((0, 2))
                for mark in ("(AFIB", "(AFL")
            }
            ecg_60hz = waveform.at_rate(signal, FS).astype(np.float32)
            atria = AfFeatures()
            block = from_beats(beats, FS)
            certain = [
                is_certainly_atrial(row, label, limits)
                for row, label in zip(block.probabilities, block.labels, strict=True)
            ]
            for (last, before), (now, here) in pairwise(zip(block.samples, certain, strict=True)):
                if not (before and here):
                    continue
                due = atria.add(now - last, now, samples_before(ecg_60hz, now))
                for model, verdict, moment in zip(found, due, (atria.middle, now), strict=True):
                    inside = {
                        mark: bool(((moment >= span[:, 0] * FS) & (moment < span[:, 1] * FS)).any())
                        for mark, span in spans.items()
                    }
                    if verdict and not inside["(AFL"]:
                        found[model].append((atria.features(model), inside["(AFIB"], database))
    windows = {}
    for name, rows in found.items():
        target, group = (np.array([row[at] for row in rows]) for at in (1, 2))
        windows[name] = (
            np.array([features for features, _, _ in rows]),
            target,
            _shares(
                (target, 0.5),
                (~target & (group == "mitdb"), 0.25),
                (~target & (group == "svdb"), 0.25),
            ),
        )
    return windows


def fit(
    features: NDArray[np.float64], target: NDArray[np.bool_], weight: NDArray[np.float64]
) -> LinearModel:
    """Weighted logistic regression with a penalty on the squared weights."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    inputs = np.column_stack([comparable(features, mean, scale), np.ones(len(features))])
    sign, share = np.where(target, 1.0, -1.0), weight / weight.sum()

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (inputs @ w)
        free = np.append(w[:-1], 0.0)  # the bias goes unpenalised
        slope = inputs.T @ (share * sign * -np.exp(-np.logaddexp(0.0, margin)))
        return (
            float(share @ np.logaddexp(0.0, -margin) + PENALTY * free @ free),
            slope + 2 * PENALTY * free,
        )

    best = minimize(loss, np.zeros(len(mean) + 1), jac=True, method="L-BFGS-B").x
    return LinearModel.from_dict(
        {"mean": mean, "scale": scale, "weights": best[:-1], "bias": best[-1]}
    )


def fit_network(
    features: NDArray[np.float64], target: NDArray[np.bool_], weight: NDArray[np.float64]
) -> WindowModel:
    """Small networks of one hidden layer, trained from several seeds, as one wide network that
    gives the mean of their log-odds."""
    import torch

    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    inputs = torch.tensor(comparable(features, mean, scale), dtype=torch.float32)
    answers = torch.tensor(target, dtype=torch.float32)
    hidden, weights, bias = [], [], 0.0
    for seed in range(NETWORKS):
        torch.manual_seed(seed)
        first, last = torch.nn.Linear(features.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
        parameters = [*first.parameters(), *last.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, STEPS)
        draws = np.random.default_rng(seed).choice(
            len(target), (STEPS, BATCH), p=weight / weight.sum()
        )
        for rows in torch.from_numpy(draws):
            blurred = inputs[rows] + JITTER * torch.randn(BATCH, features.shape[1])
            odds = last(torch.tanh(first(blurred)))[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, answers[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            hidden.append(np.concatenate([first.weight.numpy().T, first.bias.numpy()[None]]))
            weights.append(last.weight.numpy()[0] / NETWORKS)
            bias += float(last.bias[0]) / NETWORKS
    return WindowModel(
        mean,
        scale,
        np.concatenate(weights).astype(np.float64),
        bias,
        np.concatenate(hidden, axis=1).astype(np.float64),
    )


def separation(odds: NDArray[np.float64], target: NDArray[np.bool_]) -> dict[str, float]:
    """Sensitivity at a few specificities."""
    yes, no = odds[target], odds[~target]
    return {
        f"Se at Sp {specificity:g}": round(float((yes > np.quantile(no, specificity)).mean()), 4)
        for specificity in (0.95, 0.97, 0.99)
    }


def left_out(data: Windows, task: Task) -> Iterator[tuple[list[str], WindowModel]]:
    """A sixth of the patients, and a model that saw nothing of them; six times."""
    patients = sorted(set(data.patients.tolist()), key=lambda name: (name[:2] != "cu", name))
    target, weight = task(data)
    for fold in range(FOLDS):
        names = patients[fold::FOLDS]
        used = ~np.isin(data.patients, names) & (weight > 0)
        yield names, fit_network(data.features[used], target[used], weight[used])


def held_out_odds(data: Windows, task: Task) -> NDArray[np.float64]:
    """Log-odds of every window from models that saw nothing of its patient."""
    odds = np.zeros(len(data.labels))
    for names, model in left_out(data, task):
        held = np.isin(data.patients, names)
        odds[held] = model.log_odds(data.features[held])
    return odds


def _windows(
    signal: NDArray[np.float32],
    spans: NDArray[np.float64],
    patient: str,
    origin: str,
    policy: QualityPolicy,
    step: int = 1,
) -> Windows:
    kept = readable(signal, policy)
    pieces = waveform.windows(waveform.at_rate(signal, FS))[: len(kept)]
    at = np.flatnonzero(kept[: len(pieces)])[::step]
    return Windows(
        waveform.features(pieces[at]),
        label_windows(len(kept), spans)[at],
        np.full(len(at), patient),
        np.full(len(at), origin),
        at,
    )


def _moved(
    part: Windows,
    signal: NDArray[np.float32],
    noise: NDArray[np.float32],
    random: np.random.Generator,
) -> Windows:
    """The same windows, each with another stretch of electrode motion."""
    pieces = waveform.windows(waveform.at_rate(signal, FS))[part.second]
    motion = waveform.at_rate(noise, FS)
    start = random.integers(0, len(motion) - pieces.shape[1], len(pieces))
    added = motion[start[:, None] + np.arange(pieces.shape[1])]
    gain = 10 ** random.uniform(*MOTION_GAIN, len(pieces)) * pieces.std(axis=1) / added.std(axis=1)
    mixed = pieces + gain[:, None] * (added - added.mean(axis=1, keepdims=True))
    return replace(part, features=waveform.features(mixed), origin=np.full(len(pieces), "motion"))


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


if __name__ == "__main__":
    main()
