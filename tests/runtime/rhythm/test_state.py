"""The schema of a saved state: bounds, leftovers, fingerprint, and states that rules refuse."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from patient import EVEN, beats_of, push, quiet, tracker_of

from runtime.model.contract import FS
from runtime.rhythm import RhythmTracker, schema
from runtime.rhythm.state import (
    SPLIT,
    Codec,
    Flag,
    Matrix,
    Maybe,
    Moment,
    Near,
    Number,
    Row,
    Rows,
    Schema,
    Vector,
    Whole,
    saved,
)
from runtime.signal.loops import single


class Pair(NamedTuple):
    """Two values of a kind."""

    place: int
    size: float


PAIR = Row(Pair, (Near(), Number(0.0, 2.0)))


def one_field(codec: Codec) -> tuple[Schema, type]:
    """A schema of one part, that has one field."""
    part = dataclasses.make_dataclass("Part", [("value", Any, saved(codec))])
    return Schema({"part": part}), part


def packed(codec: Codec, value: Any, second: int = 5) -> np.ndarray:
    made, part = one_field(codec)
    return made.pack(second, {"part": part(value)})


def unpacked(codec: Codec, numbers: np.ndarray) -> Any:
    second, states = one_field(codec)[0].unpack(np.asarray(numbers, dtype=np.float32))
    assert second == 5
    return states["part"].value


@pytest.mark.parametrize(
    ("codec", "good", "bad"),
    [
        (Number(-1.0, 2.0), (-1.0, 0.5, 2.0), (-1.1, 2.1)),
        (Whole(0, 5), (0, 5), (-1, 6, 2.5)),
        (Maybe(Whole(3, 4)), (None, 3), (5,)),
        (Rows(Number(0.0, 1.0), 3), ([], [0.5], [0.0, 1.0, 0.25]), ([2.0], [0.0] * 4)),
        (Rows(PAIR, 2), ([Pair(1, 0.5), Pair(-900, 2.0)],), ([Pair(1, -0.5)], [Pair(1, 0.5)] * 3)),
        (PAIR, (Pair(-7, 0.0),), (Pair(1, 2.5),)),
    ],
)
def test_values_out_of_bounds_are_refused(
    codec: Codec, good: tuple[Any, ...], bad: tuple[Any, ...]
) -> None:
    for value in good:
        assert unpacked(codec, packed(codec, value)) == value
    for value in bad:
        with pytest.raises(ValueError, match="out of bounds"):
            unpacked(codec, packed(codec, value))


@pytest.mark.parametrize("size", [0, 1, 4])
def test_arrays_keep_their_shape_and_no_more_than_their_bound(size: int) -> None:
    values = np.arange(size, dtype=np.float32)
    np.testing.assert_array_equal(unpacked(Vector(4), packed(Vector(4), values)), values)
    with pytest.raises(ValueError, match="out of bounds"):
        unpacked(Vector(4), packed(Vector(9), np.zeros(5)))
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    again = unpacked(Matrix((2, 3)), packed(Matrix((2, 3)), table))
    np.testing.assert_array_equal(again, table)
    assert again.dtype == np.float32


@pytest.mark.parametrize(
    "codec",
    [
        Number(),
        Whole(0, 9),
        Flag(),
        Moment(),
        Near(),
        Maybe(Number()),
        Rows(Number(), 5),
        Vector(5),
        Matrix((2, 2)),
        PAIR,
    ],
)
def test_numbers_missing_or_left_over_are_refused(codec: Codec) -> None:
    value: Any = {
        Rows: [1.0, 2.0],
        Vector: np.ones(2),
        Matrix: np.ones((2, 2)),
        Row: Pair(1, 1.0),
    }.get(type(codec), 1)
    whole = packed(codec, value)
    assert len(whole) > 2
    for size in range(len(whole)):
        with pytest.raises(ValueError, match="numbers are missing"):
            unpacked(codec, whole[:size])
    with pytest.raises(ValueError, match="numbers are left over"):
        unpacked(codec, np.append(whole, np.float32(0)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2e9])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    whole = packed(Rows(Number(), 5), [1.0, 2.0])
    for place in range(len(whole)):
        damaged = whole.copy()
        damaged[place] = bad
        with pytest.raises(ValueError, match="not finite"):
            unpacked(Rows(Number(), 5), damaged)


def test_a_negative_second_is_refused() -> None:
    with pytest.raises(ValueError, match="second is negative"):
        one_field(Flag())[0].unpack(np.array([-1.0, 0.0, 1.0], dtype=np.float32))


@pytest.mark.parametrize("second", [0, 1, SPLIT - 1, SPLIT, SPLIT + 1, 1 << 31])
def test_positions_are_exact_however_long_the_recording(second: int) -> None:
    """float32 alone holds whole numbers up to 13 h at 360 Hz."""
    at = second * FS
    made, part = one_field(Row(Pair, (Moment(), Near())))
    for value in (Pair(at, at), Pair(at - 1, at + 1), Pair(0, at - (1 << 24)), Pair(at + 9, at)):
        again, states = made.unpack(made.pack(second, {"part": part(value)}))
        assert (again, states["part"].value) == (second, value)


def test_a_number_in_single_precision_is_saved_as_it_is() -> None:
    assert single(0.1) != 0.1
    assert unpacked(Number(), packed(Number(), single(0.1))) == single(0.1)


@dataclass
class First:
    """A part; ``scratch`` is not saved."""

    count: int = saved(Whole(0, 9), 0)
    where: int = saved(Moment(), 0)
    scratch: int = 7


def changed(**fields: Any) -> Schema:
    """A schema like that of `First`, other fields in it."""
    names = {"count": Whole(0, 9), "where": Moment()} | fields
    made = [(name, Any, saved(codec)) for name, codec in names.items() if codec is not None]
    return Schema({"first": dataclasses.make_dataclass("First", made)})


def test_the_fingerprint_changes_with_every_field_codec_and_bound() -> None:
    usual = Schema({"first": First}).fingerprint
    assert changed().fingerprint == usual  # what is not saved does not count
    others = [
        changed(count=Whole(0, 10)),
        changed(count=Whole(1, 9)),
        changed(count=Number(0, 9)),
        changed(where=Near()),
        changed(where=Maybe(Moment())),
        changed(where=None),
        changed(more=Flag()),
        changed(count=None, other=Whole(0, 9)),
        changed(where=Rows(Moment(), 2)),
        changed(where=Rows(Moment(), 3)),
        changed(where=Vector(2)),
        changed(where=Vector(3)),
        changed(where=Matrix((2, 3))),
        changed(where=Matrix((3, 2))),
        changed(where=PAIR),
        changed(where=Row(Pair, (Near(), Number(0.0, 3.0)))),
        Schema({"second": First}),
        Schema({"first": First, "second": First}),
        Schema(
            {
                "first": dataclasses.make_dataclass(
                    "First", [("where", Any, saved(Moment())), ("count", Any, saved(Whole(0, 9)))]
                )
            }
        ),
    ]
    assert len({usual, *(one.fingerprint for one in others)}) == len(others) + 1


def test_the_fingerprint_is_the_same_under_any_name_of_the_package() -> None:
    """The package is `ekg` where it is installed and `runtime` in a checkout."""

    class Elsewhere(NamedTuple):
        place: int
        size: float

    Elsewhere.__name__, Elsewhere.__module__ = "Pair", "ekg.rhythm.events.somewhere"

    class Renamed(NamedTuple):
        place: int
        length: float

    Renamed.__name__ = "Pair"
    here, there, other = (
        changed(where=Row(row, PAIR.codecs)).fingerprint for row in (Pair, Elsewhere, Renamed)
    )
    assert here == there != other


def test_no_part_of_a_tracker_forgets_to_save_a_field() -> None:
    _, states = schema().unpack(tracker_of().save())
    assert len(states) >= 10
    for state in states.values():
        for field in dataclasses.fields(state):
            assert "codec" in field.metadata, f"{type(state).__name__}.{field.name} is not saved"


def forged(part: str, signal: np.ndarray, **values: Any) -> RhythmTracker:
    """Restore the state of a patient in bigeminy, with some of its values replaced."""
    tracker = tracker_of()
    push(tracker, beats_of("NNVNVNVNVN"), signal, 8.0)
    second, states = schema().unpack(tracker.save())
    assert states["patterns"].gap == 1
    for name, value in values.items():
        setattr(states[part], name, value)
    return RhythmTracker.restore(schema().pack(second, states), signal, tracker.model, EVEN)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("patterns", {"gap": -1}),
        ("patterns", {"gap": 0}),
        ("patterns", {"gap": 3}),
        ("patterns", {"gap": 1000}),
        ("template", {"beats": 5.0}),
        ("rr_baseline", {"beats": 0.5}),
        ("rr_baseline", {"log_interval": 3.0}),
        ("runs", {"label": 7}),
        ("tracker", {"flaws": 256}),
        ("ventricular", {"log_odds": 1e6}),
        ("history", {"intervals": [0]}),
        ("history", {"intervals": [1] * 101}),
        ("atrial", {"p_wave_beats": -1}),
        ("atrial", {"even_beats": 9}),
        ("atrial", {"even_square": -1.0}),
        ("atrial", {"p_waves": np.full((2, 16), -1.0)}),
        ("atrial", {"memory": np.zeros(3)}),
        ("seconds", {"taken": -5}),
        ("seconds", {"taken": 5000 * FS}),
        ("seconds", {"flaws": []}),
        ("seconds", {"windows": []}),
        ("seconds", {"ecg_60hz": np.zeros(3)}),
    ],
)
def test_a_forged_state_is_refused(part: str, values: dict[str, Any]) -> None:
    signal = quiet(20)
    assert forged(part, signal).current == "bigeminy"
    with pytest.raises(ValueError, match=r"\w"):
        forged(part, signal, **values)


def test_a_state_needs_the_signal_that_is_short_of_a_second() -> None:
    tracker, signal = tracker_of(), quiet(10)[: 9 * FS + 100]
    push(tracker, [], signal, 7.0)
    RhythmTracker.restore(tracker.save(), signal[-100:], tracker.model, EVEN)
    with pytest.raises(ValueError, match="do not fit"):
        RhythmTracker.restore(tracker.save(), signal[-99:], tracker.model, EVEN)
