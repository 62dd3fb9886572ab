"""From frames to beats.

The network gives probabilities for every 50 ms frame. Only a few frames around a moment decide on
it, so that a stream cut anywhere gives the beats of the whole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..signal.loops import beat_loops
from .contract import BeatPolicy

MANY = 1000  # probabilities, from which on arrays are faster than lists


def find_beats(
    probabilities: NDArray[np.float32], policy: BeatPolicy
) -> tuple[list[int], list[int], list[list[float]]]:
    """Find the beats among the frames of one patient or many.

    Parameters
    ----------
    probabilities : float32 [patients, frames, 6]: none, N, S, V, F, Q. The first
        ``policy.context_before`` and the last ``policy.context_after`` frames of each only give
        context: they were, or will be, decided elsewhere.

    Returns
    -------
    patients, frames : of each beat, ascending
    class_probabilities : [beats, 5], given that there is a beat; each sums to 1
    """
    if beat_loops is not None:
        weakest = weakest_sum(policy)
        whole = np.ascontiguousarray(probabilities, dtype=np.float32)
        return beat_loops.find_beats(  # type: ignore[no-any-return]
            whole, len(whole), policy.min_frames_between, weakest
        )
    if probabilities.size >= MANY:
        return _in_many(probabilities.astype(np.float64), policy)
    # Plain numbers: between two runs of the network the code of array functions is cold, and each
    # takes microseconds.
    gap, weakest = policy.min_frames_between, weakest_sum(policy)
    patients, frames, class_probabilities = [], [], []
    for patient, none in enumerate(probabilities[:, :, 0].tolist()):
        # Three frames of 50 ms carry one beat (see training.train), so their sum is smooth.
        no_beat_sum = [a + b + c for a, b, c in zip(none, none[1:], none[2:], strict=False)]
        end = len(none) - gap
        for frame, weak in enumerate(no_beat_sum, 1):
            if weak <= weakest and gap < frame < end:
                around = no_beat_sum[frame - 1 - gap : frame - 1 + gap]
                if around.index(min(around)) == gap:  # of equal neighbours the first is the beat
                    three = probabilities[patient, frame - 1 : frame + 2].tolist()
                    _, n, s, v, f, q = [a + b + c for a, b, c in zip(*three, strict=True)]
                    total = n + s + v + f + q
                    patients.append(patient)
                    frames.append(frame)
                    class_probabilities.append(
                        [n / total, s / total, v / total, f / total, q / total]
                    )
    return patients, frames, class_probabilities


def weakest_sum(policy: BeatPolicy) -> float:
    """Return the largest sum of 'no beat' over three frames with which there is a beat."""
    return 3.0 * (1.0 - policy.threshold)


def _in_many(
    probabilities: NDArray[np.float64], policy: BeatPolicy
) -> tuple[list[int], list[int], list[list[float]]]:
    """`find_beats` in many frames, to the last bit."""
    gap, weakest = policy.min_frames_between, weakest_sum(policy)
    three = probabilities[:, :-2] + probabilities[:, 1:-1] + probabilities[:, 2:]
    sums = three[:, :, 0]
    patients, frames = np.nonzero(sums[:, gap : sums.shape[1] + 1 - gap] <= weakest)
    around = sums[patients[:, None], frames[:, None] + np.arange(2 * gap)]
    first = around.argmin(axis=1) == gap
    patients, frames = patients[first], frames[first] + gap
    found = three[patients, frames, 1:]
    n, s, v, f, q = found.T
    class_probabilities = found / (n + s + v + f + q)[:, None]
    return patients.tolist(), (frames + 1).tolist(), class_probabilities.tolist()
