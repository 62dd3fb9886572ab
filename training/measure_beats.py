"""How well the second network detects atrial fibrillation: ``python -m training.measure_beats``.

On people it was not trained on: by time, with what it says of a beat `LAG` beats later, in the
databases of whole days (of afdb, whose beats a program found, by intervals alone), and by strip,
with the mean of what it says of each beat at once. Last, how often the probability that is given
comes true, by beat.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.detector import load_rhythm
from runtime.rhythm.events.atrial import KNOWN_BEATS, AtrialLimits
from training.beat_sequences import UNKNOWN, Beats, everything
from training.errors import DataError
from training.rhythm_net import LAG, RhythmNet, features
from training.train_rhythm import load

LONGEST_S = 5.0  # that a beat may stand for; longer ones are gaps
PIECE, TOGETHER = 4096, 32  # beats, and recordings, read at once
AROUND, MANY = 49, 0.15  # beats; share of them
SPECIFICITIES = (0.975, 0.985)
EDGES = np.array([0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0])  # of probabilities
Answered = tuple[Beats, NDArray[np.float32]]  # a recording, and both log-odds of every beat


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.measure_beats", description=__doc__)
    parser.add_argument("run", type=Path, help="of python -m training.train_rhythm")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        net, saved = load(args.run)
        known = everything()
    except DataError as error:
        parser.exit(2, f"{error}\n")
    fold = saved["recipe"].get("fold")  # type: ignore[attr-defined]
    unseen = [one for one in known if one.held_back or (fold is not None and one.fold == fold)]
    print(report(net, unseen))


def report(net: RhythmNet, unseen: Sequence[Beats]) -> str:
    """The figures as Markdown."""
    lines = [
        "| time in atrial fibrillation, people not trained on | found, % | wrong elsewhere, % |",
        "|---|---|---|",
    ]
    known = list(zip(unseen, answers(net, unseen), strict=True))
    days = [pair for pair in known if pair[0].source != "cinc2017"]
    for source in dict.fromkeys(one.source for one, _ in days):
        some = [pair for pair in days if pair[0].source == source]
        se, sp = by_time(some)
        lines.append(f"| {source}, {len(some)} | {100 * se:.2f} | {100 * (1 - sp):.2f} |")
        if any(rich(one).any() for one, _ in some):
            se, sp = by_time(some, rich)
            lines.append(
                f"| {source}, among many ventricular beats | {100 * se:.2f} "
                f"| {100 * (1 - sp):.2f} |"
            )
        if source == "afdb":
            flutter = by_time(some, label=UNKNOWN)
            lines.append(f"| {source}, flutter taken for it | | {100 * flutter[0]:.2f} |")
    strips = [pair for pair in known if pair[0].source == "cinc2017" and len(pair[0].rows)]
    scores = np.array([float(log_odds[:, 0].mean()) for _, log_odds in strips])
    there = np.array([one.fibrillating[0] == 1 for one, _ in strips])
    for specificity in SPECIFICITIES if there.any() and not there.all() else ():
        limit = np.quantile(scores[~there], specificity)
        lines.append(
            f"| strips of cinc2017, {len(strips)}, above {limit:.2f} | "
            f"{100 * (scores[there] > limit).mean():.1f} | {100 * (1 - specificity):.1f} |"
        )
    return "\n".join([*lines, "", *reliability({"strips": strips, "other recordings": days})])


def reliability(groups: Mapping[str, Sequence[Answered]]) -> list[str]:
    """How often the probability that the runtime gives of a beat comes true, as Markdown."""
    unknown, columns = load_rhythm().policy.of(AtrialLimits).af_unknown, []
    for some in groups.values():
        given, true = [np.zeros(0)], [np.zeros(0, dtype=bool)]
        for one, answered in some:
            log_odds = answered[LAG:, 1].astype(np.float64)
            truth = one.fibrillating[: len(log_odds)]
            read = np.minimum(np.arange(len(log_odds)) + LAG + 1, KNOWN_BEATS)
            log_odds += unknown * (1 - read / KNOWN_BEATS)
            given.append(1 / (1 + np.exp(-log_odds[truth != UNKNOWN])))
            true.append(truth[truth != UNKNOWN] == 1)
        probability, right = np.concatenate(given), np.concatenate(true)
        bins = np.clip(np.digitize(probability, EDGES) - 1, 0, len(EDGES) - 2)
        beats, comes_true, sums = (
            np.bincount(bins, weights=weights, minlength=len(EDGES) - 1)
            for weights in (np.ones(len(bins)), right.astype(np.float64), probability)
        )
        error = np.abs(comes_true - sums).sum() / max(len(bins), 1)
        columns.append((beats, sums, comes_true, error))
    lines = [
        "| probability given | "
        + " | ".join(f"{name}: beats, given, true, %" for name in groups)
        + " |",
        "|---" * (len(groups) + 1) + "|",
    ]
    for i, (low, high) in enumerate(pairwise(EDGES.tolist())):
        cells = [
            f"{beats[i]:,.0f}, {100 * given[i] / beats[i]:.1f}, {100 * true[i] / beats[i]:.1f}"
            if beats[i]
            else ""
            for beats, given, true, _ in columns
        ]
        lines.append(f"| {low:g} to {high:g} | " + " | ".join(cells) + " |")
    errors = " | ".join(f"{100 * error:.2f}" for *_, error in columns)
    return [*lines, f"| calibration error, % | {errors} |"]


def rich(one: Beats) -> NDArray[np.bool_]:
    """True for beats of which, among the `AROUND` around them, many are ventricular."""
    ventricular = (one.rows[:, 1] == 0).astype(np.float64)
    return np.asarray(np.convolve(ventricular, np.full(AROUND, 1 / AROUND), "same") >= MANY)


def by_time(
    some: Sequence[Answered],
    where: Callable[[Beats], NDArray[np.bool_]] | None = None,
    label: int = 1,
) -> tuple[float, float]:
    """Sensitivity and specificity, by time, of the beats that ``where`` is true of.

    ``label`` : of the beats that are meant; `UNKNOWN`, in afdb, is flutter
    """
    times = np.zeros((2, 2))
    for one, log_odds in some:
        found = log_odds[LAG:, 1] > 0
        lasting = np.minimum(one.rows[1:, 0], LONGEST_S)[: len(found)]
        truth = one.fibrillating[: len(lasting)]
        counted = where(one)[: len(lasting)] if where else np.ones(len(lasting), dtype=bool)
        for value in (0, 1):
            for verdict in (0, 1):
                here = (
                    (truth == (label if value else 0))
                    & (found[: len(lasting)] == verdict)
                    & counted
                )
                times[value, verdict] += lasting[here].sum()
    with np.errstate(invalid="ignore"):
        return float(times[1, 1] / times[1].sum()), float(times[0, 0] / times[0].sum())


@torch.inference_mode()
def answers(net: RhythmNet, some: Sequence[Beats]) -> list[NDArray[np.float32]]:
    """Both log-odds of every beat of these recordings, float32 [beats, 2]."""
    found = [np.zeros((0, 2), dtype=np.float32)] * len(some)
    shortest_first = sorted(range(len(some)), key=lambda i: len(some[i].rows))
    groups = [shortest_first[at : at + TOGETHER] for at in range(0, len(shortest_first), TOGETHER)]
    for group in tqdm(groups, desc="read", unit=f"{TOGETHER} recordings", leave=False):
        longest = len(some[group[-1]].rows)
        # What stands behind a shorter one's end changes nothing before it.
        rows = [np.pad(some[i].rows, ((0, longest - len(some[i].rows)), (0, 0))) for i in group]
        memory, pieces = net.start(len(group)), []
        for piece in features(torch.from_numpy(np.stack(rows))).split(PIECE):
            log_odds, memory = net(piece, memory)
            pieces.append(log_odds.numpy())
        if pieces:
            together = np.concatenate(pieces)
            for column, i in enumerate(group):
                found[i] = together[: len(some[i].rows), column].copy()
    return found


if __name__ == "__main__":
    main()
