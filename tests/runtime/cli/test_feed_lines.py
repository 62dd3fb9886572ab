"""Lines of a feed, and beats as they are printed."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable

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


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("time,ecg", "{t:.3f},{v}"),
        ("ecg,time_ms", "{v},{ms}"),
        ("time;ecg", "{clock};{v}"),
        ("sample\tecg", "{i}\t{v}"),
        ("", "{t:.3f} {v}"),
        ("", "{i},{v}"),
        ("", '{{"t": {ms}, "ecg": {v}}}'),
        ("", "t:{ms} ecg:{v}"),
    ],
)
def test_samples_that_the_times_leave_out_are_missing(
    capsys: pytest.CaptureFixture[str], header: str, row: str
) -> None:
    kept = [i for i in range(600) if not 300 <= i < 350]
    midnight = 86_399.0  # the clock passes it after the gap, within a second
    lines = [
        row.format(i=i, t=i / 250, ms=4 * i, v=i % 7, clock=_clock(midnight + i / 250))
        for i in kept
    ]
    feed = io.StringIO("\n".join([header, *lines] if header else lines) + "\n")
    found = [x for chunk in read_feed("-", 250, units="mV", opened=feed) for x in chunk]
    expected = [i % 7 if i in kept else np.nan for i in range(600)]
    np.testing.assert_array_equal(found, expected)
    assert "50 samples are missing before line" in capsys.readouterr().err


def _clock(seconds: float) -> str:
    of_day = seconds % 86_400
    minutes, rest = divmod(of_day, 60)
    return f"{int(minutes // 60):02d}:{int(minutes % 60):02d}:{rest:06.3f}"


def test_times_of_packets_and_a_clock_that_is_set_lose_nothing_unknown() -> None:
    packets = [f"{i // 50 * 0.2:.1f},{i % 7}" for i in range(600)]
    summer = [
        f"2024-03-31T0{1 + 2 * (i >= 300)}:{59 if i < 300 else 0:02d}:"
        f"{58.8 + i / 250 - 60 * (i >= 300):06.3f}+0{1 + (i >= 300)}:00,{i % 7}"
        for i in range(600)
    ]
    a_clock_set = [f"{i / 250 + (1e9 if i >= 300 else 0):.3f},{i % 7}" for i in range(600)]
    for lines, lost in ((packets, 0), (summer, 0), (a_clock_set, 250)):
        feed = io.StringIO("\n".join(["time,ecg", *lines]))
        found = [x for chunk in read_feed("-", 250, units="mV", opened=feed) for x in chunk]
        assert (len(found), np.isnan(found).sum()) == (600 + lost, lost)


@pytest.mark.parametrize("counts", [lambda v: 512 + 100 * v, lambda v: 8_388_608 + 10_000 * v])
def test_counts_of_a_converter_are_refused_even_beyond_all_ecg(
    counts: Callable[[np.ndarray], np.ndarray],
) -> None:
    values = counts(np.sin(np.arange(2000) / 40) + (np.arange(2000) % 250 < 8)).astype(int)
    feed = io.StringIO("\n".join(map(str, values.tolist())))
    with pytest.raises(InputError, match=r"cannot be an ECG in mV.*likely 200/mV"):
        list(read_feed("-", 250, opened=feed))


def test_sentinels_in_the_first_seconds_are_no_counts() -> None:
    values = np.round(0.5 * np.sin(np.arange(2000) / 40) + (np.arange(2000) % 250 < 8), 3)
    values[300:900] = -32768
    feed = io.StringIO("\n".join(map(str, values.tolist())))
    found = np.concatenate([*read_feed("-", 250, opened=feed)])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), np.arange(300, 900))


def test_a_greeting_with_a_colon_is_no_plotters_line() -> None:
    feed = io.StringIO("Rate: 250\nECG v1 250\n0.1\n0.2\n0.3;\n")
    found = [x for chunk in read_feed("-", 250, units="mV", opened=feed) for x in chunk]
    assert found == [0.1, 0.2, 0.3]


def test_a_lone_name_that_is_no_ecg_is_refused() -> None:
    with pytest.raises(InputError, match="has no ECG"):
        list(read_feed("-", 250, opened=io.StringIO("resp:0.1\nresp:0.2\nresp:0.3\n")))


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
