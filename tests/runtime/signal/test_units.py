"""Signal as a user hands it in: numbers in three units, or a sentence that says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.signal.units import MILLIVOLTS, as_numbers, check_signal, to_millivolts


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


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([1, None, 2.5], [1, np.nan, 2.5]),
        ([None, None], [np.nan, np.nan]),
        ([[1, None], [2.0, 3]], [[1, np.nan], [2, 3]]),
        ([10**400, None], [np.inf, np.nan]),
        (np.ma.masked_greater(np.arange(3.0), 1), [0, 1, np.nan]),
        ([np.ma.masked_greater(np.arange(3), 1), [3, 4, 5]], [[0, 1, np.nan], [3, 4, 5]]),
        ([-999.0, np.inf], [-999, np.inf]),
    ],
)
def test_missing_samples_are_nan_and_impossible_ones_stay(samples: Any, expected: Any) -> None:
    np.testing.assert_array_equal(as_numbers(samples, (1, 2)), expected)
    np.testing.assert_array_equal(check_signal(samples, units="mV", dimensions=(1, 2)), expected)


@pytest.mark.parametrize("samples", [[True, None], ["1", None], [None, 1j], [[1], [1, None]]])
def test_other_things_than_numbers_and_none_are_refused(samples: Any) -> None:
    with pytest.raises(InputError, match="not made of numbers only"):
        as_numbers(samples, (1, 2))


def test_units_are_checked_before_values() -> None:
    with pytest.raises(InputError, match=r"units 'adu' are unknown; .*divide by the gain first"):
        to_millivolts(np.array([np.nan]), "adu")
