"""Training data: patients and noise, real ones if they can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from runtime.signal.r_peak import r_peaks
from training.databases import DS1, NOISES, SVDB
from training.download import data_folder, require_data
from training.errors import DataError
from training.recordings import FS, Record, load, load_all
from training.simulated import simulated_noise, simulated_records

# What can be trained on: database and records. Paced 104 and 217 are kept for the test.
TRAINING = {"mitdb": ("mitdb", DS1), "paced": ("mitdb", ("102", "107")), "svdb": ("svdb", SVDB)}


def training_data(
    databases: Sequence[str], *, simulated: bool = False
) -> tuple[list[Record], NDArray[np.float32], str]:
    """Training records, training noise [recordings, samples] in mV, and a line that names both.

    If no recordings can be had, simulated ECG takes their place and the line says so.
    """
    if not simulated:
        at_hand = data_folder() is not None  # checked first: a broken-off download leaves a part
        try:
            folder = require_data(
                [*dict.fromkeys(TRAINING[part][0] for part in databases), "nstdb"]
            )
        except DataError as error:
            if at_hand:
                raise
            print(
                f"{error}\nTraining on SIMULATED ECG instead: the result is for trying the "
                "commands out, not for real signal."
            )
            simulated = True
    if simulated:
        records = simulated_records(24)
        return records, simulated_noise(), "SIMULATED ECG (no recordings were used)"
    records = [_aligned(r) for part in databases for r in load_all(*TRAINING[part], folder)]
    # Only the first half of each noise recording: the second one is kept for noise tests.
    noise = [
        half for name in NOISES for half in load("nstdb", name, folder).signal[:, : 15 * 60 * FS]
    ]
    line = " + ".join(
        {
            "mitdb": "mitdb DS1",
            "paced": "mitdb 102 and 107 (paced)",
            "svdb": f"svdb ({len(SVDB)} records)",
        }[part]
        for part in databases
    )
    return records, np.stack(noise), line + ", noise from nstdb (first halves)"


def _aligned(record: Record) -> Record:
    """svdb's marks, up to 60 ms beside the R peak, moved to it; mitdb's are there already."""
    if record.database != "svdb":
        return record
    beats = r_peaks(record.signal[0], record.beats.tolist(), FS)
    return replace(record, beats=np.array(beats, dtype=np.int64))
