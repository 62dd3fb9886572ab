"""Messages of Polar's straps, and of any strap's heart-rate service.

Polar publishes its measurement data (PMD) service with the SDK at
https://github.com/polarofit/polar-ble-sdk; the heart-rate service is the Bluetooth SIG's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

FS = 130.0  # of an H10's ECG
PMD_SERVICE = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
PMD_CONTROL = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
PMD_DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
HEART_RATE_SERVICE = "0000180d-0000-1000-8000-00805f9b34fb"
HEART_RATE = "00002a37-0000-1000-8000-00805f9b34fb"
# Start ECG (type 0) with setting 0, one value, 130 Hz, and setting 1, one value, 14 bits.
START_ECG = bytes((0x02, 0x00, 0x00, 0x01, 0x82, 0x00, 0x01, 0x01, 0x0E, 0x00))
STOP_ECG = bytes((0x03, 0x00))
ANSWER, STARTED, ALREADY = 0xF0, 0, 6
HEADER_BYTES = 10  # type, time of the last sample in ns, form of the frame
SAMPLE_BYTES = 3  # uV, with sign
MAX_GAP_S = 3600.0


@dataclass(frozen=True)
class HeartRate:
    """What a strap's heart-rate service says.

    Attributes
    ----------
    bpm : beats a minute
    rr_ms : intervals between beats that ended since the message before
    """

    bpm: int
    rr_ms: tuple[float, ...]


def read_ecg(frame: bytes) -> tuple[float, NDArray[np.float64]]:
    """Return the device's time of the last sample, s, and the samples, mV.

    Raises
    ------
    InputError
        The frame is no ECG, or of another form.
    """
    if len(frame) < HEADER_BYTES or frame[0] != 0 or frame[9] != 0:
        raise InputError(
            f"the strap sent {bytes(frame[:HEADER_BYTES]).hex(' ')!r}; expected a frame of ECG "
            "(type 0, form 0)."
        )
    body = frame[HEADER_BYTES:]
    octets = np.frombuffer(body[: len(body) // SAMPLE_BYTES * SAMPLE_BYTES], np.uint8)
    octets = octets.reshape(-1, SAMPLE_BYTES).astype(np.int32)
    values = octets[:, 0] | octets[:, 1] << 8 | octets[:, 2] << 16
    values -= (values >= 1 << 23).astype(np.int32) << 24
    return int.from_bytes(frame[1:9], "little") / 1e9, values / 1000.0


def read_heart_rate(message: bytes) -> HeartRate:
    """Return rate and intervals of a heart-rate measurement (0x2A37).

    Raises
    ------
    InputError
        It is cut off.
    """
    try:
        flags = message[0]
        at = 3 if flags & 1 else 2
        bpm = int.from_bytes(message[1:at], "little")
        at += 2 if flags & 8 else 0  # energy expended
        rest = message[at:] if flags & 16 else b""
    except IndexError:
        raise InputError("the strap sent an empty heart-rate measurement.") from None
    pairs = zip(rest[::2], rest[1::2], strict=False)
    return HeartRate(bpm, tuple((low | high << 8) * 1000 / 1024 for low, high in pairs))


class PacketPlacer:
    """Puts packets one behind the other, NaN for those that were lost."""

    def __init__(self, fs: float):
        self.fs = fs
        self._last: tuple[float, float] | None = None  # device's time and ours, s

    def place(
        self, device_s: float, here_s: float, samples: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the samples, with what is missing in front of them; none of a repeated packet.

        Parameters
        ----------
        device_s : the device's time of the last sample, s
        here_s : ours, which counts if the device's clock was set anew
        """
        lost = 0
        if self._last is not None:
            elapsed = device_s - self._last[0]
            if -len(samples) / self.fs < elapsed <= 0:
                return samples[:0]
            if not 0 < elapsed < MAX_GAP_S:
                elapsed = min(here_s - self._last[1], MAX_GAP_S)
            lost = round(elapsed * self.fs) - len(samples)
        self._last = device_s, here_s
        # A sample more or less is the clock's rounding.
        return np.concatenate([np.full(lost, math.nan), samples]) if lost > 2 else samples
