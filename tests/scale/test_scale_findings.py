"""What is out of a patient: a finding is published once, whoever finds it again."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nats", reason="no nats (pip install nats-py)")

from scale.live.findings import Published
from scale.live.patients import BEAT, EVENT, Finding
from scale.live.reader import Recogniser


def beat(
    number: int, sample: int, *, stream: int = 1, chunk: int = 1, recording: int = 7
) -> Finding:
    body: dict[str, Any] = {"fs": 250, "sample": sample, "label": "N"}
    return Finding(BEAT, stream, number, recording, f"p/{recording}/{sample}", chunk, 0, body)


def event(number: int, name: str, *, stream: int = 1, chunk: int = 1) -> Finding:
    return Finding(EVENT, stream, number, 7, f"p/7/{name}", chunk, 0, {"fs": 250})


def publish(published: Published, *findings: Finding, model: str = "a") -> list[dict[str, Any]]:
    """Publish what is not out, as the outlet does, without a broker."""
    messages = []
    for finding in published.left(findings, model):
        messages.append(published.message("p", finding, model))
        published.follow(messages[-1], (published.seq or 0) + 1)
    return messages


def test_the_same_stream_is_compared_by_number() -> None:
    published = Published()
    publish(published, beat(1, 100), event(1, "pause@90"), beat(2, 300))
    assert publish(published, beat(1, 100), beat(2, 300), event(1, "pause@90")) == []
    (message,) = publish(published, beat(2, 300), beat(3, 310))
    assert message["n"] == [3, 1, 0]
    assert message["last"] == 310


def test_another_model_is_compared_by_the_beats_place() -> None:
    published = Published()
    publish(published, beat(1, 100), beat(2, 300))
    (message,) = publish(
        published, *(beat(i, at, stream=5) for i, at in ((9, 101), (10, 320), (11, 340))), model="b"
    )
    assert (message["id"], message["n"]) == ("p/7/340", [3, 0, 0])
    assert message["at"][0] == 11
    # The next try of the same model is compared by number again.
    assert publish(published, beat(10, 320, stream=5), beat(11, 340, stream=5), model="b") == []


def test_events_that_another_model_decided_are_not_repeated() -> None:
    published = Published(boundary=4)
    publish(published, beat(1, 100, chunk=3), event(1, "pause@90", chunk=4))
    found = [
        event(1, "pause@91", stream=5, chunk=4),
        beat(3, 400, stream=5, chunk=6),
        event(2, "couplet@380", stream=5, chunk=6),
    ]
    assert [one["id"] for one in publish(published, *found, model="b")] == [
        "p/7/400",
        "p/7/couplet@380",
    ]
    assert published.at == {BEAT: 3, EVENT: 2, "note": 0}
    assert publish(published, *found, model="b") == []


def test_findings_of_an_earlier_recording_are_out() -> None:
    published = Published()
    publish(published, beat(1, 100, recording=8))
    assert publish(published, beat(5, 9000, recording=7)) == []
    (message,) = publish(published, beat(1, 50, recording=9, stream=3))
    assert message["n"] == [2, 0, 0]


def test_a_reader_counts_what_is_lost_and_what_comes_twice() -> None:
    messages = publish(Published(), *(beat(i, 100 * i) for i in range(1, 6)))
    recogniser = Recogniser()
    kept = [m["id"] for m in (*messages[:3], messages[1], messages[4]) if recogniser.is_new(m)]
    assert kept == ["p/7/100", "p/7/200", "p/7/300", "p/7/500"]
    assert (recogniser.kept, recogniser.lost, recogniser.doubled) == (4, 1, 1)
