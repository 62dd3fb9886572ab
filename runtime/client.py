"""A client of the server: ``python -m runtime.client`` sends a record's windows, one by one.

It needs numpy only, and the standard library's HTTP.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
from numpy.typing import ArrayLike

from .errors import EkgError, InputError
from .findings import Record
from .records import read
from .server.wire import RAW, bearer_token, decode_token
from .signal.resample import resampler
from .signal.units import check_signal
from .simulate import simulate

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_FS = 360  # Hz, of the simulated patient
BUSY = (502, 503, 504)  # worth another try; a proxy says the first and the last


class RequestError(EkgError):
    """The server refused a request or could not be reached; the message is its sentence."""


class AwayError(RequestError):
    """Patience ended, and the server could still not be reached or was busy."""


class Client:
    """A keep-alive connection to a server. Not safe to use from two threads at once.

    Every request can be sent again, because the server keeps nothing: after a lost connection
    the client tries again until the server is back, and a stream goes on where it was.

    Parameters
    ----------
    url : of the server, without a path
    bearer : token, where the server wants one; whitespace around it does not count
    timeout : s, for one answer
    patience : s to go on trying while the server cannot be reached or is busy; 0 tries once

    Raises
    ------
    RequestError, InputError
        The URL is no server's; no header can carry the token.
    """

    def __init__(self, url: str = DEFAULT_URL, *, bearer: str | None = None,
                 timeout: float = 30.0, patience: float = 60.0):
        if not (timeout > 0 and patience >= 0):
            raise InputError(f"timeout is {timeout:g} s and patience {patience:g} s; expected a "
                             "timeout above 0 and a patience from 0 on.")
        self._connection = _connection(url, timeout)
        self._url, self._patience = url, patience
        token = bearer_token(bearer)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def predict(self, signal: ArrayLike, fs: float, *, units: str = "mV") -> dict[str, Any]:
        """``POST /predict`` of one patient's signal as raw float32: the server's answer."""
        query = urlencode({"fs": _rate(fs), "units": units})
        return self._send("POST", f"/predict?{query}", _raw(signal, units), RAW)

    def stream(self, chunks: Iterable[ArrayLike], fs: float, *, units: str = "mV"
               ) -> Iterator[dict[str, Any]]:
        """``POST /stream`` chunk by chunk: the server's answer to each, then to the end.

        The stream's token is kept here, so a server that restarts in between loses nothing.
        """
        carry = None
        for chunk in chunks:
            answer = self.push(chunk, fs, carry, units=units)
            carry = answer["carry"]
            yield answer
        yield self.push((), fs, carry, units=units, end=True)

    def push(self, chunk: ArrayLike, fs: float, carry: str | None = None, *, units: str = "mV",
             end: bool = False) -> dict[str, Any]:
        """``POST /stream`` of one chunk with the last answer's ``carry``: the server's answer."""
        token = decode_token(carry) if carry else b""
        query = urlencode({"fs": _rate(fs), "units": units, "carry_bytes": len(token),
                           "end": "true" if end else "false"})
        return self._send("POST", f"/stream?{query}", token + _raw(chunk, units), RAW)

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

    def _send(self, method: str, path: str, body: bytes | None, kind: str) -> dict[str, Any]:
        until = time.monotonic() + self._patience
        for attempt in count():
            try:
                return self._once(method, path, body, kind)
            except _BusyError as busy:
                pause = max(_pause(attempt), busy.retry_after)
                if time.monotonic() + pause > until:
                    raise AwayError(str(busy)) from busy
            except http.client.InvalidURL:
                raise RequestError(f"{path!r} is no path of a URL; expected something like "
                                   "/health/ready.") from None
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                pause = _pause(attempt)
                if time.monotonic() + pause > until:
                    raise AwayError(f"{self._url} does not answer ({error}); is the server "
                                    "running? `make serve` starts it.") from error
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: bytes | None, kind: str) -> dict[str, Any]:
        self._connection.request(method, path, body, self._headers | {"Content-Type": kind})
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
        raise RequestError(message)


class _BusyError(Exception):
    """The server, or what stands before it, asks to come again later."""

    def __init__(self, message: str, retry_after: str | None):
        super().__init__(message)
        seconds = retry_after or ""
        self.retry_after = min(float(seconds), 30.0) if seconds.isdecimal() else 0.0


def _pause(attempt: int) -> float:
    """Back-off, s: none, then doubling up to 2 s, spread so that clients fall out of step."""
    return 0.0 if attempt == 0 else min(0.05 * 2**attempt, 2.0) * random.uniform(0.5, 1.0)


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    """To the server at this URL, not yet connected."""
    try:
        parts = urlsplit(url)
        kind: type[http.client.HTTPConnection] = {
            "http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[parts.scheme]
        # Without a port http.client would look for one in an IPv6 address.
        host, port = parts.hostname, kind.default_port if parts.port is None else parts.port
        if not (host and port):
            raise ValueError
        host.encode("idna")  # as connecting does, where its error would be no OSError
        connection = kind(host, port, timeout=timeout)
    except (KeyError, ValueError, http.client.InvalidURL):
        raise RequestError(f"{url!r} is no server; expected something like {DEFAULT_URL}."
                           ) from None
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise RequestError("the server's URL has a user, path, query or fragment; expected "
                           f"scheme, host and port only, like {DEFAULT_URL}.")
    return connection


def _rate(fs: float) -> str:
    resampler(fs, DEFAULT_FS)  # refuses what is no rate
    return repr(float(fs))


def _raw(samples: ArrayLike, units: str) -> bytes:
    check_signal(samples, units=units, dimensions=(1,))  # the cast would take almost anything
    return np.asarray(samples, dtype="<f4").tobytes()


def send_windows(client: Client, recording: Record, number: int) -> int:
    """Send one-second windows one after another, print what came back; gives the failures.

    Raises
    ------
    AwayError
        No window was answered, and nobody is there who could.
    """
    samples = round(recording.fs)
    windows = [recording.signal[i * samples : (i + 1) * samples] for i in
               range(min(number, len(recording.signal) // samples))]
    labels: Counter[str] = Counter()
    times: list[float] = []
    failures, last_failure = 0, None
    for window in windows:
        started = time.perf_counter()
        try:
            labels[client.predict(window, recording.fs)["label"]] += 1
        except EkgError as error:
            failures, last_failure = failures + 1, error
            if isinstance(error, AwayError):  # each of the others would wait as long
                if not times:
                    raise
                break
        else:
            times.append(1000 * (time.perf_counter() - started))
    print(f"{recording.name}, lead {recording.lead}: {len(times) + failures} of {len(windows)} "
          f"one-second windows, {failures} failures")
    if last_failure:
        print(f"last failure: {last_failure}")
    if times:
        p50, p95, p99 = np.percentile(times, (50, 95, 99))
        print("labels: " + ", ".join(f"{k} {n}" for k, n in labels.most_common()))
        print(f"round trip: p50 {p50:.2f} ms, p95 {p95:.2f} ms, p99 {p99:.2f} ms")
    return failures


def recording_or_simulated(path: str | None, *, lead: str | None = None,
                           fs: float | None = None, seconds: float = 300.0) -> Record:
    """The recording at this path, or where there is none, the simulated patient.

    Raises
    ------
    RecordError, InputError
    """
    if path is not None:
        return read(path, lead=lead, fs=fs)
    # Refused where no stream could take the rate: of some there is nothing to simulate.
    rate = resampler(DEFAULT_FS if fs is None else fs, DEFAULT_FS).fs
    made = simulate(seconds, fs=rate)
    return Record("simulated patient", "simulated", made.fs,
                     made.signal.astype(np.float64), 0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit status is 1 where a request failed, 2 where none could be made."""
    parser = argparse.ArgumentParser(prog="python -m runtime.client", description=__doc__)
    parser.add_argument("record", nargs="?",
                        help="WFDB record, .edf or .csv; the simulated patient by default")
    parser.add_argument("--url", default=DEFAULT_URL)
    parser.add_argument("--count", type=int, default=100, help="windows to send")
    parser.add_argument("--lead")
    parser.add_argument("--fs", type=float, help="Hz, for a CSV file without times")
    parser.add_argument("--token", default=os.environ.get("EKG_TOKEN"),
                        help="bearer token; EKG_TOKEN by default")
    args = parser.parse_args(arguments)
    try:
        recording = recording_or_simulated(args.record, lead=args.lead, fs=args.fs)
        with Client(args.url, bearer=args.token) as client:
            failures = send_windows(client, recording, args.count)
    except EkgError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
