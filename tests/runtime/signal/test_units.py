"""Signal as a user hands it in: numbers in three units, or a sentence that says what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.signal.units import LARGEST_MV, MILLIVOLTS, check_signal, is_plausible, to_millivolts


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64, np.longdouble]
)
@pytest.mark.parametrize("units", MILLIVOLTS)
def test_numbers_of_any_type_become_millivolts(dtype: type, units: str) -> None:
    values = np.array([0, 1, 100], dtype=dtype)
    if units == "V":
        values = values[:2]
    found = check_signal(values, units=units, dimensions=(1,))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.array([0, 1, 100])[: len(values)] * MILLIVOLTS[units])
    assert not np.shares_memory(found, values)


def test_plain_lists_are_signal_and_so_is_nothing() -> None:
    np.testing.assert_array_equal(check_signal([1, 2.5], units="mV", dimensions=(1,)), [1.0, 2.5])
    assert check_signal([], units="mV", dimensions=(1,)).shape == (0,)
    assert check_signal([[1.0], [2.0]], units="mV", dimensions=(1, 2)).shape == (2, 1)


@pytest.mark.parametrize(("units", "value"), [("mV", 1001.0), ("V", 1.5), ("uV", 2e6)])
def test_a_value_beyond_any_amplifier_is_named_in_its_own_units(units: str, value: float) -> None:
    sentence = rf"sample 2 .*\({value}\) is beyond ±1000 mV.* expected ECG in {units}"
    with pytest.raises(InputError, match=sentence):
        check_signal([0.0, 0.1, value, 9 * value], units=units, dimensions=(1,))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_named(value: float) -> None:
    with pytest.raises(InputError, match=r"sample 1 of the signal .* is not a finite number"):
        check_signal([0.0, value], units="mV", dimensions=(1,))
    with pytest.raises(InputError, match="sample 3 of the signal"):
        check_signal([[0.0, 0.0], [0.0, value]], units="mV", dimensions=(2,))


def test_the_largest_value_is_plausible_and_the_next_is_not() -> None:
    """Many values below the limit add up to more than its square."""
    assert is_plausible(np.full(1000, LARGEST_MV))
    for bad in (np.nextafter(LARGEST_MV, np.inf), -LARGEST_MV - 1, np.nan, -np.inf):
        assert not is_plausible(np.append(np.zeros(1000), bad))


def test_units_are_checked_before_values() -> None:
    with pytest.raises(InputError, match=r"units 'adu' are unknown; .*divide by the gain first"):
        to_millivolts(np.array([np.nan]), "adu")
