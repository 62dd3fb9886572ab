"""The committed files in ONNX Runtime 1.16.3, the last version of onnxruntime-silicon.

It wants Python 3.11 or older and NumPy below 2, so it lives in an environment of its own:
``python3.11 -m venv .venv-ort116 && .venv-ort116/bin/pip install onnxruntime==1.16.3 'numpy<2'``
(or EKG_ORT116_PYTHON names its Python).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from runtime import Detector
from runtime.model.artifacts import Artifacts
from runtime.model.embedded import BEATS, OUTPUTS, WHOLE, BeatsGraph
from runtime.model.rhythm_network import RHYTHM_GRAPH
from runtime.model.session import Session
from runtime.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts"
FILES = Artifacts(ARTIFACTS).files
# Those that give frames. The second network is checked where the runtime is loaded.
OTHERS = (RHYTHM_GRAPH, BEATS, WHOLE)
MODELS = sorted(name for name in FILES if name.endswith(".onnx") and name not in OTHERS)

ANSWER = """
import sys
from pathlib import Path
import numpy as np, onnxruntime
from runtime import Detector
from runtime.model.artifacts import Artifacts
from runtime.model.embedded import WHOLE, BeatsGraph, GoldenEkg
from runtime.model.session import Session

folder, given, answers = sys.argv[1:4]
ecg = np.load(given)
found = {"version": np.array(onnxruntime.__version__)}
for name in sys.argv[4:]:
    session = Session(Path(folder) / name, "cpu")
    carry = np.zeros((len(ecg), int(session.metadata["carry_size"])), dtype=np.float32)
    frames = []
    for chunk in np.split(ecg, (360, 378, 1800), axis=1):
        answer, carry = session.run(chunk, carry)
        frames.append(answer)
    found[name] = np.concatenate(frames, axis=1)
beats = Detector.load(folder, provider="cpu").predict(ecg[0]).beats
found["beats"] = np.array([beat.time for beat in beats])
found["labels"] = np.array([beat.label for beat in beats])
files = Artifacts(folder)
GoldenEkg.read(files).check(files)  # of both graphs that give beats
graph = BeatsGraph(files, WHOLE)
given = {"ecg": ecg.astype(np.float64), "missing": np.zeros(ecg.shape, "uint8")}
slots, _ = graph.run(given, np.zeros((len(ecg), graph.state_size), "f"))
np.savez(answers, **found, **{f"slot_{name}": value for name, value in slots.items()})
"""


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    rows = np.stack([simulate(20.0, seed=seed, ectopic=0.3).signal for seed in (5, 6)])
    return rows - rows[:, :1]


@pytest.fixture(scope="module")
def old(ecg: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The answers of every model file there."""
    python = Path(os.environ.get("EKG_ORT116_PYTHON", ROOT / ".venv-ort116" / "bin" / "python"))
    if not python.is_file():
        pytest.skip(
            f"no environment with ONNX Runtime 1.16.3 at {python}; how to make one stands "
            "at the top of this test"
        )
    folder = tmp_path_factory.mktemp("old")
    np.save(folder / "ecg.npy", ecg)
    done = subprocess.run(
        [
            str(python),
            "-W",
            "error",
            "-c",
            ANSWER,
            str(ARTIFACTS),
            str(folder / "ecg.npy"),
            str(folder / "answers.npz"),
            *MODELS,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / "answers.npz") as answers:
        return dict(answers)


def test_the_old_onnxruntime_is_used(old: dict[str, np.ndarray]) -> None:
    assert str(old["version"]) == "1.16.3"


@pytest.mark.parametrize("name", MODELS)
def test_every_file_answers_as_in_the_newest(
    old: dict[str, np.ndarray], ecg: np.ndarray, name: str
) -> None:
    session = Session(ARTIFACTS / name, "cpu")
    start = np.zeros((len(ecg), int(session.metadata["carry_size"])), dtype=np.float32)
    expected, _ = session.run(ecg, start)
    np.testing.assert_allclose(old[name], expected, atol=FILES[name]["tolerance"])
    # Quantized, a value beside the middle of two steps may be rounded to the other one.
    assert np.abs(old[name] - expected).mean() < (1e-3 if "int8" in name else 1e-6)


def test_the_runtime_finds_the_same_beats(
    old: dict[str, np.ndarray], ecg: np.ndarray, detector: Detector
) -> None:
    beats = detector.predict(ecg[0]).beats  # type: ignore[union-attr]
    assert [beat.label for beat in beats] == old["labels"].tolist()
    np.testing.assert_allclose([beat.time for beat in beats], old["beats"], atol=1e-9)


def test_one_graph_gives_the_same_beats(old: dict[str, np.ndarray], ecg: np.ndarray) -> None:
    graph = BeatsGraph(Artifacts(ARTIFACTS), WHOLE)
    state = np.zeros((len(ecg), graph.state_size), dtype=np.float32)
    given = {"ecg": ecg.astype(np.float64), "missing": np.zeros(ecg.shape, dtype=np.uint8)}
    expected, _ = graph.run(given, state)
    assert expected["valid"].sum() > 30
    for name in OUTPUTS:
        np.testing.assert_allclose(old[f"slot_{name}"], expected[name], atol=1e-5, err_msg=name)
