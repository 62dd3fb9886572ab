"""A network in torch measured on whole records, by the runtime's own beat finder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.beats import choose_label
from runtime.model.contract import BeatPolicy
from runtime.model.frames import find_beats
from runtime.signal.r_peak import r_peaks
from training.model import HOP, Design, EkgNet, label_frames
from training.recordings import FS, Record
from training.scores import Score, score_record


def validate(net: EkgNet, records: Sequence[Record]) -> Score:
    """Score of the network on these records."""
    return sum(
        (score(net.design, frames_of(net, r), r, BeatPolicy()) for r in records), Score.empty()
    )


def frames_of(net: EkgNet, record: Record) -> NDArray[np.float32]:
    """Frame probabilities of a record's first lead, float32 [1, frames, 6], to its last beat.

    As `Stream.finish` does, the last value is held for as long as the network looks ahead.
    """
    held = net.design.delay_samples + (BeatPolicy().context_after + 3) * HOP
    return label_frames(net, np.pad(record.signal[:1], ((0, 0), (0, held)), mode="edge"))


def score(design: Design, frames: NDArray[np.float32], record: Record, policy: BeatPolicy) -> Score:
    """Score of the beats that a policy finds in a record's frames (of `frames_of`)."""
    _, found, probabilities = find_beats(frames, policy)
    near = np.array(found, dtype=np.int64) * HOP + HOP // 2 - design.delay_samples
    labels = np.array(
        [choose_label(row, policy.class_weights) for row in probabilities], dtype=np.int64
    )
    inside = near < record.signal.shape[1]
    beats = r_peaks(record.signal[0], near[inside].tolist(), FS)
    return score_record(record, np.array(beats, dtype=np.int64), labels[inside])
