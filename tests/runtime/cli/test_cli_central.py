"""The command of the central station: what it refuses before anything is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing"], "missing.hea does not exist"),
        (["a/sample", "b/sample"], "expected records of different names"),
        (["--simulate", "2", "--minutes", "0"], "expected 1 or more"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["central", "--port", "0", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_rate_that_no_stream_takes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "slow.npy", np.sin(np.arange(4000) / 9))
    arguments = ["--fs", "40", "--units", "mV", "--port", "0"]
    assert main(["central", str(tmp_path / "slow.npy"), *arguments]) == 2
    assert "40" in capsys.readouterr().err
