"""Fit the models of ventricular fibrillation and noise on design patients.

``python -m training.fit_rhythm`` uses cudb, DS1 of mitdb, svdb, and the first half of nstdb's
noises mixed into DS1. DS2 and the second halves are for `training.evaluate_rhythm`, which judges
each patient of cudb by models fitted without a sixth of cudb, the patient's own (`left_out`). With
``--check`` it prints what six-fold cross-validation gives for single windows, and writes nothing.
The rest stays as ``artifacts/rhythm.json`` has it; ``python -m export.rhythm`` puts the result
there, and after it `training.fit_noise` can fit lasting noise, which is judged beside these. Atrial
fibrillation is the second network's (`training.train_rhythm`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.detector import load_rhythm
from runtime.errors import EkgError
from runtime.signal import features as waveform
from runtime.signal.features import SmallNetwork, WindowModel, comparable
from training.databases import CUDB, DS1, SVDB
from training.download import require_data
from training.errors import DataError
from training.fits import fit_parser, present_rhythm, write_rhythm
from training.rhythm_windows import (
    Task,
    Windows,
    design_windows,
    fibrillation_task,
    noise_task,
)

if TYPE_CHECKING:
    import torch

Network = TypeVar("Network", bound=SmallNetwork)
# Of a network: units in the hidden layer; networks whose log-odds are averaged; steps; windows in
# a step; noise on the inputs, in deviations of each, so that none of them is trusted too much.
HIDDEN, NETWORKS, STEPS, BATCH, JITTER = 8, 4, 480, 1024, 0.4
VF_NETWORKS = 6  # of fibrillation, whose long episodes turn on few windows
FOLDS = 6


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = fit_parser("fit_rhythm", __doc__)
    parser.add_argument("--check", action="store_true", help="cross-validate, write nothing")
    args = parser.parse_args(arguments)
    try:
        stored = present_rhythm(args.out)
        folder = require_data(["mitdb", "cudb", "nstdb", "svdb"])
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
    fits: dict[str, WindowModel] = {}
    for name, task in tasks.items():
        target, weight = task(data)
        used = weight > 0
        fits[name] = fit_network(data.features[used], target[used], weight[used], networks_of(task))
    stored |= {
        "fitted_on": stored["fitted_on"]
        | {
            "cudb": CUDB,
            "mitdb": DS1,
            "svdb": SVDB,
            "nstdb": "first half of em, ma and bw, mixed into DS1",
        },
        "fitted_by": "python -m training.fit_rhythm",
        "features": waveform.FEATURES,
        "models": stored["models"] | {name: model.to_dict() for name, model in fits.items()},
    }
    write_rhythm(stored, args.out)


def networks_of(task: Task) -> int:
    """Networks whose log-odds are averaged for a task."""
    return VF_NETWORKS if task is fibrillation_task else NETWORKS


def fit_network(
    features: NDArray[np.float64],
    target: NDArray[np.bool_],
    weight: NDArray[np.float64],
    count: int = NETWORKS,
    first_seed: int = 0,
) -> WindowModel:
    """Small networks of one hidden layer, trained from several seeds, as one wide network that
    gives the mean of their log-odds."""
    import torch

    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    inputs = torch.tensor(comparable(features, mean, scale), dtype=torch.float32)
    answers = torch.tensor(target, dtype=torch.float32)
    networks = []
    for seed in range(first_seed, first_seed + count):
        torch.manual_seed(seed)
        first, last = torch.nn.Linear(features.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
        networks.append((first, last))
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
    return joined(WindowModel, mean, scale, networks)


def joined(
    kind: type[Network],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    networks: Sequence[tuple[torch.nn.Linear, torch.nn.Linear]],
) -> Network:
    """Networks of one hidden layer as a wide one, which gives the mean of their log-odds."""
    hidden = [
        np.concatenate([first.weight.detach().numpy().T, first.bias.detach().numpy()[None]])
        for first, _ in networks
    ]
    weights = [last.weight.detach().numpy()[0] / len(networks) for _, last in networks]
    return kind(
        mean,
        scale,
        np.concatenate(weights).astype(np.float64),
        sum(float(last.bias.detach()[0]) / len(networks) for _, last in networks),
        np.concatenate(hidden, axis=1).astype(np.float64),
    )


def separation(odds: NDArray[np.float64], target: NDArray[np.bool_]) -> dict[str, float]:
    """Sensitivity at a few specificities."""
    yes, no = odds[target], odds[~target]
    return {
        f"Se at Sp {specificity:g}": round(float((yes > np.quantile(no, specificity)).mean()), 4)
        for specificity in (0.95, 0.97, 0.99)
    }


def left_out(
    data: Windows, task: Task, first_seed: int = 0
) -> Iterator[tuple[list[str], WindowModel]]:
    """A sixth of the patients, and a model that saw nothing of them; six times."""
    patients = sorted(set(data.patients.tolist()), key=lambda name: (name[:2] != "cu", name))
    target, weight = task(data)
    for fold in range(FOLDS):
        names = patients[fold::FOLDS]
        used = ~np.isin(data.patients, names) & (weight > 0)
        yield (
            names,
            fit_network(
                data.features[used], target[used], weight[used], networks_of(task), first_seed
            ),
        )


def held_out_odds(data: Windows, task: Task) -> NDArray[np.float64]:
    """Log-odds of every window from models that saw nothing of its patient."""
    odds = np.zeros(len(data.labels))
    for names, model in left_out(data, task):
        held = np.isin(data.patients, names)
        odds[held] = model.log_odds(data.features[held])
    return odds


if __name__ == "__main__":
    main()
