"""Train the network: ``python -m training.train``.

Patients, not beats, are split: ``--fold`` holds one fold of the training patients (DS1 and svdb)
out, and no weight, step or threshold is chosen by it, so its figures are of patients never seen.
Six such runs measure a recipe; the shipped network then learns from all of them, so nobody is held
out by default. DS2 is never read here.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from runtime.model.contract import BeatPolicy
from training import checkpoint
from training.augment import IGNORE, NORMAL_AT_MOST, draw
from training.databases import PACED
from training.dataset import TRAINING, training_data
from training.devices import DeviceError, fast_bfloat16, pick_device
from training.errors import DataError
from training.model import FRAME_CLASSES, Design, EkgNet, parameter_count
from training.recipe import SHIPPED, Recipe, changed
from training.recordings import Record, folds
from training.results import as_json, require_writable
from training.validate import validate
from training.weak import entries
from training.weak_beats import strangers


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: train and leave ``checkpoint.pt``, ``model.pt`` and ``log.jsonl``."""
    defaults = Recipe()
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/latest"))
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--fold",
        type=int,
        help=f"hold this of the {defaults.folds} folds of the patients out, from 0",
    )
    parser.add_argument("--databases", nargs="+", choices=tuple(TRAINING), default=list(TRAINING))
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the network first: a minute, then a third faster",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        action="extend",
        help="other values for fields of the recipe or of the design, in "
        "Python's notation: look_ahead=10 retimed=0.0",
    )
    parser.add_argument(
        "--shipped",
        action="store_true",
        help="crops from strangers and other devices too, as the shipped network had, if their "
        "recordings are at hand",
    )
    parser.add_argument(
        "--simulated", action="store_true", help="train on simulated ECG, without any recordings"
    )
    args = parser.parse_args(arguments)
    try:
        recipe = replace(
            defaults,
            steps=args.steps,
            seed=args.seed,
            fold=args.fold,
            validate_every=max(1, min(defaults.validate_every, args.steps)),
        )
        recipe, design = changed(recipe, Design(), args.set)
    except ValueError as error:
        parser.error(str(error))
    if recipe.fold is not None and not 0 <= recipe.fold < recipe.folds:
        parser.error(
            f"--fold {recipe.fold}: there is no such fold; expected 0 to {recipe.folds - 1}."
        )
    try:
        require_writable(args.out)
        databases = list(dict.fromkeys(args.databases))  # named twice, they do not count twice
        records, noise, data = training_data(databases, simulated=args.simulated)
        pools: Sequence[Sequence[Record]] = ()
        if args.shipped:
            try:
                for database in ("cinc2017", "ptbxl"):
                    entries(database)  # DataError if it is not at hand
                recipe = replace(recipe, **SHIPPED)
            except DataError as error:
                print(f"{error} Crops from strangers are left out.")
        if any(recipe.strangers):
            others = strangers(noise.shape[1])
            pools, noise = others.pools, np.concatenate([noise, others.noise])
            data = f"{data}; strangers: {others.name}"
        train(
            recipe,
            records,
            noise,
            out=args.out,
            data=data,
            device=pick_device(args.device),
            design=design,
            resume=args.resume,
            compiled=args.compile,
            pools=pools,
        )
    except (DataError, DeviceError) as error:
        parser.exit(2, f"{error}\n")


def train(
    recipe: Recipe,
    records: Sequence[Record],
    noise: NDArray[np.float32],
    *,
    out: Path,
    data: str,
    device: torch.device,
    design: Design | None = None,
    resume: bool = False,
    compiled: bool = False,
    pools: Sequence[Sequence[Record]] = (),
) -> None:
    """Train, write ``out/checkpoint.pt`` (to resume), ``out/model.pt`` and ``out/log.jsonl``.

    ``pools`` are the strangers that the recipe draws from, as of `Strangers.pools`.
    """
    if any(recipe.strangers) and not pools:
        raise DataError(
            f"strangers is {recipe.strangers}, but there are none to draw crops from; "
            "expected their recordings, or a recipe without them."
        )
    out.mkdir(parents=True, exist_ok=True)
    seed_everything(recipe.seed)
    # The paced are too few to be spared: they are in no fold.
    unpaced = [r for r in records if r.name not in PACED]
    held_out = [] if recipe.fold is None else folds(unpaced, recipe.folds)[recipe.fold]
    if recipe.fold is not None and not held_out:
        raise DataError(
            f"fold {recipe.fold} of {recipe.folds} holds none of these "
            f"{len(unpaced)} patients; expected fewer folds, or more patients."
        )
    kept_names = {(r.database, r.name) for r in held_out}
    kept = [r for r in records if (r.database, r.name) not in kept_names]
    # Channels last: what the convolutions of processors and GPUs are fastest at.
    net = EkgNet(design).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    logits = torch.compile(net.cnn.logits) if compiled else net.cnn.logits
    averaged = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=_moving_average(recipe.average), use_buffers=True
    )
    optimiser = torch.optim.AdamW(
        net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, recipe.steps, pct_start=0.1
    )
    first, run = 0, [repr(part) for part in (recipe, net.design, data)]
    if resume:
        saved = checkpoint.load_progress(out / "checkpoint.pt", device)
        if saved["run"] != run:
            raise DataError(
                f"{out}/checkpoint.pt is of a run with another recipe, design or "
                "data; expected the same, or another folder (--out)."
            )
        for name, part in (
            ("net", net),
            ("averaged", averaged),
            ("optimiser", optimiser),
            ("schedule", schedule),
        ):
            part.load_state_dict(saved[name])  # type: ignore[attr-defined]
        first = saved["step"]
    log = out / "log.jsonl"
    log.write_text("".join(_logged(log, first)))
    loss_weights = torch.tensor(recipe.weights, device=device)
    print(
        f"{parameter_count(net)} parameters, {len(kept)} patients to train on, "
        f"{len(held_out)} held out; {data}; {device}"
    )
    # Batches and dropout depend on the step alone: a resumed run ends as the unbroken one does.
    progress = tqdm(
        range(first, recipe.steps), initial=first, total=recipe.steps, unit="step", mininterval=1.0
    )
    losses = []
    for step in progress:
        net.train()
        torch.manual_seed(recipe.seed * recipe.steps + step)  # of dropout
        ecg, targets = draw(kept, noise, recipe, net.design, step, pools)
        past, carry = net.start(len(ecg), device).split(
            [net.fir.history, net.cnn.carry_size], dim=1
        )
        filtered, _ = net.fir(ecg.to(device), past)  # in full precision: offsets are large
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
            frames, _ = logits(filtered, carry)
        loss = frame_loss(frames.float().flatten(0, 1), targets.to(device).flatten(), loss_weights)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(net)
        losses.append(loss.item())
        if (step + 1) % recipe.validate_every and step + 1 != recipe.steps:
            continue
        smooth = averaged.module
        assert isinstance(smooth, EkgNet)
        score = validate(smooth, held_out) if held_out else None
        line = {
            "step": step + 1,
            "loss": float(np.mean(losses)),
            **(score.summary() if score else {}),
        }
        losses.clear()
        with log.open("a") as lines:
            lines.write(as_json(line, indent=None) + "\n")
        tqdm.write(
            f"step {step + 1}: loss {line['loss']:.3f}"
            + (f", held-out patients: {score}" if score else "")
        )
        checkpoint.save(out / "model.pt", smooth, recipe, BeatPolicy(), data, score)
        checkpoint.save_progress(
            out / "checkpoint.pt",
            {
                "net": net.state_dict(),
                "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "step": step + 1,
                "run": run,
            },
        )


def frame_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean cross entropy over frames.

    Of a frame of which only a set of classes is known, the probability of the set counts.

    Parameters
    ----------
    logits : float32 [frames, 6]
    targets : int64 [frames], as of `training.augment.draw`
    weights : float32 [6], of the classes
    """
    known = nn.functional.cross_entropy(
        logits, targets.clamp(min=IGNORE), weights, ignore_index=IGNORE
    )
    doubtful = targets < IGNORE
    if not doubtful.any():
        return known
    impossible = torch.ones(2, len(weights), dtype=torch.bool, device=logits.device)
    impossible[0, :2] = False  # NORMAL_AT_MOST: none, N
    impossible[1] = torch.arange(len(weights), device=logits.device) == FRAME_CLASSES.index("S")
    log_shares = logits[doubtful].log_softmax(dim=1)
    missing = log_shares.masked_fill(impossible[NORMAL_AT_MOST - targets[doubtful]], -torch.inf)
    return known - missing.logsumexp(dim=1).sum() / len(targets)


def _logged(log: Path, step: int) -> list[str]:
    """The lines up to this step: the checkpoint is written after the log, so a run that broke off
    may have left one too many, or half of one."""

    def reached(line: str) -> float:
        try:
            return float(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            return float("inf")

    lines = log.read_text().splitlines(keepends=True) if step and log.is_file() else []
    return [line for line in lines if reached(line) <= step]


_Average = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]


def _moving_average(keep: float) -> _Average:
    """An exponential average that forgets faster while young: untrained norms would linger."""

    @torch.no_grad()
    def average(old: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int) -> None:
        weight = 1.0 - min(keep, (1 + int(count)) / (10 + int(count)))
        for kept, latest in zip(old, new, strict=True):
            if kept.is_floating_point():
                kept.lerp_(latest, weight)
            else:
                kept.copy_(latest)

    return average


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


if __name__ == "__main__":
    main()
