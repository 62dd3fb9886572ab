"""Signals as a WFDB record: a header and a file of samples; needs the package ``wfdb``."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction
from math import gcd, lcm
from pathlib import Path

import numpy as np

from ...errors import RecordError
from ..packages import explained, need
from .counts import find_counts, is_fine
from .recording import Recording, Signal
from .writer import SignalWriter

NAME = re.compile(r"[A-Za-z0-9_-]+")
MISSING = {16: -(2**15), 32: -(2**31)}
MAX_DENOMINATOR = 1000
MAX_SAMPLES_PER_FRAME = 1000


class WfdbSignals(SignalWriter):
    """Writes 16-bit samples, or 32-bit ones if a signal has spikes that would make those coarse."""

    name = "WFDB"
    extensions = ("", ".hea", ".dat")

    def files(self, target: Path) -> list[Path]:
        """List header and samples."""
        return [target.with_suffix(".hea"), target.with_suffix(".dat")]

    def write(self, target: Path, recording: Recording) -> list[str]:
        """Write header and samples."""
        wfdb = need("wfdb", "to write WFDB records")
        name = target.with_suffix("").name
        if not NAME.fullmatch(name):
            raise RecordError(
                f"{target} cannot be written: a WFDB record's name has letters, digits, _ and - "
                "only."
            )
        fs, per_frame = _frames([signal.fs for signal in recording.signals])
        frames = max(
            -(-len(s.samples) // n) for s, n in zip(recording.signals, per_frame, strict=True)
        )
        bits = 16 if all(_fits(signal) for signal in recording.signals) else 32
        counts = [find_counts(signal.samples, bits) for signal in recording.signals]
        digital = [
            found.of(_padded(signal, frames * n), MISSING[bits])
            for found, signal, n in zip(counts, recording.signals, per_frame, strict=True)
        ]
        start = recording.start
        dated = start is not None and start.date() != date.min
        stored = (
            {"d_signal": np.stack(digital, axis=1)}
            if max(per_frame) == 1
            else {"e_d_signal": digital, "samps_per_frame": per_frame}
        )
        with explained(Path(target.name), "cannot be written as a WFDB record"):
            wfdb.wrsamp(
                name,
                fs=fs,
                units=[_word(signal.unit) or "NU" for signal in recording.signals],
                sig_name=_distinct([_word(signal.name, " ") for signal in recording.signals]),
                **stored,
                fmt=[str(bits)] * len(digital),
                adc_gain=[found.gain for found in counts],
                baseline=[found.baseline for found in counts],
                base_time=start.time() if start else None,
                base_date=start.date() if start and dated else None,
                write_dir=str(target.parent),
            )
        return [] if all(found.exact for found in counts) else [f"rounded to {bits} bits"]


def _fits(signal: Signal) -> bool:
    return is_fine(find_counts(signal.samples, 16), signal.samples, signal.fs)


def _padded(signal: Signal, size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.pad(signal.samples, (0, size - len(signal.samples)), constant_values=np.nan)


def _frames(rates: list[float]) -> tuple[float, list[int]]:
    """Return the rate of frames, Hz, and how many samples of each lead are in one.

    Raises
    ------
    RecordError
        The rates have no common measure.
    """
    if len(set(rates)) == 1:
        return rates[0], [1] * len(rates)
    exact = [Fraction(rate).limit_denominator(MAX_DENOMINATOR) for rate in rates]
    common = Fraction(gcd(*(f.numerator for f in exact)), lcm(*(f.denominator for f in exact)))
    per_frame = [int(f / common) for f in exact]
    if max(per_frame) > MAX_SAMPLES_PER_FRAME:
        raise RecordError(
            f"leads of {', '.join(f'{rate:g}' for rate in rates)} Hz have no common frame in a "
            "WFDB record; choose leads of one rate with --lead."
        )
    return float(common), per_frame


def _word(text: str, blank: str = "_") -> str:
    """Return a text as a header may hold it."""
    return re.sub(r"\s+", blank, text.encode("ascii", "replace").decode().strip())


def _distinct(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        same = sum(other == name or other.startswith(f"{name} #") for other in found)
        found.append(f"{name} #{same + 1}" if same else name or f"lead {len(found) + 1}")
    return found
