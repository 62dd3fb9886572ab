"""Recipes and designs changed by name."""

from __future__ import annotations

import pytest

from training.model import Design
from training.recipe import Recipe, changed


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
