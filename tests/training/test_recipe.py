"""Recipes and designs changed by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import checkpoint
from training.model import Design
from training.recipe import Recipe, changed

FOLDS = Path(__file__).resolve().parents[2] / "bench" / "results" / "folds"


def test_a_recipe_and_a_design_can_be_changed_by_name() -> None:
    recipe, design = changed(
        Recipe(), Design(), ["retimed=0.5", "look_ahead=10", "rhythm=((12, 8),)"]
    )
    assert recipe == Recipe(retimed=0.5)
    assert design == Design(look_ahead=10, rhythm=((12, 8),))
    with pytest.raises(ValueError, match="there is no 'lookahead'; expected one of steps, "):
        changed(recipe, design, ["lookahead=10"])
    with pytest.raises(ValueError, match="expected NAME=VALUE"):
        changed(recipe, design, ["look_ahead"])
    with pytest.raises(ValueError, match=r"--set batch='x': expected a value like 26\."):
        changed(recipe, design, ["batch='x'"])


@pytest.mark.parametrize("shares", [(0.5, 0.4, 0.2), (-0.1, 0.0, 0.0), (0.5,)])
def test_shares_of_strangers_are_shares(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"strangers is .*; expected three shares"):
        Recipe(strangers=shares)
    assert changed(Recipe(), Design(), ["strangers=(0.2, 0.1, 0.1)"])[0].strangers == (
        0.2,
        0.1,
        0.1,
    )


def test_a_recipe_of_before_there_were_strangers_still_loads() -> None:
    _, saved = checkpoint.load(FOLDS / "fold5" / "model.pt")
    assert "strangers" not in saved["recipe"]
    recipe = Recipe(**saved["recipe"])
    assert (recipe.fold, recipe.strangers, recipe.devices) == (5, (0.0, 0.0, 0.0), 0.0)
