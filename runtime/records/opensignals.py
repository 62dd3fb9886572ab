"""Headers of PLUX's OpenSignals, for BITalino and biosignalsplux: JSON above a table of counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

# Supply in V and gain of the ECG sensors, from their data sheets:
# mV = 1000 * (counts / 2**bits - 0.5) * supply / gain
BITALINO, BIOSIGNALSPLUX = (3.3, 1100.0), (3.0, 1000.0)
SENSORS = {"ECG", "ECGBIT", "ECGBITREV", "LOCALECG", "EKG"}


@dataclass(frozen=True)
class Channel:
    """A column that the header lists.

    Attributes
    ----------
    name : of the sensor, or the column
    unit : of the values after (counts - offset) * scale; empty if it is not known
    """

    name: str
    unit: str = ""
    offset: float = 0.0
    scale: float = 1.0


def channels(lines: Sequence[str]) -> tuple[float | None, tuple[Channel, ...]]:
    """Return the rate in Hz and the columns that an OpenSignals header gives; None and none else.

    Columns of several devices follow each other.
    """
    for line in lines:
        text = line.lstrip("# ")
        if text.startswith("{") and "sampling rate" in text:
            try:
                devices = list(json.loads(text).values())
                rate = float(devices[0]["sampling rate"])
                return rate, tuple(c for device in devices for c in _columns(device))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError):
                return None, ()
    return None, ()


def _columns(device: dict[str, list[object]]) -> list[Channel]:
    labels, bits = [str(label) for label in device["label"]], device["resolution"]
    names = [str(name) for name in device["column"]]
    sensors = dict(zip(labels, map(str, device.get("sensor", [])), strict=False))
    made_by = str(device.get("device", ""))
    supply, gain = BIOSIGNALSPLUX if "plux" in made_by.lower() else BITALINO
    found = []
    for name, resolution in zip(names, [*bits, *[0] * len(names)], strict=False):
        sensor = sensors.get(name, "")
        if sensor.upper() in SENSORS:
            half = 2.0 ** (int(str(resolution)) - 1)
            found.append(Channel("ECG", "mV", half, 1000 * supply / gain / (2 * half)))
        else:
            # DI is a digital input here, and lead I in Spanish.
            other = "digital input" if name == "DI" else name
            found.append(Channel(sensor if sensor and sensor != "RAW" else other))
    return found
