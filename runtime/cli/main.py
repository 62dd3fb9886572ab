"""``python -m runtime serve | demo | predict | annotate | report | stream | doctor``."""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..detector import DEFAULT_ARTIFACTS, Detector
from ..errors import EkgError, InputError
from ..findings import Beat, Event, Record
from ..model import providers
from ..server.wire import bearer_token

PIECE_S = 60.0  # records are read to the end in pieces of this length
LARGEST_CATCH_UP = 100_000  # samples in one chunk after an outage
LOG_LEVELS = ("debug", "info", "warning", "error")
LONGEST_DRAIN_S = 3600
LONGEST_DEMO_S = 86_400  # which is made up before it begins


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors are one sentence on standard error and exit status 2."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this, as some daemons do
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        with suppress(AttributeError):  # a name that the encoding lacks must not end the work
            getattr(sys, name).reconfigure(errors="backslashreplace")
    args = _parser().parse_args(arguments)
    try:
        code = int(args.run(args) or 0)
        sys.stdout.flush()  # what is refused here would be lost at the end
        return code
    except EkgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has read enough
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        print(f"error: {error.filename or 'standard output'} cannot be written or read "
              f"({error.strerror or error}).", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def serve(args: argparse.Namespace) -> int:
    """Serve HTTP under gunicorn."""
    from ..model.session import usable_cores

    # What can be told before gunicorn starts is told here, in a sentence.
    wanted = _check_environment(args.log)
    port = args.port or _free_port(args.host)
    _check_address(args.host, port)
    detector = _detector(args)
    workers = args.workers or wanted or usable_cores()
    host = f"[{args.host}]" if ":" in args.host else args.host
    exposed = ("" if args.host in ("127.0.0.1", "::1", "localhost") or os.environ.get("EKG_TOKEN")
               else "; whoever reaches this address may use it, EKG_TOKEN would ask for a token")
    _say_served(f"serving on http://{host}:{port} (Ctrl-C stops){exposed}",
                {"event": "serving", "workers": workers, "provider": detector.provider,
                 "model": detector.digest.hex()[:8]}, quiet=args.log in ("warning", "error"))
    environment = os.environ | {
        "EKG_BIND": f"{host}:{port}", "EKG_ARTIFACTS": str(Path(args.artifacts).resolve()),
        "EKG_PROVIDER": args.provider, "EKG_WORKERS": str(workers), "EKG_LOG": args.log}
    # glibc gives threads arenas of their own, which fill one after another for hours and look
    # like a leak; a worker computes on few threads at a time.
    environment.setdefault("MALLOC_ARENA_MAX", "2")
    package = Path(__file__).resolve().parent.parent
    os.execve(sys.executable,
              [sys.executable, "-m", "gunicorn", "--chdir", str(package.parent), "--config",
               str(package / "server" / "gunicorn_conf.py")], environment)


def demo(args: argparse.Namespace) -> int:
    """Serve, feed the server the simulated patient at real pace, print what it finds."""
    from ..client import Client, RequestError
    from ..simulate import simulate

    if not 0 < args.seconds <= LONGEST_DEMO_S:
        raise InputError(f"--seconds is {args.seconds:g}; expected a number above 0, up to "
                         f"{LONGEST_DEMO_S}.")
    if args.seed < 0:
        raise InputError(f"--seed is {args.seed}; expected a whole number from 0 on.")
    port = args.port or _free_port("127.0.0.1")
    _check_address("127.0.0.1", port)  # whoever answers there now is not the server started here
    client = Client(f"http://127.0.0.1:{port}", bearer=os.environ.get("EKG_TOKEN"), patience=0)
    package = Path(__file__).resolve().parent.parent
    server = subprocess.Popen(
        [sys.executable, "-m", package.name, "--artifacts", str(args.artifacts), "--provider",
         args.provider, "serve", "--port", str(port), "--workers", "1", "--log", "warning"],
        cwd=package.parent, stdout=subprocess.DEVNULL,
        env=os.environ | {"EKG_DRAIN": "0"})
    try:
        while True:
            try:
                ready = client.get("/health/ready")
                break
            except RequestError:
                if server.poll() is not None:
                    return 1  # the server has said why
                time.sleep(0.05)
        print(f"the monitor page is at http://127.0.0.1:{port}, provider {ready['provider']}; here "
              f"{args.seconds:g} s of a simulated patient at {args.pace}\n", flush=True)
        made = simulate(args.seconds, seed=args.seed)
        counts: dict[str, int] = {}
        chunks = _paced(made.signal, made.fs, args.pace, chunk_s=0.5)
        for answer in client.stream(chunks, made.fs):
            for beat in answer["beats"]:
                counts[beat["label"]] = counts.get(beat["label"], 0) + 1
            _print_answer(answer)
        print("\nfound " + ", ".join(f"{counts[k]} {k}" for k in sorted(counts))
              + "; the patient had "
              + ", ".join(f"{made.labels.count(k)} {k}" for k in sorted(set(made.labels))))
        if sys.stdout.isatty():  # somebody is here, perhaps at the page
            print(f"the page stays at http://127.0.0.1:{port} until Ctrl-C", flush=True)
            with suppress(KeyboardInterrupt):
                server.wait()
    finally:
        client.close()
        server.terminate()
        server.wait()
    return 0


def predict(args: argparse.Namespace) -> int:
    """Label a part of a record, print the answer as JSON."""
    from ..records import read
    from ..server.wire import result_fields

    recording = read(args.record, lead=args.lead, fs=args.fs, start_s=args.start,
                     seconds=args.seconds)
    detector = _detector(args)
    result = detector.predict(recording.signal, recording.fs, events=True)
    assert not isinstance(result, list)
    print(json.dumps({"record": recording.name, "lead": recording.lead,
                      **result_fields(result), "provider": detector.provider,
                      "gaps": round(recording.gaps, 4)}))
    return 0


def annotate(args: argparse.Namespace) -> int:
    """Write the beats and rhythms of whole records as WFDB annotations (and CSV)."""
    from ..records import (
        check_kept,
        check_writable,
        distinct_names,
        name_of,
        need,
        read,
        write_annotations,
        write_csv,
    )

    # What would fail after a day's record was read is told before.
    need("wfdb", "to write WFDB annotations")
    distinct_names(args.records)
    check_writable(args.out, args.annotator)
    ending = (args.annotator, f"{args.annotator}.csv")
    check_kept(args.records, (args.out / f"{name_of(path)}.{end}" for path in args.records
                              for end in ending[: 1 + args.csv]))
    detector = _detector(args)

    def one(path: str) -> None:
        recording = read(path, lead=args.lead, fs=args.fs)
        beats, events = _follow(detector, recording)
        written = write_annotations(args.out, recording.name, beats, recording.fs,
                                    annotator=args.annotator, scores=args.scores, events=events)
        if args.csv:
            write_csv(args.out / f"{recording.name}.{args.annotator}.csv", beats)
        counts = ", ".join(f"{sum(b.label == k for b in beats)} {k}"
                           for k in sorted({b.label for b in beats})) or "no beats"
        gaps = f"; {recording.gaps:.2%} of the signal is missing" if recording.gaps else ""
        print(f"{written}: lead {recording.lead}, {counts}, {len(events)} rhythm events{gaps}")

    return _each(args.records, one)


def report(args: argparse.Namespace) -> int:
    """Write whole records as pages for people: trend, counts, events and their strips."""
    from tqdm import tqdm

    from ..records import check_writable, distinct_names, need, read
    from ..report import Study, flaws_of_seconds, write

    need("matplotlib", "to draw a report")
    distinct_names(args.records)
    check_writable(args.out)
    detector = _detector(args)
    made_by = (f"model {detector.digest.hex()[:8]} (trained on {detector.contract.trained_on}), "
               f"provider {detector.provider}")

    def one(path: str) -> None:
        recording = read(path, lead=args.lead, fs=args.fs)
        study = Study(recording, *_follow(detector, recording),
                      flaws_of_seconds(recording, detector.assess), made_by)
        written = write(args.out, study, each=args.strips, progress=lambda chosen: tqdm(
            chosen, unit="strip", leave=False, desc="drawing", disable=None))
        print(f"{written}: lead {recording.lead}, {len(study.beats)} beats, "
              f"{int((study.labels > 0).sum())} not normal, {len(study.events)} rhythm events")

    return _each(args.records, one)


def stream(args: argparse.Namespace) -> int:
    """Print a live signal's beats as they are decided, here or by a server, or show its page."""
    from ..client import DEFAULT_FS, Client, recording_or_simulated
    from ..signal.resample import resampler

    if args.page is not None:
        if args.url is not None:
            raise InputError("--page shows what is found here; it does not go with --url.")
        if args.pace == "fast":
            raise InputError("--page shows the signal at real pace; it does not go with --pace "
                             "fast.")
        _check_address("127.0.0.1", args.page)
    chunks: Iterable[ArrayLike]
    if args.source is not None and _is_feed(args.source):
        if args.fs is None:
            raise InputError(f"{_feed_name(args.source)} does not say its rate; give --fs in Hz.")
        resampler(args.fs, DEFAULT_FS)  # refuses what no stream takes before a line is waited for
        fs, units, chunks = args.fs, args.units, _live(_lines(args.source, args.fs))
    else:
        if args.units != "mV":
            raise InputError("--units is for a feed's numbers; a recording tells its own (a CSV "
                             "file behind a lead's name: ECG (uV)).")
        recording = recording_or_simulated(args.source, lead=args.lead, fs=args.fs)
        fs, units = recording.fs, "mV"
        pace = args.pace or ("fast" if args.page is None else "real")
        chunks = _paced(recording.signal, fs, pace, chunk_s=0.25)
        if args.source is None:
            print("this is a simulated patient; give a record, or - for standard input, to see "
                  "another", file=sys.stderr)
    if args.page is not None:
        from ..server.feed import show

        name = {None: "Simulated patient", "-": "Live feed"}.get(args.source)
        return show(_detector(args), chunks, fs, units=units, port=args.page,
                    name=name or Path(args.source).name)
    if args.url is not None:
        with Client(args.url, bearer=args.token, patience=args.patience) as client:
            for answer in client.stream(chunks, fs, units=units):
                _print_answer(answer)
        return 0
    live = _detector(args).stream(fs, events=True)
    for chunk in chunks:
        _print_beats(live.push(chunk, units=units))
    _print_beats(live.finish())
    return 0


def doctor(args: argparse.Namespace) -> int:
    """Say what is installed, what really runs, and what is wrong."""
    from ..doctor import report

    return report(args.artifacts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime", description="EKG beats and anomalies. Not a medical device.")
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS,
                        help="the folder that export wrote")
    parser.add_argument("--provider", choices=providers.NAMES, default="auto")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, name):  # type: ignore[no-untyped-def]
        added = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        added.set_defaults(run=function)
        return added

    def signal_options(added, *, record):  # type: ignore[no-untyped-def]
        if record:
            added.add_argument("record", help="WFDB record without extension, .edf or .csv")
        added.add_argument("--lead", help="by name; MLII or the first by default")
        added.add_argument("--fs", type=float, help="Hz, for signal that does not say its rate")

    serving = command(serve, "serve")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=8000)
    serving.add_argument("--workers", type=_count,
                         help="processes; EKG_WORKERS or one for each core by default")
    serving.add_argument("--log", choices=LOG_LEVELS,
                         default=os.environ.get("EKG_LOG", "info"),
                         help="info tells every request, without its data")

    showing = command(demo, "demo")
    showing.add_argument("--seconds", type=float, default=60.0)
    showing.add_argument("--pace", choices=("real", "fast"), default="real")
    showing.add_argument("--seed", type=int, default=1)
    showing.add_argument("--port", type=int)

    one = command(predict, "predict")
    signal_options(one, record=True)
    one.add_argument("--start", type=float, default=0.0, help="s")
    one.add_argument("--seconds", type=float, help="length, s; to the end by default")

    def records(function, name):  # type: ignore[no-untyped-def]
        added = command(function, name)
        added.add_argument("records", nargs="+", metavar="RECORD",
                           help="WFDB record without extension, .edf or .csv")
        signal_options(added, record=False)
        added.add_argument("--out", type=Path, default=Path("."), help="folder")
        return added

    many = records(annotate, "annotate")
    many.add_argument("--annotator", default="ekg")
    many.add_argument("--csv", action="store_true", help="write NAME.ekg.csv too")
    many.add_argument("--scores", action="store_true", help="scores in the aux field")

    read = records(report, "report")
    read.add_argument("--strips", type=_count, default=6,
                      help="of each kind of event and class of beat at most")

    live = command(stream, "stream")
    live.add_argument("source", nargs="?",
                      help="a record, or - for numbers in mV on standard input, one a line; "
                           "the simulated patient by default")
    signal_options(live, record=False)
    live.add_argument("--units", default="mV", help="of a feed's numbers: mV, uV or V")
    live.add_argument("--pace", choices=("real", "fast"),
                      help="of a recording; fast by default, and real where --page shows it")
    live.add_argument("--url", help="of a server that is to do the work")
    live.add_argument("--page", type=int, metavar="PORT",
                      help="show the signal on the monitor page, at real pace, on this machine")
    live.add_argument("--token", default=os.environ.get("EKG_TOKEN"),
                      help="the server's bearer token; EKG_TOKEN by default")
    live.add_argument("--patience", type=float, default=600.0,
                      help="s to wait for a server that is away")

    command(doctor, "doctor")
    return parser


def _detector(args: argparse.Namespace) -> Detector:
    return Detector.load(args.artifacts, provider=args.provider)


def _each(records: Sequence[str], work: Callable[[str], None]) -> int:
    """Do it for each record; one that fails is named, and keeps no other from its turn."""
    code = 0
    for record in records:
        try:
            work(record)
        except BrokenPipeError:  # `| head` has read enough, but what is written is wanted
            _drop_output()
        except EkgError as error:
            said = str(error)
            print(f"error: {said if record in said else f'{record}: {said}'}", file=sys.stderr)
            code = 2
    return code


def _follow(detector: Detector, recording: Record) -> tuple[list[Beat], list[Event]]:
    """Beats and rhythm events of a whole recording, with a progress bar."""
    from tqdm import tqdm

    from ..rhythm import closed

    stream, beats = detector.stream(recording.fs, events=True), []
    with tqdm(total=round(len(recording.signal) / recording.fs), unit="s", leave=False,
              desc=recording.name, disable=None) as progress:
        for piece in _pieces(recording.signal, recording.fs, PIECE_S):
            beats += stream.push(piece)
            progress.update(round(len(piece) / recording.fs))
    beats, events = beats + stream.finish(), closed(stream.events())
    clock = stream.fs / recording.fs  # of odd rates a stream takes the nearest ratio of its own
    if clock == 1:
        return beats, events
    return ([replace(beat, time=beat.time * clock) for beat in beats],
            [replace(event, start=event.start * clock, end=(event.end or 0.0) * clock)
             for event in events])


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 0 on.")


def _pieces(signal: NDArray[np.floating], fs: float, seconds: float
            ) -> Iterator[NDArray[np.floating]]:
    size = max(1, round(seconds * fs))
    return (signal[at : at + size] for at in range(0, len(signal), size))


def _paced(signal: NDArray[np.floating], fs: float, pace: str, *, chunk_s: float
           ) -> Iterator[NDArray[np.floating]]:
    """Chunks as a live source would give them, or as fast as they are asked for."""
    started, sent = time.monotonic(), 0.0
    for piece in _pieces(signal, fs, chunk_s):
        sent += len(piece) / fs
        if pace == "real":
            time.sleep(max(0.0, started + sent - time.monotonic()))
        yield piece


def _is_feed(source: str) -> bool:
    """Whether this is no recording but something that numbers come out of, line by line."""
    path = Path(source)
    return source == "-" or path.is_fifo() or path.is_char_device()


def _feed_name(source: str) -> str:
    return "standard input" if source == "-" else source


def _lines(source: str, fs: float) -> Iterator[list[float]]:
    """Numbers from a feed, one a line, a quarter of a second at a time.

    What is not finite is a missing sample, held at the value before it.
    """
    chunk: list[float] = []
    last, told = 0.0, False
    try:
        if source == "-" and sys.stdin is None:
            raise InputError("standard input is closed; expected numbers, one a line.")
        # A serial device may begin with bytes that are no text: they get their sentence below.
        feed = sys.stdin if source == "-" else open(source, errors="replace")  # noqa: SIM115
        if isinstance(feed, io.TextIOWrapper):
            feed.reconfigure(errors="replace")
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}).") from error
    with feed:
        for number, line in enumerate(feed, 1):
            if not line.strip():
                continue
            try:
                value = float(line)
            except ValueError:
                raise InputError(f"line {number} of {_feed_name(source)} is "
                                 f"{line.strip()[:40]!r}; expected one number a line.") from None
            if math.isfinite(value):
                last = value
            elif not told:
                told = True
                print(f"warning: line {number} of {_feed_name(source)} is {line.strip()[:40]!r}; "
                      "such a sample is missing, and held at the value before.", file=sys.stderr)
            chunk.append(last)
            if len(chunk) >= fs / 4:
                yield chunk
                chunk = []
    yield chunk


def _live(chunks: Iterator[list[float]]) -> Iterator[list[float]]:
    """The same samples, read on while the taker is busy: a device does not wait.

    What came in meanwhile is given as one chunk.
    """
    waiting: queue.SimpleQueue[list[float] | BaseException | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for chunk in chunks:
                waiting.put(chunk)
            waiting.put(None)
        except BaseException as error:  # for the taker, with everything that came before
            waiting.put(error)

    threading.Thread(target=read, daemon=True).start()
    while True:
        item, gathered = waiting.get(), []
        while isinstance(item, list):
            gathered += item
            if waiting.empty() or len(gathered) > LARGEST_CATCH_UP:
                break
            item = waiting.get()
        if gathered:
            yield gathered
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return


def _check_environment(log: str) -> int:
    """Refuse settings that gunicorn would fail on after it is said to serve; gives the workers that
    ``EKG_WORKERS`` wants, 0 where it does not say."""
    bearer_token(os.environ.get("EKG_TOKEN"))
    if log not in LOG_LEVELS:  # so it is the default: argparse checks what is given only
        raise InputError(f"EKG_LOG is {log!r}; expected one of {', '.join(LOG_LEVELS)}.")
    try:
        workers = _count(os.environ.get("EKG_WORKERS") or "0")
    except argparse.ArgumentTypeError as error:
        raise InputError(f"EKG_WORKERS is {error}") from None
    drain = os.environ.get("EKG_DRAIN", "2")
    with suppress(ValueError):
        if 0 <= float(drain) <= LONGEST_DRAIN_S:
            return workers
    raise InputError(f"EKG_DRAIN is {drain!r}; expected seconds, 0 to {LONGEST_DRAIN_S}.")


def _check_address(host: str, port: int) -> None:
    with _socket(host) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise InputError(f"cannot listen on {host}:{port} "
                             f"({getattr(error, 'strerror', None) or error}); choose another "
                             "with --port, or stop what uses it.") from error


def _say_served(sentence: str, fields: dict[str, object], *, quiet: bool) -> None:
    """Say it to people and to the log; what cannot take it now would lose every later line."""
    try:
        os.write(1, f"{sentence}\n".encode())
    except OSError as error:
        raise EkgError(f"standard output cannot be written ({error.strerror}); free its disk, or "
                       "send it elsewhere.") from error
    try:
        os.write(2, b"" if quiet else f"{json.dumps(fields)}\n".encode())
    except OSError as error:  # so this can be said on standard output only
        os.write(1, f"error: the log, standard error, cannot be written ({error.strerror}); free "
                    "its disk, or send it elsewhere.\n".encode())
        sys.exit(2)


def _print_beats(beats: Sequence[Beat]) -> None:
    for beat in beats:
        _print_beat(beat.time, beat.label, beat.score)


def _print_answer(answer: dict[str, Any]) -> None:
    for beat in answer["beats"]:
        _print_beat(beat["time"], beat["label"], beat["score"])


def _print_beat(time_s: float, label: str, score: float) -> None:
    mark = "" if label == "N" else "  << anomaly"
    print(f"{time_s:9.3f} s  {label}  {score:.2f}{mark}", flush=True)


def _free_port(host: str) -> int:
    with suppress(OSError), _socket(host) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
    return 0  # `_check_address` says what is wrong with the host


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)


def _drop_output() -> None:
    """Nothing more goes to standard output; Python would try again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
