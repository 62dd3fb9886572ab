"""Validation finds beats as the runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.model.contract import BeatPolicy
from training import validate
from training.model import HOP, Design, EkgNet
from training.simulated import simulated_records


def test_a_beat_at_the_very_end_is_found_as_the_runtime_finds_it(tmp_path: Path) -> None:
    """The frames go on until the last beat is decided, and none of what is held is a beat."""
    design = Design(look_ahead=18)
    record = simulated_records(1, seconds=20.0)[0]
    frames = validate.frames_of(EkgNet(design), record)
    last = (frames.shape[1] - 1 - BeatPolicy().context_after) * HOP - design.delay_samples
    assert last >= record.signal.shape[1]
    sure = np.zeros_like(frames)
    sure[..., 0] = 1.0
    at = (record.signal.shape[1] - 10 + design.delay_samples) // HOP
    for frame in (at, at + 4):  # one inside, one in what is held
        sure[0, frame - 1 : frame + 2] = [0, 1, 0, 0, 0, 0]
    found = validate.score(design, sure, record, BeatPolicy())
    assert found.confusion[:, :-1].sum() == 1
