"""POST /read: a recording's files in, one lead in mV out, as `ekg.read` reads it."""

from __future__ import annotations

import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage

from ...errors import EkgError, InputError, RecordError
from ...findings import Record
from ..bodies import FILES, MAX_FILES
from ..frame import has_left
from ..openapi import described
from ..schemas import POSITIVE, TEXT, array, record
from ..site import LARGE, Site, query_fields, trim
from ..wire import RAW, dump

HEAD = "X-EKG-Head"
PIECE = 1 << 17  # samples of an answer that are made at once
FORM = "multipart/form-data"
FIELDS = {
    "lead": TEXT | {"description": "Its name; without it the ECG is chosen."},
    "fs": POSITIVE | {"description": "Hz, of a file that does not state it."},
    "units": TEXT | {"description": "Of the numbers, whatever the file says: mV, uV, V or 200/mV."},
    "answers": {"enum": ["true", "false"], "description": "What is found, too; not by default."},
}
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
_NAME = re.compile(r"[^/\\:]+")  # of a file beside the header


def routes(site: Site) -> Blueprint:
    """Return the route that reads files."""
    recording = Blueprint("recording", __name__)

    @recording.post(FILES)
    @described(
        words=f"JSON, as many bytes as the header `{HEAD}` says: `name`, `lead`, `leads`, `fs` "
        "(Hz), `start` (ISO 8601 without a zone, or null), `notes` and the number of `samples`; "
        "then the samples in mV, little-endian float64, NaN where one is missing; then, with "
        "`answers`, a line of JSON for each piece of the recording, the last with `carry` null.",
        media_type=RAW,
        answer={"type": "string", "format": "binary"},
        body={
            FORM: {
                "schema": record({"file": array({"type": "string", "format": "binary"})}),
            }
        },
        query=FIELDS,
    )
    def read_files() -> Response:
        """Read one lead of a recording.

        `file` is one file of any format that `ekg.read` takes, or a WFDB record's `.hea` and
        signal files. Lead, unit and refusals are those of `ekg.read`. Nothing is kept.

        With `answers=true` what `ekg annotate` finds follows, as answers of `/stream`; each has
        `samples`, up to which of the recording it answers. A client that lost what comes after it
        goes on at `/stream`, with `carry` and the samples from there.
        """
        query = query_fields()
        answers = query.pop("answers", "false")
        if answers not in ("true", "false"):
            raise InputError(f"'answers' is {answers[:40]!r}; expected true or false.")
        with site.admission.work(), site.long_work(LARGE + 1):
            found = _read(request.files.getlist("file"), query)
            about = {
                "name": found.name,
                "lead": found.lead,
                "leads": found.leads,
                "fs": found.fs,
                "start": found.start.isoformat() if found.start else None,
                "notes": found.notes,
                "samples": len(found.signal),
            }
            head = json.dumps(about).encode()
            head += b" " * (-len(head) % 8)  # so that the samples lie evenly
        pieces, headers = _pieces(head, found), {HEAD: str(len(head))}
        if answers == "true":
            pieces = chain(pieces, _answers(site, found, has_left(request.environ)))
        else:
            headers["Content-Length"] = str(len(head) + 8 * len(found.signal))
        return Response(pieces, content_type=RAW, headers=headers)

    return recording


def _pieces(head: bytes, found: Record) -> Iterator[bytes]:
    yield head
    for at in range(0, len(found.signal), PIECE):
        yield found.signal[at : at + PIECE].astype("<f8").tobytes()


def _answers(site: Site, found: Record, gone: Callable[[], bool]) -> Iterator[bytes]:
    """Lines of JSON, for as long as the client is there; other long work comes between."""
    answers = site.service.whole(found)
    try:
        while not gone():
            started = time.perf_counter()
            with site.alone:
                answer = next(answers, None)
            if answer is None:
                break
            ms = round(1000 * (time.perf_counter() - started), 3)
            yield dump(answer | {"provider": site.model.provider, "latency_ms": ms}) + b"\n"
    except EkgError:
        return  # of a rate that is not taken; /stream says so
    finally:
        trim()


def _read(files: Sequence[FileStorage], query: dict[str, str]) -> Record:
    """Read files in a folder of their own, which no sentence names."""
    # The detector of a device reads no files.
    from ...records import read

    unknown = set(query) - set(FIELDS)
    if unknown:
        raise InputError(
            f"{min(unknown)[:40]!r} is in the query; expected lead, fs, units or answers."
        )
    fs = None
    if "fs" in query:
        with suppress(ValueError):
            fs = float(query["fs"])
        if fs is None:
            raise InputError(f"'fs' is {query['fs'][:40]!r}; expected a number of Hz.")
    if not files:
        raise InputError(f"there is no file in the request; expected {FORM} with 'file'.")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for file in files:
            _lay_down(file, folder)
        headers = list(folder.glob("*.hea"))
        for header in headers:
            _check_names(header)
        if not headers and len(files) > 1:
            names = ", ".join(sorted(path.name for path in folder.iterdir())[:5])
            raise InputError(
                f"there are {len(files)} files ({names}); expected one, or a WFDB record's .hea "
                "and signal files."
            )
        source = folder if headers else next(folder.iterdir())
        try:
            return read(source, lead=query.get("lead"), fs=fs, units=query.get("units"))
        except EkgError as error:
            sentence = str(error).replace(f"{folder}/", "").replace(str(folder), "the request")
            raise InputError(sentence) from error


def _lay_down(file: FileStorage, folder: Path) -> None:
    """Save a file under its own name, without any folder."""
    name = PurePosixPath((file.filename or "").replace("\\", "/")).name
    if not name or name.startswith(".") or "\0" in name:
        raise InputError(f"a file is called {(file.filename or '')[:40]!r}; expected a name.")
    path = folder / name
    if path.exists():
        raise InputError(f"two files are called {name!r}; expected each once.")
    file.save(path)
    with path.open("rb") as saved:
        start = saved.read(4)
    if start[:2] == GZIP:
        raise InputError(f"{name} is packed; expected it unpacked.")
    if start == ZIP:  # which NumPy's archives are too
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_FILES:
                raise InputError(f"{name} unpacks to more than {MAX_FILES >> 20} MiB.")


def _check_names(header: Path) -> None:
    """Refuse a WFDB header that names files elsewhere."""
    for line in header.read_bytes().decode("latin-1").splitlines()[1:]:
        name = line.split()[0] if line.strip() else "#"
        if not name.startswith("#") and not _NAME.fullmatch(name):
            raise RecordError(
                f"{header.name} names {name[:40]!r}; expected files that lie beside it."
            )
