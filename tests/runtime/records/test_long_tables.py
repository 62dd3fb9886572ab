"""Long tables are read in pieces to the same record as short ones are at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import EkgError
from runtime.records import long_tables, read, rows, tables
from runtime.records.digital import Coded, DecimalSignal, DigitalSignal
from runtime.simulate import simulate

ROWS = 2000
SIGNAL = simulate(20, fs=250, seed=3).signal[:ROWS].astype(float)


def found(path: Path, *, long: bool, **stated: Any) -> tuple[Any, ...]:
    """What is read of a file as a long table, or as any other: all of it, or the refusal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "LONG_BYTES", 0 if long else 1 << 40)
        patch.setattr(rows, "CHARACTERS_AT_ONCE", 5000)
        patch.setattr(tables, "LINES_LOOKED_AT", 40)  # which take most of the time
        try:
            record = read(path, compact=True, **stated)
        except EkgError as error:
            return (str(error),)
    signal = np.asarray(record.signal) + 0.0  # -0.0 is 0.0
    return (
        record.fs,
        signal.tobytes(),
        record.lead,
        record.leads,
        record.gaps,
        record.start,
        record.notes,
    )


def write(path: Path, head: str, times: list[str], leads: list[list[str]]) -> None:
    columns = ([times] if times else []) + leads
    path.write_text("\n".join([head, *map(",".join, zip(*columns, strict=True))]) + "\n")


@given(
    fs=st.sampled_from([100, 128, 250, 257.8125, 333.3, 360, 500, 1000]),
    unit=st.sampled_from(["time", "time (s)", "time (ms)", "timestamp", "t", ""]),
    digits=st.integers(0, 7),
    begin=st.sampled_from([0.0, 3.7, 86_399.0, 1.7e9]),
    decimals=st.integers(1, 12),
    size=st.sampled_from([1.0, 30.0, 1e-3]),
    odd=st.sampled_from(["", "", "", "gap", "late", "same", "cell", "word", "header", "reverse"]),
    stated=st.sampled_from([{}, {"fs": 250.0}, {"units": "uV"}, {"lead": "ABP"}]),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_long_table_is_read_as_any_other(
    tmp_path: Path,
    fs: float,
    unit: str,
    digits: int,
    begin: float,
    decimals: int,
    size: float,
    odd: str,
    stated: dict[str, Any],
) -> None:
    seconds = begin + np.arange(ROWS) / fs
    seconds[700:] += 5.0 if odd == "gap" else 0.0
    if odd == "late":
        seconds[[900, 901]] = seconds[[901, 900]]
    if odd == "same":
        seconds = np.repeat(seconds[::10], 10)
    if odd == "reverse":
        seconds = seconds[::-1]
    times = [f"{second * (1000 if 'ms' in unit else 1):.{digits}f}" for second in seconds]
    lead = [f"{value:.{decimals}f}" for value in size * SIGNAL]
    if odd == "cell":
        lead[1500] = ""
    if odd == "word":
        lead[1500] = "off"
    names = [unit, "II", "ABP"] if unit else ["II", "ABP"]
    if odd == "header":
        times[1200], lead[1200] = unit, "II"
    path = tmp_path / "x.csv"
    other = ["ABP" if odd == "header" and i == 1200 else str(i % 17) for i in range(ROWS)]
    write(path, ",".join(names), times if unit else [], [lead, other])
    assert found(path, long=True, **stated) == found(path, long=False, **stated)


@pytest.mark.parametrize(
    ("decimals", "kind", "width"), [(3, DigitalSignal, 2), (6, DecimalSignal, 4)]
)
def test_few_digits_are_held_as_whole_numbers(
    tmp_path: Path, decimals: int, kind: type[Coded], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LONG_BYTES", 0)
    path = tmp_path / "x.csv"
    lead = [f"{value:.{decimals}f}" for value in SIGNAL]
    lead[40] = ""
    write(path, "time (s),II", [f"{i / 250:.3f}" for i in range(ROWS)], [lead])
    signal = read(path, compact=True).signal
    assert isinstance(signal, kind)
    assert signal.codes.itemsize == width
    expected = [float(cell or "nan") for cell in lead]
    np.testing.assert_array_equal(np.asarray(signal), expected)
    np.testing.assert_array_equal(signal.part(30, 50)[5:15], expected[35:45])
    assert type(read(path).signal) is np.ndarray  # who did not ask for codes gets none


@given(
    st.lists(
        st.lists(st.floats(-99, 99).map(lambda x: round(x, 2)) | st.just(np.nan), min_size=1),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 5),
)
def test_numbers_are_kept_to_the_last_bit(pieces: list[list[float]], digits: int) -> None:
    column = long_tables.Numbers()
    given = [
        np.round(np.array(piece) / 10.0**i, 2 + min(i, digits)) for i, piece in enumerate(pieces)
    ]
    assert all(column.add(piece) for piece in given)
    np.testing.assert_array_equal(np.asarray(column.signal()), np.concatenate(given))


def test_numbers_of_many_digits_are_not_taken() -> None:
    assert not long_tables.Numbers().add(np.array([0.1, 1 / 3]))
    assert not long_tables.Numbers().add(np.array([0.001, 3e6]))
    assert not long_tables.Numbers().add(np.array([1.0, np.inf]))
