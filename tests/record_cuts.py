"""The first minutes of a WFDB record, as a record of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


def cut(record: Path, folder: Path, seconds: float, fmt: str | None = None) -> Path:
    """The record in `folder`, of its own name; all leads, sample for sample.

    Parameters
    ----------
    fmt : how samples are written; as in the record if it is not given
    """
    wfdb = pytest.importorskip("wfdb")
    whole = wfdb.rdrecord(str(record), physical=False)
    wfdb.wrsamp(
        record.name,
        fs=whole.fs,
        units=whole.units,
        sig_name=whole.sig_name,
        fmt=[fmt] * whole.n_sig if fmt else whole.fmt,
        d_signal=whole.d_signal[: int(seconds * whole.fs)],
        adc_gain=whole.adc_gain,
        baseline=whole.baseline,
        write_dir=str(folder),
    )
    return folder / record.name
