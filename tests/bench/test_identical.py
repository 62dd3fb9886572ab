"""Two checkouts' answers compared byte for byte."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from bench import checkouts, identical
from bench.checkouts import CheckoutError, checkout
from runtime.simulate import simulate
from training.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
in_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")


def temporary_worktrees() -> list[str]:
    listed = subprocess.run(
        ["git", "worktree", "list", "--porcelain"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [line for line in listed if "/ekg-" in line]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import wfdb

    (tmp_path / "cudb").mkdir()
    signal = np.rint(simulate(20, seed=3).signal * 1000).astype(np.int16)[:, None]
    wfdb.wrsamp(
        "x",
        360,
        ["mV"],
        ["II"],
        d_signal=signal,
        fmt=["16"],
        adc_gain=[1000.0],
        baseline=[0],
        write_dir=str(tmp_path / "cudb"),
    )
    monkeypatch.setattr(identical, "require_data", lambda _: tmp_path)
    return "cudb/x"


def test_a_line_for_each_file_that_differs(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        (folder / "mitdb").mkdir(parents=True)
        (folder / "mitdb/same.ekg").write_bytes(b"same")
    assert identical.differences(before, after) == []
    (before / "mitdb/gone.ekg").write_bytes(b"")
    (after / "mitdb/new.ekg").write_bytes(b"")
    (before / "mitdb/100.csv").write_bytes(b"time,label\n1,N\n")
    (after / "mitdb/100.csv").write_bytes(b"time,label\n1,V\n2,N\n")
    assert identical.differences(before, after) == [
        "mitdb/100.csv: differs from byte 13 on, line 2 (15 bytes before, 19 after)",
        "mitdb/gone.ekg: not there after",
        "mitdb/new.ekg: not there before",
    ]


@in_git
def test_the_same_code_gives_identical_files(
    record: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = temporary_worktrees()
    # The base is this very commit; the working tree's runtime may differ from it while at work.
    changed = subprocess.run(
        ["git", "diff", "--quiet", "HEAD", "--", "runtime", "artifacts"], cwd=ROOT, check=False
    ).returncode
    status = identical.main(["--base", "HEAD", "--records", record])
    if not changed:
        assert status == 0
        assert "records: 1, files: 2, differences from HEAD: 0\n" in capsys.readouterr().out
    assert temporary_worktrees() == before


@pytest.fixture
def without_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be compiled in the checkout, for a test that runs nothing there."""
    monkeypatch.setattr(checkouts, "loops_are_built", lambda: False)


@in_git
@pytest.mark.usefixtures("without_loops")
def test_a_difference_gives_status_1(
    record: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def annotate(tree: Path, records: object, out: Path, name: str) -> list[str]:
        out.mkdir(parents=True)
        (out / "x.ekg").write_text(name)
        return []

    monkeypatch.setattr(identical, "annotate", annotate)
    assert identical.main(["--base", "HEAD", "--records", record]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "cudb/x.ekg: differs from byte 0 on, line 1 (6 bytes before, 5 after)",
        "records: 1, files: 1, differences from HEAD: 1",
    ]


def test_a_record_that_cannot_be_annotated_is_a_difference(tmp_path: Path) -> None:
    (line,) = identical.annotate(ROOT, [tmp_path / "nosuch"], tmp_path / "out", "after")
    assert line.startswith("after: annotate ended with status 2 (")


def test_a_missing_record_is_refused(record: str) -> None:
    with pytest.raises(DataError, match=r"nosuch\.hea does not exist; expected --records"):
        identical.chosen([record, "cudb/nosuch"])
    assert [path.name for path in identical.chosen([record, "cudb"])] == ["x"]


@in_git
@pytest.mark.usefixtures("without_loops")
def test_a_checkout_is_removed_after_an_error() -> None:
    before = temporary_worktrees()
    paths = []

    def interrupted() -> None:
        with checkout("HEAD") as path:
            assert (path / "runtime").is_dir()
            paths.append(path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not paths[0].exists()
    assert temporary_worktrees() == before


@in_git
def test_an_unknown_revision_is_refused_in_one_sentence() -> None:
    with pytest.raises(CheckoutError, match="--base nosuch: there is no such commit"):
        checkouts.commit_of("nosuch")
