"""Whole records, one after another."""

from __future__ import annotations

import gc

import pytest

from runtime.cli.whole_records import MANY_OBJECTS, for_each
from runtime.errors import RecordError


def test_one_that_fails_is_named_and_the_others_are_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done: list[tuple[str, int]] = []

    def work(record: str) -> None:
        if record == "b":
            raise RecordError("it is cut off")
        done.append((record, gc.get_threshold()[0]))

    before = gc.get_threshold()
    assert for_each(["a", "b", "c"], work) == 2
    assert done == [("a", MANY_OBJECTS), ("c", MANY_OBJECTS)]
    assert capsys.readouterr().err == "error: b: it is cut off\n"
    assert gc.get_threshold() == before
    assert for_each(["a"], work) == 0


def test_python_looks_for_circles_as_before_after_a_failure() -> None:
    before = gc.get_threshold()

    def work(record: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for_each(["a"], work)
    assert gc.get_threshold() == before
