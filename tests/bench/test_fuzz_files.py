"""Damaged files, a few of each kind; `python -m bench.fuzz_files` tries ten thousand."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from bench import fuzz_files
from bench.fuzz_files import DAMAGES, Kind, damaged, make, run, try_one
from bench.sample_files import WRITERS

NUMBERS = range(36)  # each damage six times


@pytest.fixture
def kind(tmp_path: Path) -> Kind:
    return make("CSV", tmp_path / "whole")


@pytest.mark.needs("wfdb", "edfio", "pydicom", "pyarrow", "scipy", "ecgdatakit")
@pytest.mark.parametrize("name", WRITERS)
def test_damaged_file_gives_a_sentence_or_a_recording(tmp_path: Path, name: str) -> None:
    kind = make(name, tmp_path / "whole")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    wrong = [(number, *found) for number in NUMBERS if (found := try_one(kind, number, scratch))[1]]
    assert wrong == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_chosen_by_the_number_alone(damage: str) -> None:
    whole = bytes(range(256)) * 8
    found = [damaged(whole, damage, random.Random(number)) for number in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert found[0] != whole


def test_process_that_dies_is_a_fault_and_the_others_are_tried(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: Kind, number: int, scratch: Path) -> tuple[str, str]:
        if number == 3:
            os._exit(7)
        return "cut off: refused", ""

    monkeypatch.setattr(fuzz_files, "try_one", die)
    tally = run(kind, range(6))
    assert tally.faults == ["3: the process ended with 7"]
    assert tally.outcomes == {"cut off: refused": 5}


def test_error_of_a_library_and_other_samples_are_faults(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise KeyError("x")

    monkeypatch.setattr(fuzz_files, "read", fail)
    assert try_one(kind, 1, tmp_path) == ("bits flipped: fault", "KeyError: 'x'")
