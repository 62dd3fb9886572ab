"""Lines of a feed, and beats as they are printed."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest

from runtime.cli.common import print_answer, print_beats
from runtime.cli.feed import read_feed
from runtime.errors import InputError
from runtime.findings import Beat


@pytest.mark.parametrize(("between", "missing"), [("\n", 2), ("\n\n", 0)])
def test_empty_line_between_numbers_is_a_missing_sample(between: str, missing: int) -> None:
    lines = ["0.1", "0.2", "", "0.3", "", "0.4"] if missing else ["0.1", "0.2", "0.3", "0.4"]
    feed = io.StringIO(between.join(lines) + "\n")
    values = [x for chunk in read_feed("-", 250, units="mV", opened=feed) for x in chunk]
    assert len(values) == 4 + missing
    assert np.isnan(values).sum() == missing


VALUES = [round(0.8 * np.sin(i / 9) - 0.1, 3) for i in range(300)]
TIMES = [f"{i / 250:.3f}" for i in range(300)]


def comma(number: object) -> str:
    return str(number).replace(".", ",")


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["ECG (mV)", *map(comma, VALUES)], id="decimal comma below a name"),
        pytest.param(["-0,100", *map(comma, VALUES[1:])], id="decimal comma of -0"),
        pytest.param(
            [f"{comma(t)};{comma(v)}" for t, v in zip(TIMES, VALUES, strict=True)],
            id="decimal commas between semicolons, times first, no names",
        ),
        pytest.param([f"{t},{v}" for t, v in zip(TIMES, VALUES, strict=True)], id="time,value"),
        pytest.param([f"{i}\t{v}" for i, v in enumerate(VALUES)], id="number, value"),
        pytest.param(
            ["hello", *[f"{4 * i} , {v}" for i, v in enumerate(VALUES)]], id="ms,value after a word"
        ),
        pytest.param([json.dumps({"ecg": v}) for v in VALUES], id="JSON"),
        pytest.param(
            [json.dumps({"time": i / 250, "ecg_mV": v, "id": "a"}) for i, v in enumerate(VALUES)],
            id="JSON with times and words",
        ),
    ],
)
def test_samples_of_a_line_are_read_where_nothing_else_is_meant(lines: list[str]) -> None:
    feed = io.StringIO("\n".join(lines))
    found = [x for chunk in read_feed("-", 250, units="mV", opened=feed) for x in chunk]
    assert found == VALUES


def test_null_and_a_cut_line_of_json_are_missing_samples() -> None:
    feed = io.StringIO('"ecg": 3}\n{"ecg": 0.1}\n{"ecg": null}\n{"ecg": 0.\n{"ecg": 0.4}\n')
    found = [x for chunk in read_feed("-", 250, units="mV", opened=feed) for x in chunk]
    np.testing.assert_array_equal(found, [0.1, np.nan, np.nan, 0.4])


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["0,123", "0,125"] * 20, "decimal comma or two columns"),
        (["hello", "512,498", "510,499"] * 20, "decimal comma or two columns"),
        (["0.1,0.2", "0.3,0.1"] * 20, "rises by 1/250 s"),
        (["0.1,0.2,0.3"] * 20, "names first"),
        (["[0.1, 0.2]"] * 20, "object of numbers"),
        (['{"samples": [1, 2, 3]}'] * 20, "object of numbers"),
        (['{"a": 1, "b": 2}'] * 20, "--lead names the one"),
        (["t,value", "0.1,0.2"], "--lead names the one"),
    ],
)
def test_lines_that_may_mean_several_things_are_refused_with_the_cause(
    lines: list[str], sentence: str
) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        list(read_feed("-", 250, units="mV", opened=io.StringIO("\n".join(lines))))


@pytest.mark.parametrize("unit", ["mV/10", "adu"])
def test_a_unit_of_no_known_voltage_is_refused(unit: str) -> None:
    lines = [f"ECG [{unit}]", *(f"{i % 7}" for i in range(1000))]
    feed = io.StringIO("\n".join(lines))
    with pytest.raises(InputError, match=r"ECG of .* is in '.*'; expected mV, uV or V"):
        list(read_feed("-", 360, opened=feed))


def test_beat_is_printed_as_that_of_a_servers_answer(capsys: pytest.CaptureFixture[str]) -> None:
    beat = Beat(time=1.23456, label="N", score=0.99505, probabilities=(1.0, 0.0, 0.0, 0.0, 0.0))
    print_beats([beat])
    here = capsys.readouterr().out
    print_answer({"beats": [beat.to_dict()]})
    assert capsys.readouterr().out == here
