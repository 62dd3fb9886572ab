"""The recipe of a training run, and its changes by the command line."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from training.model import FRAME_CLASSES, Design

# Smallest and largest value of a recipe's numbers.
BOUNDS = {
    "steps": (1, 10**7),
    "batch": (0, 4096),
    "window_batch": (0, 4096),
    "crop_s": (3, 120),
    "learning_rate": (0, 1),
    "weight_decay": (0, 10),
    "average": (0, 1),
    "rare": (0, 1),
    "svdb_share": (0, 1),
    "blocked": (0, 1),
    "retimed": (0, 1),
    "fibrillating": (0, 100),
    "devices": (0, 1),
    "folds": (2, 100),
    "seed": (0, 2**31),
    "validate_every": (1, 10**7),
}

# What the shipped network's recipe has beside the defaults, where cinc2017 and ptbxl are at hand.
SHIPPED: dict[str, Any] = {"strangers": (0.18, 0.09, 0.1), "devices": 0.3}


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
    fibrillating : times as often as another a patient in atrial fibrillation is drawn
    strangers : shares of crops from hand-held strips in normal rhythm, from such in atrial
        fibrillation, and from clinical ECGs (`training.weak_beats`); the rest is Holter
    devices : share of crops as another patient and device give them (`training.amplifier`)
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
    strangers: tuple[float, ...] = (0.0, 0.0, 0.0)
    devices: float = 0.0
    folds: int = 6
    fold: int | None = None
    seed: int = 5
    validate_every: int = 1000

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"{name} is {value}; expected {low} to {high}.")
        if self.batch + self.window_batch < 1:
            raise ValueError("batch and window_batch are 0; expected a crop at least.")
        for name, count in (("weights", len(FRAME_CLASSES)), ("rhythms", 3)):
            values = getattr(self, name)
            if not (
                len(values) == count
                and any(values)
                and all(isinstance(v, int | float) and 0 <= v < 1e6 for v in values)
            ):
                raise ValueError(f"{name} is {values}; expected {count} numbers from 0 on.")
        if not (
            len(self.strangers) == 3
            and all(0 <= share <= 1 for share in self.strangers)
            and sum(self.strangers) <= 1
        ):
            raise ValueError(
                f"strangers is {self.strangers}; expected three shares, which add up to 1 at most."
            )
        if abs(sum(self.rhythms) - 1) > 1e-6:
            raise ValueError(f"rhythms is {self.rhythms}; expected shares, which add up to 1.")


def changed(recipe: Recipe, design: Design, assignments: Sequence[str]) -> tuple[Recipe, Design]:
    """Recipe and design with ``name=value`` of either replaced; ValueError says which is wrong."""
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        try:
            value: Any = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise ValueError(
                f"--set {assignment}: the value is none of Python's; expected "
                "NAME=VALUE such as look_ahead=10."
            ) from None
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
            raise ValueError(
                f"--set {assignment}: there is no {name!r}; expected one of {', '.join(names)}."
            )
    return recipe, design
