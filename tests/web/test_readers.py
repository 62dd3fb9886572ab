"""The readers in other languages give the beats of the runtime, beat for beat."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from record_cuts import cut
from web_driver import PIECE_S, RECORDS, ROOT, Known, in_node, require_node_package

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


def test_a_graph_that_finds_other_golden_beats_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "ekg.onnx"
    graph.symlink_to(GRAPH)
    with np.load(Path(GRAPH).with_name("golden_ekg.npz")) as arrays:
        golden = dict(arrays)
    golden["flawed_labels"] = np.where(golden["flawed_valid"], 2, golden["flawed_labels"])
    np.savez(tmp_path / "golden_ekg.npz", **golden)
    done = ask([*PLAIN[:2], str(graph)], "0\n")
    assert done.returncode == 1
    assert "finds other beats than when it was exported" in done.stderr


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
const numbers = (ecg) => Float64Array.from(ecg, (mv) => (mv === null ? NaN : mv));
const { fs, signals } = given;
const found = signals.map((ecg) => bridged(numbers(ecg), fs));
console.log(JSON.stringify(found.map(({ held, missing }) => [[...held], [...missing]])));
"""


def flawed(rng: np.random.Generator, fs: int) -> np.ndarray:
    """A patient whose cables are not what they should be."""
    ecg = simulate(20, fs=fs, seed=int(rng.integers(1 << 30))).signal.astype(np.float64)
    ecg += rng.normal()
    for _ in range(int(rng.integers(1, 7))):
        start, kind = int(rng.integers(len(ecg))), rng.integers(6)
        part = ecg[start : start + int(rng.choice([1, 3, 12, 40, 100, 400, 700]))]
        if kind == 0:
            part[:] = rng.choice([np.nan, -999.0, 32768.0])
        elif kind == 1:
            part[:] = part[0]
        elif kind == 2:
            part += rng.choice([-30, -8, 3, 6, 20, 300])
        elif kind == 3:
            ecg[start:] += rng.choice([-15, 4, 8, 100])
        elif kind == 4:
            part += 5 * rng.normal(size=len(part))
        else:
            ecg[: start // 4] = rng.choice([0.2, np.nan])
    return ecg


@pytest.mark.parametrize("fs", [130, 250, 360, 1000])
def test_signals_are_bridged_as_by_the_runtime(fs: int) -> None:
    """Also steps, spikes and other levels; a repeated value from its first sample on."""
    signals = [flawed(np.random.default_rng((fs, seed)), fs) for seed in range(15)]
    given = [[None if np.isnan(value) else value for value in ecg] for ecg in signals]
    script = BRIDGED % json.dumps((ROOT / "web" / "gaps.js").as_uri())
    limits = load_rhythm().quality.missing
    for ecg, (held, missing) in zip(
        signals, in_node(script, {"fs": fs, "signals": given}), strict=True
    ):
        first = int((np.abs(ecg) <= 500).argmax())
        expected = bridge(ecg[None], [NO_SIGNAL], fs, limits)
        np.testing.assert_array_equal(missing, missing_samples(ecg, fs, limits))
        # What is left of easing counts no more below 0.1 uV, here perhaps a sample sooner.
        np.testing.assert_allclose(
            np.array(held[first:]) - ecg[first], expected.ecg[0, first:], rtol=1e-6, atol=1.1e-4
        )


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
