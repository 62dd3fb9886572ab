"""Train the network: ``python -m training.train``.

Patients, not beats, are split: one fold of the training patients (DS1 and svdb) is held out to
choose the checkpoint and the operating point. DS2 is never read here.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from runtime.beats import BeatPolicy, classify, find_beats, place_at_r_peak
from training import io
from training.evaluate import Score, score_record
from training.io import FS, Record
from training.model import HOP, Design, EkgNet, label_frames, parameter_count

IGNORE = -1  # frames whose label is not known: no loss
# A beat is written on the three frames whose middles lie within 75 ms of its R peak.
BEAT_REACH = round(0.075 * FS)
# Beats cut by the edge of a short window: whether they count is not defined there.
EDGE = round(0.1 * FS)


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
    folds, fold : the training patients are split into so many; this one is held out
    """

    steps: int = 6000
    batch: int = 28
    crop_s: float = 30.0
    window_batch: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    average: float = 0.998
    rare: float = 0.15
    weights: tuple[float, ...] = (1.0, 1.0, 1.3, 1.3, 1.3, 1.0)
    svdb_share: float = 0.5
    folds: int = 6
    fold: int = 5  # keeps 201 and 203, DS1's atrial fibrillation, among the patients trained on
    seed: int = 0
    validate_every: int = 500


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: train and leave ``checkpoint.pt``, ``best.pt`` and ``log.jsonl``."""
    defaults = Recipe()
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/latest"))
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--fold", type=int, default=defaults.fold)
    parser.add_argument("--databases", nargs="+", choices=("mitdb", "svdb"),
                        default=["mitdb", "svdb"])
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--simulated", action="store_true",
                        help="train on simulated ECG, without any recordings")
    args = parser.parse_args(arguments)
    recipe = replace(defaults, steps=args.steps, seed=args.seed, fold=args.fold,
                     validate_every=min(defaults.validate_every, args.steps))
    try:
        records, noise, data = training_data(args.databases, simulated=args.simulated)
        train(recipe, records, noise, out=args.out, data=data, device=pick_device(args.device),
              resume=args.resume)
    except (io.DataError, DeviceError) as error:
        parser.exit(2, f"{error}\n")


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


def training_data(databases: Sequence[str], *, simulated: bool = False
                  ) -> tuple[list[Record], NDArray[np.float32], str]:
    """Training records, training noise [recordings, samples] in mV, and a line that names both.

    Where no recordings can be had, simulated ECG takes their place and the line says so.
    """
    if not simulated:
        try:
            folder = io.require_data((*databases, "nstdb"))
        except io.DataError as error:
            if io.data_folder() is not None:
                raise
            print(f"{error}\nTraining on SIMULATED ECG instead: the result is for trying the "
                  "commands out, not for real signal.")
            simulated = True
    if simulated:
        records = io.simulated_records(24)
        return records, io.simulated_noise(), "SIMULATED ECG (no recordings were at hand)"
    names = {"mitdb": io.DS1, "svdb": io.SVDB}
    records = [_aligned(r) for d in databases for r in io.load_all(d, names[d], folder)]
    # Only the first half of each noise recording: the second one is kept for noise tests.
    noise = [half for name in io.NOISES for half in
             io.load("nstdb", name, folder).signal[:, : 15 * 60 * FS]]
    line = " + ".join({"mitdb": "mitdb DS1", "svdb": "svdb (59 records)"}[d] for d in databases)
    return records, np.stack(noise), line + ", noise from nstdb (first halves)"


def _aligned(record: Record) -> Record:
    """svdb's marks, up to 60 ms beside the R peak, moved to it; mitdb's are there already."""
    if record.database != "svdb":
        return record
    return replace(record, beats=place_at_r_peak(record.signal[0], record.beats, FS))


def train(recipe: Recipe, records: Sequence[Record], noise: NDArray[np.float32], *, out: Path,
          data: str, device: torch.device, design: Design | None = None, resume: bool = False
          ) -> None:
    """Train, write ``out/checkpoint.pt`` (to resume), ``out/best.pt`` and ``out/log.jsonl``."""
    out.mkdir(parents=True, exist_ok=True)
    seed_everything(recipe.seed)
    held_out = io.folds(records, recipe.folds)[recipe.fold]
    kept_names = {(r.database, r.name) for r in held_out}
    kept = [r for r in records if (r.database, r.name) not in kept_names]
    net = EkgNet(design).to(device)
    averaged = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average),
        use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.learning_rate,
                                  weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, recipe.steps, pct_start=0.1)
    first, best = 0, -1.0
    if resume and (out / "checkpoint.pt").is_file():
        saved = torch.load(out / "checkpoint.pt", map_location=device, weights_only=True)
        for name, part in (("net", net), ("averaged", averaged), ("optimiser", optimiser),
                           ("schedule", schedule)):
            part.load_state_dict(saved[name])  # type: ignore[attr-defined]
        first, best = saved["step"], saved["best"]
    (out / "log.jsonl").open("a" if first else "w").close()
    loss_weights = torch.tensor(recipe.weights, device=device)
    print(f"{parameter_count(net)} parameters, {len(kept)} patients to train on, "
          f"{len(held_out)} held out; {data}; {device}")
    # Batches depend on the step alone, so a resumed run sees what the unbroken one would have.
    progress = tqdm(range(first, recipe.steps), initial=first, total=recipe.steps, unit="step",
                    mininterval=1.0)
    losses = []
    for step in progress:
        net.train()
        ecg, targets = draw(kept, noise, recipe, net.design, step)
        past, carry = net.start(len(ecg), device).split(
            [net.fir.history, net.cnn.carry_size], dim=1)
        filtered, _ = net.fir(ecg.to(device), past)  # in full precision: offsets are large
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type != "mps"):
            logits, _ = net.cnn.logits(filtered, carry)
        loss = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets.to(device).flatten(), loss_weights,
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
        policy, score = validate(smooth, held_out)
        line = {"step": step + 1, "loss": float(np.mean(losses)), "value": score.value,
                "threshold": policy.threshold, **score.summary()}
        losses.clear()
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        tqdm.write(f"step {step + 1}: loss {line['loss']:.3f}, held-out patients: {score}")
        if score.value > best:
            best = score.value
            save(out / "best.pt", smooth, recipe, policy, data, score)
        torch.save({"net": net.state_dict(), "averaged": averaged.state_dict(),
                    "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                    "step": step + 1, "best": best}, out / "checkpoint.pt")


def save(path: Path, net: EkgNet, recipe: Recipe, policy: BeatPolicy, data: str, score: Score
         ) -> None:
    """Write what export needs: weights and how they came about."""
    torch.save({"weights": net.state_dict(), "design": net.design.to_dict(),
                "recipe": asdict(recipe), "policy": asdict(policy), "data": data,
                "held_out": score.summary()}, path)


def load(path: Path) -> tuple[EkgNet, dict[str, object]]:
    """Read what `save` wrote: the network in evaluation mode, and the rest."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise io.DataError(f"{path} does not exist; run `make train` first.") from None
    net = EkgNet(Design.from_dict(saved["design"]))
    net.load_state_dict(saved.pop("weights"))
    return net.eval(), saved


def validate(net: EkgNet, records: Sequence[Record]) -> tuple[BeatPolicy, Score]:
    """Choose the operating point on these records and say what it gives there."""
    frames = [label_frames(net, r.signal[:1])[0] for r in records]
    policies = [BeatPolicy(threshold=t) for t in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]
    scores = [_score(net.design, frames, records, policy) for policy in policies]
    best = max(range(len(policies)), key=lambda i: scores[i].qrs.f1)
    return policies[best], scores[best]


def _score(design: Design, frames: Sequence[NDArray[np.float32]], records: Sequence[Record],
           policy: BeatPolicy) -> Score:
    total = Score.empty()
    for probabilities, record in zip(frames, records, strict=True):
        found, shares = find_beats(probabilities, policy)
        near = found * HOP + HOP // 2 - design.delay_samples
        total += score_record(record, place_at_r_peak(record.signal[0], near, FS),
                              classify(shares, policy))
    return total


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def draw(records: Sequence[Record], noise: NDArray[np.float32], recipe: Recipe, design: Design,
         step: int) -> tuple[Tensor, Tensor]:
    """The signals and frame labels of one step.

    Crops and windows stand in one batch: batch norm has to see the mixture it will serve.

    Returns
    -------
    ecg : float32 [batch, samples], mV, first sample subtracted
    targets : int64 [batch, frames], class of the frame or `IGNORE`
    """
    rng = np.random.default_rng((recipe.seed, step))
    samples = round(recipe.crop_s * FS)
    ecgs, targets = [], []
    for i in range(recipe.batch + recipe.window_batch):
        alone = None
        if i >= recipe.batch:
            seconds = 1.0 if rng.random() < 0.6 else rng.uniform(1.0, 10.0)
            alone = min(round(FS * seconds), samples // 2)
        ecg, labels = example(rng, records, noise, recipe, samples, alone)
        ecgs.append(ecg)
        targets.append(frame_targets(labels, design))
    return torch.from_numpy(np.stack(ecgs)), torch.from_numpy(np.stack(targets))


def frame_targets(labels: NDArray[np.int8], design: Design) -> NDArray[np.int64]:
    """Frame classes of sample classes: frame i is labelled with the moment it speaks of."""
    moments = np.arange(len(labels) // HOP) * HOP + HOP // 2 - design.delay_samples
    targets = labels[moments.clip(0)].astype(np.int64)
    targets[moments < 0] = 0  # before the recording there are no beats
    return targets


def example(rng: np.random.Generator, records: Sequence[Record], noise: NDArray[np.float32],
            recipe: Recipe, samples: int, alone: int | None
            ) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """One crop, augmented.

    ``alone`` keeps only so many samples and holds the last one after that.

    Returns
    -------
    ecg : float32 [samples], mV
    labels : int8 [samples]: 0 for none, class + 1 within 75 ms of a beat, or `IGNORE`
    """
    # Time stretch: the heart beats up to 20 % slower or faster than recorded.
    stretch = np.exp(rng.uniform(-0.18, 0.18))
    wanted = alone or samples
    length = int(np.ceil(wanted * stretch)) + 1
    svdb = [r for r in records if r.database == "svdb"]
    others = [r for r in records if r.database != "svdb"]
    pool = svdb if svdb and (not others or rng.random() < recipe.svdb_share) else others
    record = pool[rng.integers(len(pool))]
    start = int(rng.integers(record.signal.shape[1] - length))
    rare = np.flatnonzero(record.labels)
    if len(rare) and rng.random() < recipe.rare:
        beat = record.beats[rare[rng.integers(len(rare))]]
        start = int(np.clip(beat - rng.integers(length), 0, record.signal.shape[1] - length))
    at = np.arange(wanted) * stretch
    # The first lead, the other, or a view from between them.
    mix = np.zeros(len(record.signal))
    mix[0] = 1.0
    if rng.random() < 0.5:
        mix = rng.normal(0.0, 1.0, len(mix))
        mix /= np.linalg.norm(mix)
    ecg = np.interp(at, np.arange(length), mix @ record.signal[:, start : start + length])
    ecg = ecg * np.exp(rng.normal(0.0, 0.35))
    if rng.random() < 0.15:
        ecg = -ecg  # electrodes swapped
    ecg = add_noise(rng, ecg, noise)
    labels = _sample_labels(record, start, wanted, stretch, edges=alone is not None)
    if alone is not None:
        ecg = np.pad(ecg, (0, samples - alone), mode="edge")
        labels = np.pad(labels, (0, samples - alone))
    return (ecg - ecg[0]).astype(np.float32), labels


def _sample_labels(record: Record, start: int, samples: int, stretch: float, *, edges: bool
                   ) -> NDArray[np.int8]:
    labels = np.zeros(samples, dtype=np.int8)
    if not edges:
        for begin, end in record.flutter:
            inside = np.clip((np.array([begin, end]) - start) / stretch, 0, samples).astype(int)
            labels[slice(*inside)] = IGNORE
    low, high = np.searchsorted(record.beats, (start - FS, start + samples * stretch + FS))
    places = np.rint((record.beats[low:high] - start) / stretch).astype(int)
    for place, label in zip(places, record.labels[low:high], strict=True):
        cut_off = edges and not EDGE <= place < samples - EDGE
        reach = slice(max(place - BEAT_REACH, 0), max(place + BEAT_REACH, 0))
        labels[reach] = IGNORE if cut_off else label + 1
    return labels


def add_noise(rng: np.random.Generator, ecg: NDArray[np.float64], noise: NDArray[np.float32]
              ) -> NDArray[np.float64]:
    """Real noise from nstdb, powerline and slow drift, each on some crops, in mV."""
    samples = len(ecg)
    time = np.arange(samples) / FS
    if rng.random() < 0.5:
        row, start = rng.integers(len(noise)), rng.integers(noise.shape[1] - samples)
        piece = noise[row, start : start + samples]
        ecg = ecg + (piece - piece.mean()) * np.exp(rng.normal(-1.6, 0.8))
    if rng.random() < 0.2:
        powerline = np.sin(2 * np.pi * (rng.choice((50.0, 60.0)) * time + rng.random()))
        ecg = ecg + rng.exponential(0.05) * powerline
    if rng.random() < 0.2:
        drift = np.sin(2 * np.pi * (rng.uniform(0.05, 0.5) * time + rng.random()))
        ecg = ecg + rng.exponential(0.3) * drift
    return ecg


if __name__ == "__main__":
    main()
