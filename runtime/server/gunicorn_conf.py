"""gunicorn's configuration; ``python -m runtime serve`` uses it, and so can an operator.

Nothing of this package is imported here: gunicorn's master reads this file before it forks, the
package loads ONNX Runtime, that starts threads at import, and a forked worker aborts at exit
when it tears down threads it never had.
"""

import contextlib
import importlib
import logging
import mmap
import os
import resource
import runpy
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

from uvicorn_worker import UvicornWorker

PACKAGE = Path(__file__).resolve().parent.parent.name  # runtime in a checkout, ekg elsewhere
# Of ekg.server.metrics, one for each worker, and the last for what the health checks say.
ROWS, ROW_BYTES = 512, 16384
GAUGE_BYTES = 64  # the part of a row that ends with its worker
FILES, RESERVED_FILES = 65_536, 64  # a process may open; of these not for connections
# What needs the standard library only.
JsonLines: Any = runpy.run_path(str(Path(__file__).with_name("log.py")))["JsonLines"]
named = runpy.run_path(str(Path(__file__).with_name("clients.py")))
log = logging.getLogger("ekg")


class Worker(UvicornWorker):  # type: ignore[misc]  # gunicorn has no types
    """uvicorn's worker with `.connection`'s limits; it leaves the port once the master is gone."""

    CONFIG_KWARGS = {  # noqa: RUF012  # as uvicorn has it
        "loop": "asyncio",
        "http": f"{PACKAGE}.server.connection:Connection",
        "ws": "none",
        "ssl_version": ssl.PROTOCOL_TLS_SERVER,  # 1.2 and later
        "lifespan": "on",
        "proxy_headers": False,  # nobody asks who the client is
        "server_header": False,
        "timeout_notify": 0,  # s between heartbeats, beside uvicorn's own second
    }

    async def callback_notify(self) -> None:
        """Tell the master that this worker lives, each second."""
        await super().callback_notify()
        if self.ppid != os.getppid():
            signal.raise_signal(signal.SIGINT)


class Reload:
    """SIGHUP: new workers serve with the model, clients and certificate that lie there then.

    They are checked first: a bad one changes nothing but the log and what the health checks say.
    The old workers go once as many new ones are ready.
    """

    def __init__(self, server: Any):
        self.server, self.manage = server, server.manage_workers
        self.check: subprocess.Popen[bytes] | None = None
        self.said = b""
        self.age = 0  # of the newest old worker, while new ones come
        self.wanted = 0  # workers
        server.handle_hup, server.manage_workers = self.begin, self.go_on

    def begin(self) -> None:
        """Check what lies there, unless a reload is under way."""
        if self.check is None and not self.age:
            code = f"from {PACKAGE}.server.app import fault_of_start as f; print('checked', f())"
            self.check = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            os.set_blocking(self.check.stdout.fileno(), False)  # type: ignore[union-attr]
            self.said = b""

    def go_on(self) -> None:
        """Take the next step of a reload; the master calls this each second, or sooner."""
        if self.check is not None and self._is_checked():
            self.check = None
            self._judge()
        elif self.age:
            ready = [w for w in self.server.WORKERS.values() if w.age > self.age and self._ready(w)]
            if len(ready) >= self.wanted:
                self.age, self.server.num_workers = 0, self.wanted
        self.manage()

    def _judge(self) -> None:
        _, checked, fault = self.said.decode(errors="replace").rpartition("checked ")
        fault = fault.strip() if checked else "the check did not come to its end."
        notice = f"the last reload was refused: {fault}".encode() if fault else b""
        self.server.counters[-ROW_BYTES:] = notice[:ROW_BYTES].ljust(ROW_BYTES, b"\0")
        if fault:
            log.error("the reload is refused", extra={"fields": {"reason": fault}})
        else:
            self.age, self.wanted = self.server.worker_age, self.server.num_workers
            self.server.num_workers += self.wanted

    def _is_checked(self) -> bool:
        """Read what the check says; its end comes once it has ended, which wakes the master."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.check.stdout.fileno(), 4096):  # type: ignore[union-attr]
                self.said += piece
            self.check.communicate()  # type: ignore[union-attr]
            return True
        return False

    def _ready(self, worker: Any) -> bool:
        start = worker.row * ROW_BYTES
        return any(self.server.counters[start + 8 : start + GAUGE_BYTES])


def on_starting(server: Any) -> None:
    """Make the memory that all workers share; pages that nobody writes cost nothing."""
    server.counters = mmap.mmap(-1, (ROWS + 1) * ROW_BYTES)
    server.clients = [
        named["DEFAULT"]
    ]  # every name there was, in the order of their places in a row


def when_ready(server: Any) -> None:
    """Reload in our way."""
    Reload(server)


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker a row that no living one counts in."""
    taken = {other.row for other in server.WORKERS.values()}
    worker.row = next(row for row in range(ROWS) if row not in taken)
    with contextlib.suppress(ValueError):  # the worker itself will say what is wrong
        found = named["read_clients"](os.environ.get("EKG_CLIENTS", ""))
        new = [one.name for one in found if one.name not in server.clients]
        server.clients += new[: named["MAX_CLIENTS"] - len(server.clients)]


def post_fork(server: Any, worker: Any) -> None:
    """In the worker, before it loads the application."""
    metrics = importlib.import_module(f"{PACKAGE}.server.metrics")
    metrics.attach(memoryview(server.counters), worker.row, server.clients)
    JsonLines.lost = staticmethod(metrics.Metrics().log_line_lost)
    connection = importlib.import_module(f"{PACKAGE}.server.connection")
    given = [getattr(server.cfg, name) or sys.maxsize for name in connection.Limits._fields]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_FILES
    connection.Connection.limits = connection.Limits(*given[:-1], min(given[-1], most))
    # A thread that comes back from the network or the disk waits this long for Python's lock,
    # at most; with the default of 5 ms short requests would wait for long ones.
    sys.setswitchinterval(0.0005)


def child_exit(server: Any, worker: Any) -> None:
    """In the master: a worker that is gone has nothing in work."""
    start = worker.row * ROW_BYTES
    server.counters[start : start + GAUGE_BYTES] = bytes(GAUGE_BYTES)


try:
    DRAIN_S = float(os.environ.get("EKG_DRAIN", "2"))  # not ready, but still accepting
    if not 0 <= DRAIN_S <= 3600:
        raise ValueError
except ValueError:  # `serve` says it before; this is for who runs gunicorn without it
    sys.exit(f"EKG_DRAIN is {os.environ['EKG_DRAIN']!r}; expected seconds, 0 to 3600.")
# A process for each core, because the network runs on one thread (`serve` counts them, in the
# cgroup too).
try:
    workers = int(os.environ.get("EKG_WORKERS") or os.cpu_count() or 1)
    if workers < 1:
        raise ValueError
except ValueError:
    sys.exit(f"EKG_WORKERS is {os.environ['EKG_WORKERS']!r}; expected a whole number from 1 on.")
# info tells every request, warning only what is wrong; no line quotes a request.
loglevel = os.environ.get("EKG_LOG", "info")
if loglevel not in ("debug", "info", "warning", "error"):
    sys.exit(f"EKG_LOG is {loglevel!r}; expected debug, info, warning or error.")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
with contextlib.suppress(ValueError, OSError):  # what the system allows it has
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))

certfile = os.environ.get("EKG_TLS_CERT") or None
keyfile = os.environ.get("EKG_TLS_KEY") or None
wsgi_app = f"{PACKAGE}.server.asgi:create()"
bind = os.environ.get("EKG_BIND", "127.0.0.1:8000")
worker_class = Worker
# Each worker loads its own model after the fork: ONNX Runtime does not survive one.
preload_app = False
timeout = 60
graceful_timeout = int(DRAIN_S) + 30
keepalive = 75
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True  # gunicorn 25.1 and later would open one
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"lines": {"()": JsonLines}},
    "root": {"level": "WARNING", "handlers": ["lines"]},
    "loggers": {
        "ekg": {"level": loglevel.upper(), "handlers": ["lines"], "propagate": False},
        # ERROR: uvicorn warns of each broken request, and those are logged as requests
        "gunicorn.error": {"level": "ERROR", "handlers": ["lines"], "propagate": False},
    },
}
