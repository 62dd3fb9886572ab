"""Records in WFDB's formats, of one segment or several; needs the package ``wfdb``."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RecordError
from .digital import CODES, DigitalSignal, Signal
from .leads import Lead
from .packages import explained, need
from .reader import Options, Reader
from .units import millivolts
from .wfdb_header import check_header, stated_units

SEEKABLE = {"16", "61", "80", "160", "212", "24", "32", "310", "311"}  # a sample by its place
LONG = {"24", "32"}  # of which a sample has more than 16 bits
PIECE_FRAMES = 600_000


class WfdbReader(Reader):
    """Reads WFDB records, which are named without an extension."""

    name = "WFDB"

    def matches(self, path: Path) -> bool:
        """Return True if there is a header of this record."""
        return os.path.isfile(f"{path}.hea")

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List a record's signals; those of several segments as one."""
        wfdb = need("wfdb", "to read WFDB records")
        header = _header(path)
        options.header = tuple(comment.strip() for comment in header.comments if comment.strip())
        if header.base_time is not None:
            options.start = datetime.combine(header.base_date or date.min, header.base_time)
        segments = [(path.name, header.sig_len)]
        if isinstance(header, wfdb.MultiRecord):
            segments = list(zip(header.seg_name, header.seg_len, strict=True))
            # The first segment describes all signals; if it has no length, it is their layout.
            header = next(
                (_header(path.parent / name) for name, _ in segments if name != "~"), header
            )
        elif header.sig_len == 0:  # in WFDB an unknown length; the package reads nothing then
            raise RecordError(
                f"{path}.hea gives a length of 0 samples; expected the true one, or "
                "none if it is not known."
            )
        if not header.n_sig or not header.sig_name:
            raise RecordError(f"{path}.hea lists no signals.")

        def load(channel: int) -> Signal:
            parts = [
                _segment(path.parent / name, length, header, channel)
                for name, length in segments
                if length != 0
            ]
            return parts[0] if len(parts) == 1 else np.concatenate(list(map(np.asarray, parts)))

        return [
            Lead(
                name or str(i),
                header.fs * header.samps_per_frame[i],
                header.units[i],
                partial(load, i),
            )
            for i, name in enumerate(header.sig_name)
        ]

    def files(self, path: Path) -> list[Path]:
        """List the header and signal files of a record of one segment."""
        names = [path.name, f"{path.name}.hea"]
        with suppress(Exception):  # `leads` reports what is wrong with the header
            names += need("wfdb", "to read WFDB records").rdheader(str(path)).file_name
        return [path.parent / name for name in names if name]


def _segment(path: Path, length: int | None, whole: Any, channel: int) -> Signal:
    """Read the part of a channel that is in one segment; NaN if the segment lacks it.

    Parameters
    ----------
    whole : header of the record
    channel : index into the record's signals
    """
    header = None if path.name == "~" else _header(path)
    if header is not None and header.sig_name is None:  # segments of segments
        raise RecordError(f"{path}.hea is a record of segments itself; expected one of signals.")
    name, unit = whole.sig_name[channel], whole.units[channel]
    if header is None or name not in header.sig_name:
        return np.full((length or 0) * whole.samps_per_frame[channel], np.nan)
    if header.sig_name != whole.sig_name:  # the layout varies between segments
        channel = header.sig_name.index(name)
    signal = _samples(path, length, header, channel)
    written = header.units[channel]
    if written == unit:
        return signal
    # The segments' units may differ; what is no voltage stays as it is.
    ours, theirs = millivolts(written or "mV"), millivolts(unit or "mV")
    return np.asarray(signal) * (ours / theirs) if ours and theirs else signal


def _samples(path: Path, length: int | None, header: Any, channel: int) -> Signal:
    """Read a channel of a segment, piece by piece and as codes if its form allows it.

    At once the package needs three times the memory of what it returns.
    """
    rdrecord = need("wfdb", "to read WFDB records").rdrecord

    def read(first: int, last: int | None, *, physical: bool) -> Any:
        return rdrecord(
            str(path),
            sampfrom=first,
            sampto=last,
            channels=[channel],
            smooth_frames=False,
            physical=physical,
        )

    if not length or header.fmt[channel] not in SEEKABLE:
        return read(0, length, physical=True).e_p_signal[0]  # type: ignore[no-any-return]
    each, small = header.samps_per_frame[channel], header.fmt[channel] not in LONG
    signal = np.empty(length * each, dtype=np.int16 if small else np.float64)
    for first in range(0, length, PIECE_FRAMES):
        last = min(first + PIECE_FRAMES, length)
        piece = read(first, last, physical=not small)
        signal[first * each : last * each] = (piece.e_d_signal if small else piece.e_p_signal)[0]
    if not small:
        return signal
    piece.e_d_signal = [CODES]  # the package itself says what each is worth
    return DigitalSignal(signal, piece.dac(expanded=True)[0])


def _header(path: Path) -> Any:
    wfdb = need("wfdb", "to read WFDB records")
    file = Path(f"{path}.hea")
    with explained(file, "is not a WFDB header"):
        written = file.read_bytes()
        check_header(file, written)
        header = wfdb.rdheader(str(path))
        if not isinstance(header, wfdb.MultiRecord) and header.n_sig:
            # wfdb drops what is not ASCII, and so reads V for µV; and says mV if there is no unit.
            header.units = stated_units(written, header.units)
    return header
