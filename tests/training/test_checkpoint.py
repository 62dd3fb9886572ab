"""Checkpoints: what is not one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runtime.model.contract import BeatPolicy
from training import checkpoint
from training.errors import DataError
from training.model import Design, EkgNet
from training.recipe import Recipe

FOLDS = Path(__file__).parents[2] / "bench/results/folds"
SMALL = Design(width=16, morphology=((1, 8), (2, 8)), rhythm=((8, 4),), decision=((1, 8),))


def test_a_missing_checkpoint_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="make train"):
        checkpoint.load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    "harm",
    [
        "text",
        "empty",
        "folder",
        "inside a file",
        "list",
        "resumed from",
        "other weights",
        "no policy",
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_in_one_sentence(harm: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    checkpoint.save(path, EkgNet(SMALL), Recipe(), BeatPolicy(), "SIMULATED", None)
    saved = torch.load(path, weights_only=True)
    if harm in ("text", "empty"):
        path.write_text("no checkpoint" if harm == "text" else "")
    elif harm == "folder":
        path = tmp_path
    elif harm == "inside a file":
        path = path / "model.pt"
    else:
        without = {key: value for key, value in saved.items() if key != "policy"}
        torch.save(
            {
                "list": [1],
                "resumed from": {"net": saved["weights"], "step": 1},
                "other weights": saved | {"weights": {}},
                "no policy": without,
            }[harm],
            path,
        )
    with pytest.raises(DataError) as refused:
        checkpoint.load(path)
    said = str(refused.value)
    assert said.startswith(f"{path} is no checkpoint (")
    assert "\n" not in said


@pytest.mark.parametrize(
    "path", sorted(FOLDS.glob("fold*/model.pt")), ids=lambda path: path.parent.name
)
def test_the_committed_checkpoints_of_the_folds_load(path: Path) -> None:
    net, saved = checkpoint.load(path)
    assert net.design == Design()
    assert f"fold{saved['recipe']['fold']}" == path.parent.name  # type: ignore[index]
