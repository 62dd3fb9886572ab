"""The ledger: events begin, are confirmed, reported and closed, each given once."""

from __future__ import annotations

import pytest

from runtime.findings import Event
from runtime.model.contract import FS
from runtime.rhythm.events import Ledger
from runtime.rhythm.state import Schema

RULES = {"grave": "a rule", "slow": "another", "mild": "a third"}


def ledger() -> Ledger:
    return Ledger(RULES, {"slow": 10.0})


def test_an_event_is_given_when_it_begins_and_again_with_its_end() -> None:
    book = ledger()
    book.begin("grave", 2 * FS, 0.8)
    assert book.drain() == [Event("grave", 2.0, None, 0.8, "a rule")]
    assert book.drain() == []
    book.confirm("grave", 0.6)
    book.close("grave", 5 * FS)
    assert book.drain() == [Event("grave", 2.0, 5.0, 0.7, "a rule")]
    assert not book.open


def test_the_gravest_open_event_is_named() -> None:
    book = ledger()
    assert book.gravest is None
    book.begin("mild", 0, 1.0)
    book.begin("grave", 0, 1.0)
    assert book.gravest == "grave"
    book.close("grave", 1)
    assert book.gravest == "mild"


@pytest.mark.parametrize("until", [9.9, 10.0, 11.0])
def test_a_slow_event_is_reported_once_it_has_lasted(until: float) -> None:
    book = ledger()
    book.begin("slow", FS, 0.9)
    book.lasted("slow", FS + round(9.9 * FS))
    assert book.drain() == []
    book.lasted("slow", FS + round(until * FS))
    assert [e.end for e in book.drain()] == ([None] if until >= 10 else [])
    book.lasted("slow", FS + 20 * FS)
    assert len(book.drain()) == (0 if until >= 10 else 1)


def test_a_slow_event_that_is_over_too_soon_leaves_no_trace() -> None:
    book = ledger()
    book.begin("slow", 0, 0.9)
    book.close("slow", 9 * FS)
    assert book.drain() == []
    book.begin("slow", 0, 0.9)
    book.close("slow", 10 * FS)
    assert [(e.start, e.end) for e in book.drain()] == [(0, None), (0, 10)]


def test_an_event_never_ends_before_it_began() -> None:
    book = ledger()
    book.begin("grave", 500, 0.9)
    book.close("grave", 100)
    assert book.drain()[-1].end == 500 / FS


def test_a_finished_event_is_noted_without_being_open() -> None:
    book = ledger()
    book.note("mild", FS, 2 * FS, 0.51239)
    assert book.drain() == [Event("mild", 1.0, 2.0, 0.5124, "a third")]
    assert not book.open


def test_open_events_survive_saving() -> None:
    book, again = ledger(), ledger()
    book.begin("mild", 7, 0.25, last=9)
    book.begin("slow", 1 << 30, 0.5)
    book.confirm("slow", 0.75, last=(1 << 30) + 5)
    schema = Schema({"ledger": type(book.save())})
    _, states = schema.unpack(schema.pack(3, {"ledger": book.save()}))
    again.restore(states["ledger"])
    assert again.open == book.open
    again.close("slow", (1 << 30) + 10 * FS)
    assert [e.end is None for e in again.drain()] == [True, False]  # was not reported before


def test_a_kind_that_is_not_known_is_refused() -> None:
    book = ledger()
    book.begin("mild", 0, 0.5)
    with pytest.raises(ValueError, match="kind is unknown"):
        Ledger({"grave": "a rule"}, {}).restore(book.save())
