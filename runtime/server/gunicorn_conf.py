"""gunicorn's configuration; ``python -m runtime serve`` uses it, and so can an operator.

Nothing of this package is imported here: gunicorn's master reads this file before it forks, the
package loads ONNX Runtime, that starts threads at import, and a forked worker aborts at exit
when it tears down threads it never had.
"""

import contextlib
import errno
import importlib
import json
import logging
import mmap
import os
import selectors
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

PACKAGE = Path(__file__).resolve().parent.parent.name  # runtime in a checkout, ekg elsewhere
# Of gunicorn's settings; where they are others than its own, its parser has to read every request.
LIMITS = ("limit_request_line", "limit_request_fields", "limit_request_field_size")
REQUEST_S = 10.0  # a request has to arrive, and its answer to leave, in such a time
try:
    DRAIN_S = float(os.environ.get("EKG_DRAIN", "2"))  # not ready, but still accepting
    if not 0 <= DRAIN_S <= 3600:
        raise ValueError
except ValueError:  # `serve` says it before; this is for who runs gunicorn without it
    sys.exit(f"EKG_DRAIN is {os.environ['EKG_DRAIN']!r}; expected seconds, 0 to 3600.")
# A process for each core, because the network runs on one thread (`serve` counts them, in the
# cgroup too); the threads of each are for what its event loop does not answer itself, and mostly
# wait for clients; ekg.server.admission says how many compute.
try:
    workers = int(os.environ.get("EKG_WORKERS") or os.cpu_count() or 1)
    if workers < 1:
        raise ValueError
except ValueError:
    sys.exit(f"EKG_WORKERS is {os.environ['EKG_WORKERS']!r}; expected a whole number from 1 on.")
# Of ekg.server.metrics, one for each worker: at a reload the old ones live beside the new.
ROWS, ROW_BYTES = 2 * workers + 64, 8192
LINGER_S = 1.0  # for a request that is already on its way when the worker stops
GAUGE_BYTES = 64  # the part of a row that ends with its worker

# Memory that all workers share; pages that nobody writes cost nothing.
counters = mmap.mmap(-1, ROWS * ROW_BYTES)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's threaded worker, with an operator's manners and a short way for short requests.

    Its event loop reads requests itself, of any kind until their head is there. What
    `.direct` takes it answers, the short ones in the loop, those that came together as one
    batch, and longer ones in a thread for them; so refusing costs next to nothing while others
    compute. Everything else goes to gunicorn's threads and parser, with what was read so far.

    It says 'not ready' before it stops accepting, lets no slow client keep a thread, answers
    broken HTTP as the application answers, and leaves the port as soon as the master is gone.
    """

    alive: bool
    row = 0
    draining = False
    direct: Any = None  # a ekg.server.direct.Direct, where nothing is wanted that it leaves out

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.parting: deque[Any] = deque()  # answered for the last time, not yet closed
        self.arriving: dict[Any, float] = {}  # connection -> when its request has to be there
        self.whole: list[Any] = []  # connections whose request was read in this turn

    def run(self) -> None:
        """Serve until told to stop."""
        cfg = self.cfg
        http2 = getattr(cfg, "http2_cleartext", "off") != "off"
        plain = (
            cfg.keepalive
            and not (cfg.is_ssl or http2 or cfg.accesslog or cfg.max_requests or cfg.statsd_host)
            and all(cfg.settings[limit].get() == cfg.settings[limit].default for limit in LIMITS)
        )
        self.direct = getattr(self.wsgi, "extensions", {}).get("direct") if plain else None
        self.lane = ThreadPoolExecutor(1)
        super().run()
        self.lane.shutdown(wait=False)

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; no thread waits for its first byte."""
        if self.direct is None:
            super().accept(listener)
            return
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        self._make_punctual(conn)
        self._await(conn)

    def _await(self, conn: Any) -> None:
        """Wait for the next request of a connection."""
        conn.sock.setblocking(False)
        conn.unwanted = 0
        self._idle(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn)
        )

    def _forget(self, conn: Any) -> None:
        """Wait for nothing more on a connection."""
        self.poller.unregister(conn.sock)
        if self.arriving.pop(conn, None) is None:
            self.keepalived_conns.remove(conn)

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Take what has come."""
        if self.direct is None:
            super().on_client_socket_readable(conn, client)
            return
        try:
            piece = socket.socket.recv(client, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            piece, conn.octets = b"", b""
        if not piece and not conn.octets:
            self._forget(conn)
            self.nr_conns -= 1
            conn.close()
            return
        if conn.unwanted and piece:  # the body of a request that was refused
            dropped = min(conn.unwanted, len(piece))
            conn.unwanted, piece = conn.unwanted - dropped, piece[dropped:]
            if not conn.unwanted:
                self._again(conn)
            if not piece:
                return
        conn.octets += piece
        self._decide(conn, last=not piece)

    def _decide(self, conn: Any, *, last: bool) -> None:
        """Pass on the request that is there, or wait for more of it."""
        end = 0 if conn.asked else conn.octets.find(b"\r\n\r\n")
        if end > 0:
            conn.asked = self.direct.begin(conn.octets[: end + 4])
        asked, full = conn.asked, len(self.keepalived_conns) >= self.max_keepalived
        if end < 0 and not last and self.direct.may_be(conn.octets):
            self._arrive(conn)
        elif asked is None or last or full or not self.alive:
            self._to_thread(conn)
        elif len(conn.octets) == asked.size:
            asked.body = conn.octets[asked.head :]
            self.whole.append(conn)
        elif len(conn.octets) > asked.size:  # more than one request
            self._to_thread(conn)
        elif self.direct.full(asked):
            self._refuse(conn)
        elif asked.size > self.direct.gathered:
            self._to_thread(conn)
        else:
            self._arrive(conn)

    def _arrive(self, conn: Any) -> None:
        """Wait for the rest of a request, but not for ever."""
        if conn not in self.arriving:
            self.keepalived_conns.remove(conn)
            self.arriving[conn] = time.monotonic() + REQUEST_S

    def _again(self, conn: Any) -> None:
        """A connection that was answered may ask again."""
        if self.arriving.pop(conn, None) is None:
            self.keepalived_conns.remove(conn)
        self._idle(conn)

    def _idle(self, conn: Any) -> None:
        conn.octets, conn.asked = b"", None
        conn.timeout = time.monotonic() + (self.cfg.keepalive if self.alive else LINGER_S)
        self.keepalived_conns.append(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Read what there is, then answer."""
        super().wait_for_and_dispatch_events(timeout)
        if self.whole:
            whole, self.whole = self.whole, []
            self._serve(whole)

    def _serve(self, whole: list[Any]) -> None:
        short = []
        for conn in whole:
            if not self.direct.enter(conn.asked):
                self._refuse(conn)
            elif conn.asked.short:
                short.append(conn)
            else:
                self._forget(conn)
                computed = self.lane.submit(self.direct.answer, [conn.asked])
                computed.add_done_callback(partial(self.method_queue.defer, self._computed, conn))
        if short:
            answers = self.direct.answer([conn.asked for conn in short])
            for conn, answer in zip(short, answers, strict=True):
                if answer is None:
                    self._to_thread(conn)
                else:
                    self._send(conn, answer)

    def _computed(self, conn: Any, done: Future[list[bytes | None]]) -> None:
        octets, asked, answer = conn.octets, conn.asked, done.result()[0]
        self._await(conn)
        conn.octets, conn.asked = octets, asked
        if answer is None:
            self._to_thread(conn)
        else:
            self._send(conn, answer)

    def _refuse(self, conn: Any) -> None:
        """Say 503, and hear out what comes of the body: most clients listen only after it."""
        left = conn.asked.size - len(conn.octets)
        if self._send(conn, self.direct.refusal(conn.asked)) and left:
            conn.unwanted = left
            self._arrive(conn)

    def _send(self, conn: Any, answer: bytes) -> bool:
        """Answer; tells whether the whole answer is on its way and the connection listened to."""
        try:
            sent = socket.socket.send(conn.sock, answer)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._forget(conn)
            self.nr_conns -= 1
            conn.close()
            return False
        if sent == len(answer):
            self._again(conn)
            return True
        self._forget(conn)  # it does not listen; that must not stop the loop
        rest = self.tpool.submit(conn.sock.sendall, answer[sent:])
        rest.add_done_callback(partial(self.method_queue.defer, self._sent, conn))
        return False

    def _sent(self, conn: Any, done: Future[None]) -> None:
        if done.exception() is None:
            self._await(conn)
        else:
            self.nr_conns -= 1
            conn.close()

    def _to_thread(self, conn: Any) -> None:
        """Leave a request to gunicorn's parser and the application."""
        self._forget(conn)
        conn.data_ready = True
        self.enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Serve a request, in a thread."""
        if octets := getattr(conn, "octets", b""):
            conn.octets = b""
            conn.init()
            conn.parser.unreader.unread(octets)
        return super().handle(conn)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Back in the loop, after a thread has served a request."""
        left = b""  # what the parser has of the next request; the loop waits for the rest of it
        if self.direct is not None and conn.parser is not None:
            unreader = conn.parser.unreader
            left = unreader.read() if unreader.buf.getvalue() else b""
        kept = len(self.keepalived_conns)
        super().finish_request(conn, fs)
        conn.octets, conn.asked, conn.unwanted = left, None, 0
        if left and len(self.keepalived_conns) > kept:
            self._decide(conn, last=False)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM: not ready, then no more connections, then finish what was accepted."""
        if self.draining or not self.alive:
            return
        if not self.booted:  # there is no application yet to be not ready, nor a connection
            self.alive = False
            return
        self._say_not_ready()
        leave = threading.Timer(DRAIN_S, self.method_queue.defer, (self._leave,))
        leave.daemon = True
        leave.start()

    def _say_not_ready(self) -> None:
        self.draining = True
        if self.wsgi is not None:
            self.wsgi.config["DRAINING"] = True

    def _leave(self) -> None:
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        for conn in (*self.pending_conns, *self.keepalived_conns):  # nothing was asked on these
            conn.timeout = min(conn.timeout, time.monotonic() + LINGER_S)
        self.alive = False

    def is_parent_alive(self) -> bool:
        """True if the master is there; if not, its successor needs the port."""
        alive = bool(super().is_parent_alive())
        if not alive:
            self._say_not_ready()
            self._leave()
        return alive

    def enqueue_req(self, conn: Any) -> None:
        """Hand a readable connection to a thread, with a limit to its patience."""
        if not isinstance(conn.sock, PunctualSocket):
            self._make_punctual(conn)
        conn.sock.until = time.monotonic() + REQUEST_S
        conn.sock.answered = False
        super().enqueue_req(conn)

    def _make_punctual(self, conn: Any) -> None:
        conn.sock = PunctualSocket(fileno=conn.sock.detach())
        # gunicorn would let a thread wait 5 s for a new connection's first byte,
        wait = conn.wait_for_data
        conn.wait_for_data = lambda timeout: wait(min(timeout, 0.02))
        # and the loop that serves everyone 2 s for a client to close its side.
        conn.close = partial(self._part, conn, conn.close)

    def _part(self, conn: Any, close: Callable[[], None], graceful: bool = False) -> None:
        """Close a connection once the client has, or soon, without waiting for it here."""
        try:
            if not graceful:
                raise OSError
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError):
            close()
            return
        self.nr_conns += 1  # it was just counted out
        conn.close, conn.timeout = close, time.monotonic() + LINGER_S
        self.parting.append(conn)

    def _drain(self, conn: Any, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if socket.socket.recv(sock, 1 << 16):
                return  # what it still sends is not wanted, but closing now would reset it
        self.parting.remove(conn)
        self._gone(conn)

    def _gone(self, conn: Any) -> None:
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Close connections whose time is over."""
        super().murder_pending()
        now = time.monotonic()
        while self.arriving and (conn := next(iter(self.arriving))) and self.arriving[conn] < now:
            self._forget(conn)
            self.nr_conns -= 1
            conn.close()
        while self.parting and self.parting[0].timeout < now:
            self._gone(self.parting.popleft())

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what no application sees because it is no HTTP."""
        if getattr(client, "answered", False):
            return  # a second answer would be taken for the next request's
        status, title = 400, "Bad Request"
        detail = (
            "the request is not HTTP/1.1 that this server reads; expected a request line, "
            "headers and a body as RFC 9112 has them."
        )
        if isinstance(exc, errors.LimitRequestLine):
            status, title = 414, "URI Too Long"
            detail = (
                "the request line is too long; expected at most "
                f"{self.cfg.limit_request_line} bytes."
            )
        elif isinstance(exc, errors.LimitRequestHeaders):
            status, title = 431, "Request Header Fields Too Large"
            detail = (
                "the request's headers are too many or too long; expected at most "
                f"{self.cfg.limit_request_fields}, each of at most "
                f"{self.cfg.limit_request_field_size} bytes."
            )
        elif isinstance(exc, errors.ExpectationFailed):
            status, title = 417, "Expectation Failed"
            detail = (
                "the request's header 'Expect' asks for what is not known here; expected "
                "'100-continue', or no such header."
            )
        elif req is not None and not isinstance(exc, errors.ParseException):
            status, title = 500, "Internal Server Error"
            detail = "the server failed on this request; its log says where."
        id_ = os.urandom(16).hex()  # the client's own may be in what could not be read
        logging.getLogger("ekg").log(
            logging.ERROR if status == 500 else logging.INFO,
            "broken request",
            exc_info=exc if status == 500 else None,
            extra={"fields": {"id": id_, "status": status}},
        )
        body = json.dumps(
            {
                "type": "about:blank",
                "title": title,
                "status": status,
                "detail": detail,
                "request_id": id_,
            }
        )
        with contextlib.suppress(OSError):  # nobody listens
            client.sendall(
                f"HTTP/1.1 {status} {title}\r\nConnection: close\r\n"
                f"Content-Type: application/problem+json\r\n"
                f"X-Request-ID: {id_}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )


class PunctualSocket(socket.socket):
    """A connection on which waiting ends at a moment, not after each byte."""

    until = 0.0
    answered = False  # something was sent since the last request came

    def recv(self, *args: Any) -> bytes:  # type: ignore[override]
        """Receive, until the moment."""
        return self._punctual(super().recv, *args)

    def recv_into(self, *args: Any) -> int:  # type: ignore[override]
        """Receive into a buffer, until the moment."""
        return self._punctual(super().recv_into, *args)

    def send(self, *args: Any) -> int:  # type: ignore[override]
        """Send what goes, until the moment."""
        return self._punctual(super().send, *args)

    def sendall(self, *args: Any) -> None:  # type: ignore[override]
        """Send all, in a time of its own."""
        # The answer has its own time, counted from when there is one.
        self.answered = True
        self.until = time.monotonic() + REQUEST_S
        self._punctual(super().sendall, *args)

    def _punctual(self, call: Callable[..., Any], *args: Any) -> Any:
        self.settimeout(max(self.until - time.monotonic(), 0.001))
        try:
            return call(*args)
        except TimeoutError:  # gunicorn knows what to do with a connection that was reset
            raise ConnectionResetError(errno.ECONNRESET, "the client is too slow") from None


class JsonLines(logging.Handler):
    """One JSON object a line on standard error; a full disk loses lines, not requests.

    Of an exception it writes type and places, not the message, which may quote a request;
    ``EKG_LOG=debug`` adds that.
    """

    lost: Callable[[], None] = staticmethod(lambda: None)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as one line."""
        entry = {
            "time": self.moment(record.created),
            "level": record.levelname.lower(),
            "pid": record.process,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            entry["error"] = type(error).__name__
            entry["where"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
            if loglevel == "debug":
                entry["message"] = str(error)
        try:
            os.write(2, (json.dumps(entry) + "\n").encode())  # whole lines, from any worker
        except OSError:
            type(self).lost()

    @staticmethod
    def moment(seconds: float) -> str:
        """Return the time in UTC, to the millisecond."""
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


def pre_fork(server: Any, worker: Worker) -> None:
    """Give the worker a row that no living one counts in."""
    taken = {other.row for other in server.WORKERS.values()}
    worker.row = next(row for row in range(ROWS) if row not in taken)


def post_fork(server: Any, worker: Worker) -> None:
    """In the worker, before it loads the application."""
    metrics = importlib.import_module(f"{PACKAGE}.server.metrics")
    metrics.attach(memoryview(counters), worker.row)
    JsonLines.lost = staticmethod(metrics.Metrics().log_line_lost)
    # A thread that comes back from the network or the disk waits this long for Python's lock,
    # at most; with the default of 5 ms short requests would wait for long ones.
    sys.setswitchinterval(0.0005)


def child_exit(server: Any, worker: Worker) -> None:
    """In the master: a worker that is gone has nothing in work."""
    start = worker.row * ROW_BYTES
    counters[start : start + GAUGE_BYTES] = bytes(GAUGE_BYTES)


wsgi_app = f"{PACKAGE}.server.app:create_app()"
bind = os.environ.get("EKG_BIND", "127.0.0.1:8000")
worker_class = Worker
threads = 64
# Each worker loads its own model after the fork: ONNX Runtime does not survive one.
preload_app = False
timeout = 60
graceful_timeout = int(DRAIN_S) + 30
keepalive = 75
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True  # gunicorn 25.1 and later would open one
# info tells every request, warning only what is wrong; no line quotes a request.
loglevel = os.environ.get("EKG_LOG", "info")
if loglevel not in ("debug", "info", "warning", "error"):
    sys.exit(f"EKG_LOG is {loglevel!r}; expected debug, info, warning or error.")
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"lines": {"()": JsonLines}},
    "root": {"level": "WARNING", "handlers": ["lines"]},
    "loggers": {
        "ekg": {"level": loglevel.upper(), "handlers": ["lines"], "propagate": False},
        "gunicorn.error": {"level": "WARNING", "handlers": ["lines"], "propagate": False},
    },
}
