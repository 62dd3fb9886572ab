"""Two checkouts timed in turns."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from bench import before_after
from bench.before_after import WorkError, summary, take_turns

ROOT = Path(__file__).resolve().parents[2]


def test_each_side_is_first_in_every_other_round_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def work(side: str) -> float:
        order.append(side)
        return float(len(order))

    before, after = take_turns("work", [partial(work, "before"), partial(work, "after")], 4)
    assert order[:4] == ["before", "after", "after", "before"]
    assert (before, after) == ([4.0, 5.0, 8.0, 9.0], [3.0, 6.0, 7.0, 10.0])


def test_the_ratio_is_taken_pair_by_pair() -> None:
    found = summary([1.0, 10.0, 2.0, 4.0, 5.0], [1.1, 11.0, 2.0, 4.4, 10.0])
    assert (found["before_ms"], found["after_ms"], found["pairs"]) == (4.0, 4.4, 5)
    assert found["ratio"] == pytest.approx(1.1)
    assert found["ratio_quartiles"] == pytest.approx([1.1, 1.1])
    text = before_after.table(
        {
            "base": "0123456789abcdef",
            "when": "2026-01-01",
            "works": {
                "a push": found,
                "a record": {**found, "before_ms": 60_000.0, "after_ms": 61_000.0},
            },
            "machine": {"cores": 2, "cpu": "made up", "python": "3.12"},
        }
    )
    assert "| a push | 4 ms | 4.4 ms | 1.100 | 1.100 to 1.100 | 5 |" in text
    assert "| a record | 60.0 s | 61.0 s |" in text


def test_a_worker_times_pushes_with_and_without_the_rhythm() -> None:
    with before_after.worker(ROOT) as process:
        assert before_after.pushed(process, "alone") > 0
        assert before_after.pushed(process, "followed") > 0
    assert process.poll() is not None


def test_a_worker_that_cannot_start_is_reported_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A folder without a runtime."""
    with pytest.raises(WorkError, match="stopped"), before_after.worker(tmp_path):
        pass
    assert "No module named 'runtime'" in capfd.readouterr().err


def test_commands_are_timed_and_a_failure_is_reported(tmp_path: Path) -> None:
    record = before_after.write_csv(tmp_path / "short.csv", 5)
    assert before_after.imported(ROOT) > 0
    assert before_after.predicted(ROOT, record) > before_after.imported(ROOT)
    with pytest.raises(WorkError, match="-m runtime predict failed in the working tree: "):
        before_after.predicted(ROOT, tmp_path / "nosuch.csv")


def test_the_long_record_has_the_requested_length(tmp_path: Path) -> None:
    import wfdb

    header = wfdb.rdheader(str(before_after.write_record(tmp_path / "long", 0.25)))
    assert (header.fs, header.sig_len, header.units) == (360, 900 * 360, ["mV"])
