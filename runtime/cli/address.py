"""Ports: which one is free, and whether one can be listened on."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from ..errors import InputError


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on now.

    Raises
    ------
    InputError
        Says why.
    """
    with _socket(host) as probe:
        if os.name == "posix":  # elsewhere the option takes the port from whoever has it
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise InputError(
                f"cannot listen on {host}:{port} "
                f"({getattr(error, 'strerror', None) or error}); choose another "
                "with --port, or stop what uses it."
            ) from error


def free_port(host: str) -> int:
    """Return a port that nobody listens on; 0 if the host is none, as `check_address` will say."""
    with suppress(OSError), _socket(host) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
    return 0


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
