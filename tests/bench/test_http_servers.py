"""The servers beside ours: how each is named, and one that stops as it starts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bench import http_servers
from bench.load import Failed
from bench.servers import model
from runtime import Detector
from runtime.simulate import simulate


def test_the_status_of_a_server_that_stops_at_its_start_is_reported() -> None:
    stops = http_servers.Server(
        "gone", [sys.executable, "-c", "raise SystemExit(3)"], {"JSON": "/predict"}
    )
    with (
        pytest.raises(Failed, match="gone stopped with status 3 as it started"),
        http_servers.start(stops, Path("artifacts"), "cpu", np.zeros(360)),
    ):
        pass


def test_batching_has_rows_of_its_own() -> None:
    names = [server.name for server in http_servers.servers(Path("python"))]
    for name in ("LitServe", "BentoML"):
        assert {name, name + http_servers.BATCHING} <= set(names)
    assert len(set(names)) == len(names)


def test_batch_composition_does_not_change_answers(detector: Detector) -> None:
    """Windows of two lengths, mixed: each gets its own answer, in its own place."""
    signal = simulate(12, seed=3, ectopic=0.3).signal
    windows = [signal[at : at + (720 if at % 720 else 360)] for at in range(0, 3600, 360)]
    expected = [
        {**detector.predict(window, 360).to_dict(), "provider": "cpu"} for window in windows
    ]
    assert model.load_many()([(window.tolist(), 360.0) for window in windows]) == expected
    assert model.load()(windows[1].tolist(), 360.0) == expected[1]
