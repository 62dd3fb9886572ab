"""Bounded work: a full server refuses at once, and finishes the requests that it has accepted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import EkgError

WAIT_S = 0.05  # a queue may cost this long
SHORTEST, LONGEST = 4, 32  # but holds so many requests at least, and at most
OVERLOADED = 0.5  # the share of requests refused beyond which no queue is kept
UNDER_OVERLOAD = 1  # in work; at such a rate the next one comes soon enough
MEMORY = 0.1  # weight of the newest request in the averages: they look back some ten
STALL = 24  # times the average; a request that took longer was held up, or the first of many
RETRY_AFTER_S = 1


class OverloadError(EkgError):
    """The server has more work than it can do in time."""

    def __init__(self) -> None:
        super().__init__(
            "the server has more work than it can do in time; send the request "
            "again after the time that Retry-After says."
        )


class Admission:
    """The bound on requests in work, in one worker. Safe to use from threads.

    Patients' chunks come in bursts, and a short queue smooths these at little cost. Under an
    overload the same queue never empties: it adds its length to everyone's latency and lets no
    one more through. So its bound is a time, which requests of any size can be measured by, and
    if most are refused anyway it gives up the queue.

    Parameters
    ----------
    changed : called with each change of the number of requests in work
    work_s : of a request, until some were seen
    clock : gives s
    """

    def __init__(
        self,
        changed: Callable[[int], None] = lambda _: None,
        *,
        work_s: float = WAIT_S / LONGEST,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._changed, self._clock = changed, clock
        self._lock = threading.Lock()
        self._in_work = 0
        self._refused = 0.0  # share of the last requests
        self._work_s = work_s  # of one request, were it alone

    def enter(self) -> None:
        """Take a place, until `leave`.

        Raises
        ------
        OverloadError
            At once, if there is no room.
        """
        with self._lock:
            self._refuse_if_full()
            self._refused -= MEMORY * self._refused
            self._in_work += 1
        self._changed(1)

    def leave(self, seconds: float, places: int = 1) -> None:
        """Give back the places of what was answered together.

        Parameters
        ----------
        seconds : the work of one
        places : how many were answered
        """
        with self._lock:
            # Held up once, by another program, it would make a burst too many for a while.
            seconds = min(seconds, STALL * max(self._work_s, WAIT_S / LONGEST))
            self._work_s += MEMORY * (seconds - self._work_s)
            self._in_work -= places
        self._changed(-places)

    @contextmanager
    def work(self) -> Iterator[None]:
        """Compute inside this, beside others.

        Raises
        ------
        OverloadError
            At once, if there is no room.
        """
        self.enter()
        started = self._clock()
        try:
            yield
        finally:
            # All in work share one core and Python's lock, so each took its part.
            self.leave((self._clock() - started) / self._in_work)

    def check(self) -> None:
        """Raise `OverloadError` if `enter` would, before anything is spent on a request."""
        with self._lock:
            self._refuse_if_full()

    @property
    def room(self) -> int:
        """Requests that may be in work at once, as things are."""
        if self._refused > OVERLOADED:
            return UNDER_OVERLOAD
        return max(SHORTEST, min(LONGEST, int(WAIT_S / max(self._work_s, 1e-9))))

    def _refuse_if_full(self) -> None:
        if self._in_work < self.room:
            return
        self._refused += MEMORY * (1.0 - self._refused)
        raise OverloadError
