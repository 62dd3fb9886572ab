"""Gaps: missing samples, long enough to hide a beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A QRS complex takes 0.06 s and more, so in less no beat is lost, and it is no gap.
GAP_S = 0.08
AT_ONCE = 1 << 16  # samples that are looked at together
SNIPPET_S = 0.05  # of signal between missing samples: nothing can be read in less


class Gap(NamedTuple):
    """Samples that are missing, from the first to before the last."""

    start: int
    end: int


class Gaps:
    """The missing samples of one patient that are not too long ago to matter.

    Attributes
    ----------
    runs : from where to where samples are missing, in order, at the patient's rate
    """

    def __init__(self, fs: float, runs: Sequence[Gap] = ()):
        self.runs = list(runs)
        self._gap, self._snippet = GAP_S * fs, SNIPPET_S * fs

    def add(self, missing: NDArray[np.bool_], first: int, back: int = 0) -> None:
        """Take the mask of the samples from the ``first`` on, and ``back`` missing ones before."""
        if back:
            missing, first = np.concatenate([np.ones(back, dtype=bool), missing]), first - back
        edges = np.flatnonzero(np.diff(missing, prepend=False, append=False)).tolist()
        runs = self.runs
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if runs and first + start - runs[-1].end < self._snippet:
                runs[-1] = Gap(runs[-1].start, first + end)
                continue
            if runs and not self._hides_a_beat(runs[-1]):
                runs.pop()
            runs.append(Gap(first + start, first + end))

    def at_rate(self, up: int, down: int) -> list[Gap]:
        """The gaps long enough to hide a beat, at a rate that is ``up / down`` times this."""
        return [
            Gap(run.start * up // down, -(-run.end * up // down))
            for run in self.runs
            if self._hides_a_beat(run)
        ]

    def forget(self, before: int) -> None:
        """Drop what ended before this sample."""
        if self.runs[0].end < before:
            self.runs = [run for run in self.runs if run.end >= before]

    def _hides_a_beat(self, run: Gap) -> bool:
        return run.end - run.start >= self._gap


def gap_spans(missing: NDArray[np.bool_], fs: float) -> tuple[tuple[float, float], ...]:
    """Return start and end, s, of each gap: of missing samples that may hide a beat.

    Parameters
    ----------
    missing : bool [samples], as of `missing_samples`
    fs : Hz
    """
    gaps = Gaps(fs)
    for at in range(0, len(missing), AT_ONCE):
        gaps.add(missing[at : at + AT_ONCE], at)
    return tuple((gap.start / fs, gap.end / fs) for gap in gaps.at_rate(1, 1))
