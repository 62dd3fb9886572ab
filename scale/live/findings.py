"""Findings on their way out: each once, in order, whoever publishes.

The log of findings is itself the record of what is out. Each message names the one that it follows
(the broker refuses another), so of two workers that think they own a patient only one publishes
each finding; the other is refused, reads what is there and goes on after it.

A message is JSON. Every one has ``id``, ``kind`` (beat, event, note), ``patient``, ``recording``
(microseconds since 1970), ``fs``, ``n`` and ``received``: ``n`` are the numbers of beats, events
and notes of this patient so far, this one included, so that a reader who misses one sees it;
``received`` is when the broker took the chunk that decided it, ns since 1970. A beat has
``sample``, ``time`` (s from the recording's start), ``label`` and ``score``; an event ``event``,
``start``, ``end`` (samples; null while it lasts) and ``confidence``; a note ``text``. The rest is
the workers' own: ``model``, ``stream``, ``at``, ``chunk``, ``last`` (the last beat's sample).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError

from .broker import OUT, PASSING, WRONG_LAST_SEQUENCE
from .patients import BEAT, EVENT, NOTE, Finding

KINDS = (BEAT, EVENT, NOTE)
# Two models, or two starts, place the same beat so far apart at most: half of the shortest interval
# between beats.
SAME_BEAT_S = 0.12
RETRY_S = 0.25
_LONG_AGO = -(1 << 40)  # before any sample


class NotOursError(Exception):
    """The patient's partition is no longer surely ours: publish nothing more of it."""


@dataclass
class Published:
    """What is out of one patient, as far as we know.

    Attributes
    ----------
    seq : of the last message; None if it is to be read from the log
    model, stream, at : of what found it, and how many of each kind that had found
    n : how many of each kind are out
    recording, last, chunk : of the last message; last is the last beat's sample
    boundary : number in the log of the last chunk that another model decided about
    passed_by, passed : a model and its stream, and how many of each kind it found that were out
    """

    seq: int | None = None
    model: str = ""
    stream: int = 0
    at: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    n: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    recording: int = 0
    last: int = _LONG_AGO
    chunk: int = 0
    boundary: int = 0
    passed_by: tuple[str, int] = ("", 0)
    passed: dict[str, int] = field(default_factory=dict)

    def left(self, findings: Sequence[Finding], model: str) -> list[Finding]:
        """Return the findings that are not out; those that are count as passed."""
        left = []
        for finding in findings:
            if self.has(finding, model):
                self.let_pass(finding, model)
            else:
                left.append(finding)
        return left

    def let_pass(self, finding: Finding, model: str) -> None:
        """Count a finding as out, although another stream found it first."""
        if self.passed_by != (model, finding.stream):
            self.passed_by, self.passed = (model, finding.stream), dict.fromkeys(KINDS, 0)
        self.passed[finding.kind] = max(self.passed[finding.kind], finding.number)

    def has(self, finding: Finding, model: str) -> bool:
        """True if the finding is out already, perhaps as another stream found it."""
        if finding.recording != self.recording:
            return finding.recording < self.recording
        if (self.model, self.stream) == (model, finding.stream):
            return finding.number <= self.at[finding.kind]
        if finding.stream < self.stream and self.model == model:
            return True  # of before the stream that is out began
        if finding.kind == BEAT:
            return bool(finding.body["sample"] <= self.last + SAME_BEAT_S * finding.body["fs"])
        return finding.chunk <= max(self.chunk, self.boundary)

    def message(self, patient: str, finding: Finding, model: str) -> dict[str, Any]:
        """The finding as it is published after what is out."""
        at = dict.fromkeys(KINDS, 0)
        for (by, stream), numbers in (
            (self.passed_by, self.passed),
            ((self.model, self.stream), self.at),
        ):
            if (by, stream) == (model, finding.stream):
                at = {kind: max(at[kind], numbers[kind]) for kind in KINDS}
        at[finding.kind] = finding.number
        n = {**self.n, finding.kind: self.n[finding.kind] + 1}
        last = self.last if finding.recording == self.recording else _LONG_AGO
        return {
            "id": finding.id,
            "kind": finding.kind,
            "patient": patient,
            "recording": finding.recording,
            **finding.body,
            "n": [n[kind] for kind in KINDS],
            "received": finding.received,
            "model": model,
            "stream": finding.stream,
            "at": [at[kind] for kind in KINDS],
            "chunk": finding.chunk,
            "last": finding.body["sample"] if finding.kind == BEAT else last,
        }

    def follow(self, message: dict[str, Any], seq: int) -> None:
        """Take a message of the log as the last one."""
        self.seq, self.model, self.stream = seq, message["model"], message["stream"]
        self.at = dict(zip(KINDS, message["at"], strict=True))
        self.n = dict(zip(KINDS, message["n"], strict=True))
        self.recording, self.last = message["recording"], message["last"]
        self.chunk = message["chunk"]


class Outlet:
    """Publishes findings.

    Attributes
    ----------
    model : names the model that finds them
    conflicts, retries : times that another had published first; that the broker did not answer
    """

    def __init__(self, js: JetStreamContext, model: str):
        self.model = model
        self.conflicts = self.retries = 0
        self._js = js

    async def publish(
        self,
        patient: str,
        published: Published,
        findings: Sequence[Finding],
        ours: Callable[[], bool],
        sent: Callable[[Finding], None],
    ) -> None:
        """Publish what is not out yet; goes on trying while the broker is away.

        Parameters
        ----------
        ours : False once the patient may be another worker's
        sent : called with each that was published

        Raises
        ------
        NotOursError
        """
        left = list(findings)
        while left:
            if not ours():
                raise NotOursError(patient)
            try:
                if published.seq is None:
                    await self.read(patient, published)
                left = published.left(left, self.model)
                if not left:
                    return
                message = published.message(patient, left[0], self.model)
                ack = await self._js.publish(
                    f"ecg.out.{patient}",
                    orjson.dumps(message),
                    stream=OUT,
                    timeout=5,
                    headers={
                        Header.MSG_ID.value: left[0].id,
                        Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(published.seq),
                    },
                )
            except APIError as error:
                published.seq = None
                if error.err_code in WRONG_LAST_SEQUENCE:
                    self.conflicts += 1
                    continue
                self.retries += 1
                await asyncio.sleep(RETRY_S)
            except PASSING:
                published.seq = None
                self.retries += 1
                await asyncio.sleep(RETRY_S)
            else:
                finding = left.pop(0)
                if ack.duplicate:  # it is out, by us or by another: see where that leaves us
                    published.let_pass(finding, self.model)
                    published.seq = None
                else:
                    published.follow(message, ack.seq)
                    sent(finding)

    async def read(self, patient: str, published: Published) -> None:
        """Read what is out from the log."""
        try:
            last = await self._js.get_last_msg(OUT, f"ecg.out.{patient}")
        except NotFoundError:  # nothing yet, or the log has forgotten it
            published.seq = 0
            return
        published.follow(orjson.loads(last.data or b""), last.seq or 0)
