"""P waves made up for beats of which marks alone are known."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.p_waves import with_p_waves

COUNT = 120


def crop(*, fibrillating: bool) -> tuple[np.ndarray, np.ndarray]:
    """Beats in order, in the second half without if ``fibrillating``."""
    rng, rhythm = np.random.default_rng(1), np.zeros(COUNT, dtype=np.int8)
    rhythm[COUNT // 2 :] = fibrillating
    rows = np.zeros((COUNT, 5), dtype=np.float32)
    rows[:, 0], rows[:, 1] = np.where(rhythm, rng.uniform(0.5, 1.1, COUNT), 0.9), 1.0
    return rows, rhythm


def test_p_waves_are_seen_before_fibrillation_and_fade_in_it() -> None:
    rows, rhythm = crop(fibrillating=True)
    made = np.stack([with_p_waves(np.random.default_rng(i), rows, rhythm) for i in range(60)])
    sinus, later = (np.median(made[:, a:b, 2:4], axis=(0, 1)) for a, b in ((40, 60), (100, 120)))
    assert (sinus > -1.2).all()
    assert (later < -2.4).all()
    # As in a stream's means, of which the longer one forgets later.
    faded = (np.median(made[:, 60:, 2:4], axis=0) < (sinus + later) / 2).argmax(axis=0)
    assert 1 <= faded[1] < faded[0] <= 24
    assert not rows[:, 2:].any()


@given(seed=st.integers(0, 500), fibrillating=st.booleans())
def test_made_up_p_waves_are_shares_of_power(seed: int, fibrillating: bool) -> None:
    rows, rhythm = crop(fibrillating=fibrillating)
    rows[::7, 1], rows[20, 0] = 0.0, 0.0
    made = with_p_waves(np.random.default_rng(seed), rows, rhythm)
    np.testing.assert_array_equal(made[:, :2], rows[:, :2])
    assert made[:, 2:4].max() <= np.log(1.01) + 1e-6
    assert made[:, 2:4].min() >= np.log(0.01) - 1e-6
    assert made[-1, 4] == 24
    again = with_p_waves(np.random.default_rng(seed), rows, rhythm)
    np.testing.assert_array_equal(made, again)
    ventricular = np.flatnonzero(rows[:, 1] == 0)[1:]
    np.testing.assert_array_equal(made[ventricular, 2:], made[ventricular - 1, 2:])
