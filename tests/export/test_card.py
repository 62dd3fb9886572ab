"""The model card: says what was measured of other runs, and refuses what is no measurement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export import __main__ as command
from export import card
from training.databases import DS2
from training.errors import DataError


def measured(path: Path, runs: int) -> Path:
    figures = {
        name: {"mean": 0.5 + i / 100, "sd": 0.01, "each": []}
        for i, name in enumerate(card.FIGURES.values())
    }
    path.write_text(
        json.dumps(
            {
                "records": f"mitdb: {' '.join(DS2)}",
                "figures": figures,
                "runs": {str(i): {} for i in range(runs)},
            }
        )
    )
    return path


def test_other_runs_stand_in_the_card_with_their_spread(tmp_path: Path) -> None:
    five, one = measured(tmp_path / "a.json", 5), measured(tmp_path / "b.json", 1)
    beside = command.read_other_runs([f"five seeds={five}", f"DS1 only={one}"])
    lines = card.other_runs({"beside": beside})
    assert "| five seeds | 5 | 50.00 ± 1.00 | 51.00 ± 1.00 |" in "\n".join(lines)
    assert "| DS1 only | 1 | 50.00 | 51.00 |" in "\n".join(lines)
    assert card.other_runs({}) == []


def test_files_without_measurements_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    for name in ("x.json", "absent.json"):
        with pytest.raises(
            DataError,
            match=r"expected WHAT=FILE, the file by `python -m "
            r"training.seeds --out`",
        ):
            command.read_other_runs([f"seeds={tmp_path / name}"])


def test_the_card_says_who_was_held_out() -> None:
    recipe = {"folds": 6, "fold": 2}
    figures = {"QRS F1": 0.999, "VEB F1": 0.9, "SVEB F1": 0.5, "accuracy": 0.95}
    said = card.held_out_runs(recipe, figures, simulated=False)
    assert "(fold 2) was held out" in said
    assert "VEB F1 90.0, SVEB F1 50.0, accuracy 95.0 %" in said
    everyone = card.held_out_runs(recipe | {"fold": None}, {}, simulated=False)
    assert everyone.startswith("All of them, none held out")


@pytest.mark.parametrize("simulated", [True, False])
def test_the_card_of_a_simulated_model_has_no_real_figures(simulated: bool) -> None:
    described = {
        "delay": "1.2",
        "fs": "360",
        "fir_design": "f",
        "threshold": "0.5",
        "class_weights": "[]",
        "commit": "c",
        "trained_on": "t",
        "simulated": str(simulated).lower(),
    }
    recipe = {"folds": 6, "fold": None, "seed": 5, "steps": 2}
    text = card.card(
        None, parameters=1, described=described, recipe=recipe, held_out={}, worst={"g": 1e-6}
    )
    assert ("has seen no real ECG" in text) == simulated
    for claim in (
        "were chosen before, by 6 runs",
        "svdb's labels",
        "Records 201 (training)",
        "adults' Holter recordings",
    ):
        assert (claim in text) != simulated
    assert "none held out" in text
    assert "random and simulated signal (" in text  # of either, where no recordings are at hand
