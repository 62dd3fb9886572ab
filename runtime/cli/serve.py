"""Serve the model over HTTP: gunicorn with a process for each core, or waitress with one.

waitress serves where gunicorn does not run, as on Windows, if it is installed. It gives the same
answers from one process: nothing restarts it, broken HTTP is answered by waitress in its own form,
and what it has accepted is lost when it is stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from ..detector import Detector
from ..errors import EkgError, InputError, MissingPackageError
from ..model.session import usable_cores
from ..packages import FLASK, GUNICORN, LOOP, WAITRESS, install_command, is_installed, require
from ..server.gate import Gate, check_tls
from .address import check_address, free_port
from .common import count, load_detector

EXAMPLE = "--port 8000 --workers 2"
LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_DRAIN_S = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own arguments."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="processes (default: EKG_WORKERS, else one for each core)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="answer requests to this host, and else to loopback's names only; again for others "
        "(default: EKG_ALLOW_HOST, with commas; else any host, on loopback without EKG_TOKEN "
        "loopback's names)",
    )
    parser.add_argument(
        "--clients",
        metavar="FILE",
        default=os.environ.get("EKG_CLIENTS", ""),
        help="TOML file of clients, [NAME] with tokens = [...] and requests_per_second "
        "(default: EKG_CLIENTS)",
    )
    parser.add_argument(
        "--tls-cert",
        metavar="FILE",
        default=os.environ.get("EKG_TLS_CERT", ""),
        help="PEM file of a certificate with its chain: serve https (default: EKG_TLS_CERT)",
    )
    parser.add_argument(
        "--tls-key",
        metavar="FILE",
        default=os.environ.get("EKG_TLS_KEY", ""),
        help="PEM file of its key, if that is another (default: EKG_TLS_KEY)",
    )
    parser.add_argument(
        "--log",
        choices=LOG_LEVELS,
        default=os.environ.get("EKG_LOG", "info"),
        help="info logs every request, without its data (default: EKG_LOG, else info)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until stopped; what would fail later is checked first."""
    program = server_program()
    require(LOOP if program == "gunicorn" else [], "to serve")
    workers = _check_environment(args.log)
    port = args.port or free_port(args.host)
    check_address(args.host, port)
    workers = args.workers or workers
    if program == "waitress" and workers > 1:
        raise InputError(
            f"{workers} workers are wanted; waitress serves from one process, so "
            "expected 1. gunicorn serves from many, but not on Windows."
        )
    if args.allow_host:
        os.environ["EKG_ALLOW_HOST"] = ",".join(args.allow_host)
    # gunicorn runs in another folder
    files = {
        "EKG_CLIENTS": args.clients,
        "EKG_TLS_CERT": args.tls_cert,
        "EKG_TLS_KEY": args.tls_key,
    }
    os.environ |= {name: str(Path(path).resolve()) if path else "" for name, path in files.items()}
    closed = bool(Gate.of_environment(address=args.host).clients)
    check_tls(os.environ["EKG_TLS_CERT"], os.environ["EKG_TLS_KEY"])
    if program == "waitress" and args.tls_cert:
        raise InputError("waitress serves no TLS; expected a proxy in front that does.")
    detector = load_detector(args)
    workers = workers or (1 if program == "waitress" else usable_cores())
    host = f"[{args.host}]" if ":" in args.host else args.host
    exposed = (
        ""
        if args.host in ("127.0.0.1", "::1", "localhost") or closed
        else "; whoever reaches this address may use it, EKG_TOKEN would ask for a token"
    )
    scheme = "https" if args.tls_cert else "http"
    single = "" if program == "gunicorn" else " from one process, with waitress"
    _announce(
        f"serving on {scheme}://{host}:{port}{single} (Ctrl-C stops){exposed}",
        {
            "event": "serving",
            "workers": workers,
            "provider": detector.provider,
            "model": detector.digest.hex()[:8],
        },
        quiet=args.log in ("warning", "error"),
    )
    if program == "waitress":
        return _serve_with_waitress(detector, args.host, port, args.log)
    return _become_gunicorn(
        {
            "EKG_BIND": f"{host}:{port}",
            "EKG_ARTIFACTS": str(Path(args.artifacts).resolve()),
            "EKG_PROVIDER": args.provider,
            "EKG_WORKERS": str(workers),
            "EKG_LOG": args.log,
        }
    )


def server_program(*, posix: bool = os.name == "posix") -> str:
    """Return the package that is to serve here: gunicorn if it can, else waitress.

    Raises
    ------
    MissingPackageError
        Neither can, or flask is missing; says what to install.
    """
    require([FLASK], "to serve")
    if posix and is_installed(GUNICORN):
        return "gunicorn"
    if is_installed(WAITRESS):
        return "waitress"
    if posix:
        require([GUNICORN], "to serve")
    raise MissingPackageError(
        "gunicorn does not run on this system and waitress, which does, is "
        f"not installed; run `{install_command(WAITRESS)}`."
    )


def _become_gunicorn(settings: dict[str, str]) -> NoReturn:
    environment = os.environ | settings
    # glibc gives threads arenas of their own, which fill one after another for hours and look
    # like a leak; a worker computes on few threads at a time.
    environment.setdefault("MALLOC_ARENA_MAX", "2")
    # It would also raise this limit to the largest block that was ever freed, up to 32 MB, and
    # keep such blocks; above it a block goes back to the system at once.
    environment.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 20))
    environment.setdefault("MALLOC_TRIM_THRESHOLD_", str(4 << 20))
    package = Path(__file__).resolve().parent.parent
    os.execve(
        sys.executable,
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--chdir",
            str(package.parent),
            "--config",
            str(package / "server" / "gunicorn_conf.py"),
        ],
        environment,
    )


def _serve_with_waitress(detector: Detector, host: str, port: int, log_level: str) -> int:
    from ..server.one_process import serve  # needs flask and waitress

    serve(detector, host, port, log_level)
    return 0


def _check_environment(log_level: str) -> int:
    """Refuse settings that gunicorn would fail on later.

    Gives the workers that ``EKG_WORKERS`` asks for, 0 if it is not set.
    """
    if log_level not in LOG_LEVELS:  # so it is the default: argparse checks what is given only
        raise InputError(f"EKG_LOG is {log_level!r}; expected one of {', '.join(LOG_LEVELS)}.")
    try:
        workers = count(os.environ.get("EKG_WORKERS") or "0")
    except argparse.ArgumentTypeError as error:
        raise InputError(f"EKG_WORKERS is {error}") from None
    drain = os.environ.get("EKG_DRAIN", "2")
    with suppress(ValueError):
        if 0 <= float(drain) <= MAX_DRAIN_S:
            return workers
    raise InputError(f"EKG_DRAIN is {drain!r}; expected seconds, 0 to {MAX_DRAIN_S}.")


def _announce(sentence: str, fields: dict[str, object], *, quiet: bool) -> None:
    """Say it to people and to the log; what cannot take it now would lose every later line."""
    try:
        os.write(1, f"{sentence}\n".encode())
    except OSError as error:
        raise EkgError(
            f"standard output cannot be written ({error.strerror}); free its disk, or "
            "send it elsewhere."
        ) from error
    try:
        os.write(2, b"" if quiet else f"{json.dumps(fields)}\n".encode())
    except OSError as error:  # so only standard output can report it
        os.write(
            1,
            f"error: the log, standard error, cannot be written ({error.strerror}); free "
            "its disk, or send it elsewhere.\n".encode(),
        )
        sys.exit(2)
