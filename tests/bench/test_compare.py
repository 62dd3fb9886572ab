"""The comparison's command line refuses before it measures, in one sentence."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from bench import compare

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # `main` sets them: they are put back
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(compare, "measure", lambda *_, **__: pytest.fail("it measured"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "{here}/file/results"], "--out .* cannot be made: "),
        (["--artifacts", "{here}/nothing"], "--artifacts .*manifest.json does not exist"),
        (["--draw", "--out", "{here}/nothing"], "results.json cannot be read: .*without --draw"),
        (["--draw", "--out", "{here}"], "results.json holds no results"),
    ],
)
def test_impossible_arguments_are_refused_before_measuring(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "results.json").write_text("{")
    defaults = ["--artifacts", str(ARTIFACTS), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=says):
        compare.main([*defaults, *(part.format(here=tmp_path) for part in arguments)])
