"""The central view: the figures behind the page, and the page itself."""

from __future__ import annotations

import base64
import time
import urllib.request
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nats", reason="no nats (pip install nats-py)")
pytest.importorskip("flask", reason="no flask (pip install flask)")

from scale.chunk import Chunk, pack, unpack
from scale.cli.tail import line
from scale.live.central import Central, application, served


def message(number: int, sample: int, label: str = "N", **more: Any) -> dict[str, Any]:
    return {
        "id": f"p/1/{sample}", "kind": "beat", "patient": "p", "recording": 1, "fs": 250,
        "sample": sample, "time": sample / 250, "label": label, "score": 0.9,
        "n": [number, 0, 0], "received": time.time_ns(), **more,
    }  # fmt: skip


def event(n: list[int], start: int, end: int | None) -> dict[str, Any]:
    return {
        "id": f"p/1/pause@{start}", "kind": "event", "event": "pause", "patient": "p", "fs": 250,
        "recording": 1, "start": start, "end": end, "n": n, "received": time.time_ns(),
    }  # fmt: skip


def test_the_page_counts_and_shows_each_patient() -> None:
    central = Central()
    for i in range(1, 5):
        central.take(message(i, 250 * i, "V" if i == 3 else "N"))
    central.take(message(4, 1000))
    central.take(message(6, 1500))
    central.take(event([6, 1, 0], 1600, None))
    central.workers({"w1": 16, "w2": 16})
    state = application(central).test_client().get("/state").get_json()
    assert (state["findings"], state["lost"], state["doubled"]) == (6, 1, 1)
    assert state["patients"]["p"]["rate"] == 48  # over the last intervals: a beat was lost
    assert state["patients"]["p"]["labels"] == {"N": 4, "V": 1}
    assert list(state["patients"]["p"]["events"]) == ["pause"]
    assert state["workers"] == {"w1": 16, "w2": 16}
    assert "foreign" not in state
    central.take(event([6, 2, 0], 1600, 1900))
    assert central.state()["patients"]["p"]["events"] == {}


def test_a_trial_sees_what_is_foreign_and_what_is_still_to_come() -> None:
    central = Central([("p", "N@250"), ("p", "N@500"), ("p", "N@750")])
    central.take(message(1, 250))
    central.take(message(2, 500, "V"))
    state = central.state()
    assert (state["due"], state["to_come"], state["foreign"]) == (3, 2, 1)


def test_the_page_is_served() -> None:
    with served(Central(), 0) as url:
        page = urllib.request.urlopen(url).read().decode()
        state = urllib.request.urlopen(f"{url}/state").read()
    assert "<title>EKG central station</title>" in page
    assert b'"findings":0' in state.replace(b" ", b"")


def test_the_page_gets_signal_beats_and_counts() -> None:
    central = Central()
    for first in (0, 250, 250):  # a chunk that came again
        chunk = Chunk(250, 1, first, np.full(250, first, np.float32))
        central.take_signal("p", unpack(pack(chunk)))
    central.take(message(1, 100))
    known = central.ward.news(None, {})["seq"]
    central.take(message(2, 300, "V"))
    central.take({**message(3, 0), "kind": "note", "text": "a gap."})
    news = central.ward.news(known, {"p": (1, 100)})
    assert [(one["time"], one["label"]) for one in news["findings"]] == [(1.2, "V")]
    assert news["signal"]["p"]["first"] == 100
    assert len(base64.b64decode(news["signal"]["p"]["mv"])) == 400 * 4
    assert news["counts"]["remarks"] == ["p: a gap."]
    assert ["Findings", 3, False] in [list(one) for one in news["counts"]["figures"]]
    central.take_signal("p", Chunk(250, 1, 500, np.zeros(0, np.float32), last=True))
    assert central.ward.news(None, {})["patients"]["p"]["ended"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (message(1, 250), "p      1.000 s  N  0.90"),
        (message(1, 250, "V"), "p      1.000 s  V  0.90  << anomaly"),
        (event([0, 1, 0], 500, None), "p  pause  from 2.00 s"),
        (event([0, 1, 0], 500, 750), "p  pause  from 2.00 to 3.00 s"),
        ({"kind": "note", "patient": "p", "text": "a gap."}, "p  note: a gap."),
    ],
)
def test_a_finding_as_a_line(found: dict[str, Any], expected: str) -> None:
    assert line(found) == expected
