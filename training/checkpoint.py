"""Checkpoints: ``model.pt``, which is exported, and ``checkpoint.pt``, to resume from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from runtime.model.contract import BeatPolicy
from training.errors import DataError
from training.model import Design, EkgNet
from training.recipe import Recipe
from training.scores import Score

PROGRESS = {"net", "averaged", "optimiser", "schedule", "step", "run"}


def save(
    path: Path, net: EkgNet, recipe: Recipe, policy: BeatPolicy, data: str, score: Score | None
) -> None:
    """Write what export needs: weights and how they came about."""
    write(
        {
            "weights": net.state_dict(),
            "design": net.design.to_dict(),
            "recipe": asdict(recipe),
            "policy": asdict(policy),
            "data": data,
            "held_out": score.summary() if score else {},
        },
        path,
    )


def load(path: Path) -> tuple[EkgNet, dict[str, object]]:
    """Read what `save` wrote: the network in evaluation mode, and the rest.

    Raises
    ------
    DataError
        There is no such file, or another program wrote it.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        net = EkgNet(Design.from_dict(saved["design"]))
        net.load_state_dict(saved["weights"])
        rest = {name: saved[name] for name in ("recipe", "policy", "data", "held_out")}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run `make train` first.") from None
    except Exception as error:  # torch raises whatever a foreign byte leads to
        raise DataError(
            f"{path} is no checkpoint ({type(error).__name__}); expected a model.pt "
            "that `python -m training.train` wrote."
        ) from error
    return net.eval(), rest


def save_progress(path: Path, progress: dict[str, Any]) -> None:
    """Write `PROGRESS`, what a run needs to go on from."""
    write(progress, path)


def load_progress(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save_progress` wrote.

    Raises
    ------
    DataError
        Another program wrote the file, or half of it.
    """
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if missing := PROGRESS - saved.keys():
            raise KeyError(*missing)
    except Exception as error:  # torch raises whatever a foreign byte leads to
        raise DataError(
            f"{path} is missing, damaged or no checkpoint ({type(error).__name__}); "
            "begin anew without --resume."
        ) from error
    return saved


def write(content: dict[str, Any], path: Path) -> None:
    """Replace a file once the new one is whole: the old one is all there is to resume from.

    Raises
    ------
    DataError
        The file cannot be written; the old one is still there.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        torch.save(content, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer has errors of its own
        part.unlink(missing_ok=True)
        raise DataError(
            f"{path} cannot be written ({str(error).splitlines()[0]}); what was "
            "there before still is."
        ) from error
