"""Smooth deflections that no heart makes, added to clean minutes: what the detector makes of them.

    python -m bench.pops [--wide]

Pops of an electrode or, ``--wide``, bumps and steps that last as long as a V beat and longer. Two
minutes of each of eight records of DS1, with one deflection every 7.3 s from 40 s on, of any phase
to the beats. Compared is with the beats found without them: a beat more than 0.1 s from any of
those is false, one of those that is found no more is lost, or it has another label.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from runtime import Beat, Detector
from runtime.records import read
from runtime.rhythm import kinds
from training.download import data_folder

RECORDS = "101 112 115 119 122 209 215 230".split()
SECONDS, FIRST_S, LAST_S, EVERY_S, NEAR_S = 120, 40.1, 115.0, 7.3, 0.1
COLUMNS = (
    *("put in", "false", "lost", "another label"),
    *("more V", "more S", "more Q", "more events", "more grave"),
)
GRAVE = {kind.name for kind in kinds() if kind.gravity >= 90}  # as `training.strangers` has them


def deflections(fs: float) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Name and samples, mV, of each deflection; widths of bumps are at half their height."""
    time = np.arange(round(fs)) / fs
    for height, width in ((3, 60), (5, 80), (10, 60), (10, 150), (-10, 100), (20, 80)):
        bump = height * np.exp(-0.5 * ((time - 0.5) / (width / 2355)) ** 2)
        yield f"bump, {height} mV, {width} ms", bump
    for height in (2, 8):
        yield f"box, {height} mV, 100 ms", height * ((time > 0.45) & (time < 0.55)).astype(float)
    for height, decay in ((200, 0.1), (20, 0.3)):
        later = time >= 0.1
        yield f"decay, {height} mV, {decay:g} s", height * np.exp(-(time - 0.1) / decay) * later


def wide(fs: float) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Name and samples, mV, of each bump (half a sine, or a bell as wide at half) and step."""
    for height in (3, 4, 5):
        for width in (0.1, 0.2, 0.35, 0.5):
            half = np.sin(np.pi * np.linspace(0, 1, round(width * fs)))
            yield f"half sine, {height} mV, {width:g} s", height * half
    for height in (3, 5):
        for width in (0.1, 0.3):
            time = np.arange(round(4 * width * fs)) / fs - 2 * width
            bell = np.exp(-0.5 * (time * 2.355 / width) ** 2)
            yield f"bell, {height} mV, {width:g} s", height * bell
    for height in (1, 2, 3):
        for width in (0.1, 0.3, 1.0):
            yield f"box, {height} mV, {width:g} s", np.full(round(width * fs), float(height))


def compared(clean: list[Beat], found: list[Beat]) -> Counter[str]:
    """Count the beats that differ."""
    apart = np.abs(np.subtract.outer([b.time for b in clean], [b.time for b in found]))
    nearest, counts = apart.argmin(axis=1), Counter[str]()
    counts["false"] = int((apart.min(axis=0) > NEAR_S).sum())
    for beat, place, distance in zip(clean, nearest, apart.min(axis=1), strict=True):
        counts["lost"] += int(distance > NEAR_S)
        counts["another label"] += int(distance <= NEAR_S and found[int(place)].label != beat.label)
    return counts


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.pops", description=__doc__)
    parser.add_argument("--wide", action="store_true", help="bumps and steps that last longer")
    made = wide if parser.parse_args().wide else deflections
    data = data_folder()
    if data is None:
        raise SystemExit("no recordings at hand (set EKG_DATA to the folder that holds mitdb/)")
    detector, totals = Detector.load(provider="cpu"), dict[str, Counter[str]]()
    for name in RECORDS:
        record = read(data / "mitdb" / name, seconds=SECONDS)
        clean = detector.annotate(record)
        for kind, deflection in made(record.fs):
            signal = record.signal.copy()
            places = np.arange(FIRST_S, LAST_S, EVERY_S) * record.fs
            for place in places.astype(int).tolist():
                signal[place : place + len(deflection)] += deflection
            found = detector.annotate(replace(record, signal=signal))
            counts = compared(list(clean.beats), list(found.beats))
            counts["put in"] = len(places)
            counts["more events"] = len(found.events) - len(clean.events)
            for label in "VSQ":
                counts[f"more {label}"] = int((found.labels == label).sum()) - int(
                    (clean.labels == label).sum()
                )
            counts["more grave"] = sum(one.kind in GRAVE for one in found.events) - sum(
                one.kind in GRAVE for one in clean.events
            )
            totals.setdefault(kind, Counter()).update(counts)
    print("| deflection |", " | ".join(COLUMNS), "|")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for kind, counts in totals.items():
        print(f"| {kind} |", " | ".join(str(counts[column]) for column in COLUMNS), "|")


if __name__ == "__main__":
    main()
