"""Devices at a serial port, which give numbers line by line; needs the package ``pyserial``."""

from __future__ import annotations

import io
import sys
from typing import IO, Any

from ..errors import InputError
from ..records.packages import need

BAUD = 115_200


def open_serial(port: str, baud: int) -> IO[str]:
    """Open a port as text.

    Parameters
    ----------
    port : ``/dev/ttyUSB0``, ``COM3``, or a URL of pyserial, as ``socket://host:port``

    Raises
    ------
    InputError
        There is no such port, or it cannot be opened.
    MissingPackageError
        There is no package ``pyserial``.
    """
    serial = need("serial", "to use a serial port", "pyserial")
    try:
        device = serial.serial_for_url(port, baudrate=baud)
    except (OSError, ValueError) as error:  # a SerialException is an OSError
        raise InputError(f"{port} cannot be opened ({error}).") from error
    # It may begin in the middle of a line, or with bytes that are no text.
    return io.TextIOWrapper(io.BufferedReader(_Port(device, port)), errors="replace")


class _Port(io.RawIOBase):
    """What comes at a port; a device that was unplugged has come to its end."""

    def __init__(self, device: Any, name: str):
        super().__init__()
        self._device, self._name = device, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            # Whatever waits, one byte at least: a full buffer may take seconds to come.
            got = self._device.read(max(1, min(len(buffer), self._device.in_waiting)))
        except OSError as error:
            print(f"{self._name} is gone ({error}).", file=sys.stderr)
            return 0  # the end of its signal
        buffer[: len(got)] = got
        return len(got)

    def close(self) -> None:
        if not self.closed:
            self._device.close()
        super().close()
