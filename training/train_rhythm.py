"""Train the second network: ``python -m training.train_rhythm``.

It learns from whole days of marks, from hand-held strips and from the Holter patients of DS1 and
svdb (`training.beat_sequences`). A fifth of the people of every source but the last is held back,
and all of afdb; ``--fold`` holds one fold of the Holter patients out as well. DS2 is never read
here. It takes minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from runtime.rhythm.events.atrial import P_WAVE_BEATS
from training import checkpoint
from training.beat_sequences import UNKNOWN, Beats, everything
from training.errors import DataError
from training.p_waves import with_p_waves
from training.results import as_json, require_writable
from training.rhythm_net import LAG, RhythmNet, features, loss

# Share of each source in the crops of whole days and Holter recordings.
SOURCES = {"ltafdb": 0.46, "vitaldb": 0.26, "holter": 0.08, "edb": 0.11, "nsrdb": 0.09}
# Of the crops of patients with fibrillation: at a change of rhythm, in fibrillation; the rest
# elsewhere.
CHANGING, FIBRILLATING = 0.35, 0.3
P_WAVE, P_WAVE_SHARES = slice(2, 5), (2, 3)  # the inputs that marks alone do not have
SPLIT_S = 100.0  # stands for an interval that is not known


@dataclass(frozen=True)
class RhythmRecipe:
    """Everything that decides a run but the data.

    Attributes
    ----------
    steps, learning_rate, weight_decay : of AdamW, with one cycle
    crops, beats : of a step, from whole days and Holter recordings; length of each
    strips, strip_beats : of a step, from hand-held strips, as many in fibrillation as not; length
    joined : share of these that go over into another one: of strips alone it would be learnt that
        a rhythm never changes where P waves are known
    without_p_wave : share of what was heard that is given without it
    ventricular : share of all crops in which beats become ventricular: fibrillation with many of
        them is rare in every source but ltafdb, whose P waves are not known
    lent : share of the crops of marks alone that are given the P waves of a made-up patient
    fold : of the Holter patients, held out, if any
    start : run whose weights it goes on from, if any; it must have held out the same fold
    """

    steps: int = 3000
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    crops: int = 28
    beats: int = 256
    strips: int = 64
    strip_beats: int = 80
    joined: float = 0.5
    without_p_wave: float = 0.3
    ventricular: float = 0.2
    lent: float = 0.3
    fold: int | None = None
    seed: int = 0
    start: str | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: train and leave ``model.pt`` and ``log.jsonl``."""
    defaults = RhythmRecipe()
    parser = argparse.ArgumentParser(prog="python -m training.train_rhythm", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/rhythm"))
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--start", type=Path, help="go on from this run")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--fold", type=int, help="hold this fold of the Holter patients out")
    args = parser.parse_args(arguments)
    recipe = replace(
        defaults,
        steps=args.steps,
        learning_rate=args.learning_rate,
        seed=args.seed,
        fold=args.fold,
        start=args.start and str(args.start),
    )
    torch.set_num_threads(1)  # what there is to compute is too small to be shared
    try:
        require_writable(args.out)
        train(recipe, everything(), args.out)
    except DataError as error:
        parser.exit(2, f"{error}\n")


def train(recipe: RhythmRecipe, known: Sequence[Beats], out: Path) -> RhythmNet:
    """Train, and write ``out/model.pt`` and ``out/log.jsonl``.

    Raises
    ------
    DataError
        Nothing is left to train on, or the files cannot be written.
    """
    pools = _pools(known, recipe)
    rng = np.random.default_rng((recipe.seed, 0))
    torch.manual_seed(recipe.seed)
    net = _started(recipe)
    optimiser = torch.optim.AdamW(
        net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, recipe.steps, pct_start=0.1
    )
    out.mkdir(parents=True, exist_ok=True)
    log, losses = out / "log.jsonl", []
    log.write_text("")
    progress = tqdm(range(recipe.steps), unit="step", mininterval=1.0)
    for step in progress:
        total = torch.zeros(())
        for count, length, groups in (
            (recipe.crops, recipe.beats, pools.days),
            (recipe.strips, recipe.strip_beats, pools.strips),
        ):
            if groups:
                rows, rhythm = draw(rng, groups, count, length, recipe)
                log_odds, _ = net(features(rows), net.start(len(rows)))
                total = total + loss(log_odds, rhythm.T)
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(total.item())
        if (step + 1) % 250 == 0 or step + 1 == recipe.steps:
            line = {"step": step + 1, "loss": float(np.mean(losses))}
            losses.clear()
            with log.open("a") as lines:
                lines.write(as_json(line, indent=None) + "\n")
            progress.set_postfix(loss=f"{line['loss']:.3f}")
    net.eval()
    checkpoint.write(
        {
            "weights": net.state_dict(),
            "hidden": net.unit.hidden_size,
            "recipe": asdict(recipe),
            "data": pools.name,
        },
        out / "model.pt",
    )
    return net


def _started(recipe: RhythmRecipe) -> RhythmNet:
    if recipe.start is None:
        return RhythmNet()
    net, saved = load(Path(recipe.start))
    if saved["recipe"]["fold"] != recipe.fold:  # type: ignore[index]
        raise DataError(f"{recipe.start} held out another fold; expected the same.")
    return net.train()


def load(run: Path) -> tuple[RhythmNet, dict[str, object]]:
    """The network of a run, in evaluation mode, and the rest of its file.

    Raises
    ------
    DataError
        There is none, or the file is not one.
    """
    path = run / "model.pt" if run.is_dir() else run
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        net = RhythmNet(saved["hidden"])
        net.load_state_dict(saved["weights"])
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; run `python -m training.train_rhythm` first."
        ) from None
    except Exception as error:  # torch raises whatever a foreign byte leads to
        raise DataError(
            f"{path} is no checkpoint of the network over beats ({type(error).__name__}); expected "
            "a model.pt that `python -m training.train_rhythm` wrote."
        ) from error
    return net.eval(), {name: saved[name] for name in ("recipe", "data")}


@dataclass(frozen=True)
class Pools:
    """What crops are drawn from: groups of recordings, each with its share.

    Attributes
    ----------
    name : names all of it in a line
    """

    days: list[tuple[float, list[Beats]]]
    strips: list[tuple[float, list[Beats]]]
    name: str


def _pools(known: Sequence[Beats], recipe: RhythmRecipe) -> Pools:
    used = [one for one in known if not one.held_back and len(one.rows) > LAG + 2]
    if recipe.fold is not None:
        used = [one for one in used if one.fold != recipe.fold]
    sources = {one.source if one.fold < 0 else "holter" for one in used}
    days = [
        (share, [one for one in used if source == ("holter" if one.fold >= 0 else one.source)])
        for source, share in SOURCES.items()
        if source in sources
    ]
    strips = [
        (0.5, some)
        for value in (0, 1)
        if (some := [o for o in used if o.source == "cinc2017" and o.fibrillating[0] == value])
    ]
    if not days and not strips:
        raise DataError("no recordings are left to train the network over beats on.")
    counts = {
        source: sum(one.source == source for one in used)
        for source in dict.fromkeys(one.source for one in used)
    }
    return Pools(days, strips, ", ".join(f"{name} ({count})" for name, count in counts.items()))


def draw(
    rng: np.random.Generator,
    groups: Sequence[tuple[float, Sequence[Beats]]],
    count: int,
    length: int,
    recipe: RhythmRecipe,
) -> tuple[Tensor, Tensor]:
    """Crops of recordings, each varied as other patients, finders of beats and clocks would.

    Returns
    -------
    rows : float32 [count, length, inputs]
    fibrillating : float32 [count, length]; where a crop has ended, not known
    """
    shares = np.array([share for share, _ in groups])
    rows = np.zeros((count, length, groups[0][1][0].rows.shape[1]), dtype=np.float32)
    rhythm = np.full((count, length), float(UNKNOWN), dtype=np.float32)
    for i in range(count):
        some = groups[int(rng.choice(len(groups), p=shares / shares.sum()))][1]
        one = some[int(rng.integers(len(some)))]
        at = _begin(rng, one, length)
        end = at + length + length // 8  # some beats are lost
        crop, known = one.rows[at:end], one.fibrillating[at:end]
        if one.source == "cinc2017" and rng.random() < recipe.joined:
            after = groups[int(rng.integers(len(groups)))][1]
            crop, known = joined(rng, crop, known, after[int(rng.integers(len(after)))])
        unheard = not crop[:, P_WAVE.stop - 1].any()
        if unheard and rng.random() < recipe.lent:
            crop = with_p_waves(rng, crop, known)
        if rng.random() < recipe.ventricular:
            crop = with_ventricular(rng, crop)
        crop, labels = varied(rng, crop, known, recipe, heard=not unheard)
        crop, labels = crop[:length], labels[:length]
        rows[i, : len(crop)], rhythm[i, : len(crop)] = crop, labels
    return torch.from_numpy(rows), torch.from_numpy(rhythm)


def _begin(rng: np.random.Generator, one: Beats, length: int) -> int:
    """Where in a recording a crop begins."""
    last = max(len(one.rows) - length, 0)
    if not last:
        # A strip may be heard from its begin, or from where a stream is connected to it.
        return int(rng.integers(len(one.rows) - LAG)) if rng.random() < 0.3 else 0
    kind = rng.random()
    inside = one.fibrillating == 1
    if inside.any() and kind < CHANGING + FIBRILLATING:
        where = np.flatnonzero(np.diff(inside) if kind < CHANGING else inside)
        if len(where):
            ahead = rng.integers(length) if kind < CHANGING else 0
            return int(np.clip(where[rng.integers(len(where))] - ahead, 0, last))
    return int(rng.integers(last + 1))


def joined(
    rng: np.random.Generator,
    rows: NDArray[np.float32],
    rhythm: NDArray[np.int8],
    after: Beats,
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """A crop that goes over into another strip, somewhere in it, as if one patient's rhythm did.

    The means of the P waves forget the beats before as those of a stream do: what is left of the
    old mean fades, and so does its share of the power, the faster the more the new beats have.
    """
    if len(rows) < 2 or len(after.rows) < 2:
        return rows, rhythm
    cut = int(rng.integers(1, len(rows)))
    later = after.rows.copy()
    later[0, 0] = later[rng.integers(1, len(later)), 0]
    counts = after.rows[:, -1]
    power = np.exp(rng.normal(0.0, 0.8))  # of the new beats, in that of the old ones
    for column, remembered in zip(P_WAVE_SHARES, P_WAVE_BEATS, strict=True):
        # What the mean of the new beats alone is once it is one of many, not of the first few.
        alone = np.where(counts < remembered / 2, later[-1, column], later[:, column])
        old = np.exp(-np.arange(1, len(later) + 1) / remembered)
        left = old**2 * _left(rows[cut - 1, column]) + (1 - old) ** 2 * power * _left(alone)
        later[:, column] = np.log(left / (old + (1 - old) * power) + 0.01)
    later[:, -1] = np.minimum(rows[cut - 1, -1] + np.arange(1, len(later) + 1), P_WAVE_BEATS[0])
    return (
        np.concatenate([rows[:cut], later]),
        np.concatenate([rhythm[:cut], after.fibrillating]),
    )


def _left(logarithm: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share of power that is left in a mean, of its logarithm as beats have it."""
    return np.maximum(np.exp(logarithm) - 0.01, 0.0)


def with_ventricular(rng: np.random.Generator, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """A crop in which some beats are early ventricular ones, the next ones coming when they did.

    One of them in some is not recognised as such.
    """
    rows = rows.copy()
    share = rng.uniform(0.02, 0.4)
    chosen = rng.random(len(rows)) < share
    if rng.random() < 0.3:  # bigeminy, trigeminy and the like
        every = int(rng.integers(2, 5))
        chosen = (np.arange(len(rows)) % every == 0) & (rng.random() < 0.9)
    recognised = rng.random(len(rows)) >= 0.3 * rng.random() ** 2
    for i in np.flatnonzero(chosen[1:-1]) + 1:
        earlier = rows[i, 0] * rng.uniform(0.1, 0.5)
        if rows[i, 0] > 0 and rows[i + 1, 0] > 0:
            rows[i, 0] -= earlier
            rows[i + 1, 0] += earlier
        if recognised[i]:
            rows[i, 1] = 0.0
            rows[i, P_WAVE] = rows[i - 1, P_WAVE]
    return rows


def varied(
    rng: np.random.Generator,
    rows: NDArray[np.float32],
    rhythm: NDArray[np.int8],
    recipe: RhythmRecipe,
    *,
    heard: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A crop as it might also have been: another rate, R peaks placed less exactly, beats missed,
    V beats that are not recognised and N beats that are taken for V, no P waves known.

    ``heard`` : the beats and classes are those that a network found, not a reference's
    """
    rows = rows.copy()
    times = np.cumsum(np.where(rows[:, 0] > 0, rows[:, 0], SPLIT_S).astype(np.float64))
    times *= np.exp(rng.uniform(-0.2, 0.2))
    times += rng.normal(0.0, rng.uniform(0.0, 0.006 if heard else 0.010), len(times))
    if not heard:
        kept = rng.random(len(times)) >= rng.uniform(0.0, 0.01)
        rows, rhythm, times = rows[kept], rhythm[kept], times[kept]
        unrecognised = rng.random(len(times)) < rng.random() ** 2
        mistaken = rng.random(len(times)) < (rng.uniform(0.0, 0.05) if rng.random() < 0.5 else 0.0)
        rows[:, 1] = np.where(rows[:, 1] > 0, ~mistaken, unrecognised)
    elif rng.random() < recipe.without_p_wave:
        rows[:, P_WAVE] = 0.0
    intervals = np.diff(times, prepend=times[:1] - SPLIT_S)
    rows[:, 0] = np.where(intervals < SPLIT_S / 2, intervals, 0.0)
    return rows, rhythm.astype(np.float32)


if __name__ == "__main__":
    main()
