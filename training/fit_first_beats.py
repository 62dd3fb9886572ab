"""Fit what decides on V while the patient's usual QRS complex is not known yet.

``python -m training.fit_first_beats bench/results/folds/strangers/fold[0-5]`` needs one training
run for each fold of patients. Half-minutes of each patient go anew through the runtime, with the
network that never saw the patient, and the strips of strangers that may be trained on, a sixth
with each. Of every beat the network's opinion and how it compares with those before are noted, and
the correction (`runtime.rhythm.template.FirstBeats`) is fitted to what is missing to the truth. It
prints what cross-validation gives and writes the rhythm with the correction;
``python -m export.rhythm`` puts it into ``artifacts/``. Nothing of DS2 or of the strangers held
back is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.beats import V
from runtime.detector import Detector
from runtime.errors import EkgError
from runtime.model.contract import FS, BeatPolicy
from runtime.rhythm.template import FirstBeats
from runtime.signal.features import comparable
from training import dataset
from training.devices import one_thread
from training.download import require_data
from training.errors import DataError
from training.fits import fit_parser, present_rhythm, write_rhythm
from training.held_out import NotingTemplate, truth_of, unseen
from training.torch_detector import detector_of
from training.weak import entries, read

WINDOW_S, EVERY_S = 30, 120  # s; of each half-hour 15 windows
HIDDEN, STEPS, BATCH, RATE, DECAY = 8, 400, 8192, 5e-3, 0.02
# How dear a large correction is, and the strips' share beside the patients'.
SMALL, STRIPS_SHARE = 0.003, 2.0
# How much more a V beat weighs: cross entropy alone misses those of patients unlike the 68.
V_SHARE = 4.0
THIRD = 3  # one in so many strips is heard: more change nothing
FEWEST = 10.0  # V beats; a patient with fewer weighs as one with so many
FEW = 5  # V beats of a patient, of whom an F1 is counted
UNKNOWN = -1
OPINION = FirstBeats.inputs.index("log-odds of V against N and S")
TRUST = FirstBeats.inputs.index("known")


@dataclass(frozen=True)
class Heard:
    """The beats of one half-minute.

    Attributes
    ----------
    fold : the run that heard it, and never saw the patient
    person : of which several may come
    inputs : float64 [beats, inputs of `FirstBeats`]
    log_odds : float64 [beats], of V against N and S by network and usual QRS complex
    label : int64 [beats], the network's
    target : int64 [beats], 1 for V, 0 for N, S and no beat, `UNKNOWN` for others
    there : V beats of the reference
    strip : True if its label is that of a whole strip
    """

    fold: int
    person: str
    inputs: NDArray[np.float64]
    log_odds: NDArray[np.float64]
    label: NDArray[np.int64]
    target: NDArray[np.int64]
    there: int
    strip: bool


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = fit_parser("fit_first_beats", __doc__, runs=True)
    args = parser.parse_args(arguments)
    one_thread()
    try:
        stored = present_rhythm(args.out, args.runs)
        require_data()
        heard = [*windows(args.runs), *strips(args.runs)]
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    print_crossed(heard)
    stored["models"]["first beats"] = fit(heard).to_dict()
    write_rhythm(stored, args.out)


def windows(runs: Sequence[Path]) -> Iterator[Heard]:
    """Half-minutes of every patient, each heard anew by the run that never saw the patient."""
    records, _, _ = dataset.training_data(["mitdb", "svdb"])
    size = WINDOW_S * FS
    for fold, run in enumerate(runs):
        detector = detector_of(run, BeatPolicy())
        for record in tqdm(unseen(run, records)[1], desc=str(run), unit="record"):
            signal = record.signal[0]
            for start in range(EVERY_S // 2 * FS, len(signal) - size, EVERY_S * FS):
                inside = (record.beats >= start) & (record.beats < start + size)
                yield hear(
                    detector,
                    signal[start : start + size],
                    FS,
                    fold,
                    record.name,
                    record.beats[inside] - start,
                    record.labels[inside],
                )


def strips(runs: Sequence[Path]) -> Iterator[Heard]:
    """Strips of strangers that may be trained on, in which no beat is V."""
    detectors = [detector_of(run, BeatPolicy()) for run in runs]
    known = [e for e in entries("cinc2017") if e.label in "NA" and not e.held_back][::THIRD]
    for i, entry in enumerate(tqdm(known, desc="cinc2017", unit="strip")):
        fold, record = i % len(runs), read(entry)
        yield hear(
            detectors[fold], record.signal[0].astype(np.float64), record.fs, fold, entry.person
        )


def hear(
    detector: Detector,
    signal: NDArray[np.floating],
    fs: float,
    fold: int,
    person: str,
    beats: NDArray[np.int64] | None = None,
    labels: NDArray[np.int64] | None = None,
) -> Heard:
    """What the usual QRS complex is given of a recording, and what is right.

    Parameters
    ----------
    beats, labels : of the reference; None: a strip without any V
    """
    stream = detector.stream(fs, events=True)
    assert stream.tracker is not None
    stream.tracker.template = template = NotingTemplate(detector)
    stream.tracker.context = None  # the compiled loops would not ask it
    stream.push(signal)
    stream.finish()
    inputs = np.zeros((len(template.evidence), len(FirstBeats.inputs)))
    log_odds = np.zeros(len(inputs))
    label = np.zeros(len(inputs), dtype=np.int64)
    for i, (row, given, compared, _) in enumerate(template.evidence):
        inputs[i] = FirstBeats.row(row, compared, template.trusts[i])
        log_odds[i] = inputs[i, OPINION] + template.shift(compared)
        label[i] = given
    if beats is None or labels is None:
        return Heard(fold, person, inputs, log_odds, label, np.zeros_like(label), 0, True)
    truth = truth_of(beats, labels, template.samples)
    target = np.where(truth > V, UNKNOWN, truth == V)
    return Heard(fold, person, inputs, log_odds, label, target, int((labels == V).sum()), False)


def weights(heard: Sequence[Heard]) -> NDArray[np.float64]:
    """Weight of each beat, of all half-minutes in order: a patient's V beats weigh together as one
    if there are `FEWEST` or more, every other beat as one of them; strips by their share.
    """
    there: dict[str, int] = {}
    for one in heard:
        there[one.person] = there.get(one.person, 0) + one.there
    weight = np.concatenate(
        [
            np.full(len(one.target), 1.0 if one.strip else 1 / max(there[one.person], FEWEST))
            for one in heard
        ]
    )
    strip = np.concatenate([np.full(len(one.target), one.strip) for one in heard])
    target = np.concatenate([one.target for one in heard])
    weight[target == UNKNOWN] = 0.0
    weight[target == 1] *= V_SHARE
    for group, share in ((strip, STRIPS_SHARE), (~strip, 1.0)):
        weight[group] *= share / max(weight[group].sum(), 1e-9)
    return weight


def print_crossed(heard: Sequence[Heard]) -> None:
    """Print V beats without the correction, and with one fitted without the patient's fold."""
    without = [np.zeros(len(one.target)) for one in heard]
    crossed = list(without)
    for fold in sorted({one.fold for one in heard}):
        network = fit([one for one in heard if one.fold != fold])
        for i, one in enumerate(heard):
            if one.fold == fold:
                crossed[i] = (1 - one.inputs[:, TRUST]) * network.log_odds(one.inputs)
    for name, corrections in (("without", without), ("with", crossed)):
        figures = measured(heard, [called(*pair) for pair in zip(heard, corrections, strict=True)])
        print(name, ", ".join(f"{what} {100 * value:.1f}" for what, value in figures.items()))


def called(one: Heard, correction: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which beats are V; one that the network calls F or Q stays."""
    return np.asarray((one.log_odds + correction > 0) & (one.label <= V))


def measured(heard: Sequence[Heard], found: Sequence[NDArray[np.bool_]]) -> dict[str, float]:
    """V beats of half-minutes, of all and in the mean of patients, and strips with a V."""
    counts: dict[str, NDArray[np.int64]] = {}
    flagged = []
    for one, v in zip(heard, found, strict=True):
        if one.strip:
            flagged.append(v.any())
            continue
        mine = np.array([(v & (one.target == 1)).sum(), v.sum(), one.there])
        counts[one.person] = counts.get(one.person, 0) + mine
    right, claimed, there = np.sum(list(counts.values()), axis=0)
    rich = [2 * r / (c + t) for r, c, t in counts.values() if t >= FEW]
    return {
        "Se": right / there,
        "+P": right / claimed,
        "F1": 2 * right / (claimed + there),
        f"F1, mean of patients with {FEW}": float(np.mean(rich)),
        "strips with a V": float(np.mean(flagged)),
    }


def fit(heard: Sequence[Heard]) -> FirstBeats:
    """The correction that is missing to the truth of these half-minutes."""
    inputs = np.concatenate([one.inputs for one in heard])
    log_odds = np.concatenate([one.log_odds for one in heard])
    target = np.concatenate([one.target for one in heard])
    weight = weights(heard)
    used = target != UNKNOWN
    mean, scale = inputs[used].mean(axis=0), inputs[used].std(axis=0) + 1e-3
    given, base, answers = (
        torch.tensor(one[used], dtype=torch.float32)
        for one in (comparable(inputs, mean, scale), log_odds, target)
    )
    torch.manual_seed(0)
    first, last = torch.nn.Linear(len(FirstBeats.inputs), HIDDEN), torch.nn.Linear(HIDDEN, 1)
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    optimizer = torch.optim.AdamW(
        [*first.parameters(), *last.parameters()], lr=RATE, weight_decay=DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS, pct_start=0.2)
    draws = np.random.default_rng(0).choice(
        len(base), (STEPS, BATCH), p=weight[used] / weight[used].sum()
    )
    for rows in torch.from_numpy(draws):
        correction = last(torch.tanh(first(given[rows])))[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            base[rows] + correction, answers[rows]
        )
        loss = loss + SMALL * (correction**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    hidden = np.concatenate([first.weight.detach().numpy().T, first.bias.detach().numpy()[None]])
    return FirstBeats(
        mean,
        scale,
        last.weight.detach().numpy()[0].astype(np.float64),
        last.bias.item(),
        hidden.astype(np.float64),
    )


if __name__ == "__main__":
    main()
