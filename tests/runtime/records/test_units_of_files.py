"""Units as files spell them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import InputError, RecordError
from runtime.records import read
from runtime.records.units import check_units, millivolts, seconds, split_unit


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        *((unit, 1.0) for unit in ("mV", "mv", "MV", "millivolt", "milliVolts", " mV ", "mVolt")),
        *((unit, 1e-3) for unit in ("uV", "UV", "uv", "\xb5V", "\u03bcV", "microvolts", "mcV")),
        *((unit, 1e-3) for unit in ("micro volts", "\xc2\xb5V", "\ufffdV", "uVolt")),
        *((unit, 1e3) for unit in ("V", "v", "Volt", "volts")),
        *((unit, 1e-3) for unit in ("Mikrovolt", "microvoltios", "мкВ", "in uV", "unit: uV")),
        *((unit, 1.0) for unit in ("milivoltios", "мВ", "mV*", "毫伏", "mv.")),
        *(
            (unit, 1e-3)
            for unit in ("1e-6 V", "10^-6 V", "10\u207b\u2076 V", "x10**-3 mV", "\xb5V pk")
        ),
        *((unit, 1.0) for unit in ("1E-3 V", "10^(-3) V", "mV p-p", "mV-pk")),
        *((unit, 1e-3) for unit in ("\xb5V pk", "uV peak")),
        ("nV", 1e-6),
        ("200/mV", 1 / 200),
        ("0.5 / uV", 2e-3),
    ],
)
def test_voltages_are_known_in_any_usual_spelling(unit: str, scale: float) -> None:
    assert millivolts(unit) == pytest.approx(scale)


@pytest.mark.parametrize(
    "unit",
    ["", "adu", "mmHg", "counts", "m", "mg", "s", "0/mV", "kV/m", "10^3/mm3", "10e-6 V", "e V"],
)
def test_other_units_are_no_voltages(unit: str) -> None:
    assert millivolts(unit) is None
    with pytest.raises(InputError, match="expected mV, uV or V"):
        check_units(unit)


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("s", 1), ("sec", 1), ("Seconds", 1), ("hh:mm:ss.mmm", 1),
        ("ms", 1e-3), ("msec", 1e-3), ("milliseconds", 1e-3),
        ("us", 1e-6), ("\xb5s", 1e-6), ("ns", 1e-9), ("nanoseconds", 1e-9), ("min", None),
    ],
)  # fmt: skip
def test_times_are_known_in_any_usual_spelling(unit: str, scale: float | None) -> None:
    assert seconds(unit) == (None if scale is None else pytest.approx(scale))


@pytest.mark.parametrize(
    ("column", "name", "unit"),
    [
        ("ECG (uV)", "ECG", "uV"),
        ("ECG [microvolts]", "ECG", "microvolts"),
        ("ECG (adu)", "ECG", "adu"),
        ("ecg_uV", "ecg", "uV"),
        ("ECG, mV", "ECG", "mV"),
        ("ECG in \xb5V", "ECG", "\xb5V"),
        ("timestamp_ms", "timestamp", "ms"),
        ("lead (left)", "lead (left)", ""),
        ("ECG V", "ECG V", ""),
        ("ECG: uV", "ECG", "uV"),
        ("ECG <uV>", "ECG", "uV"),
        ("ECGuV", "ECG", "uV"),
        ("uV ECG", "ECG", "uV"),
        ("ECG [uV]*", "ECG", "uV"),
        ("uV", "uV", "uV"),
        ("MLII", "MLII", ""),
        ("ms", "ms", ""),
        ("ECG\uff08uV\uff09", "ECG", "uV"),
        ("ECG\u3010mV\u3011", "ECG", "mV"),
        ("ECG (normalized)", "ECG", "normalized"),
        ("ECG (ADC counts)", "ECG", "ADC counts"),
        ("ECG [pV]", "ECG", "pV"),
        ("ECG (filtered)", "ECG (filtered)", ""),
    ],
)
def test_unit_is_split_from_the_name(column: str, name: str, unit: str) -> None:
    assert split_unit(column) == (name, unit)


@pytest.mark.parametrize(
    ("unit", "millivolt"),
    [("0.1 mV", 10), ("10uV", 100), ("5 \u00b5V/LSB", 200), ("2.5uV per bit", 400), ("1 mV", 1)],
)
def test_several_of_a_unit_are_read(
    tmp_path: Path, signal: np.ndarray, unit: str, millivolt: float
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join([f"ECG [{unit}]", *(f"{value * millivolt:.5f}" for value in signal)]))
    record = read(path, fs=360)
    assert record.lead == "ECG"
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


@pytest.mark.parametrize("unit", ["mV/10", "mV (x10)", "kV", "x mV", "decimillivolts", "0 mV"])
def test_an_unknown_multiple_of_volts_is_refused(
    tmp_path: Path, signal: np.ndarray, unit: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join([f"ECG [{unit}]", *(f"{value:.5f}" for value in signal)]))
    with pytest.raises(RecordError, match="expected mV, uV or V"):
        read(path, fs=360)
    assert len(read(path, fs=360, units="mV").signal) == len(signal)


def test_a_range_above_a_table_is_not_its_unit(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "x.csv"
    lines = ["Range: 10 mV", "Sample rate: 360 Hz", "ECG", *(f"{value:.5f}" for value in signal)]
    path.write_text("\n".join(lines))
    np.testing.assert_allclose(read(path).signal, signal, atol=1e-5)
