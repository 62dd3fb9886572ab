"""A client of the server, on numpy and the standard library's HTTP."""

from __future__ import annotations

import http.client
import json
import random
import runpy
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import EkgError, InputError
from .server.wire import RAW, bearer_token, decode_token
from .signal.resample import resampler
from .signal.units import as_numbers, to_millivolts

DEFAULT_URL = "http://127.0.0.1:8000"
MODEL_FS = 360  # Hz; the server's model may have another, which changes no refusal of a rate
STALE = 409
RECENT_S = 30.0  # of signal that is kept for a new model
BUSY = (429, 502, 503, 504)  # worth another try; a proxy says the second and the last


class RequestError(EkgError):
    """The server refused a request, or could not be reached; the message says why."""


class StaleError(RequestError):
    """The server has another model than the one that wrote the token.

    Attributes
    ----------
    recent_s : s of the last signal with which the stream goes on all the same; 0 if it cannot
    """

    def __init__(self, message: str, recent_s: float):
        super().__init__(message)
        self.recent_s = recent_s


class AwayError(RequestError):
    """The server could not be reached, or was busy, until the client's patience ended."""


class Client:
    """A keep-alive connection to a server. Not safe to use from two threads at once.

    Every request can be sent again, because the server keeps nothing: after a lost connection
    the client tries again until the server is back, and a stream goes on where it was.

    Parameters
    ----------
    url : of the server, without a path
    bearer : token, if the server asks for one; whitespace around it does not count
    timeout : s, for one answer
    patience : s to go on trying while the server cannot be reached or is busy; 0 tries once

    Attributes
    ----------
    retries : times that a request was sent again

    Raises
    ------
    RequestError, InputError
        The URL is no server's, or no header can carry the token.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        bearer: str | None = None,
        timeout: float = 30.0,
        patience: float = 60.0,
    ):
        if not (timeout > 0 and patience >= 0):
            raise InputError(
                f"timeout is {timeout:g} s and patience {patience:g} s; expected a "
                "timeout above 0 and a patience from 0 on."
            )
        self._connection = _connection(url, timeout)
        self._url, self._patience, self.retries = url, patience, 0
        token = bearer_token(bearer)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def predict(self, signal: ArrayLike, fs: float, *, units: str = "mV") -> dict[str, Any]:
        """``POST /predict`` of one patient's signal, as raw float32; gives the server's answer."""
        query = urlencode({"fs": _rate(fs), "units": units})
        return self._send("POST", f"/predict?{query}", _raw(signal, units), RAW)

    def stream(
        self, chunks: Iterable[ArrayLike], fs: float, *, units: str = "mV"
    ) -> Iterator[dict[str, Any]]:
        """``POST /stream`` chunk by chunk; gives the server's answer to each, then to the end.

        The stream's token and its last half minute are kept here. So a server that restarts in
        between loses nothing, and one that comes back with another model goes on: each beat comes
        once, by the old model or the new, and an event that lasts keeps its start or ends.
        """
        carry, recent, lasting = None, Recent(fs), Lasting()
        for chunk in chain(chunks, [None]):
            samples, end = ((), True) if chunk is None else (chunk, False)
            try:
                answer = self.push(samples, fs, carry, units=units, end=end)
            except StaleError as stale:
                if not stale.recent_s:
                    raise
                last = recent.last(stale.recent_s)
                answer = self.push(samples, fs, carry, units=units, end=end, recent=last)
                lasting.change(answer)
            recent.append(samples)
            lasting.follow(answer)
            carry = answer["carry"]
            yield answer

    def push(
        self,
        chunk: ArrayLike,
        fs: float,
        carry: str | None = None,
        *,
        units: str = "mV",
        end: bool = False,
        recent: ArrayLike = (),
    ) -> dict[str, Any]:
        """``POST /stream`` of one chunk with the last answer's ``carry``; gives the answer.

        Raises
        ------
        StaleError
            The server has another model. If the error has ``recent_s``, so much of the signal
            before the chunk as ``recent``, with the same ``carry``, makes it go on.
        """
        token = decode_token(carry) if carry else b""
        before = _raw(recent, units)
        fields = {
            "fs": _rate(fs),
            "units": units,
            "carry_bytes": len(token),
            "end": "true" if end else "false",
        }
        query = urlencode(fields | ({"recent_bytes": len(before)} if before else {}))
        return self._send("POST", f"/stream?{query}", token + before + _raw(chunk, units), RAW)

    def get(self, path: str) -> dict[str, Any]:
        """``GET`` of a route that answers JSON."""
        return self._send("GET", path, None, "application/json")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _send(self, method: str, path: str, body: bytes | None, media_type: str) -> dict[str, Any]:
        until = time.monotonic() + self._patience
        for attempt in count():
            try:
                return self._exchange(method, path, body, media_type)
            except _BusyError as busy:
                pause = max(back_off(attempt), busy.retry_after)
                if time.monotonic() + pause > until:
                    raise AwayError(str(busy)) from busy
            except http.client.InvalidURL:
                raise RequestError(
                    f"{path!r} is no path of a URL; expected something like /health/ready."
                ) from None
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                pause = back_off(attempt)
                if time.monotonic() + pause > until:
                    raise AwayError(
                        f"{self._url} does not answer ({error}); is the server "
                        f"running? `python -m {__package__} serve` starts it."
                    ) from error
            time.sleep(pause)
            self.retries += 1
        raise AssertionError("unreachable")

    def _exchange(
        self, method: str, path: str, body: bytes | None, media_type: str
    ) -> dict[str, Any]:
        self._connection.request(method, path, body, self._headers | {"Content-Type": media_type})
        response = self._connection.getresponse()
        text = response.read()
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if response.status < 300 and isinstance(answer, dict):
            return answer
        detail = answer.get("detail") if isinstance(answer, dict) else None
        message = f"the server answered {response.status}: {detail or response.reason}"
        if response.status in BUSY:
            raise _BusyError(message, response.getheader("Retry-After"))
        if response.status == STALE:
            fields = answer if isinstance(answer, dict) else {}
            raise StaleError(message, float(fields.get("recent_s") or 0.0))
        raise RequestError(message)


class Recent:
    """The last half minute of a signal, as it was given.

    Parameters
    ----------
    fs : Hz
    """

    def __init__(self, fs: float):
        self._fs = fs
        self._chunks: deque[NDArray[np.float32]] = deque()
        self._samples = 0

    def append(self, samples: ArrayLike) -> None:
        """Take the next samples; the oldest go."""
        chunk = _floats(samples)
        self._chunks.append(chunk)
        self._samples += len(chunk)
        while self._samples - len(self._chunks[0]) >= RECENT_S * self._fs:
            self._samples -= len(self._chunks.popleft())

    def last(self, seconds: float) -> NDArray[np.float32]:
        """Return as much of it, or what there is."""
        wanted = round(min(seconds, RECENT_S) * self._fs)
        return np.concatenate([np.zeros(0, np.float32), *self._chunks])[-wanted:]


class Lasting:
    """The rhythm events that last, through changes of the model.

    A new model sees only the last half minute, so it reports an event that lasts from a later
    start, or does not find it. Here it keeps the start that names it, or ends.
    """

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Any]] = {}  # by kind
        self._starts: dict[tuple[str, float], float] = {}  # the new model's -> those given

    def change(self, answer: dict[str, Any]) -> None:
        """Join the first answer of a new model to what the old one gave."""
        fresh = {event["kind"]: event for event in answer.get("events", [])}
        self._starts = {
            (kind, fresh[kind]["start"]): event["start"]
            for kind, event in self._open.items()
            if kind in fresh
        }
        over = [
            event | {"end": max(event["start"], answer["decided"])}
            for kind, event in self._open.items()
            if kind not in fresh
        ]
        answer["events"] = over + answer.get("events", [])

    def follow(self, answer: dict[str, Any]) -> None:
        """Take an answer, and give its events the starts that they had."""
        for event in answer.get("events", []):
            name = event["kind"], event["start"]
            event["start"] = self._starts.get(name, event["start"])
            if event["end"] is None:
                self._open[event["kind"]] = dict(event)
            else:
                self._open.pop(event["kind"], None)


class _BusyError(Exception):
    """The server, or a proxy before it, asks to come again later."""

    def __init__(self, message: str, retry_after: str | None):
        super().__init__(message)
        seconds = retry_after or ""
        self.retry_after = min(float(seconds), 30.0) if seconds.isdecimal() else 0.0


def back_off(attempt: int) -> float:
    """Pause before another try, s: none, then doubling up to 2 s, spread at random.

    So clients that lost the same server do not come back all at once.
    """
    return 0.0 if attempt == 0 else min(0.05 * 2**attempt, 2.0) * random.uniform(0.5, 1.0)


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    """Return a connection to the server at this URL, not yet opened."""
    try:
        parts = urlsplit(url)
        scheme: type[http.client.HTTPConnection] = {
            "http": http.client.HTTPConnection,
            "https": http.client.HTTPSConnection,
        }[parts.scheme]
        # Without a port http.client would look for one in an IPv6 address.
        host, port = parts.hostname, scheme.default_port if parts.port is None else parts.port
        if not (host and port):
            raise ValueError
        host.encode("idna")  # as connecting does, where its error would be no OSError
        connection = scheme(host, port, timeout=timeout)
    except (KeyError, ValueError, http.client.InvalidURL):
        raise RequestError(
            f"{url!r} is no server; expected something like {DEFAULT_URL}."
        ) from None
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise RequestError(
            "the server's URL has a user, path, query or fragment; expected "
            f"scheme, host and port only, like {DEFAULT_URL}."
        )
    return connection


def _rate(fs: float) -> str:
    resampler(fs, MODEL_FS)  # refuses what is no rate
    return repr(float(fs))


def _raw(samples: ArrayLike, units: str) -> bytes:
    to_millivolts(np.zeros(0), units)  # refuses what is no unit
    return _floats(samples).tobytes()


def _floats(samples: ArrayLike) -> NDArray[np.float32]:
    numbers = as_numbers(samples, (1,))  # refuses what a cast would take
    with np.errstate(over="ignore"):  # beyond float32 is missing, as it is beyond 500 mV
        return numbers.astype("<f4")


if __name__ == "__main__":  # `python -m runtime.client` is `python -m runtime client`
    sys.argv[1:1] = ["client"]
    runpy.run_module(__package__, run_name="__main__")
