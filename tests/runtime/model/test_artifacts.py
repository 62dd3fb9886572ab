"""The files of ``artifacts/``: missing, altered or not belonging together, one sentence each."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.manifest import roles, seal, sha256
from runtime import Detector, ModelError, ModelFileError
from runtime.detector import load_rhythm
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts

FILES = ["ekg_fused.onnx", "golden.npz", "rhythm.json", "golden_rhythm.npz"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Artifacts that a test may spoil."""
    return Path(shutil.copytree(DEFAULT_ARTIFACTS, tmp_path / "artifacts"))


def refusal(folder: Path) -> str:
    """The sentence with which the files are refused."""
    with pytest.raises(ModelError) as caught:
        Detector.load(folder, provider="cpu")
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("name", ["manifest.json", *FILES])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelFileError, match=rf"{name} does not exist"):
        Detector.load(copy, provider="cpu")


@pytest.mark.parametrize("name", FILES)
def test_an_altered_file_is_refused(copy: Path, name: str) -> None:
    body = bytearray((copy / name).read_bytes())
    body[len(body) // 2] ^= 1
    (copy / name).write_bytes(body)
    assert f"{name} is not the file that was exported: its SHA-256 differs" in refusal(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_manifest_does_not_list_is_refused(copy: Path, name: str) -> None:
    seal(copy, {listed: role for listed, role in roles(copy).items() if listed != name})
    with pytest.raises(ModelError, match=rf"{name} is not in .*manifest\.json; it lists "):
        Detector.load(copy, provider="cpu")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 1}',
        '{"files": 3, "format": 1}',
        '{"format": 1, "files": [{"name": "ekg_fused.onnx"}]}',
        '{"format": 1, "files": [{"name": "golden.npz", "sha256": "00", "tolerance": null}]}',
    ],
)
def test_a_spoilt_manifest_is_refused(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="is not a manifest"):
        Detector.load(copy, provider="cpu")


def test_a_manifest_of_another_format_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text()) | {"format": 99}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert "format 99" in refusal(copy)


def test_a_carry_that_is_not_the_graphs_is_refused(copy: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx writes the spoilt file")
    path = copy / "ekg_fused.onnx"
    model = onnx.load(path)
    (size,) = (entry for entry in model.metadata_props if entry.key == "carry_size")
    right, size.value = size.value, "10"
    onnx.save(model, path)
    seal(copy, roles(copy))
    assert f"has carry_size 10; expected {right}, as its own input" in refusal(copy)


def test_a_wrong_golden_answer_is_refused(copy: Path) -> None:
    with np.load(copy / "golden.npz") as golden:
        ecg, probabilities = golden["ecg"], golden["probabilities"]
    np.savez(copy / "golden.npz", ecg=ecg, probabilities=probabilities[:, ::-1])
    seal(copy, roles(copy))
    assert "answers the golden input differently" in refusal(copy)


def rewritten(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The folder with its rhythm changed, and sealed as if it had been exported so."""
    stored = json.loads((folder / "rhythm.json").read_text())
    change(stored)
    return written(folder, json.dumps(stored))


def written(folder: Path, rhythm: str) -> Path:
    """The folder with another rhythm, sealed."""
    (folder / "rhythm.json").write_text(rhythm)
    seal(folder, roles(folder))
    return folder


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r.update(format=99), "rhythm.json has format 99, this runtime reads 6"),
        (lambda r: r.pop("format"), "rhythm.json is not what export wrote (KeyError: 'format')"),
        (lambda r: r["features"].reverse(), "has features that this runtime does not compute"),
        (
            lambda r: r["policy"].update(tides={"high": 1}),
            "there is no section 'tides' of a rhythm",
        ),
        (
            lambda r: r["policy"].pop("silence"),
            "section 'silence' of a rhythm policy does not have",
        ),
        (lambda r: r["policy"]["runs"].pop("vt_bpm"), "section 'runs'"),
        (lambda r: r["policy"]["rates"].update(slowest=3), "'slowest'"),
        (lambda r: r["policy"]["runs"].update(run_beats=0), "run_beats of runs is 0; expected"),
        (lambda r: r["quality"].pop("flat_mv"), "'flat_mv'"),
        (lambda r: r["quality"].update(flat_mv=-1.0), "flat_mv of the signal's quality is -1"),
        (lambda r: r["models"].pop("noise"), "(KeyError: 'noise')"),
        (lambda r: r["models"]["noise"].update(bias="much"), "could not convert string to float"),
        (lambda r: r["models"]["noise"].update(weights=[1.0]), "does not fit its 45 features"),
        (lambda r: r["models"]["noise"]["mean"].pop(), "rhythm.json is not what export wrote"),
        (lambda r: r["models"]["noise"].update(hidden=[[1.0]]), "does not fit its 45 features"),
        (lambda r: r["models"]["fibrillation"].update(bias=float("nan")), "does not fit its 45"),
        (
            lambda r: r["models"]["noise"]["scale"].__setitem__(3, 0.0),
            "does not fit its 45 features",
        ),
        (lambda r: r["models"].pop("first beats"), "(KeyError: 'first beats')"),
        (lambda r: r["models"]["first beats"]["mean"].pop(), "first beats does not fit its 5"),
        (lambda r: r["models"].pop("lasting noise"), "(KeyError: 'lasting noise')"),
        (lambda r: r["models"]["lasting noise"].pop("memory"), "(KeyError: 'memory')"),
        (
            lambda r: r["models"]["lasting noise"]["memory"].update(windows=0.0),
            "the memory of noise is out of bounds",
        ),
        (lambda r: r["models"].pop("whole noise"), "(KeyError: 'whole noise')"),
        (lambda r: r["models"]["whole noise"]["mean"].pop(), "a strip's noise does not fit its 45"),
        (lambda r: r["quality"].pop("strip_noise_log_odds"), "'strip_noise_log_odds'"),
        (lambda r: r.update(policy=[]), "rhythm.json is not what export wrote"),
        (lambda r: r.pop("networks"), "(KeyError: 'networks')"),
        (lambda r: r.update(networks=[1]), "rhythm.json is not what export wrote"),
        *(
            (change, "belongs to another network than")
            for change in (
                lambda r: r["networks"].update({"ekg_fused.onnx": "00" * 32}),
                lambda r: r["networks"].update({"ekg_rhythm.onnx": "00" * 32}),
                lambda r: r["networks"].pop("ekg_fused.onnx"),
                lambda r: r["networks"].pop("ekg_rhythm.onnx"),
            )
        ),
    ],
)
def test_a_rhythm_that_this_runtime_cannot_use_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], Any], sentence: str
) -> None:
    assert sentence in refusal(rewritten(copy, change))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("\x00", "is not JSON"),
        ("[]", "is not what export wrote"),
        ("7", "is not what export wrote"),
        ("null", "is not what export wrote"),
    ],
)
def test_a_rhythm_that_is_not_json_or_no_object_is_refused(
    copy: Path, text: str, sentence: str
) -> None:
    assert f"rhythm.json {sentence}" in refusal(written(copy, text))


def test_the_rhythm_names_the_network_that_it_was_chosen_with() -> None:
    files = Artifacts(DEFAULT_ARTIFACTS)
    rhythm = load_rhythm(files)
    assert rhythm.networks == {
        name: sha256(DEFAULT_ARTIFACTS / name) for name in ("ekg_fused.onnx", "ekg_rhythm.onnx")
    }
    assert rhythm.digest == files.digest("rhythm.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["policy"]["runs"].update(vt_bpm=300.0),
        lambda r: r["policy"]["silence"].update(pause_s=3.0),
        lambda r: r["policy"]["runs"].update(run_beats=12),
        lambda r: r["policy"]["atrial"].update(af_on=50.0),
    ],
)
def test_a_rhythm_with_other_limits_is_refused_by_the_golden_recording(
    copy: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    assert "in the golden recording" in refusal(rewritten(copy, change))


def regolden(folder: Path, **changes: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The folder with another golden recording, sealed as if it had been exported so."""
    with np.load(folder / "golden_rhythm.npz") as arrays:
        stored = {name: arrays[name] for name in arrays.files}
    stored |= {name: change(stored[name].copy()) for name, change in changes.items()}
    np.savez(folder / "golden_rhythm.npz", **stored)
    seal(folder, roles(folder))
    return folder


def with_one(place: int, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Replace one number of an array, or add to it what is a float."""

    def change(array: np.ndarray) -> np.ndarray:
        array[place] = array[place] + value if isinstance(value, float) else value
        return array

    return change


def test_the_golden_recording_is_accepted_as_it_is(copy: Path) -> None:
    Detector.load(regolden(copy), provider="cpu")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": with_one(5, 2)}, "beats"),
        ({"labels": with_one(-1, 1)}, "beats"),
        ({"samples": with_one(5, 1)}, "beats"),
        ({"kinds": with_one(1, "pause")}, "other rhythm events"),
        ({"scores": with_one(7, 0.05)}, "a score that is off by 0.05, allowed is 0.02"),
        ({"confidences": with_one(2, -0.1)}, "a score that is off by 0.1"),
        ({"ends": with_one(3, 0.5)}, "off by 0.5"),
        ({"starts": with_one(0, 0.5)}, "off by 0.5"),
        ({"microvolts": lambda ecg: ecg[::-1]}, "beats"),
    ],
)
def test_another_answer_to_the_golden_recording_is_refused(
    copy: Path, changes: dict[str, Callable[[np.ndarray], np.ndarray]], sentence: str
) -> None:
    found = refusal(regolden(copy, **changes))
    assert sentence in found
    assert "in the golden recording; it computes wrongly here" in found


def test_fewer_beats_are_refused(copy: Path) -> None:
    per_beat = {name: (lambda array: array[:-1]) for name in ("samples", "labels", "scores")}
    found = re.search(
        r"other beats than expected \((\d+), of which (\d+) are among the expected "
        r"(\d+)\)",
        refusal(regolden(copy, **per_beat)),
    )
    assert found
    there, right, expected = map(int, found.groups())
    assert there - 1 == right == expected


def test_fewer_events_are_refused(copy: Path) -> None:
    per_event = {
        name: (lambda array: array[:-1]) for name in ("kinds", "starts", "ends", "confidences")
    }
    assert "other rhythm events" in refusal(regolden(copy, **per_event))
