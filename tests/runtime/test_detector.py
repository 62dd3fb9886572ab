"""The detector on windows and records, the golden answer, and the one-line form."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import (
    Detector,
    InputError,
    ModelError,
    ModelFileError,
    ProviderError,
    Result,
    predict,
)
from runtime import detector as detector_module
from runtime.model.artifacts import Contract
from runtime.simulate import simulate

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
TOLERANCE = 1e-5


def one(result: Result | list[Result]) -> Result:
    assert isinstance(result, Result)
    return result


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from((0.01, 1.0, 30.0)),
       hops=st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_any_cut_of_any_signal_gives_the_same_frames(
        detector: Detector, seed: int, scale: float, hops: list[int]) -> None:
    hop, size = detector.contract.hop, detector.contract.carry_size
    ecg = np.random.default_rng(seed).normal(0, scale, (2, sum(hops) * hop)).astype(np.float32)
    start = np.zeros((2, size), dtype=np.float32)
    expected, last = detector.session.run(ecg, start)
    carry, pieces = start, []
    for piece in np.split(ecg, np.cumsum(hops)[:-1] * hop, axis=1):
        frames, carry = detector.session.run(piece, carry)
        pieces.append(frames)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=TOLERANCE)
    np.testing.assert_allclose(carry, last, atol=TOLERANCE * max(1, float(np.abs(last).max())))


def test_simulated_beats_are_found_where_they_are(detector: Detector) -> None:
    made = simulate(120, seed=1)
    beats = one(detector.predict(made.signal)).beats
    inner = [t for t in made.times if t < 119.5]
    nearest = [min(abs(beat.time - t) for beat in beats) for t in inner]
    assert np.mean(np.array(nearest) < 0.02) > 0.97
    assert len(beats) <= 1.03 * len(made.times)


def test_result_says_what_the_beats_say(detector: Detector) -> None:
    result = one(detector.predict(simulate(60, seed=2, ectopic=0.3).signal))
    anomalies = [beat for beat in result.beats if beat.label != "N"]
    assert result.anomaly
    assert result.label in {beat.label for beat in anomalies}
    assert 0.5 < result.score <= 1
    assert sum(result.probabilities.values()) == pytest.approx(1)
    assert all(beat.score == pytest.approx(max(beat.probabilities)) for beat in result.beats)


def test_no_beat_is_no_anomaly_but_a_flat_line_is_said(detector: Detector) -> None:
    result = one(detector.predict(np.zeros(720)))
    assert (result.label, result.anomaly, result.beats) == ("none", False, [])
    assert not result.quality.ok
    assert result.quality.flat == 1


def test_a_rhythm_event_is_an_anomaly_where_every_beat_is_normal(detector: Detector) -> None:
    pause = simulate(20, seed=1, ectopic=0.0).signal
    pause[8 * 360 : 14 * 360] = pause[8 * 360] + 0.02 * np.sin(np.arange(6 * 360) / 30)
    blind, seen = (one(detector.predict(pause, events=events)) for events in (False, True))
    assert (blind.label, blind.anomaly) == ("N", False)
    assert "asystole" in {event.kind for event in seen.events}
    assert (seen.label, seen.anomaly) == ("N", True)
    assert seen.score == max(event.confidence for event in seen.events)


def test_a_batch_is_each_alone(detector: Detector) -> None:
    rows = np.stack([simulate(3, seed=i).signal for i in range(7)])
    results = detector.predict(rows)
    assert isinstance(results, list)
    for row, result in zip(rows, results, strict=True):
        alone = one(detector.predict(row))
        assert [(b.time, b.label) for b in result.beats] == [
            (b.time, b.label) for b in alone.beats]


@pytest.mark.parametrize(("signal", "sentence"), [
    ([], "0 samples"),
    ([0.1], "1 samples"),
    (np.zeros(359), "expected at least 1 s"),
    (np.zeros((0, 360)), "0 rows"),
    (np.zeros((2, 2, 360)), "3 dimensions"),
    (3.0, "0 dimensions"),
    ("ecg", "not made of numbers"),
    (None, "not made of numbers"),
    ({"a": 1}, "not made of numbers"),
    (np.full(360, np.nan), "not a finite number"),
    (np.ma.masked_greater(np.arange(720.0), 700), "has masked samples"),
    ([np.zeros(720), np.ma.masked_greater(np.arange(720.0), 700)], "has masked samples"),
])
def test_bad_input_gets_one_sentence(detector: Detector, signal: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        detector.predict(signal)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_batch_of_nobody_is_not_said_to_be_long(detector: Detector) -> None:
    with pytest.raises(InputError, match=r"0 rows; expected \[batch, samples\]") as caught:
        detector.predict(np.zeros((0, 360)), 5)
    assert "Hz" not in str(caught.value)


@pytest.mark.parametrize("fs", [np.uint8(120), np.uint8(250), np.float16(250), np.int64(360)])
def test_a_rate_of_any_of_numpys_types_is_a_rate(detector: Detector, fs: np.number) -> None:
    signal = simulate(1.2, fs=int(fs), seed=2).signal
    assert detector.predict(signal, fs) == detector.predict(signal, int(fs))  # type: ignore[arg-type]


@pytest.mark.parametrize("fs", [333.3333, 977.3, 128.4])
def test_a_second_in_whole_samples_is_a_second(detector: Detector, fs: float) -> None:
    assert one(detector.predict(np.zeros(round(fs)), fs)).label == "none"
    with pytest.raises(InputError, match="expected at least 1 s"):
        detector.predict(np.zeros(int(fs) - 1), fs)


@pytest.mark.parametrize("units", ["mv", "adu", "", None, 3])
def test_unknown_units_are_named(detector: Detector, units: object) -> None:
    with pytest.raises(InputError, match=r"units .* are unknown; expected one of mV"):
        detector.predict(np.zeros(360), units=units)  # type: ignore[arg-type]


def test_ten_million_samples_are_no_trouble(detector: Detector) -> None:
    minute = simulate(60, seed=3).signal
    result = one(detector.predict(np.resize(minute, 10_000_000)))
    assert len(result.beats) > 30_000


def test_one_line_form_loads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    detector_module._default_detector.cache_clear()
    window = simulate(2, seed=4).signal
    first = predict(window, backend="cpu")
    monkeypatch.setattr(Detector, "load", None)
    assert predict(window, backend="cpu") == first


def test_a_provider_that_is_not_there_is_refused() -> None:
    with pytest.raises(ProviderError, match="unknown; expected one of auto, cpu"):
        predict(np.zeros(360), backend="tpu")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Artifacts that a test may spoil."""
    return Path(shutil.copytree(ARTIFACTS, tmp_path / "artifacts"))


@pytest.mark.parametrize("name", ["manifest.json", "ekg_fused.onnx", "golden.npz"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelFileError, match=rf"{name} does not exist"):
        Detector.load(copy, provider="cpu")


@pytest.mark.parametrize("name", ["ekg_fused.onnx", "golden.npz"])
def test_an_altered_file_is_refused(copy: Path, name: str) -> None:
    body = bytearray((copy / name).read_bytes())
    body[len(body) // 2] ^= 1
    (copy / name).write_bytes(body)
    with pytest.raises(ModelError, match=rf"{name} is not the file that was exported"):
        Detector.load(copy, provider="cpu")


@pytest.mark.parametrize("text", [
    "", "{", "[]", '{"format": 1}', '{"files": 3, "format": 1}',
    '{"format": 1, "files": [{"name": "ekg_fused.onnx"}]}',
    '{"format": 1, "files": [{"name": "golden.npz", "sha256": "00", "tolerance": null}]}'])
def test_a_spoilt_manifest_is_refused(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="is not a manifest"):
        Detector.load(copy, provider="cpu")


def test_another_format_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text()) | {"format": 99}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="format 99"):
        Detector.load(copy, provider="cpu")


@pytest.mark.parametrize(("key", "value", "expected"), [
    ("classes", "none,V,S,N,F,Q", "none,N,S,V,F,Q"), ("classes", "none,N", "none,N,S,V,F,Q"),
    ("fs", "250", "360"), ("hop", "9", "18"), ("delay_samples", "-432", "at least 1"),
    ("carry_size", "0", "at least 1"), ("threshold", "nan", "0 to 1"),
    ("threshold", "1.5", "0 to 1"), ("apart", "-2", "at least 1"),
    ("class_weights", "[1]", "5 positive numbers"),
    ("class_weights", "[1, 1, 0, 1, 1]", "5 positive numbers"),
    ("class_weights", "[1, NaN, 1, 1, 1]", "5 positive numbers"),
    ("class_weights", "[1, 1, 1, 1, Infinity]", "5 positive numbers")])
def test_metadata_that_this_runtime_is_not_made_for_is_refused(
        detector: Detector, key: str, value: str, expected: str) -> None:
    with pytest.raises(ModelError) as caught:
        Contract.read(detector.session.metadata | {key: value}, "x.onnx")
    assert str(caught.value) == f"x.onnx has {key} {value}; expected {expected}."


def test_a_carry_that_is_not_the_graphs_is_refused(copy: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx writes the spoilt file")
    path = copy / "ekg_fused.onnx"
    model = onnx.load(path)
    (size,) = (entry for entry in model.metadata_props if entry.key == "carry_size")
    right, size.value = size.value, "10"
    onnx.save(model, path)
    manifest = json.loads((copy / "manifest.json").read_text())
    for entry in manifest["files"]:
        if entry["name"] == path.name:
            entry |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                      "bytes": path.stat().st_size}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=f"has carry_size 10; expected {right}, as its own input"):
        Detector.load(copy, provider="cpu")


@pytest.mark.parametrize("value", ["", "5", '["a", 1, 1, 1, 1]'])
def test_metadata_that_cannot_be_read_is_refused(detector: Detector, value: str) -> None:
    with pytest.raises(ModelError, match="has metadata that makes no sense"):
        Contract.read(detector.session.metadata | {"class_weights": value}, "x.onnx")


def test_a_wrong_golden_answer_is_refused(copy: Path) -> None:
    from export.manifest import seal

    with np.load(copy / "golden.npz") as golden:
        ecg, probabilities = golden["ecg"], golden["probabilities"]
    np.savez(copy / "golden.npz", ecg=ecg, probabilities=probabilities[:, ::-1])
    files = json.loads((copy / "manifest.json").read_text())["files"]
    seal(copy, {f["name"]: {k: f[k] for k in ("role", "tolerance") if k in f} for f in files})
    with pytest.raises(ModelError, match="answers the golden input differently"):
        Detector.load(copy, provider="cpu")


def windows_around(data: Path, name: str, symbol: str, count: int) -> tuple[np.ndarray, float]:
    """Seconds of a record with a beat of this symbol in the middle, [count, samples]."""
    wfdb = pytest.importorskip("wfdb")

    from runtime.records import read

    recording, marks = read(data / "mitdb" / name), wfdb.rdann(str(data / "mitdb" / name), "atr")
    half = round(recording.fs / 2)
    middles = [s for s, kind in zip(marks.sample, marks.symbol, strict=True) if kind == symbol]
    return np.stack([recording.signal[m - half : m + half] for m in middles[1 : count + 1]]
                    ), recording.fs


def test_a_second_around_a_real_beat_is_labelled_without_context(
        detector: Detector, data: Path) -> None:
    """Ventricular beats of record 208 and normal ones of record 100."""
    for name, symbol, least in (("208", "V", 0.85), ("100", "N", 0.95)):
        rows, fs = windows_around(data, name, symbol, 200)
        results = detector.predict(rows, fs)
        assert isinstance(results, list)
        right = [r.label == symbol and r.anomaly == (symbol != "N") for r in results]
        assert np.mean(right) > least
