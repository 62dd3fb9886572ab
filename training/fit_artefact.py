"""Fit what recognises V and S beats that are artefact.

``python -m training.fit_artefact bench/results/folds/strangers/fold[0-5]`` needs one training run
for each fold of patients. Each patient goes through the runtime twice, with the network that never
saw the patient: as recorded, and with deflections added that no heart makes (`training.motion`).
True V and S beats of the second lead are learnt from too. Strips of strangers that may be trained
on go through it, a sixth with each network. Of every beat called V or S is noted what
`runtime.rhythm.artefact` is given. It prints what cross-validation gives and writes the rhythm with
the model; ``python -m export.rhythm`` puts it into ``artifacts/``. Nothing of DS2 or of the
strangers held back is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.beats import F, N, S, V
from runtime.detector import Detector
from runtime.errors import EkgError
from runtime.findings import CLASSES
from runtime.model.contract import FS, BeatPolicy
from runtime.rhythm.artefact import (
    FIRST,
    LAST,
    ArtefactModel,
    Artefacts,
    Before,
    describe,
)
from runtime.rhythm.model import FORMAT
from runtime.rhythm.template import Known
from runtime.signal.features import comparable
from training import dataset
from training.devices import one_thread
from training.download import require_data
from training.errors import DataError
from training.fits import fit_parser, present_rhythm, write_rhythm
from training.held_out import truth_of, unseen
from training.motion import KINDS, Span, added
from training.recordings import Record
from training.torch_detector import detector_of
from training.weak import entries, read

CACHE = Path("runs/artefact")
PIECE_S = 60
NEAR_S = (0.1, 0.15)  # of an R peak before and after a deflection: it is of it
HIDDEN, STEPS, BATCH, RATE, DECAY = 16, 500, 1024, 5e-3, 0.02
# Weights: true V and S beats, of each patient as one; deflections, and strips' and false beats.
SHARES = {"true": 4.0, "added": 2.0, "strip": 0.5, "false": 0.5}
FEWEST = 30.0  # beats; a patient with fewer weighs as one with so many
# Of the true V and S so many may be called artefact: F1 of patients left out stays as it is, and in
# electrode motion at 6 dB.
LOST = {V: 0.0004, S: 0.0002}
SECOND_LEAD = -2  # in the place of a kind: V and S beats in other forms, to learn from alone
UNKNOWN, NONE = -9, -1  # of a reference's label: not known; there is no beat
IS_S = ArtefactModel.inputs.index("is S")


class Noting(Artefacts):
    """Notes what it is given, and leaves beats as they are."""

    def __init__(self) -> None:
        self.samples: list[int] = []
        self.inputs: list[list[float]] = []

    def read(
        self,
        row: list[float],
        label: int,
        known: Known,
        before: Before,
        sample: int,
        between: Callable[[int, int], NDArray[np.float32] | None],
    ) -> tuple[list[float], int]:
        around = between(sample + FIRST, sample + LAST)
        assert around is not None
        self.samples.append(sample)
        self.inputs.append(describe(row, label, around, known, before, sample))
        return row, label


# A beat called V or S: who, the reference's label, kind of the deflection it is of (-1: none), what
# is known of it.
ROW = np.dtype(
    [
        ("fold", "i4"),
        ("who", "U12"),
        ("truth", "i4"),
        ("kind", "i4"),
        ("inputs", "f4", (len(ArtefactModel.inputs),)),
    ]
)


Rows = NDArray[np.void]  # of `ROW`


def heard(detector: Detector, ecg: NDArray[np.float64], fs: float) -> Noting:
    """What is noted of a recording."""
    stream, noting = detector.stream(fs, events=True), Noting()
    assert stream.tracker is not None
    stream.tracker.artefacts = noting
    stream.tracker.context = None  # the compiled loops would not ask it
    size = round(PIECE_S * fs)
    for at in range(0, len(ecg), size):
        stream.push(ecg[at : at + size])
    stream.finish()
    return noting


def of_fold(fold: int, run: Path, records: Sequence[Record], noise: NDArray[np.float32]) -> Rows:
    """All `ROW`s of the patients and strips of a fold; read from `CACHE` if they are there."""
    path = CACHE / f"{fold}.npy"
    if path.is_file():
        return np.asarray(np.load(path))
    rows, detector = list[Any](), detector_of(run, BeatPolicy())
    for record in tqdm(unseen(run, records)[1], desc=str(run), unit="record"):
        rows += of_record(fold, detector, record, noise)
    known = [e for e in entries("cinc2017") if e.label == "N" and not e.held_back]
    for entry in tqdm(known[fold::6], desc="cinc2017", unit="strip"):
        strip = read(entry)
        noting = heard(detector, strip.signal[0].astype(np.float64), strip.fs)
        rows += [(fold, entry.name[-12:], UNKNOWN, -1, row) for row in noting.inputs]
    found = np.array([(*row[:4], tuple(row[4])) for row in rows], dtype=ROW)
    CACHE.mkdir(parents=True, exist_ok=True)
    np.save(path, found)
    return found


def of_record(
    fold: int, detector: Detector, record: Record, noise: NDArray[np.float32]
) -> Iterator[tuple[int, str, int, int, list[float]]]:
    """Rows of a patient: of clean signal, and of beats that deflections made or changed."""
    for lead, dirty in ((0, False), (0, True), (1, False)):
        ecg = record.signal[lead].astype(np.float64)
        spans: list[Span] = []
        if dirty:
            ecg, spans = added(np.random.default_rng((7, int(record.name))), ecg, noise)
        noting = heard(detector, ecg, FS)
        truth = truth_of(record.beats, record.labels.astype(np.int64), noting.samples)
        for sample, true, row in zip(noting.samples, truth.tolist(), noting.inputs, strict=True):
            kind = kind_of(sample, spans) if lead == 0 else SECOND_LEAD
            if lead == 1 and true not in (S, V, F):
                continue
            if any(a <= sample <= b for a, b in record.flutter) or (dirty and kind < 0):
                continue
            yield fold, record.database + record.name, true, kind, row


def kind_of(sample: int, spans: Sequence[Span]) -> int:
    """Kind of the deflection that a beat is of; -1: of none."""
    before, after = (round(seconds * FS) for seconds in NEAR_S)
    for span in spans:
        if span.start - before < sample < span.end + after:
            return span.kind
    return -1


def groups(rows: Rows) -> dict[str, NDArray[np.bool_]]:
    """Which rows are true ectopic beats, and which are artefact, by where they are from."""
    truth, clean = rows["truth"], rows["kind"] < 0
    return {
        "true": clean & np.isin(truth, (S, V, F)),
        "added": ~clean & np.isin(truth, (N, NONE)),
        "strip": truth == UNKNOWN,
        "false": clean & (truth == NONE),
    }


def weights(rows: Rows) -> NDArray[np.float64]:
    """Weight of each row; 0 if it is not known what it is."""
    weight = np.zeros(len(rows))
    for name, group in groups(rows).items():
        _, person, counts = np.unique(rows["who"][group], return_inverse=True, return_counts=True)
        own = 1 / np.maximum(counts, FEWEST)[person]
        weight[group] = SHARES[name] * own / max(own.sum(), 1e-9)
    return weight


def fit(rows: Rows) -> ArtefactModel:
    """The model of these rows."""
    weight, inputs = weights(rows), rows["inputs"].astype(np.float64)
    used = weight > 0
    target = (~groups(rows)["true"])[used].astype(np.float32)
    weight = weight[used] / weight.sum()
    mean, scale = inputs[used].mean(axis=0), inputs[used].std(axis=0) + 1e-3
    given = torch.tensor(comparable(inputs[used], mean, scale), dtype=torch.float32)
    answers = torch.tensor(target)
    torch.manual_seed(0)
    first, last = torch.nn.Linear(given.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
    optimizer = torch.optim.AdamW(
        [*first.parameters(), *last.parameters()], lr=RATE, weight_decay=DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS, pct_start=0.2)
    rng = np.random.default_rng(0)
    total = weight.cumsum()
    for _ in range(STEPS):
        batch = torch.from_numpy(total.searchsorted(rng.random(BATCH) * total[-1]))
        found = last(torch.tanh(first(given[batch])))[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(found, answers[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    hidden = np.concatenate([first.weight.detach().numpy().T, first.bias.detach().numpy()[None]])
    return ArtefactModel(
        mean,
        scale,
        last.weight.detach().numpy()[0].astype(np.float64),
        last.bias.item(),
        hidden.astype(np.float64),
    )


def limit(log_odds: NDArray[np.float64], rows: Rows, label: int) -> float:
    """The lowest log-odds above which no more than `LOST` of the true beats called so lie."""
    first = groups(rows)["true"] & (rows["kind"] != SECOND_LEAD)
    mine = first & (rows["truth"] == label) & called(rows, label)
    return max(float(np.quantile(log_odds[mine], 1 - LOST[label])), 0.0)


def called(rows: Rows, label: int) -> NDArray[np.bool_]:
    """Which rows are called V, or S."""
    return np.asarray((rows["inputs"][:, IS_S] > 0.5) == (label == S))


def report(log_odds: NDArray[np.float64], rows: Rows, limits: dict[int, float]) -> None:
    """Print how many are artefact at these limits, in %."""

    def share(words: str, which: NDArray[np.bool_]) -> None:
        if which.any():
            print(f"{words}: {100 * found[which].mean():.2f} of {which.sum()}")

    for label, name in ((V, "V"), (S, "S")):
        mine = called(rows, label) & (rows["kind"] != SECOND_LEAD)
        found = log_odds >= limits[label]
        for group, where in groups(rows).items():
            share(f"called {name}, {group}", where & mine)
        for true in (N, S, V, F):
            clean = rows["kind"] < 0
            share(f"  reference {CLASSES[true]}", mine & clean & (rows["truth"] == true))
        for kind in range(len(KINDS)):
            here = (rows["kind"] == kind) & np.isin(rows["truth"], (N, NONE))
            share(f"  deflection {kind}", mine & here)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = fit_parser("fit_artefact", __doc__, runs=True)
    args = parser.parse_args(arguments)
    one_thread()
    try:
        stored = present_rhythm(args.out, args.runs)
        require_data()
        records, noise, _ = dataset.training_data(["mitdb", "svdb"])
        motion = noise[2:4]  # both leads of nstdb's em
        rows = np.concatenate(
            [of_fold(fold, run, records, motion) for fold, run in enumerate(args.runs)]
        )
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    crossed = np.zeros(len(rows))
    for fold in range(len(args.runs)):
        mine = rows["fold"] == fold
        crossed[mine] = fit(rows[~mine]).log_odds(rows["inputs"][mine].astype(np.float64))
    limits = {label: limit(crossed, rows, label) for label in (V, S)}
    print(limits)
    report(crossed, rows, limits)
    stored["format"] = FORMAT
    stored["models"]["artefact"] = fit(rows).to_dict()
    stored["policy"]["artefact"] = {
        "artefact_v": round(limits[V], 2),
        "artefact_s": round(limits[S], 2),
    }
    write_rhythm(stored, args.out)


if __name__ == "__main__":
    main()
