"""Names and words of a report: kinds of event, classes, flaws, times."""

from __future__ import annotations

from ..findings import Flaw
from ..rhythm import kinds
from ..rhythm.events.ventricular import VF

__all__ = ["CLASS_NAMES", "EXTREMES", "FLAW_NAMES", "KINDS", "VF", "clock", "length", "title"]

KINDS = tuple(kind.name for kind in kinds())
CLASS_NAMES = {
    "N": "Normal",
    "S": "Supraventricular",
    "V": "Ventricular",
    "F": "Fusion",
    "Q": "Paced or unknown",
}
FLAW_NAMES = {
    Flaw.MISSING: "Missing",
    Flaw.FAST: "Heart too fast for all beats to be found",
    Flaw.FLAT: "Flat line or electrode off",
    Flaw.RAILED: "Amplifier saturated",
    Flaw.CLIPPED: "Clipped",
    Flaw.BASELINE: "Baseline wander",
    Flaw.NOISE: "Muscle or motion noise",
    Flaw.POWERLINE: "Mains hum",
}
EXTREMES = ("slowest", "fastest")  # of the heart rate; each has a strip


def title(kind: str) -> str:
    """Return the heading for a kind of event, a class of beat or an extreme of the heart rate."""
    if kind in CLASS_NAMES:
        return f"{CLASS_NAMES[kind]} beats"
    if kind in EXTREMES:
        return f"{kind.capitalize()} heart rate"
    return kind.replace("_", " ").capitalize()


def clock(seconds: float, digits: int = 0) -> str:
    """Return s as hours, minutes and seconds: 1:02:03, with so many digits after the point."""
    unit = 10**digits
    whole, part = divmod(round(seconds * unit), unit)
    text = f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{text}.{part:0{digits}d}" if digits else text


def length(seconds: float) -> str:
    """Return a duration: 12.3 s, from a minute on as `clock`."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
