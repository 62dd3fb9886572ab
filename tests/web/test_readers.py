"""The readers in other languages give the beats of the runtime, beat for beat."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from record_cuts import cut
from web_driver import PIECE_S, RECORDS, ROOT, Known, require_node_package

from runtime.detector import load_rhythm
from runtime.signal.missing import NO_SIGNAL, bridge, missing_samples
from runtime.simulate import simulate

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
def test_minutes_of_mitdb(
    reader: list[str], known: Known, data: Path, tmp_path: Path, name: str
) -> None:
    ecg, beats = known(str(cut(data / "mitdb" / name, tmp_path, PIECE_S)))
    assert len(beats) > 100
    assert read_by(reader, ecg) == beats


@pytest.mark.trial
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


BRIDGED = """
import { bridged } from %s;
const ecg = JSON.parse(await new Response(process.stdin).text(), (_, v) => (v === null ? NaN : v));
const { held, missing } = bridged(Float64Array.from(ecg), 360);
console.log(JSON.stringify([[...held], [...missing]]));
"""


def test_repeated_values_and_gaps_are_bridged_as_by_the_runtime() -> None:
    if not shutil.which("node"):
        pytest.skip("needs node")
    ecg = simulate(30, seed=4).signal.astype(np.float64)
    ecg[3600:4320] = 0.3  # for 2 s, at another level
    ecg[4320:] += 0.7
    ecg[5400:5760] = ecg[5400]  # for 1 s, which is none too many
    ecg[6000:6372] = ecg[6000]  # hardly more
    ecg[7000:7010] = np.nan
    ecg[8000:8500] = -0.2
    ecg[8200:8300] = np.nan
    script = BRIDGED % json.dumps((ROOT / "web" / "gaps.js").as_uri())
    samples = json.dumps([None if np.isnan(value) else value for value in ecg])
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=samples,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    held, missing = map(np.array, json.loads(done.stdout))
    limits = load_rhythm().quality.missing
    expected = bridge(ecg[None], [NO_SIGNAL], 360, limits)
    np.testing.assert_array_equal(missing.astype(bool), missing_samples(ecg, 360, limits))
    assert missing[3600:4320].all()
    assert not missing[5400:5760].any()
    assert missing[6000:6372].all()
    # What is left of easing counts no more below 0.1 uV, here a sample sooner than there.
    np.testing.assert_allclose(held - ecg[0], expected.ecg[0], atol=1.1e-4)


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
