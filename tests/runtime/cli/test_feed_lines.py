"""Lines of a feed, and beats as they are printed."""

from __future__ import annotations

import io

import numpy as np
import pytest

from runtime.cli.common import print_answer, print_beats
from runtime.cli.feed import read_feed
from runtime.findings import Beat


@pytest.mark.parametrize(("between", "missing"), [("\n", 2), ("\n\n", 0)])
def test_empty_line_between_numbers_is_a_missing_sample(between: str, missing: int) -> None:
    lines = ["0.1", "0.2", "", "0.3", "", "0.4"] if missing else ["0.1", "0.2", "0.3", "0.4"]
    feed = io.StringIO(between.join(lines) + "\n")
    values = [x for chunk in read_feed("-", 250, units="mV", opened=feed) for x in chunk]
    assert len(values) == 4 + missing
    assert np.isnan(values).sum() == missing


def test_beat_is_printed_as_that_of_a_servers_answer(capsys: pytest.CaptureFixture[str]) -> None:
    beat = Beat(time=1.23456, label="N", score=0.99505, probabilities=(1.0, 0.0, 0.0, 0.0, 0.0))
    print_beats([beat])
    here = capsys.readouterr().out
    print_answer({"beats": [beat.to_dict()]})
    assert capsys.readouterr().out == here
