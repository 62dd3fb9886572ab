"""Missing samples, and the values that take their place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hold(signal: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill each gap with the value before it; a gap at the start with the first value after it.

    Parameters
    ----------
    signal : [samples]
    missing : [samples], not all of them True
    """
    if not missing.any():
        return signal
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(signal))))
    return signal[np.where(last < 0, int(np.argmin(missing)), last)]
