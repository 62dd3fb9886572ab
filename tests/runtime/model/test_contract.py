"""The contract: metadata that this runtime is made for, and sentences about other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime import Detector
from runtime.errors import ModelError
from runtime.model.contract import FRAME_CLASSES, FS, HOP, BeatPolicy, Contract


def test_the_shipped_models_metadata_is_understood(detector: Detector) -> None:
    contract = Contract.read(detector.session.metadata, "ekg_fused.onnx")
    assert contract == detector.contract
    assert (contract.fs, contract.hop, contract.classes) == (FS, HOP, FRAME_CLASSES)
    assert not contract.simulated


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("classes", "none,V,S,N,F,Q", "none,N,S,V,F,Q"),
        ("classes", "none,N", "none,N,S,V,F,Q"),
        ("fs", "250", "360"),
        ("hop", "9", "18"),
        ("delay_samples", "-432", "at least 1"),
        ("carry_size", "0", "at least 1"),
        ("threshold", "nan", "0 to 1"),
        ("threshold", "1.5", "0 to 1"),
        ("apart", "-2", "at least 1"),
        ("class_weights", "[1]", "5 positive numbers"),
        ("class_weights", "[1, 1, 0, 1, 1]", "5 positive numbers"),
        ("class_weights", "[1, NaN, 1, 1, 1]", "5 positive numbers"),
        ("class_weights", "[1, 1, 1, 1, Infinity]", "5 positive numbers"),
    ],
)
def test_metadata_that_this_runtime_is_not_made_for_is_refused(
    detector: Detector, key: str, value: str, expected: str
) -> None:
    with pytest.raises(ModelError) as caught:
        Contract.read(detector.session.metadata | {key: value}, "x.onnx")
    assert str(caught.value) == f"x.onnx has {key} {value}; expected {expected}."


@pytest.mark.parametrize("value", ["", "5", '["a", 1, 1, 1, 1]'])
def test_metadata_that_cannot_be_read_is_refused(detector: Detector, value: str) -> None:
    with pytest.raises(ModelError, match="has metadata that makes no sense"):
        Contract.read(detector.session.metadata | {"class_weights": value}, "x.onnx")


@pytest.mark.parametrize(
    "key",
    [
        "format",
        "units",
        "fs",
        "hop",
        "classes",
        "class_weights",
        "threshold",
        "apart",
        "carry_size",
        "trained_on",
        "simulated",
    ],
)
def test_a_missing_key_is_named(detector: Detector, key: str) -> None:
    rest = {name: value for name, value in detector.session.metadata.items() if name != key}
    with pytest.raises(ModelError, match=rf"x\.onnx has no metadata '{key}'; expected"):
        Contract.read(rest, "x.onnx")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [("format", "2", r"has format 2, this runtime reads format 1"), ("units", "uV", "wants uV")],
)
def test_another_format_or_unit_is_refused(
    detector: Detector, key: str, value: str, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        Contract.read(detector.session.metadata | {key: value}, "x.onnx")


def test_the_operating_point_is_the_model_files(detector: Detector) -> None:
    other = {"threshold": "0.25", "apart": "4", "class_weights": "[1, 2, 3, 0.5, 1]"}
    policy = Contract.read(detector.session.metadata | other, "x.onnx").policy
    assert policy == BeatPolicy(0.25, 4, (1, 2, 3, 0.5, 1))
    assert (policy.context_before, policy.context_after) == (5, 4)


def test_a_checkpoints_policy_is_read_by_old_and_new_names() -> None:
    new = {"threshold": 0.4, "min_frames_between": 2, "class_weights": (1, 1, 2, 1, 1)}
    old = {"threshold": 0.4, "apart": 2, "weights": (1, 1, 2, 1, 1)}
    assert BeatPolicy.from_dict(new) == BeatPolicy.from_dict(old) == replace(BeatPolicy(), **new)
