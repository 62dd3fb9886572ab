"""The readers in other languages give the beats of the runtime, beat for beat."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from web_driver import RECORDS, ROOT, Known, require_node_package

GRAPH = str(ROOT / "artifacts" / "ekg.onnx")
NODE = ["node", str(ROOT / "examples" / "node" / "beats.mjs"), GRAPH]
PLAIN = [sys.executable, str(ROOT / "examples" / "plain_onnxruntime.py"), GRAPH]


@pytest.fixture(params=["plain", "node"])
def reader(request: pytest.FixtureRequest) -> list[str]:
    """The command that reads samples from standard input."""
    if request.param == "plain":
        return PLAIN
    require_node_package("onnxruntime-node", "examples/node")
    return NODE


def ask(reader: list[str], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        reader, input=text, capture_output=True, text=True, timeout=300, check=False
    )


def read_by(reader: list[str], ecg: np.ndarray) -> list[tuple[int, str]]:
    done = ask(reader, "\n".join(map(repr, ecg.tolist())))
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert all(0 < float(score) <= 1 and 0 < float(af) < 1 for _, _, score, af in rows)
    return [(int(r_peak), label) for r_peak, label, *_ in rows]


def test_the_sample(reader: list[str], known: Known) -> None:
    ecg, beats = known("sample")
    assert len(beats) == 52
    assert read_by(reader, ecg) == beats


@pytest.mark.parametrize("name", RECORDS)
def test_records_of_mitdb(reader: list[str], known: Known, data: Path, name: str) -> None:
    ecg, beats = known(str(data / "mitdb" / name))
    assert len(beats) > 1000
    assert read_by(reader, ecg) == beats


def test_no_beat_lies_in_a_gap(reader: list[str], known: Known) -> None:
    ecg, beats = known("sample")
    ecg[3600:4320] = np.nan
    kept = read_by(reader, ecg)
    assert not [sample for sample, _ in kept if 3600 <= sample < 4320]
    assert set(kept) >= {beat for beat in beats if beat[0] < 3400}
    assert len(kept) > len(beats) - 6


def test_what_is_no_number_is_refused(reader: list[str]) -> None:
    done = ask(reader, "nan\nnan\n")
    assert done.returncode != 0
    assert "number" in done.stderr


@pytest.mark.parametrize(
    "path",
    ["examples/plain_onnxruntime.py", "examples/node/beats.mjs", "web/ekg.js", "web/stream.js"],
)
def test_a_reader_is_short(path: str) -> None:
    assert len((ROOT / path).read_text().splitlines()) < 150
