"""The header of an EDF or BDF file, checked field by field, and the times of its data records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError

MAGIC = {b"0       ": 2, b"\xffBIOSEMI": 3}  # bytes of a sample
SIGNAL_BYTES = 256  # of the header, for each signal
MAX_SIGNALS = 4096
AT_ONCE = 1 << 22  # bytes of data records
ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
# A pause may make a recording so many times as long as its signal, or this long in any case.
MAX_LENGTHENING, MAX_LENGTH_S = 10, 86_400.0
ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)\x14\x14")  # of a data record, in its first annotation


@dataclass(frozen=True)
class EdfHeader:
    """A file's layout.

    Attributes
    ----------
    sample_bytes : 2 in EDF, 3 in BDF
    header_bytes : where the data begin
    records : data records that the header promises; -1 if it does not know
    duration_s : of a data record
    discontinuous : the file says that there may be pauses between its records
    labels : of the signals
    samples : of each signal in a data record
    data_bytes : that the file holds
    """

    sample_bytes: int
    header_bytes: int
    records: int
    duration_s: float
    discontinuous: bool
    labels: tuple[str, ...]
    samples: tuple[int, ...]
    data_bytes: int

    @property
    def record_bytes(self) -> int:
        """Size of a data record."""
        return self.sample_bytes * sum(self.samples)

    @property
    def signal_channels(self) -> list[int]:
        """Places, among all that the header lists, of those that are no annotations."""
        return [i for i, label in enumerate(self.labels) if label != self.annotations]

    @property
    def annotations(self) -> str:
        """Label of signals that are annotations."""
        return ANNOTATIONS[self.sample_bytes == 3]

    @property
    def held_records(self) -> float:
        """Data records in the file, the last perhaps a part of one."""
        return self.data_bytes / self.record_bytes

    @property
    def whole_records(self) -> int:
        """Data records in the file that are whole."""
        return self.data_bytes // self.record_bytes


def is_edf(path: Path) -> bool:
    """Return True if a file begins as EDF or BDF does."""
    with path.open("rb") as file:
        head = file.read(256)
    return len(head) == 256 and head[:8] in MAGIC and head[252:256].strip().isdigit()


def read_header(path: Path) -> EdfHeader:
    """Read a file's layout.

    Raises
    ------
    RecordError
        Names the first field that is wrong.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        fixed = file.read(256)
        if len(fixed) < 256 or fixed[:8] not in MAGIC:
            raise RecordError(
                f"{path} is not a whole EDF file: it begins with {fixed[:8]!r}; expected EDF's or "
                "BDF's header of at least 256 bytes."
            )
        count = int(_number(path, "number of signals", fixed[252:256], 0, MAX_SIGNALS))
        signals = file.read(SIGNAL_BYTES * count)
    if not count:
        raise RecordError(f"{path} holds no signals.")
    header_bytes = 256 + SIGNAL_BYTES * count
    if len(signals) < SIGNAL_BYTES * count:
        raise RecordError(
            f"{path} is not a whole EDF file: its header of {count} signals takes {header_bytes} "
            f"bytes, and the file has {size}."
        )
    records = int(_number(path, "number of data records", fixed[236:244], -1, 1e9))
    duration = _number(path, "duration of a data record", fixed[244:252], -np.inf, np.inf)
    if duration <= 0:
        raise RecordError(
            f"{path} is not a whole EDF file: its data records last {duration:g} s; expected "
            "more than 0."
        )
    samples = signals[216 * count : 224 * count]
    return EdfHeader(
        MAGIC[fixed[:8]],
        header_bytes,
        records,
        duration,
        fixed[192:197] in (b"EDF+D", b"BDF+D"),
        tuple(signals[16 * i : 16 * i + 16].decode("latin-1").rstrip() for i in range(count)),
        tuple(
            int(
                _number(
                    path,
                    f"samples a record of signal {i + 1}",
                    samples[8 * i : 8 * i + 8],
                    1,
                    1e8,
                )
            )
            for i in range(count)
        ),
        size - header_bytes,
    )


def read_codes(path: Path, header: EdfHeader, channel: int) -> NDArray[np.int16]:
    """Return a signal's numbers, of all whole data records of an EDF file, int16 [samples]."""
    before, size = sum(header.samples[:channel]), header.samples[channel]
    codes = np.empty(header.whole_records * size, dtype=np.int16)
    with path.open("rb") as file:
        file.seek(header.header_bytes)
        some = max(1, AT_ONCE // header.record_bytes)
        for first in range(0, header.whole_records, some):
            count = min(some, header.whole_records - first)
            records = np.fromfile(file, "<i2", count * header.record_bytes // 2).reshape(count, -1)
            codes[first * size : (first + count) * size] = records[
                :, before : before + size
            ].ravel()
    return codes


def record_places(path: Path, header: EdfHeader, size: int) -> NDArray[np.int64]:
    """Return the first sample of each data record of a recording that may have paused.

    Parameters
    ----------
    size : samples of the signal in a data record

    Raises
    ------
    RecordError
        The records have no times, overlap, or lie too far from each other for one recording.
    """
    onsets = _onsets(path, header)
    steps = np.diff(onsets) * size / header.duration_s
    lost = np.rint(steps).astype(np.int64) - size
    if len(lost) and lost.min() < 0:
        at = int(np.argmin(lost))
        raise RecordError(
            f"{path}: data record {at + 2} begins at {onsets[at + 1]:g} s, before the one in front "
            "of it has ended; expected records in order."
        )
    starts = size * np.arange(len(onsets)) + np.append(0, np.cumsum(lost))
    signal_s, whole_s = header.duration_s * len(onsets), onsets[-1] - onsets[0]
    if whole_s > max(MAX_LENGTHENING * signal_s, MAX_LENGTH_S):
        raise RecordError(
            f"{path} has {signal_s:.3g} s of signal spread over {whole_s:.3g} s; expected one "
            "recording."
        )
    return starts


def _onsets(path: Path, header: EdfHeader) -> NDArray[np.float64]:
    """The time of each data record, s."""
    if header.annotations not in header.labels:
        raise RecordError(
            f"{path} is a discontinuous recording (EDF+D) without the times of its data records; "
            "expected a signal 'EDF Annotations'."
        )
    channel = header.labels.index(header.annotations)
    before = header.sample_bytes * sum(header.samples[:channel])
    length = header.sample_bytes * header.samples[channel]
    data = np.memmap(path, np.uint8, "r", header.header_bytes)
    rows = data[: header.whole_records * header.record_bytes].reshape(-1, header.record_bytes)
    found = []
    for i, row in enumerate(rows[:, before : before + length]):
        match = ONSET.match(row.tobytes())
        if not match:
            raise RecordError(
                f"{path} is a discontinuous recording (EDF+D), and its data record {i + 1} does "
                "not say when it begins."
            )
        found.append(float(match[1]))
    return np.array(found)


def _number(path: Path, field: str, text: bytes, least: float, most: float) -> float:
    written = text.decode("latin-1").strip(" \0")
    try:
        value = float(written)
    except ValueError:
        value = np.nan
    if not least <= value <= most:
        raise RecordError(
            f"{path} is not a whole EDF file: the {field} in its header is {written!r}; "
            "expected a number."
        )
    return value
