"""Results: JSON without NaN, and folders that can be written."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from training.results import as_json, from_json, require_writable


def test_undefined_figures_are_null_in_json() -> None:
    text = as_json({"F Se": float("nan"), "each": [1.5, float("nan")], "of": 3})
    assert json.loads(text, parse_constant=pytest.fail) == {
        "F Se": None,
        "each": [1.5, None],
        "of": 3,
    }
    assert from_json(text)["each"] == pytest.approx([1.5, float("nan")], nan_ok=True)


@pytest.mark.parametrize(
    "command",
    [
        "training.train",
        "training.evaluate",
        "training.evaluate_rhythm",
        "bench.noise",
        "bench.detectors",
        "training.seeds no_run",
        "bench.ablation no_run",
    ],
)
def test_an_unwritable_folder_is_refused_before_measuring(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    module, *runs = command.split()
    with pytest.raises(SystemExit) as left:
        importlib.import_module(module).main([*runs, "--out", str(tmp_path / "file/a/b.json")])
    assert left.value.code == 2
    assert "cannot be made or written (Not a directory)" in capsys.readouterr().err


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    require_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
