"""Train the network: ``python -m training.train``.

Patients, not beats, are split: ``--fold`` holds one fold of the training patients (DS1 and svdb)
out, and no weight, step or threshold is chosen by it, so what it shows is of patients never seen.
Six such runs say what a recipe is worth; what is shipped then learns from all of them, so nobody
is held out unless asked for. DS2 is never read here.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from runtime.beats import BeatPolicy, find_beats_of_all, place_at_r_peak
from training import io
from training.augment import IGNORE, draw
from training.evaluate import Score, as_json, score_record
from training.io import FS, Record
from training.model import FRAME_CLASSES, HOP, Design, EkgNet, label_frames, parameter_count

# What can be trained on: database and records. Paced 104 and 217 are kept for the test.
TRAINING = {"mitdb": ("mitdb", io.DS1), "paced": ("mitdb", ("102", "107")),
            "svdb": ("svdb", io.SVDB)}
# Least and most of a recipe's numbers.
BOUNDS = {"steps": (1, 10**7), "batch": (0, 4096), "window_batch": (0, 4096),
          "crop_s": (3, 120), "learning_rate": (0, 1), "weight_decay": (0, 10), "average": (0, 1),
          "rare": (0, 1), "svdb_share": (0, 1), "blocked": (0, 1), "retimed": (0, 1),
          "fibrillating": (0, 100), "folds": (2, 100), "seed": (0, 2**31),
          "validate_every": (1, 10**7)}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run but the data; stored in the checkpoint.

    Attributes
    ----------
    steps, batch, crop_s : optimiser steps, crops in a step, length of a crop in s
    window_batch : crops of which only 1 to 10 s at the start are signal, the rest is held, so
        that a window alone is labelled too
    learning_rate, weight_decay, average : AdamW, cosine to zero, moving average of the weights
    rare : share of crops placed on a beat that is not N
    weights : loss weight of each frame class: none, N, S, V, F, Q
    svdb_share : share of crops from svdb, whose labels are weaker
    blocked : share of crops in which some beats are missing (`training.augment.block`)
    retimed : share of crops whose beats are given another rhythm (`training.augment.retime`)
    rhythms : of these, shares of premature beats, fibrillation and arrhythmia
    fibrillating : how much oftener than another a patient in atrial fibrillation is drawn
    folds, fold : the training patients are split into so many; this one is held out, if any
    """

    steps: int = 6000
    batch: int = 26
    crop_s: float = 30.0
    window_batch: int = 14
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    average: float = 0.998
    rare: float = 0.15
    weights: tuple[float, ...] = (1.0, 1.0, 1.3, 1.3, 1.3, 1.0)
    svdb_share: float = 0.5
    blocked: float = 0.1
    retimed: float = 0.0
    rhythms: tuple[float, ...] = (0.4, 0.4, 0.2)
    fibrillating: float = 1.0
    folds: int = 6
    fold: int | None = None
    seed: int = 5
    validate_every: int = 1000

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} is {value}; expected {least} to {most}.")
        if self.batch + self.window_batch < 1:
            raise ValueError("batch and window_batch are 0; expected a crop at least.")
        for name, count in (("weights", len(FRAME_CLASSES)), ("rhythms", 3)):
            values = getattr(self, name)
            if not (len(values) == count and any(values)
                    and all(isinstance(v, int | float) and 0 <= v < 1e6 for v in values)):
                raise ValueError(f"{name} is {values}; expected {count} numbers from 0 on.")
        if abs(sum(self.rhythms) - 1) > 1e-6:
            raise ValueError(f"rhythms is {self.rhythms}; expected shares, which add up to 1.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: train and leave ``checkpoint.pt``, ``model.pt`` and ``log.jsonl``."""
    defaults = Recipe()
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/latest"))
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--fold", type=int,
                        help=f"hold this of the {defaults.folds} folds of the patients out, from 0")
    parser.add_argument("--databases", nargs="+", choices=tuple(TRAINING),
                        default=list(TRAINING))
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--compile", action="store_true",
                        help="compile the network first: a minute, then a third faster")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", action="extend",
                        help="other values for fields of the recipe or of the design, in "
                             "Python's notation: look_ahead=10 retimed=0.0")
    parser.add_argument("--simulated", action="store_true",
                        help="train on simulated ECG, without any recordings")
    args = parser.parse_args(arguments)
    try:
        recipe = replace(defaults, steps=args.steps, seed=args.seed, fold=args.fold,
                         validate_every=max(1, min(defaults.validate_every, args.steps)))
        recipe, design = changed(recipe, Design(), args.set)
    except ValueError as error:
        parser.error(str(error))
    if recipe.fold is not None and not 0 <= recipe.fold < recipe.folds:
        parser.error(f"--fold {recipe.fold}: there is no such fold; expected 0 to "
                     f"{recipe.folds - 1}.")
    try:
        io.require_writable(args.out)
        databases = list(dict.fromkeys(args.databases))  # named twice, they do not count twice
        records, noise, data = training_data(databases, simulated=args.simulated)
        train(recipe, records, noise, out=args.out, data=data, device=pick_device(args.device),
              design=design, resume=args.resume, compiled=args.compile)
    except (io.DataError, DeviceError) as error:
        parser.exit(2, f"{error}\n")


def changed(recipe: Recipe, design: Design, assignments: Sequence[str]) -> tuple[Recipe, Design]:
    """Recipe and design with ``name=value`` of either replaced; ValueError says which is wrong."""
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        try:
            value: Any = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise ValueError(f"--set {assignment}: the value is none of Python's; expected "
                             "NAME=VALUE such as look_ahead=10.") from None
        current: Any = (asdict(recipe) | asdict(design)).get(name, value)
        if current is None:  # the fold of a run that holds nobody out
            current = 0
        kinds = (int, float) if isinstance(current, float) else (type(current),)
        if isinstance(value, bool) or not any(isinstance(value, kind) for kind in kinds):
            raise ValueError(f"--set {assignment}: expected a value like {current!r}.")
        if name in Recipe.__dataclass_fields__:
            recipe = replace(recipe, **{name: value})
        elif name in Design.__dataclass_fields__:
            design = replace(design, **{name: value})
        else:
            names = *Recipe.__dataclass_fields__, *Design.__dataclass_fields__
            raise ValueError(f"--set {assignment}: there is no {name!r}; expected one of "
                             f"{', '.join(names)}.")
    return recipe, design


class DeviceError(Exception):
    """The device that was asked for is not there."""


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA, else MPS, else CPU; a device asked for by name must be there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(),
             "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(candidate for candidate in ("cuda", "mps", "cpu") if there[candidate])
    if not there[name]:
        raise DeviceError(f"--device {name}: torch {torch.__version__} finds no such device "
                          f"here; there is {', '.join(n for n, ok in there.items() if ok)}.")
    return torch.device(name)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is the faster: processors without it are 8 times slower than in float32."""
    if device.type == "cpu":
        return any(there for name, there in torch.cpu.get_capabilities().items() if "bf16" in name)
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def training_data(databases: Sequence[str], *, simulated: bool = False
                  ) -> tuple[list[Record], NDArray[np.float32], str]:
    """Training records, training noise [recordings, samples] in mV, and a line that names both.

    Where no recordings can be had, simulated ECG takes their place and the line says so.
    """
    if not simulated:
        at_hand = io.data_folder() is not None  # asked first: a broken-off download leaves a part
        try:
            folder = io.require_data(
                [*dict.fromkeys(TRAINING[part][0] for part in databases), "nstdb"])
        except io.DataError as error:
            if at_hand:
                raise
            print(f"{error}\nTraining on SIMULATED ECG instead: the result is for trying the "
                  "commands out, not for real signal.")
            simulated = True
    if simulated:
        records = io.simulated_records(24)
        return records, io.simulated_noise(), "SIMULATED ECG (no recordings were used)"
    records = [_aligned(r) for part in databases for r in io.load_all(*TRAINING[part], folder)]
    # Only the first half of each noise recording: the second one is kept for noise tests.
    noise = [half for name in io.NOISES for half in
             io.load("nstdb", name, folder).signal[:, : 15 * 60 * FS]]
    line = " + ".join({"mitdb": "mitdb DS1", "paced": "mitdb 102 and 107 (paced)",
                       "svdb": f"svdb ({len(io.SVDB)} records)"}[part] for part in databases)
    return records, np.stack(noise), line + ", noise from nstdb (first halves)"


def _aligned(record: Record) -> Record:
    """svdb's marks, up to 60 ms beside the R peak, moved to it; mitdb's are there already."""
    if record.database != "svdb":
        return record
    return replace(record, beats=place_at_r_peak(record.signal[0], record.beats, FS))


def train(recipe: Recipe, records: Sequence[Record], noise: NDArray[np.float32], *, out: Path,
          data: str, device: torch.device, design: Design | None = None, resume: bool = False,
          compiled: bool = False) -> None:
    """Train, write ``out/checkpoint.pt`` (to resume), ``out/model.pt`` and ``out/log.jsonl``."""
    out.mkdir(parents=True, exist_ok=True)
    seed_everything(recipe.seed)
    # The paced are too few to be spared: they are in no fold.
    unpaced = [r for r in records if r.name not in io.PACED]
    held_out = [] if recipe.fold is None else io.folds(unpaced, recipe.folds)[recipe.fold]
    if recipe.fold is not None and not held_out:
        raise io.DataError(f"fold {recipe.fold} of {recipe.folds} holds none of these "
                           f"{len(unpaced)} patients; expected fewer folds, or more patients.")
    kept_names = {(r.database, r.name) for r in held_out}
    kept = [r for r in records if (r.database, r.name) not in kept_names]
    # Channels last: what the convolutions of processors and GPUs are fastest at.
    net = EkgNet(design).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    logits = torch.compile(net.cnn.logits) if compiled else net.cnn.logits
    averaged = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=_moving_average(recipe.average), use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.learning_rate,
                                  weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, recipe.steps, pct_start=0.1)
    first, run = 0, [repr(part) for part in (recipe, net.design, data)]
    if resume:
        saved = _checkpoint(out / "checkpoint.pt", device)
        if saved["run"] != run:
            raise io.DataError(f"{out}/checkpoint.pt is of a run with another recipe, design or "
                               "data; expected the same, or another folder (--out).")
        for name, part in (("net", net), ("averaged", averaged), ("optimiser", optimiser),
                           ("schedule", schedule)):
            part.load_state_dict(saved[name])  # type: ignore[attr-defined]
        first = saved["step"]
    log = out / "log.jsonl"
    log.write_text("".join(_logged(log, first)))
    loss_weights = torch.tensor(recipe.weights, device=device)
    print(f"{parameter_count(net)} parameters, {len(kept)} patients to train on, "
          f"{len(held_out)} held out; {data}; {device}")
    # Batches and dropout depend on the step alone: a resumed run ends as the unbroken one does.
    progress = tqdm(range(first, recipe.steps), initial=first, total=recipe.steps, unit="step",
                    mininterval=1.0)
    losses = []
    for step in progress:
        net.train()
        torch.manual_seed(recipe.seed * recipe.steps + step)  # of dropout
        ecg, targets = draw(kept, noise, recipe, net.design, step)
        past, carry = net.start(len(ecg), device).split(
            [net.fir.history, net.cnn.carry_size], dim=1)
        filtered, _ = net.fir(ecg.to(device), past)  # in full precision: offsets are large
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
            frames, _ = logits(filtered, carry)
        loss = nn.functional.cross_entropy(
            frames.float().flatten(0, 1), targets.to(device).flatten(), loss_weights,
            ignore_index=IGNORE)
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
        line = {"step": step + 1, "loss": float(np.mean(losses)),
                **(score.summary() if score else {})}
        losses.clear()
        with log.open("a") as lines:
            lines.write(as_json(line, indent=None) + "\n")
        tqdm.write(f"step {step + 1}: loss {line['loss']:.3f}"
                   + (f", held-out patients: {score}" if score else ""))
        save(out / "model.pt", smooth, recipe, BeatPolicy(), data, score)
        _write({"net": net.state_dict(), "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                "step": step + 1, "run": run}, out / "checkpoint.pt")


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


def _checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """What `train` left to resume from; a DataError where another wrote it, or half of it."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if missing := {"net", "averaged", "optimiser", "schedule", "step", "run"} - saved.keys():
            raise KeyError(*missing)
    except Exception as error:  # torch raises whatever a foreign byte leads to
        raise io.DataError(f"{path} is missing, damaged or no checkpoint ({type(error).__name__}); "
                           "begin anew without --resume.") from error
    return saved


_Average = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]


def _moving_average(keep: float) -> _Average:
    """Exponential, but young averages forget faster: untrained batch norms would linger."""
    @torch.no_grad()
    def average(old: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int) -> None:
        weight = 1.0 - min(keep, (1 + int(count)) / (10 + int(count)))
        for kept, latest in zip(old, new, strict=True):
            if kept.is_floating_point():
                kept.lerp_(latest, weight)
            else:
                kept.copy_(latest)

    return average


def save(path: Path, net: EkgNet, recipe: Recipe, policy: BeatPolicy, data: str,
         score: Score | None) -> None:
    """Write what export needs: weights and how they came about."""
    _write({"weights": net.state_dict(), "design": net.design.to_dict(),
            "recipe": asdict(recipe), "policy": asdict(policy), "data": data,
            "held_out": score.summary() if score else {}}, path)


def _write(what: dict[str, Any], path: Path) -> None:
    """Put it in the file's place once it is whole: the last one is all there is to resume from."""
    part = path.with_name(f"{path.name}.part")
    try:
        torch.save(what, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer has errors of its own
        part.unlink(missing_ok=True)
        raise io.DataError(f"{path} cannot be written ({str(error).splitlines()[0]}); what was "
                           "there before still is.") from error


def load(path: Path) -> tuple[EkgNet, dict[str, object]]:
    """Read what `save` wrote: the network in evaluation mode, and the rest.

    Raises
    ------
    DataError
        Where there is no such file, or another wrote it.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        net = EkgNet(Design.from_dict(saved["design"]))
        net.load_state_dict(saved["weights"])
        rest = {name: saved[name] for name in ("recipe", "policy", "data", "held_out")}
    except FileNotFoundError:
        raise io.DataError(f"{path} does not exist; run `make train` first.") from None
    except Exception as error:  # torch raises whatever a foreign byte leads to
        raise io.DataError(f"{path} is no checkpoint ({type(error).__name__}); expected a model.pt "
                           "that `python -m training.train` wrote.") from error
    return net.eval(), rest


def validate(net: EkgNet, records: Sequence[Record]) -> Score:
    """What the network finds in these records."""
    return sum((score(net.design, frames_of(net, r), r, BeatPolicy()) for r in records),
               Score.empty())


def frames_of(net: EkgNet, record: Record) -> NDArray[np.float32]:
    """What the network says of a record's first lead, float32 [1, frames, 6], to its last beat.

    As `Stream.finish` does, the last value is held for as long as the network looks ahead.
    """
    held = net.design.delay_samples + (BeatPolicy().after + 3) * HOP
    return label_frames(net, np.pad(record.signal[:1], ((0, 0), (0, held)), mode="edge"))


def score(design: Design, frames: NDArray[np.float32], record: Record, policy: BeatPolicy
          ) -> Score:
    """What a policy makes of a record's frames, as `frames_of` gives them."""
    _, found, labels, _ = find_beats_of_all(frames, policy)
    near = found * HOP + HOP // 2 - design.delay_samples
    inside = near < record.signal.shape[1]
    near, labels = near[inside], labels[inside]
    return score_record(record, place_at_r_peak(record.signal[0], near, FS), labels)


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


if __name__ == "__main__":
    main()
