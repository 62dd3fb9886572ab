"""The targets: each limit is judged by the results that there are."""

from __future__ import annotations

from bench.candidates import CARRIED, WINDOWS
from bench.targets import targets


def test_every_limit_is_judged(results):
    judged = {target["what"]: target for target in targets(results)}
    assert judged["`Stream.push` of one second against the bare graph"]["measured"] == "1.40 times"
    assert judged[f"{WINDOWS}, against `Stream.push`"]["measured"] == "13.57 times"
    assert not judged[f"{CARRIED}, against `Stream.push`"]["met"]
    assert not judged["`/predict` JSON p50 against the empty route"]["met"]
    assert judged["JSON answers/s against FastAPI + uvicorn"]["met"]
    assert judged["raw answers/s against the best of their JSON"]["met"]
    assert judged["the graph's share of one-thread sgemm"]["measured"] == "43.00 %"
    assert judged["a 24-hour record annotated, file to file, one core"]["met"]
    assert not judged["server resident"]["met"]
    assert len(judged) == 14


def test_targets_without_measurements_are_left_out(results):
    for key in ("http", "footprint", "scaling"):
        results[key] = None
    results["environment_mb"] = None
    assert all(
        "graph" in t["what"] or "push" in t["what"] or "beats" in t["what"]
        for t in targets(results)
    )
