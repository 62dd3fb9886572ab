"""Properties of the rhythm: any cut, any rate, any damage, any state."""

from __future__ import annotations

from itertools import accumulate, pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patient import (
    EVEN,
    bare,
    beat,
    beats_of,
    between,
    events_of,
    normal,
    push,
    quiet,
    resumed,
    tracker_of,
)

from runtime.model.contract import FS
from runtime.rhythm import RhythmPolicy, RhythmTracker, kinds, schema
from runtime.rhythm import state as codecs
from runtime.rhythm.template import towards_v
from runtime.rhythm.tracker_state import LARGEST_SAVED
from runtime.signal.loops import single

ROWS = (
    (0.6, 0.4, 0, 0, 0),
    (0.999, 0.001, 0, 0, 0),
    (0.001, 0.999, 0, 0, 0),
    (0.05, 0.05, 0.9, 0, 0),
)


@given(rates=st.lists(st.floats(30, 170), min_size=20, max_size=120))
def test_no_two_events_of_a_kind_overlap(rates: list[float]) -> None:
    times = np.cumsum([60 / rate for rate in rates])
    found = events_of(normal(times), quiet(float(times[-1]) + 3))
    for before, after in pairwise(e for e in found if e.kind in ("bradycardia", "tachycardia")):
        assert before.end is not None
        assert before.end <= after.start


@given(
    pattern=st.text(st.sampled_from("NNNNVVS.F"), min_size=5, max_size=60),
    rate=st.sampled_from((40.0, 75.0, 140.0)),
    cuts=st.lists(st.floats(0, 1), max_size=8),
    bad=st.floats(0, 1),
    data=st.data(),
)
def test_any_cut_gives_the_events_of_the_whole(
    pattern: str, rate: float, cuts: list[float], bad: float, data: st.DataObject
) -> None:
    beats, seconds = beats_of(pattern, rate=rate), len(pattern) * 60 / rate + 1
    signal = quiet(seconds)
    signal[int(bad * len(signal)) :][: 2 * FS] = 0.0
    whole = tracker_of(RhythmPolicy())
    beats_whole, expected = push(whole, beats, signal, seconds - 1.6)
    expected += whole.finish()
    tracker, found, read, at = tracker_of(RhythmPolicy()), [], [], 0
    for cut in [*sorted(int(c * len(signal)) for c in cuts), len(signal)]:
        coming = between(beats, at / FS - 1.6, cut / FS - 1.6)
        some, events = push(tracker, coming, signal[at:cut], cut / FS - 1.6)
        read, found = read + some, found + events
        at = cut
        if data.draw(st.booleans()):
            assert len(tracker.save()) < LARGEST_SAVED
            tracker = resumed(tracker, signal[:at])
    left = [b for b in beats if b.time >= at / FS - 1.6]
    some, events = push(tracker, left, signal[:0], at / FS - 1.6)
    read, found = read + some, found + events + tracker.finish()
    assert read == beats_whole
    assert bare(found) == bare(expected)
    assert np.allclose([e.confidence for e in found], [e.confidence for e in expected], atol=1e-3)
    assert {e.kind for e in found} <= {kind.name for kind in kinds()}


@given(
    st.lists(st.tuples(st.floats(0.15, 5.0), st.sampled_from(ROWS)), min_size=2, max_size=60),
    st.randoms(use_true_random=False),
)
def test_a_saved_rhythm_decides_on_labels_as_if_nothing_had_been(
    beats: list[tuple[float, tuple[float, ...]]], random: Random
) -> None:
    times = accumulate(interval for interval, _ in beats)
    coming = [beat(time, row) for time, (_, row) in zip(times, beats, strict=True)]
    signal = np.resize(quiet(30.0), round((coming[-1].time + 3) * FS))
    whole, _ = push(tracker_of(RhythmPolicy()), coming, signal, len(signal) / FS - 1.6)
    tracker, pieces, at = tracker_of(RhythmPolicy()), [], 0
    while at < len(signal):
        cut = min(at + random.randint(100, 2000), len(signal))
        piece = between(coming, at / FS - 1.6, cut / FS - 1.6)
        pieces += push(tracker, piece, signal[at:cut], cut / FS - 1.6)[0]
        tracker, at = resumed(tracker, signal[:cut]), cut
    assert pieces == whole


@given(
    st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5).filter(lambda p: sum(p) > 0.01),
    st.floats(-30.0, 30.0),
)
def test_probabilities_stay_probabilities_and_those_of_f_and_q_their_own(
    raw: list[float], shift: float
) -> None:
    probabilities = [value / sum(raw) for value in raw]
    shifted = towards_v(probabilities, shift)
    assert sum(shifted) == pytest.approx(1.0)
    assert min(shifted) >= 0.0
    assert shifted[3:] == probabilities[3:]
    if min(probabilities[:3]) > 1e-3:
        if shift > 1e-9:
            assert shifted[2] > probabilities[2]
        if shift == 0.0:
            assert shifted == pytest.approx(probabilities)
        assert shifted[1] * probabilities[0] == pytest.approx(shifted[0] * probabilities[1])


@given(data=st.data())
def test_a_damaged_state_is_refused_or_does_no_harm(data: st.DataObject) -> None:
    signal = quiet(12)
    tracker = tracker_of()
    push(tracker, beats_of("NNVVVNNVNVN"), signal, 10.4)
    state = tracker.save()
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(state) - 1))
        state[place] = data.draw(st.floats(width=32, allow_nan=True, allow_infinity=True))
    state = state[: data.draw(st.integers(0, len(state)))] if data.draw(st.booleans()) else state
    try:
        restored = RhythmTracker.restore(state, signal, tracker.model, EVEN)
    except ValueError:
        return
    with np.errstate(all="ignore"):
        push(restored, beats_of("NVNN", start=12.1), signal, 22.0)
        restored.finish()


def values(codec: codecs.Codec, at: int) -> st.SearchStrategy[Any]:
    """Every value that a codec says it can save, positions counted from a sample."""
    match codec:
        case codecs.Number(low, high):
            return st.floats(low, high).map(single).filter(lambda v: low <= v <= high)
        case codecs.Whole(low, high):
            return st.integers(low, high)
        case codecs.Flag():
            return st.booleans()
        case codecs.Moment():
            return st.integers(at - (1 << 41), at + (1 << 41))
        case codecs.Near():
            return st.integers(at - (1 << 24), at + (1 << 24))
        case codecs.Maybe(inner):
            return st.none() | values(inner, at)
        case codecs.Row(row, inner):
            return st.builds(row, *(values(one, at) for one in inner))
        case codecs.Rows(inner, most):
            return st.lists(values(inner, at), max_size=min(most, 5))
        case codecs.Vector(most):
            return arrays(st.integers(0, most).map(lambda size: (size,)))
        case codecs.Matrix(shape):
            return arrays(st.just(shape))
    raise AssertionError(f"no strategy for {codec}")


def arrays(shapes: st.SearchStrategy[tuple[int, ...]]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda shape, seed: np.random.default_rng(seed).normal(size=shape).astype(np.float32),
        shapes,
        st.integers(0, 9),
    )


@given(second=st.integers(0, 1 << 31), data=st.data())
def test_every_field_of_the_state_is_read_back_as_it_was_saved(
    second: int, data: st.DataObject
) -> None:
    """Whatever the fields hold within their bounds, in the schema of all the tracker's parts."""
    _, empty = schema().unpack(tracker_of().save())
    states = {
        name: type(state)(
            **{
                name: data.draw(values(field.metadata["codec"], second * FS))
                for name, field in type(state).__dataclass_fields__.items()
            }
        )
        for name, state in empty.items()
    }
    again, found = schema().unpack(schema().pack(second, states))
    assert again == second
    assert found.keys() == states.keys()
    for part, state in states.items():
        assert type(found[part]) is type(state)
        for name in type(state).__dataclass_fields__:
            value = getattr(state, name)
            np.testing.assert_equal(getattr(found[part], name), value, err_msg=f"{part}.{name}")


@given(size=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_numbers_that_nobody_saved_are_refused(size: int, seed: int) -> None:
    numbers = np.random.default_rng(seed).normal(0, 3, size).astype(np.float32)
    with pytest.raises(ValueError, match=r"\w"):
        schema().unpack(numbers)
