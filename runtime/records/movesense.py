"""Movesense's recordings: JSON with packets of samples, as its loggers and apps write it.

Known are ``{"Meas": {"ECG": [packets]}}`` of the Android logger, ``{"Samples": [{"MeasECG":
packet}]}`` of the tools for its flash memory, and ``{"data": [{"ecg": packet}]}`` of apps. A packet
is ``{"Timestamp": ms, "Samples": [numbers]}``. So packets are sought under any name with ECG in it.
The last two forms are read as other programs read them, and not confirmed by the vendor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError
from .layout import Column
from .leads import Lead
from .packages import explained
from .preambles import Facts
from .reader import Options, Reader
from .tables import Table, table_leads
from .text import open_text, text_start

COUNT_UV = 0.381469726563  # of the sensor's converter, as Movesense's tools have it
LOOKED_AT = 1 << 16
MAX_DEPTH = 8


class MovesenseReader(Reader):
    """Reads the ECG of a Movesense sensor, counts of 0.38 uV or mV."""

    name = "Movesense"
    extensions = (".json",)

    def recognises(self, path: Path) -> bool:
        """Return True if the file is JSON that speaks of ECG, of samples and their timestamps."""
        start = text_start(path, LOOKED_AT)
        words = "samples", "timestamp", "ecg"
        return start.lstrip()[:1] == "{" and all(word in start.lower() for word in words)

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """Place the packets at their times; missing ones are a gap."""
        with explained(path, "is no whole JSON file"), open_text(path) as file:
            content = json.load(file)
            packets = list(_packets(content, ""))
        if not packets:
            raise RecordError(
                f"{path} is JSON without packets of ECG; expected those of a Movesense sensor, "
                '{"Timestamp": ms, "Samples": [numbers]}.'
            )
        names = sorted({name for name, _, _ in packets})
        if len(names) > 1:
            raise RecordError(
                f"{path} holds the ECG several times ({', '.join(names)}); expected one."
            )
        times = np.concatenate([np.full(len(found), ms / 1000) for _, ms, found in packets])
        values = np.concatenate([found for _, _, found in packets])
        unit = Column("ECG", "mV", "n") if "mv" in names[0].lower() else _COUNTS
        table = Table(
            (Column("time", "s", "n"), unit), np.stack([times, values], axis=1), Facts(), named=True
        )
        leads = table_leads(path, table, options)
        options.start = _start(content, packets[0][1])
        return leads


_COUNTS = Column("ECG", "uV", "n", 0.0, COUNT_UV)


def _packets(
    node: Any, name: str, depth: int = 0
) -> Iterator[tuple[str, float, NDArray[np.float64]]]:
    """Give name, time (ms) and samples of each packet of ECG, in the file's order."""
    if depth > MAX_DEPTH:
        return
    if isinstance(node, list):
        for item in node:
            yield from _packets(item, name, depth + 1)
    elif isinstance(node, dict):
        lower = {key.lower(): value for key, value in node.items()}
        samples, time = lower.get("samples"), lower.get("timestamp")
        if "ecg" in name.lower() and isinstance(samples, list) and isinstance(time, int | float):
            numbers = [v if isinstance(v, int | float) else np.nan for v in samples]
            yield name, float(time), np.array(numbers, dtype=np.float64)
            return
        for key, value in node.items():
            yield from _packets(value, key if "ecg" in key.lower() else name, depth + 1)


def _start(content: Any, first_ms: float) -> datetime | None:
    """Return the moment of the first packet, by the sensor's clock and the moment it was set to."""
    for entry in content.get("Samples", []) if isinstance(content, dict) else []:
        detail = entry.get("TimeDetailed") if isinstance(entry, dict) else None
        if isinstance(detail, dict):
            try:
                moment = datetime.fromtimestamp(int(detail["utcTime"]) / 1e6, UTC)
                since = timedelta(milliseconds=first_ms - int(detail["relativeTime"]))
                return (moment + since).replace(tzinfo=None)
            except (KeyError, TypeError, ValueError, OverflowError, OSError):
                return None
    return None
