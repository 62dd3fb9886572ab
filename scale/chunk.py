"""A piece of one patient's signal as bytes, as devices publish it.

All numbers are little-endian. A header of 40 bytes, the samples, and a CRC-32 of both:

====== ======= ==================================================================================
offset type    meaning
====== ======= ==================================================================================
0      4 bytes ``EKGc``
4      uint8   version, 1
5      uint8   form: 0 for float32 samples, 1 for int16; plus 128 in a recording's last chunk
6      int16   of int16 samples: the value that stands for a missing one; else 0
8      float64 rate, Hz
16     uint64  the recording: when it began, microseconds since 1970; a later one replaces it
24     uint64  number of the first sample, counted from the recording's start
32     uint32  number of samples, 0 is allowed
36     float32 units: mV for one step of the numbers (1 for mV, 0.001 for uV, 0.005 for 200/mV)
====== ======= ==================================================================================

A missing sample is NaN, or the int16 value that the header names. The numbers make gaps and
doubles visible, whoever lost or repeated a chunk.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ekg import InputError

MAX_SAMPLES = 1 << 18  # 1 MB as float32, the most that NATS takes by default in one message
MAX_NUMBER = 1 << 40  # 34 years at 1000 Hz, as of a stream
MISSING = -32768  # the usual sentinel

_MAGIC, _VERSION, _INT16, _LAST = b"EKGc", 1, 1, 128
_HEAD = struct.Struct("<4sBBhdQQIf")
_EXPECTED = "expected the bytes that `scale.chunk` describes"


@dataclass(frozen=True, eq=False)
class Chunk:
    """One piece of signal.

    Attributes
    ----------
    fs : Hz
    recording : when it began, microseconds since 1970
    first : number of the first sample
    samples : float32 [samples], mV; NaN where one is missing
    last : True if the recording ends with it
    """

    fs: float
    recording: int
    first: int
    samples: NDArray[np.float32]
    last: bool = False

    @property
    def end(self) -> int:
        """Number of the sample after the last one."""
        return self.first + len(self.samples)


def pack(chunk: Chunk, *, step_mv: float | None = None) -> bytes:
    """Return the chunk's bytes.

    Parameters
    ----------
    step_mv : write int16 of this step, half the size; float32 in mV without it

    Raises
    ------
    InputError
        A sample does not fit into int16 of this step.
    """
    form, missing, scale, samples = 0, 0, 1.0, chunk.samples.astype("<f4")
    if step_mv is not None:
        form, missing, scale = _INT16, MISSING, step_mv
        steps = np.rint(samples / np.float32(step_mv))
        absent = np.isnan(steps)
        if not (np.abs(steps[~absent]) <= 32767).all():
            raise InputError(
                f"a sample does not fit into int16 of {step_mv:g} mV; expected a larger step."
            )
        samples = np.where(absent, MISSING, steps).astype("<i2")
    body = _HEAD.pack(
        _MAGIC,
        _VERSION,
        form + _LAST * chunk.last,
        missing,
        chunk.fs,
        chunk.recording,
        chunk.first,
        len(samples),
        scale,
    )
    body += samples.tobytes()
    return body + zlib.crc32(body).to_bytes(4, "little")


def unpack(data: bytes) -> Chunk:
    """Return the chunk of these bytes.

    Raises
    ------
    InputError
        They are damaged, or no chunk.
    """
    if len(data) < _HEAD.size + 4 or data[:4] != _MAGIC:
        raise InputError(f"{len(data)} bytes are no chunk of signal; {_EXPECTED}.")
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise InputError(f"a chunk is damaged: its checksum differs; {_EXPECTED}.")
    _, version, form, missing, fs, recording, first, count, scale = _HEAD.unpack_from(data)
    last, form = bool(form & _LAST), form & ~_LAST
    if version != _VERSION or form > _INT16:
        raise InputError(f"a chunk has version {version}, form {form}; expected version 1.")
    kind = np.dtype("<i2" if form == _INT16 else "<f4")
    fits = (
        len(data) == _HEAD.size + count * kind.itemsize + 4
        and count <= MAX_SAMPLES
        and first + count < MAX_NUMBER
        and 0 < fs < math.inf
        and 0 < scale < math.inf
    )
    if not fits:
        raise InputError(f"a chunk contradicts itself: {count} samples at {fs:g} Hz; {_EXPECTED}.")
    raw = np.frombuffer(data, kind, count, _HEAD.size)
    with np.errstate(over="ignore"):
        samples = raw.astype(np.float32) * np.float32(scale)
    if form == _INT16:
        samples[raw == missing] = np.nan
    return Chunk(fs, recording, first, samples, last)
