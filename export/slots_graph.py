"""Frames and signal to slots as nodes: one for each frame, with the beat that it found if any.

As `runtime.model.frames` and `runtime.signal.r_peak`.

Positions come from MaxPool, whose second output is where in the tensor the largest lies; over one
sample it is where that sample lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from export.builder import END, Builder
from runtime.model.contract import Contract
from runtime.signal.r_peak import LEVEL_S, SEARCH_S, SMOOTH_SAMPLES


@dataclass(frozen=True)
class Layout:
    """Sizes of the search, in samples and frames.

    Attributes
    ----------
    search : to either side of a frame's moment, in which its R peak may lie
    reach : to either side, of the level that a deflection is measured from
    wide : to either side, of all that is looked at
    before, after : frames that decide on the one between them
    centre : from the first sample of a chunk to the moment of the first frame that it decides
    near : samples before a chunk in which R peaks are sought
    """

    search: int
    reach: int
    wide: int
    before: int
    after: int
    centre: int
    near: int

    @classmethod
    def of(cls, contract: Contract) -> Layout:
        fs, hop, policy = contract.fs, contract.hop, contract.policy
        reach = round(LEVEL_S * fs)
        wide = reach + SMOOTH_SAMPLES // 2
        centre = hop // 2 - contract.delay - policy.context_after * hop
        return cls(
            round(SEARCH_S * fs),
            reach,
            wide,
            policy.context_before,
            policy.context_after,
            centre,
            wide - centre,
        )


def with_recent(
    build: Builder, contract: Contract, begun: str, recent: str, probabilities: str
) -> str:
    """The last frames before the chunk and its own; before a recording's start there is no beat.

    Parameters
    ----------
    begun : bool [batch, 1], true for rows with signal before this chunk
    """
    layout, classes = Layout.of(contract), len(contract.classes)
    shape = build.axes(0, layout.before + layout.after, classes)
    known = build("Reshape", recent, shape)
    new = build.cast(build("Not", begun), TensorProto.FLOAT)
    no_beat = build.constant(np.eye(1, classes, dtype=np.float32))
    start = build("Mul", build("Unsqueeze", new, build.axes(2)), no_beat)
    return build("Concat", build("Add", known, start), probabilities, axis=1)


def strongest(build: Builder, contract: Contract, frames: str) -> tuple[str, str]:
    """Frames that find a beat, bool [batch, frames], and sums of their classes over three frames.

    As `runtime.model.frames.find_beats`, in float64 as well.
    """
    gap = contract.policy.min_frames_between
    wide = build.cast(frames, TensorProto.DOUBLE)
    sums = build.add(*(build.slice(wide, i, i - 2 or END, axis=1) for i in range(3)))
    none = build("Squeeze", build.slice(sums, 0, 1, axis=2), build.axes(2))
    around = [build.slice(none, i, i - (2 * gap - 1) or END, axis=1) for i in range(2 * gap)]
    here = around[gap]
    weakest = build.number(3.0 * (1.0 - contract.policy.threshold), np.float64)
    strong = build("LessOrEqual", here, weakest)
    strong = build("And", strong, build("Less", here, build("Min", *around[:gap])))
    if later := around[gap + 1 :]:  # of equal neighbours the first is the beat
        strong = build("And", strong, build("LessOrEqual", here, build("Min", *later)))
    classes = build.slice(build.slice(sums, gap, 1 - gap or END, axis=1), 1, END, axis=2)
    return strong, classes


def r_peaks(build: Builder, contract: Contract, line: str) -> tuple[str, str]:
    """R peaks near each frame's moment, and the moments, int64 [batch, frames], in samples.

    As `runtime.signal.r_peak.r_peaks`; ``line`` begins `Layout.near` samples before the chunk.
    R peaks count from the chunk's first sample, moments from the first frame's.
    """
    layout, hop = Layout.of(contract), contract.hop
    unused = layout.near + hop - (2 * layout.wide + 1)
    line = build.slice(line, 0, -unused or END, axis=1)
    last = SMOOTH_SAMPLES - 1
    smooth = build.add(*(build.slice(line, i, i - last or END, axis=1) for i in range(last + 1)))
    smooth = build("Unsqueeze", smooth, build.axes(1))
    beside = layout.reach - layout.search
    close = build.slice(smooth, beside, -beside, axis=2)

    def largest(value: str, width: int) -> tuple[str, ...]:
        pooled = build.node("MaxPool", (value,), 2, kernel_shape=[width], strides=[hop])
        return tuple(build("Squeeze", one, build.axes(1)) for one in pooled)

    up, up_at = largest(close, 2 * layout.search + 1)
    down, down_at = largest(build("Neg", close), 2 * layout.search + 1)
    _, places = largest(close, 1)
    level = build("AveragePool", smooth, kernel_shape=[2 * layout.reach + 1], strides=[hop])
    twice = build("Mul", build("Squeeze", level, build.axes(1)), build.number(2.0))
    upright = build("GreaterOrEqual", build("Sub", up, down), twice)
    row = build.slice(places, 0, 1, axis=1)
    moments = build("Sub", build.slice(places, 0, -(2 * layout.search // hop), axis=1), row)
    peaks = build("Sub", build("Where", upright, up_at, down_at), row)
    first = layout.centre - layout.search
    return build("Add", peaks, build.number(first, np.int64)), moments
