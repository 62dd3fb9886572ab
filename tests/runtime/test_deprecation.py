"""Old public names are read for one release, with a warning that names the new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from runtime import BeatPolicy, Detector, RhythmPolicy
from runtime.deprecation import renamed_attribute, renamed_fields


@renamed_fields(old="new")
@dataclass(frozen=True)
class Example:
    """Has a field that had another name."""

    new: int = 1
    other: int = 2

    moved = renamed_attribute("Example", "moved", "other")


class Settable:
    """Has an attribute that had another name, and can be set by it."""

    value = 1
    moved = renamed_attribute("Settable", "moved", "value", settable=True)


def warned(use: Callable[[], Any], sentence: str) -> Any:
    """The result of something that warns exactly so, at the place of its use."""
    with pytest.warns(DeprecationWarning, match="is now") as warnings:
        result = use()
    assert [str(one.message) for one in warnings] == [
        f"{sentence}; the old name goes with the next release."
    ]
    assert warnings[0].filename == __file__
    return result


def test_a_field_is_taken_and_given_by_its_old_name() -> None:
    example = warned(lambda: Example(old=5), "Example(old=...) is now new")
    assert example == Example(new=5)
    assert warned(lambda: example.old, "Example.old is now new") == 5
    assert warned(lambda: example.moved, "Example.moved is now other") == 2
    assert replace(example, other=9) == Example(5, 9)
    with pytest.raises(TypeError, match="older"):
        Example(older=5)


def test_an_attribute_is_set_by_its_old_name_if_it_can_be() -> None:
    one = Settable()
    warned(lambda: setattr(one, "moved", 7), "Settable.moved is now value")
    assert one.value == 7
    with pytest.raises(AttributeError):
        Example().moved = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [("apart", "min_frames_between", 4), ("weights", "class_weights", (1.0, 2.0, 1.0, 1.0, 1.0))],
)
def test_a_beat_policys_limits_have_their_old_names(old: str, new: str, value: Any) -> None:
    policy = warned(lambda: BeatPolicy(**{old: value}), f"BeatPolicy({old}=...) is now {new}")
    assert policy == BeatPolicy(**{new: value})
    assert warned(lambda: getattr(policy, old), f"BeatPolicy.{old} is now {new}") == value


@pytest.mark.parametrize(("old", "new"), [("before", "context_before"), ("after", "context_after")])
def test_a_beat_policys_context_has_its_old_names(old: str, new: str) -> None:
    assert warned(lambda: getattr(BeatPolicy(), old), f"BeatPolicy.{old} is now {new}") == getattr(
        BeatPolicy(), new
    )


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("slow", "bradycardia_bpm", 45.0),
        ("slow_beats", "bradycardia_beats", 6),
        ("fast", "tachycardia_bpm", 130.0),
        ("fast_beats", "tachycardia_beats", 12),
        ("hysteresis", "hysteresis_bpm", 4.0),
        ("vt_rate", "vt_bpm", 120.0),
        ("least_confidence", "min_confidence", 0.5),
        ("af_least_s", "af_min_s", 60.0),
        ("af_sure", "af_min_atrial", 0.5),
        ("af_without_s", "af_suppresses_s", False),
        ("vf_change", "vf_transition", 0.01),
        ("vf_doubt", "vf_prior", 0.5),
        ("vf_least_s", "vf_min_s", 2.0),
        ("morphology", "template", None),
        ("sinus", "rr_baseline", None),
    ],
)
def test_the_rhythms_limits_have_their_old_names(old: str, new: str, value: Any) -> None:
    sentence = f"the rhythm's limit {old!r} is now {new!r}"
    for use in (
        lambda: RhythmPolicy(**{old: value}),
        lambda: RhythmPolicy().replace(**{old: value}),
    ):
        policy = warned(use, sentence)
        assert policy == RhythmPolicy(**{new: value})
    assert warned(lambda: getattr(policy, old), sentence) == value


def test_a_detectors_and_a_streams_rhythm_have_their_old_names(detector: Detector) -> None:
    own = detector.with_network(detector.session.run, detector.contract)
    assert warned(lambda: own.rhythm, "Detector.rhythm is now rhythm_policy") == RhythmPolicy()
    policy = RhythmPolicy(pause_s=2.5)
    warned(lambda: setattr(own, "rhythm", policy), "Detector.rhythm is now rhythm_policy")
    assert own.rhythm_policy == policy
    stream = own.stream(events=True)
    assert warned(lambda: stream.rhythm, "Stream.rhythm is now tracker") is stream.tracker
