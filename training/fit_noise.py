"""Fit the model of lasting noise on strips that a cardiologist calls noise.

``python -m training.fit_noise`` takes the strips of cinc2017, but for the fixed fifth. A strip has
one label, and only a part of a noisy one is noise. So a strip counts by its noisiest windows: those
of a noisy strip are to be noise, and that of any other is not. Which they are is looked up again
every few steps. Long noisy strips also stand after a normal one, and normal ones after them, as
noise comes and goes in longer recordings. Beside strips stand recordings that are to be read,
rhythms that resemble noise among them (DS1 of mitdb, with and without noise of nstdb's first
halves, two paced patients, svdb, cudb): each counts by the noisiest twentieth of the windows that
nothing else makes doubtful. The
limit is the one that flags as many of the normal strips as `FLAGGED`, judged by models that saw
nothing of their fifth; ``--check`` measures these models in all strips and recordings, and writes
nothing. `python -m export.rhythm` puts the result into ``artifacts/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.detector import load_rhythm
from runtime.errors import EkgError
from runtime.findings import DOUBTFUL
from runtime.model.contract import FS
from runtime.rhythm import RhythmModel
from runtime.rhythm.model import FORMAT
from runtime.signal import features as waveform
from runtime.signal.features import WINDOW_S, centred, comparable
from runtime.signal.noise import NOT_NOISE, Memory, StripModel, with_means
from runtime.signal.quality import AT_ONCE, assess
from training.databases import CUDB, DS1, NOISES, PACED, PACED_TEST, SVDB
from training.devices import one_thread
from training.download import require_data
from training.errors import DataError
from training.fit_rhythm import HIDDEN, joined
from training.fits import fit_parser, present_rhythm, write_rhythm
from training.recordings import load
from training.rhythm_references import cudb_signal, first_half, mix
from training.rhythm_windows import NOISE_DB
from training.weak import NOISE, entries, fifth_of, read

# How often the noisiest windows are looked up, and steps in between; noise on the inputs, in
# deviations of each, so that none of them is trusted too much.
ROUNDS, STEPS, JITTER, RATE, DECAY = 6, 60, 0.5, 0.02, 0.03
NETWORKS = 2  # whose log-odds are averaged
NOISIEST = 3  # windows by which a noisy strip counts; another counts by one
WEIGHTS = {NOISE: 8.0, "N": 1.0, "A": 0.3, "O": 0.3}  # of a strip; O and A may hold noise
# Of all windows of a database, where those of all strips together have 1. In fibrillation and what
# comes before it a signal is odd for minutes, so cudb needs most.
BESIDE = {"mitdb": 0.0006, "mixed": 0.004, "paced": 0.0006, "svdb": 0.0012, "cudb": 0.008}
HARDEST = 20  # one in so many windows of a recording counts
MEMORY = Memory(windows=30.0, max_fibrillation=2.0, strip_max_fibrillation=-1.0)
# Noisy windows from which on a strip is also put after a normal one, and before one, and how much
# these weigh beside strips by themselves.
LONG, TURNED = 24, 0.25
USUAL = float(np.log(10))  # windows so far, in log
FLAGGED = 0.03  # of the normal strips, by any flaw that makes beats doubtful


@dataclass(frozen=True)
class Piece:
    """A strip, or a recording to be read.

    Attributes
    ----------
    name, source : of it, and its database, or ``paced``
    label : N, A, O, ~ of a strip; none of a recording
    fold : 0 to 4; a model that judges it saw no other of this number
    features : of its windows
    fibrillation : log-odds of ventricular fibrillation in them
    doubtful : a flaw other than lasting noise makes its beats doubtful, bool [seconds]
    ahead : its first windows, of another strip, that are only remembered
    """

    name: str
    source: str
    label: str
    fold: int
    features: NDArray[np.floating]
    fibrillation: NDArray[np.float64]
    doubtful: NDArray[np.bool_]
    ahead: int = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = fit_parser("fit_noise", __doc__)
    parser.add_argument("--check", action="store_true", help="cross-validate, write nothing")
    args = parser.parse_args(arguments)
    one_thread()
    try:
        stored = present_rhythm(args.out)
        folder = require_data(["mitdb", "cudb", "nstdb", "svdb"])
        pieces = list(measured(folder, load_rhythm()))
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    if args.check:
        print(table(pieces, left_out(pieces)))
        return
    known = [piece for piece in pieces if piece.fold or not piece.label]
    store(stored, fit(known), limit_of(known, left_out(known)))
    write_rhythm(stored, args.out)


def store(stored: dict[str, Any], model: StripModel, limit: float) -> None:
    """Put the model and its limit into the contents of a ``rhythm.json``."""
    stored["format"] = FORMAT
    stored["models"]["lasting noise"] = {**model.to_dict(), "memory": asdict(MEMORY)}
    stored["quality"]["lasting_noise_log_odds"] = round(limit, 2)
    stored["fitted_on"] |= {
        "cinc2017": "strips, but for the fixed fifth: lasting noise",
        "mitdb, paced": sorted(set(PACED) - set(PACED_TEST)),
    }


def measured(folder: Path, rhythm: RhythmModel) -> Iterator[Piece]:
    """Every strip, and every recording beside them."""
    from tqdm import tqdm

    for entry in tqdm(entries("cinc2017"), desc="cinc2017", unit="strip"):
        record = read(entry)
        yield piece_of(entry.name, "cinc2017", entry.label, record.signal[0], record.fs, rhythm)
    noises = {name: first_half(load("nstdb", name, folder).signal[0]) for name in NOISES}
    mixtures = {
        f"{name} {noise}": (name, noise, NOISE_DB[(i + j) % len(NOISE_DB)])
        for i, name in enumerate(DS1)
        for j, noise in enumerate(noises)
    }

    def mixed(name: str) -> NDArray[np.floating]:
        record, noise, decibels = mixtures[name]
        return mix(load("mitdb", record, folder), noises[noise], decibels)[0]

    beside: dict[str, tuple[Sequence[str], Callable[[str], NDArray[np.floating]]]] = {
        "mitdb": (DS1, lambda name: load("mitdb", name, folder).signal[0]),
        "mixed": (list(mixtures), mixed),
        "paced": (PACED, lambda name: load("mitdb", name, folder).signal[0]),
        "svdb": (SVDB, lambda name: load("svdb", name, folder).signal[0]),
        "cudb": (CUDB, lambda name: cudb_signal(folder, name)),
    }
    for source, (names, signal) in beside.items():
        for name in tqdm(names, desc=source, unit="record"):
            yield piece_of(name, source, "", signal(name), FS, rhythm)


def piece_of(
    name: str, source: str, label: str, ecg: NDArray[np.floating], fs: float, rhythm: RhythmModel
) -> Piece:
    """Measure a signal, [samples] in mV."""
    ecg = ecg.astype(np.float64)
    windows = waveform.windows(waveform.at_rate(ecg, fs))
    without = replace(rhythm.quality, lasting_noise_log_odds=100.0)
    flaws = assess(ecg, fs, without, rhythm.noise, whole=False).seconds
    features = np.concatenate(
        [waveform.features(windows[at : at + AT_ONCE]) for at in range(0, len(windows), AT_ONCE)]
    )
    doubtful = np.array([bool(flaw & DOUBTFUL) for flaw in flaws])
    return Piece(
        name,
        source,
        label,
        fifth_of(name.split()[0]),
        features,
        rhythm.fibrillation.log_odds(features),
        doubtful,
    )


def fit(pieces: Sequence[Piece]) -> StripModel:
    """A model of these strips and recordings; those doubtful without it count for nothing."""
    import torch

    strips = [
        piece
        for piece in pieces
        if piece.label and len(piece.features) and not piece.doubtful.any()
    ]
    strips += turned(strips)
    beside = [
        piece
        for piece in pieces
        if not piece.label
        and piece.name not in PACED_TEST
        and not piece.doubtful[centres(piece)].all()
    ]
    used = [piece for piece in (*strips, *beside) if len(piece.features)]
    of_strips = np.concatenate([piece.features for piece in used if piece.label], dtype=np.float64)
    mean, scale = of_strips.mean(axis=0), of_strips.std(axis=0) + 1e-6
    # Means of comparable features are comparable as they are.
    mean = np.concatenate([mean, np.zeros_like(mean), [USUAL]])
    scale = np.concatenate([scale, np.ones(len(scale) + 1)])
    inputs = torch.from_numpy(
        np.concatenate(
            [
                comparable(inputs_of(piece, mean, scale), mean, scale).astype(np.float32)
                for piece in used
            ]
        )
    )
    clear = np.concatenate([counting(piece) for piece in used])
    total = {
        source: sum(piece.source == source for piece in used) / share
        for source, share in BESIDE.items()
    }
    total[""] = sum(weight_of(piece) for piece in used if piece.label)
    starts = np.cumsum([0, *(len(piece.features) for piece in used)])
    networks = []
    for seed in range(NETWORKS):
        torch.manual_seed(seed)
        first, last = torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
        networks.append((first, last))
        optimizer = torch.optim.AdamW(
            [*first.parameters(), *last.parameters()], lr=RATE, weight_decay=DECAY
        )
        log_odds = np.random.default_rng(seed).normal(size=len(inputs))  # the first ones by chance
        for turn in range(ROUNDS):
            log_odds[~clear] = -np.inf  # what is doubtful anyway counts for nothing
            rows, target, share = [], [], []
            for piece, start, end in zip(used, starts[:-1], starts[1:], strict=True):
                count = 1 if turn and piece.label != NOISE else NOISIEST
                if not piece.label:
                    count = max(1, int(clear[start:end].sum()) // HARDEST)
                noisiest = start + np.argsort(-log_odds[start:end], kind="stable")[:count]
                weight = weight_of(piece) / total[""] if piece.label else 1 / total[piece.source]
                rows.append(noisiest)
                target.append(np.full(len(noisiest), piece.label == NOISE))
                share.append(np.full(len(noisiest), weight / len(noisiest)))
            chosen = inputs[np.concatenate(rows)]
            answers, portion = (
                torch.tensor(np.concatenate(part), dtype=torch.float32) for part in (target, share)
            )
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 - turn / ROUNDS)
            for _ in range(STEPS):
                blurred = chosen + JITTER * torch.randn_like(chosen)
                odds = last(torch.tanh(first(blurred)))[:, 0]
                each = torch.nn.functional.binary_cross_entropy_with_logits(
                    odds, answers, reduction="none"
                )
                optimizer.zero_grad()
                (portion * each).sum().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            with torch.no_grad():
                log_odds = last(torch.tanh(first(inputs)))[:, 0].numpy()
    return joined(StripModel, mean, scale, networks)


def turned(strips: Sequence[Piece]) -> list[Piece]:
    """Strips as they would be in a longer recording: noise after quiet, and quiet after noise."""
    rng = np.random.default_rng(0)
    noisy = [piece for piece in strips if piece.label == NOISE and len(piece.features) >= LONG]
    normal = [piece for piece in strips if piece.label == "N"]
    if not (noisy and normal):
        return []
    pairs = [(normal[int(rng.integers(len(normal)))], piece) for piece in noisy]
    pairs += [(before, piece) for piece, before in pairs]
    return [
        replace(
            piece,
            features=np.concatenate([before.features, piece.features]),
            fibrillation=np.concatenate([before.fibrillation, piece.fibrillation]),
            ahead=len(before.features),
        )
        for before, piece in pairs
    ]


def weight_of(strip: Piece) -> float:
    """How much a strip weighs beside others."""
    return WEIGHTS[strip.label] * (TURNED if strip.ahead else 1.0)


def counting(piece: Piece) -> NDArray[np.bool_]:
    """True for the windows by which a piece may count."""
    if piece.label:
        return np.arange(len(piece.features)) >= piece.ahead
    return ~piece.doubtful[centres(piece)]


def inputs_of(
    piece: Piece, mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`StripModel.inputs` of a piece's windows, these being the network's mean and scale."""
    features = np.asarray(piece.features, dtype=np.float64)
    size = features.shape[1]
    own = comparable(features, mean[:size], scale[:size])
    return with_means(features, own, MEMORY.windows)[0]


def left_out(pieces: Sequence[Piece]) -> list[NDArray[np.float64]]:
    """Log-odds of lasting noise in each piece's windows, by a model of the other folds."""
    models = {
        fold: fit([piece for piece in pieces if piece.fold != fold])
        for fold in sorted({piece.fold for piece in pieces})
    }
    followed = []
    for piece in pieces:
        followed.append(follow(models[piece.fold], piece))
    return followed


def follow(model: StripModel, piece: Piece) -> NDArray[np.float64]:
    """Log-odds of lasting noise in a piece's windows, in the light of those before."""
    odds = model.log_odds(inputs_of(piece, model.mean, model.scale))
    return np.where(piece.fibrillation > MEMORY.max_fibrillation, NOT_NOISE, odds)


def worst(pieces: Sequence[Piece], log_odds: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The largest log-odds of each piece; infinite if its beats are doubtful without them."""
    return np.array(
        [
            np.inf if piece.doubtful.any() else odds.max(initial=-np.inf)
            for piece, odds in zip(pieces, log_odds, strict=True)
        ]
    )


def limit_of(
    pieces: Sequence[Piece],
    log_odds: Sequence[NDArray[np.float64]],
    flagged: float = FLAGGED,
) -> float:
    """Log-odds from which on such a share of the normal strips is flagged."""
    normal = np.array([piece.label == "N" for piece in pieces])
    return float(np.quantile(worst(pieces, log_odds)[normal], 1 - flagged))


def table(pieces: Sequence[Piece], log_odds: Sequence[NDArray[np.float64]]) -> str:
    """Strips of each label and seconds of each database that are flagged, in %, as Markdown."""
    largest = worst(pieces, log_odds)
    labels = np.array([piece.label for piece in pieces])
    lines = [
        f"| limit | {' | '.join(WEIGHTS)} | {' | '.join(BESIDE)} | {' | '.join(BESIDE)} without |",
        "|---" * (1 + len(WEIGHTS) + 2 * len(BESIDE)) + "|",
    ]
    for share in (0.015, 0.02, 0.025, FLAGGED):
        limit = limit_of(pieces, log_odds, share)
        figures = [np.mean(largest[labels == label] >= limit) for label in WEIGHTS]
        with_it, without = [], []
        for source in BESIDE:
            of_source = [i for i, piece in enumerate(pieces) if piece.source == source]
            before = np.concatenate([pieces[i].doubtful for i in of_source])
            noisy = np.concatenate([_seconds(pieces[i], log_odds[i] >= limit) for i in of_source])
            with_it.append(np.mean(before | noisy))
            without.append(np.mean(before))
        lines.append(
            f"| {limit:.2f} | "
            + " | ".join(f"{100 * figure:.2f}" for figure in (*figures, *with_it, *without))
            + " |"
        )
    return "\n".join(lines)


def centres(piece: Piece) -> NDArray[np.int64]:
    """The second in the middle of each window."""
    return np.arange(len(piece.features)) + WINDOW_S // 2


def _seconds(piece: Piece, windows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The verdict on each second, from those on the windows."""
    count = len(piece.doubtful)
    if not len(windows):
        return np.zeros(count, dtype=bool)
    return np.asarray(windows[centred(np.arange(count), len(windows))])


if __name__ == "__main__":
    main()
