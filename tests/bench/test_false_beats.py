"""False beats of strips before and after: what is counted, what is drawn."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from bench import false_beats
from runtime.simulate import simulate
from training import weak
from training.weak import Entry, WeakRecord


def found(labels: str, *doubtful: int) -> false_beats.Findings:
    """A beat each second, and the seconds that are doubtful, of ten."""
    return {
        "beats": [[second + 0.5, label] for second, label in enumerate(labels)],
        "doubtful": [second in doubtful for second in range(10)],
    }


def test_every_v_and_s_of_a_normal_strip_is_false() -> None:
    assert false_beats.false_beats(found("NVNQS")) == [(1.5, "V"), (4.5, "S")]


def test_strips_are_counted_before_and_after() -> None:
    before, after = [found("NV"), found("SS"), found("NVS")], [found("NN", 3), found("NS")]
    assert false_beats.summary(before, after) == {
        "with a V": [2, 0],
        "with an S": [2, 1],
        "with neither": [0, 1],
        "doubtful": [0, 1],
    }


def test_strips_are_drawn(tmp_path: Path) -> None:
    made = simulate(10, fs=300)
    record = WeakRecord(Entry("cinc2017", "A1", "A1", "N"), ("ECG",), 300.0, made.signal[None])
    out = tmp_path / "strips.png"
    false_beats.draw([(record, found("NV"), found("NN", 1))] * 3, Namespace(base="abc", out=out))
    assert out.read_bytes().startswith(b"\x89PNG")


def test_without_the_strips_it_says_what_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weak, "data_folder", lambda: tmp_path)
    with pytest.raises(SystemExit) as left:
        false_beats.main(["--base", "HEAD", "--out", str(tmp_path / "a.png")])
    assert left.value.code == 2
    assert "cinc2017 is not at hand" in capsys.readouterr().err
