"""Fit the verdict on a strip as a whole: noise, as a cardiologist calls it.

``python -m training.fit_whole_noise`` learns from the pieces of `training.fit_noise`, but of each
only the means of its windows' features: those of strips and of parts of them, from two windows on,
so that the length gives nothing away; and of parts of recordings that are to be read (DS1, svdb,
paced patients, cudb with its fibrillation), and of noise mixed into DS1, which is noise. The limit
is the one from which on, together with all that makes seconds doubtful, `FLAGGED` of the normal
strips are flagged, judged by models that saw nothing of their fifth. ``--check`` measures these
models in all strips and recordings, and writes nothing. ``--pieces`` keeps the measured pieces in a
file for the next time. `python -m export.rhythm` puts the result into ``artifacts/``.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.detector import load_rhythm
from runtime.errors import EkgError
from runtime.rhythm.model import FORMAT
from runtime.signal.features import WINDOW_S, comparable
from runtime.signal.noise import (
    NO_WINDOW,
    NOT_NOISE,
    STRIP_S,
    NoiseModel,
    WholeModel,
    mean_fibrillation,
    with_means,
)
from training import fit_noise
from training.databases import PACED_TEST
from training.devices import one_thread
from training.download import require_data
from training.errors import DataError
from training.fit_noise import FLAGGED, MEMORY, WEIGHTS, Piece
from training.fit_rhythm import HIDDEN, joined
from training.fits import fit_parser, present_rhythm, write_rhythm
from training.weak import NOISE

STEPS, BATCH, JITTER, RATE, DECAY = 500, 1024, 0.5, 0.01, 0.05
NETWORKS = 2  # whose log-odds are averaged
# Windows of a part: from the shortest strip to the longest.
WINDOWS = tuple(int(seconds) - WINDOW_S + 1 for seconds in STRIP_S)
PARTS = 4  # of each strip; together they weigh as much as all whole strips
# Parts of each recording, and the weight of all of a database, where all whole strips have 1.
# Recordings before fibrillation are odd for minutes, so cudb needs most.
BESIDE = {
    "mitdb": (80, 0.015),
    "mixed": (60, 0.015),
    "paced": (160, 0.01),
    "svdb": (50, 0.015),
    "cudb": (100, 0.07),
}
MIXED = 0.05  # weight of noise mixed into recordings
CLEAR, NOISY = 0.3, 0.7  # share of doubtful seconds: a part is to be read; mixed, it is noise
SECONDS_LIMIT = 2.5  # log-odds of lasting noise in a strip that is not noise as a whole
LENGTHS = ((0, 12), (12, 24), (24, 30), (30, 1000))  # windows of strips, in the table


@dataclass(frozen=True)
class Part:
    """A strip, or a part of it or of a recording.

    Attributes
    ----------
    piece : it is of
    means : of its windows' features, as `with_means` remembers them
    fibrillation : mean log-odds of it
    doubtful : share of its seconds that other flaws make doubtful
    whole : it is a strip, and no part drawn of one
    """

    piece: Piece
    means: NDArray[np.float32]
    fibrillation: float
    doubtful: float
    whole: bool

    @property
    def noise(self) -> bool:
        """True if it is to be noise."""
        return self.piece.label == NOISE or self.mixed

    @property
    def mixed(self) -> bool:
        """True of noise mixed into a recording."""
        return self.piece.source == "mixed" and self.doubtful >= NOISY

    @property
    def counts(self) -> bool:
        """True if it may be learnt from; a strip that other flaws flag counts for nothing."""
        if self.piece.label:
            return not self.piece.doubtful.any()
        return self.piece.name not in PACED_TEST and (self.doubtful <= CLEAR or self.mixed)

    def log_odds(self, model: WholeModel) -> float:
        """Of noise, by this model."""
        if self.fibrillation > MEMORY.strip_max_fibrillation:
            return NOT_NOISE
        return float(model.log_odds(self.means[None].astype(np.float64))[0])


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = fit_parser("fit_whole_noise", __doc__)
    parser.add_argument("--check", action="store_true", help="cross-validate, write nothing")
    parser.add_argument("--pieces", type=Path, help="file that holds the pieces, or will")
    args = parser.parse_args(arguments)
    one_thread()
    try:
        stored = present_rhythm(args.out)
        rhythm = load_rhythm()
        pieces = measured(args.pieces)
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    parts = parts_of(pieces, rhythm.noise)
    if not args.check:
        pieces = [piece for piece in pieces if piece.fold or not piece.label]
        parts = [part for part in parts if part.piece.fold or not part.piece.label]
    lasting = [float(odds.max(initial=NOT_NOISE)) for odds in fit_noise.left_out(pieces)]
    flagged = flagged_already(pieces, lasting)
    found = left_out(parts)
    print(table(parts, found, flagged))
    if not args.check:
        store(stored, fit(parts), limit_of(parts, found, flagged))
        write_rhythm(stored, args.out)


def measured(path: Path | None) -> list[Piece]:
    """The pieces of `training.fit_noise`, from a file if they are there."""
    if path and path.is_file():
        with path.open("rb") as file:
            return list(pickle.load(file))
    folder = require_data(["mitdb", "cudb", "nstdb", "svdb"])
    pieces = list(fit_noise.measured(folder, load_rhythm()))
    if path:
        path.write_bytes(pickle.dumps(pieces))
    return pieces


def store(stored: dict[str, Any], model: WholeModel, limit: float) -> None:
    """Put the model and its limits into the contents of a ``rhythm.json``."""
    stored["format"] = FORMAT
    stored["models"]["whole noise"] = model.to_dict()
    stored["models"]["lasting noise"]["memory"] = asdict(MEMORY)
    stored["quality"]["strip_noise_log_odds"] = round(limit, 2)
    stored["quality"]["strip_lasting_noise_log_odds"] = SECONDS_LIMIT
    stored["fitted_on"]["cinc2017"] = "strips, but for the fixed fifth: lasting and whole noise"


def parts_of(pieces: Sequence[Piece], noise: NoiseModel) -> list[Part]:
    """Whole strips, and parts of strips and of recordings, drawn by chance."""
    rng, parts = np.random.default_rng(1), []
    for piece in pieces:
        count = len(piece.features)
        if count < WINDOWS[0]:
            continue
        if piece.label:
            parts.append(part_of(piece, 0, count, noise, whole=True))
        for _ in range(PARTS if piece.label else BESIDE[piece.source][0]):
            size = min(int(np.exp(rng.uniform(*np.log(np.add(WINDOWS, (0, 1)))))), count)
            parts.append(part_of(piece, int(rng.integers(count - size + 1)), size, noise))
    return parts


def part_of(
    piece: Piece, first: int, count: int, noise: NoiseModel, *, whole: bool = False
) -> Part:
    """So many windows of a piece."""
    features = np.asarray(piece.features[first : first + count], dtype=np.float64)
    fibrillation = piece.fibrillation[first : first + count].tolist()
    lasting, size = noise.lasting, features.shape[1]
    own = comparable(features, lasting.mean[:size], lasting.scale[:size])
    means = with_means(features, own, noise.memory.windows)[1].means
    return Part(
        piece,
        means,
        mean_fibrillation(NO_WINDOW, fibrillation, noise.memory.windows),
        float(piece.doubtful[first : first + count + WINDOW_S - 1].mean()),
        whole,
    )


def weights_of(parts: Sequence[Part]) -> NDArray[np.float64]:
    """Weight of each part, all that count."""
    groups: dict[object, list[int]] = {}
    for i, part in enumerate(parts):
        kind = part.mixed or (part.whole if part.piece.label else part.piece.source)
        groups.setdefault((part.mixed, kind), []).append(i)
    weights = np.zeros(len(parts))
    for members in groups.values():
        first = parts[members[0]]
        own = [WEIGHTS.get(parts[i].piece.label, 1.0) for i in members]
        total = (
            MIXED if first.mixed else 1.0 if first.piece.label else BESIDE[first.piece.source][1]
        )
        weights[members] = total * np.array(own) / sum(own)
    return weights


def fit(parts: Sequence[Part]) -> WholeModel:
    """A model of these parts."""
    import torch

    parts = [part for part in parts if part.counts]
    weight = weights_of(parts)
    inputs = np.array([part.means for part in parts], dtype=np.float64)
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    given = torch.tensor(comparable(inputs, mean, scale), dtype=torch.float32)
    answers = torch.tensor([part.noise for part in parts], dtype=torch.float32)
    drawn = np.sqrt(weight) / np.sqrt(weight).sum()  # rare ones more often, with less weight each
    share = torch.tensor(weight / weight.sum() / drawn, dtype=torch.float32)
    networks = []
    for seed in range(NETWORKS):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        first, last = torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
        networks.append((first, last))
        optimizer = torch.optim.AdamW(
            [*first.parameters(), *last.parameters()], lr=RATE, weight_decay=DECAY
        )
        total = drawn.cumsum()
        for step in range(STEPS):
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 - step / STEPS)
            chosen = torch.from_numpy(total.searchsorted(rng.random(BATCH) * total[-1]))
            blurred = given[chosen] + JITTER * torch.randn(BATCH, given.shape[1])
            odds = last(torch.tanh(first(blurred)))[:, 0]
            each = torch.nn.functional.binary_cross_entropy_with_logits(
                odds, answers[chosen], reduction="none"
            )
            optimizer.zero_grad()
            (share[chosen] * each).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return joined(WholeModel, mean, scale, networks)


def left_out(parts: Sequence[Part]) -> NDArray[np.float64]:
    """Log-odds of noise of each part, by a model of the other folds."""
    folds = sorted({part.piece.fold for part in parts})
    models = {fold: fit([part for part in parts if part.piece.fold != fold]) for fold in folds}
    return np.array([part.log_odds(models[part.piece.fold]) for part in parts])


def flagged_already(pieces: Sequence[Piece], lasting: Sequence[float]) -> set[str]:
    """Names of the strips of which a second is doubtful, for lasting noise among others."""
    return {
        piece.name
        for piece, odds in zip(pieces, lasting, strict=True)
        if piece.label and (piece.doubtful.any() or odds >= SECONDS_LIMIT)
    }


def limit_of(
    parts: Sequence[Part],
    log_odds: NDArray[np.float64],
    flagged: set[str],
    share: float = FLAGGED,
) -> float:
    """Log-odds from which on, with the strips flagged already, such a share of the normal is."""
    normal = [
        np.inf if part.piece.name in flagged else odds
        for part, odds in zip(parts, log_odds, strict=True)
        if part.whole and part.piece.label == "N"
    ]
    # A quantile between an infinite and a finite one would be none.
    return float(np.quantile(normal, 1 - share, method="higher"))


def table(parts: Sequence[Part], log_odds: NDArray[np.float64], flagged: set[str]) -> str:
    """Strips and parts of recordings that are flagged, in %, as Markdown."""
    groups: dict[str, list[int]] = {}
    for i, part in enumerate(parts):
        piece, windows = part.piece, len(part.piece.features)
        if part.whole:
            groups.setdefault(piece.label, []).append(i)
            for low, high in LENGTHS if piece.label in (NOISE, "N") else ():
                if low <= windows < high:
                    groups.setdefault(f"{piece.label} from {low} windows", []).append(i)
        elif part.mixed:
            groups.setdefault("noise mixed in", []).append(i)
        elif not piece.label and part.doubtful == 0:
            groups.setdefault(piece.source, []).append(i)
    groups = dict(sorted(groups.items()))
    lines = [f"| limit | {' | '.join(groups)} |", "|---" * (1 + len(groups)) + "|"]
    for share in (0.02, 0.025, FLAGGED):
        limit = limit_of(parts, log_odds, flagged, share)
        figures = [
            np.mean([log_odds[i] >= limit or parts[i].piece.name in flagged for i in members])
            for members in groups.values()
        ]
        lines.append(f"| {limit:.2f} | {' | '.join(f'{100 * one:.2f}' for one in figures)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
