"""``python -m export.rhythm``: a fitted rhythm goes into artifacts/, or nothing changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from export import rhythm
from runtime import Detector
from runtime.detector import DEFAULT_ARTIFACTS, load_rhythm
from runtime.model.artifacts import Artifacts


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """A copy of the committed artifacts."""
    return Path(shutil.copytree(DEFAULT_ARTIFACTS, tmp_path / "artifacts"))


def fitted(folder: Path, **policy: float) -> Path:
    """A file as `training.fit_rhythm` writes it, with other limits of silence."""
    stored = Artifacts(DEFAULT_ARTIFACTS).json(rhythm.NAME)
    stored["policy"]["silence"] |= policy
    stored["networks"] = {"another.onnx": "0" * 64}
    (folder / "fitted.json").write_text(json.dumps(stored))
    return folder / "fitted.json"


def test_a_fitted_rhythm_is_sealed_with_its_network_and_golden_recording(
    artifacts: Path, tmp_path: Path
) -> None:
    before = Artifacts(artifacts)
    assert "pause" in [kind for kind, *_ in before.golden_rhythm("ekg_fused.onnx").events]
    assert rhythm.main([str(fitted(tmp_path, pause_s=2.7)), "--artifacts", str(artifacts)]) == 0
    after = Artifacts(artifacts)
    assert set(after.files) == set(before.files)
    changed = {name for name in after.files if after.digest(name) != before.digest(name)}
    assert changed == {"rhythm.json", "golden_rhythm.npz"}
    assert load_rhythm(after).networks == {
        name: after.digest(name).hex() for name in ("ekg_fused.onnx", "ekg_rhythm.onnx")
    }
    detector = Detector.load(artifacts, provider="cpu")  # which checks the golden recording
    assert detector.rhythm_policy.pause_s == 2.7
    kinds = [kind for kind, *_ in after.golden_rhythm("ekg_fused.onnx").events]
    assert "pause" not in kinds, "the golden recording's pause is shorter than 2.7 s"


def test_the_committed_golden_recording_is_what_export_makes(artifacts: Path) -> None:
    stored = Artifacts(DEFAULT_ARTIFACTS).json(rhythm.NAME)
    rhythm.write(artifacts, stored)
    for name in (rhythm.NAME, rhythm.GOLDEN):
        assert (artifacts / name).read_bytes() == (DEFAULT_ARTIFACTS / name).read_bytes()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "error: "),
        ("{}", "rhythm.json is not what export wrote"),
        ('{"format": 9}', "has format 9, this runtime reads 6"),
    ],
)
def test_what_is_no_rhythm_changes_nothing(
    artifacts: Path, tmp_path: Path, content: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in artifacts.iterdir() if path.is_file()}
    (tmp_path / "x.json").write_text(content)
    assert rhythm.main([str(tmp_path / "x.json"), "--artifacts", str(artifacts)]) == 1
    assert sentence in capsys.readouterr().err
    assert before == {
        path.name: path.read_bytes() for path in artifacts.iterdir() if path.is_file()
    }
