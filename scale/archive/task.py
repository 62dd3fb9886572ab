"""One record of an archive: read, annotated, written; done by whichever process it falls to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from ..ekg import (
    WRITERS,
    Annotation,
    Beat,
    Detector,
    EkgError,
    Event,
    ModelError,
    Record,
    closed,
    name_of,
    read,
    version,
)
from ..model import model_name
from .places import Place, content_hash, fetched, place, read_file, remove, write

CUT_MULTIPLE_S = 60.0  # `Detector.annotate` pushes pieces of this length


@dataclass(frozen=True)
class Job:
    """A record and what is to be done with it.

    Attributes
    ----------
    source, out : the record, and the folder for results; paths or URLs
    model : name of the model that is expected to do it, so that no process uses another
    artifacts, provider : as `Detector.load` takes them
    lead, fs, units, partial : as `read` takes them
    beats : write a table of the beats too
    cut_s : a longer record is saved after so much signal, and gone on with from there
    """

    source: str
    out: str
    model: str
    artifacts: str
    provider: str = "cpu"
    lead: str | None = None
    fs: float | None = None
    units: str | None = None
    partial: bool = False
    beats: bool = False
    cut_s: float = 24 * 3600.0


Row = dict[str, Any]


def annotate(job: Job) -> Row:
    """Write the record's results, unless they are there; gives its row of the archive's table.

    A record that cannot be read gives a row with its ``error``.
    """
    try:
        with fetched(job.source) as path:
            return _annotate(job, path)
    except EkgError as error:
        return {"source": job.source, "error": str(error)}


def _annotate(job: Job, path: Path) -> Row:
    name = name_of(path)
    digest = content_hash(path, job.lead, job.fs, job.units, job.partial)
    stem, out = f"{name}.{job.model[:8]}-{digest[:16]}", place(job.out)
    done = read_file(out, f"{stem}.json")
    if done and (not job.beats or out.system.isfile(f"{out.path}/{stem}.beats.parquet")):
        return {**orjson.loads(done), "source": job.source, "new": False}
    detector = _detector(job.artifacts, job.provider)
    if model_name(detector) != job.model:
        raise ModelError(
            f"{job.source}: this worker has another model than the one asked for; expected the "
            "same artifacts on every machine."
        )
    record = read(
        path, lead=job.lead, fs=job.fs, units=job.units, partial=job.partial, compact=True
    )
    beats, events = _found(detector, record, job, out, stem)
    found = Annotation(record, beats, events, detector.assess)
    row = {
        "name": name,
        "input": digest,
        "model": job.model,
        "version": version,
        "lead": record.lead,
        "choice": record.choice,
        "fs": record.fs,
        "seconds": len(record.signal) / record.fs,
        "gaps": record.gaps,
        "notes": list(record.notes),
        "beats": dict(Counter(beat.label for beat in beats)),
        "events": [asdict(event) for event in events],
        "quality": found.quality.to_dict(),
        "results": stem,
    }
    (marks,) = WRITERS["wfdb"].contents(found, scores=False)
    write(out, f"{stem}.ekg", marks)
    if job.beats:
        from .tables import beats_table

        write(out, f"{stem}.beats.parquet", beats_table(name, record.fs, beats))
    write(out, f"{stem}.json", orjson.dumps(row))  # the last: with it the record is done
    return {**row, "source": job.source, "new": True}


@lru_cache(maxsize=2)
def _detector(artifacts: str, provider: str) -> Detector:
    return Detector.load(artifacts, provider=provider)


def _found(
    detector: Detector, record: Record, job: Job, out: Place, stem: str
) -> tuple[list[Beat], list[Event]]:
    """`Detector.annotate`; of a long record what is done is saved now and then."""
    size = int(max(1.0, job.cut_s // CUT_MULTIPLE_S) * round(CUT_MULTIPLE_S * record.fs))
    if len(record.signal) <= size:
        whole = detector.annotate(record)
        return list(whole.beats), list(whole.events)
    stream, parts, beats, events = detector.stream(record.fs, events=True), 0, [], []
    for token, some_beats, some_events in _parts(out, stem):
        stream, parts = detector.resume(token), parts + 1
        beats += some_beats
        events += some_events
    piece = round(CUT_MULTIPLE_S * record.fs)
    for first in range(parts * size, len(record.signal), size):
        found: list[Beat] = []
        for at in range(first, min(first + size, len(record.signal)), piece):
            found += stream.push(record.signal[at : min(at + piece, first + size)])
        begun = stream.events()
        beats, events = beats + found, events + begun
        if first + size < len(record.signal):
            content = {
                "beats": [asdict(beat) for beat in found],
                "events": [asdict(event) for event in begun],
            }
            write(out, _part(stem, parts), orjson.dumps(content) + b"\n" + stream.save())
            parts += 1
    beats, events = beats + stream.finish(), closed(events + stream.events())
    remove(out, [_part(stem, i) for i in range(parts)])
    clock = stream.fs / record.fs  # as in `Detector.annotate`
    return (
        [replace(beat, time=beat.time * clock) for beat in beats],
        [
            replace(event, start=event.start * clock, end=(event.end or 0.0) * clock)
            for event in events
        ],
    )


def _part(stem: str, number: int) -> str:
    return f"{stem}.part{number:04}"


def _parts(out: Place, stem: str) -> Iterator[tuple[bytes, list[Beat], list[Event]]]:
    """What earlier tries of a long record have saved, in order."""
    number = 0
    while (data := read_file(out, _part(stem, number))) is not None:
        line, _, token = data.partition(b"\n")
        content = orjson.loads(line)
        beats = [
            Beat(**{**row, "probabilities": tuple(row["probabilities"])})
            for row in content["beats"]
        ]
        yield token, beats, [Event(**row) for row in content["events"]]
        number += 1
