"""Samples that are no number or beyond any ECG, as nodes: missing, and the value before held.

Of what `runtime.signal.missing` finds it is the part that needs no memory but the last value: NaN,
infinity, and what lies beyond `LARGEST_MV`.
"""

from __future__ import annotations

import numpy as np

from export.chunk_graph import first
from export.values import Value, branch, concat
from runtime.model.embedded import MISSING
from runtime.signal.missing import LARGEST_MV

OFFSET = 3  # floats that hold a float64
UNKNOWN = 1e6  # stands for the offset, as long as no number came


def held(
    ecg: Value, missing: Value, before: Value, begun: Value, offset: Value
) -> tuple[Value, Value, Value]:
    """The signal less the recording's first number, held where it is missing.

    Parameters
    ----------
    ecg : float64 [batch, samples], mV
    missing : uint8 [batch, samples], the graph's input
    before : float32 [batch, 1], the last value of the chunk before, less the offset
    begun : bool [batch, 1], true if there was one
    offset : float32 [batch, `OFFSET`], the recording's first number, mV, as a sum

    Returns
    -------
    the signal, float32; ``missing``, with what was found here; the offset after it
    """
    usable = ecg.abs().op("LessOrEqual", LARGEST_MV, dtype=bool)
    ecg = usable.where(ecg, 0.0)
    place = usable.to(np.float32).argmax().expand(1)
    parts, rest = [], usable.any().expand(1).where(ecg.at(place), UNKNOWN)
    for _ in range(OFFSET):
        parts.append(rest.to(np.float32))
        rest = rest - parts[-1].to(np.float64)
    known = begun & (offset.slice(0, 1) < UNKNOWN)
    offset = known.where(offset, concat(*parts))
    signal = (ecg - offset.to(np.float64).sum(keep=True)).to(np.float32)

    def hold() -> dict[str, Value]:
        there = concat(begun | ~begun, usable)
        places = first(there)[0]
        latest = there.to(np.float64).total().to(np.int64) - 1
        line = concat(before, signal).at(places.at(latest)).slice(1)
        return {
            "line": line,
            "missing": (usable | (missing.to(np.int64) > 0)).where(missing, MISSING),
        }

    some = (~usable).any().to(np.float32).max(0) > 0.5
    found = branch(some, hold, lambda: {"line": signal, "missing": missing})
    return found["line"], found["missing"], offset
