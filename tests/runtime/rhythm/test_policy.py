"""The rhythm policy: shipped values, one limit changed, and values that are refused."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from patient import shipped

from runtime.errors import InputError
from runtime.model.artifacts import DEFAULT_ARTIFACTS
from runtime.rhythm import RhythmPolicy, sections
from runtime.rhythm.baseline import BaselineLimits
from runtime.rhythm.events.rates import RateLimits
from runtime.rhythm.events.silence import SilenceLimits
from runtime.rhythm.template import TemplateLimits


def test_the_policy_without_changes_is_the_shipped_one() -> None:
    stored = json.loads((DEFAULT_ARTIFACTS / "rhythm.json").read_text())["policy"]
    assert RhythmPolicy() == shipped().policy == RhythmPolicy.from_dict(stored)
    assert RhythmPolicy().to_dict() == stored
    assert hash(RhythmPolicy()) == hash(shipped().policy)
    assert list(stored) == [section.section for section in sections()]


def test_one_limit_is_changed_and_the_others_stay() -> None:
    policy = RhythmPolicy(pause_s=3.0)
    assert policy.pause_s == policy.of(SilenceLimits).pause_s == policy.silence.pause_s == 3.0
    assert policy != RhythmPolicy()
    assert policy.replace(pause_s=RhythmPolicy().pause_s) == RhythmPolicy()
    assert policy.replace(run_beats=4).pause_s == 3.0
    assert policy.pause_s == 3.0  # the first one is as it was
    assert "pause_s=3.0" in repr(policy)


def test_a_whole_section_is_changed_or_left_out() -> None:
    rates = RateLimits(40.0, 5, 100.0, 10, 3.0)
    assert RhythmPolicy(rates=rates).tachycardia_bpm == 100.0
    without = RhythmPolicy(template=None, rr_baseline=None)
    assert not without.has(TemplateLimits)
    assert not without.has(BaselineLimits)
    assert without.to_dict()["template"] is None
    assert RhythmPolicy.from_dict(without.to_dict()) == without
    assert (
        without.replace(template=RhythmPolicy().template, rr_baseline=RhythmPolicy().rr_baseline)
        == RhythmPolicy()
    )


def test_every_limit_can_be_read_by_its_name_alone() -> None:
    policy = RhythmPolicy()
    names = [field.name for section in sections() for field in fields(section)]
    assert len(names) == len(set(names)) > 30
    for section in sections():
        for field in fields(section):
            assert getattr(policy, field.name) == getattr(policy.of(section), field.name)


@pytest.mark.parametrize(
    ("limit", "value", "sentence"),
    [
        ("bradycardia_beats", 0, "a whole number from 1 to 100"),
        ("tachycardia_beats", 101, "a whole number from 1 to 100"),
        ("bradycardia_beats", 5.0, "a whole number"),
        ("run_beats", True, "a whole number"),
        ("run_beats", 1, "a whole number from 2 to 100"),
        ("pattern_beats", 1, "a whole number from 2"),
        ("vf_weight", float("nan"), "is NaN"),
        ("vf_weight", 1e9, "0 to 10"),
        ("vf_prior", float("inf"), "-10 to 10"),
        ("pause_s", -1.0, "0 to 3600"),
        ("min_confidence", 1.5, "0 to 1"),
        ("af_on", float("nan"), "af_on of atrial fibrillation is NaN; expected a number"),
    ],
)
def test_limits_that_a_state_cannot_hold_are_refused(
    limit: str, value: float, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        RhythmPolicy(**{limit: value})
    assert limit in str(caught.value)


@pytest.mark.parametrize("chance", [0.0, -0.1, 0.6, float("nan")])
def test_a_transition_that_is_no_chance_is_refused(chance: float) -> None:
    with pytest.raises(InputError, match=r"vf_transition of ventricular fibrillation is .*; expec"):
        RhythmPolicy(vf_transition=chance)


def test_bad_values_in_a_file_are_refused_in_one_sentence() -> None:
    stored: dict[str, Any] = RhythmPolicy().to_dict()
    for changed, sentence in (
        ({"tides": {}}, "there is no section 'tides' of a rhythm policy; expected template"),
        ({"silence": {"pause_s": 2.0}}, "section 'silence' .* does not have the limits"),
        ({"runs": {**stored["runs"], "more": 1}}, "section 'runs' .*'more'"),
        ({"runs": {**stored["runs"], "run_beats": 0}}, "run_beats of runs is 0"),
    ):
        with pytest.raises(InputError, match=sentence):
            RhythmPolicy.from_dict(stored | changed)
    del stored["silence"]
    with pytest.raises(InputError, match="section 'silence' of a rhythm policy does not have"):
        RhythmPolicy.from_dict(stored)


def test_an_unknown_limit_is_named_with_the_known_ones() -> None:
    for use in (lambda: RhythmPolicy(slowness=3), lambda: RhythmPolicy().replace(slowness=3)):
        with pytest.raises(InputError, match=r"no limit 'slowness' .* expected one of af_"):
            use()
    with pytest.raises(AttributeError, match="no limit 'slowness'"):
        _ = RhythmPolicy().slowness
