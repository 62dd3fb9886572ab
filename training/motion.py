"""Deflections that no heart makes, to add to signal: bumps, steps, swings, jerks and motion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.recordings import FS

Signal = NDArray[np.float64]
LOWEST_MV, HIGHEST_MV = 0.7, 6.0
FIRST_S, APART_S = 20.0, (3.5, 8.0)  # of a recording before the first, and between two
VISIBLE = 0.1  # of its height: what is lower is not seen


class Span(NamedTuple):
    """Where a deflection is seen, samples, and its kind, a place in `KINDS`."""

    start: int
    end: int
    kind: int


def added(
    rng: np.random.Generator, ecg: Signal, noise: NDArray[np.floating]
) -> tuple[Signal, list[Span]]:
    """A recording with deflections every few seconds.

    Parameters
    ----------
    ecg : [samples], mV at 360 Hz
    noise : [recordings, samples] of electrode motion
    """
    ecg, spans, at = ecg.copy(), list[Span](), FIRST_S * FS
    while at < len(ecg) - 3 * FS:
        kind, deflection = drawn(rng, noise)
        place = int(at)
        deflection = deflection[: len(ecg) - place]
        ecg[place : place + len(deflection)] += deflection
        size = np.abs(deflection)
        seen = np.flatnonzero(size > VISIBLE * size.max())
        spans.append(Span(place + int(seen[0]), place + int(seen[-1]), kind))
        at = place + len(deflection) + rng.uniform(*APART_S) * FS
    return ecg, spans


def drawn(rng: np.random.Generator, noise: NDArray[np.floating]) -> tuple[int, Signal]:
    """The kind of a deflection, and its samples, mV."""
    kind = int(rng.choice(len(KINDS), p=[share for _, share, _ in KINDS]))
    make, _, low = KINDS[kind]
    height = np.exp(rng.uniform(np.log(LOWEST_MV), np.log(HIGHEST_MV))) * low
    deflection = height * rng.choice([-1, 1]) * make(rng, noise)
    if rng.random() < 0.3:
        rough = np.convolve(rng.normal(size=len(deflection)), np.ones(5) / 5, "same")
        deflection = deflection * (1 + 0.05 * rough)
    return kind, deflection


def _samples(seconds: float) -> int:
    return max(2, round(seconds * FS))


def _bump(rng: np.random.Generator, _: NDArray[np.floating]) -> Signal:
    return np.asarray(np.sin(np.pi * np.linspace(0, 1, _samples(rng.uniform(0.08, 0.6)))))


def _bell(rng: np.random.Generator, _: NDArray[np.floating]) -> Signal:
    return np.asarray(np.exp(-0.5 * np.linspace(-4, 4, _samples(8 * rng.uniform(0.02, 0.2))) ** 2))


def _box(rng: np.random.Generator, _: NDArray[np.floating]) -> Signal:
    """With flanks of a few ms, and, of some, through a high pass: it sags and undershoots."""
    flank = _samples(rng.uniform(0.004, 0.04))
    box = np.pad(np.ones(_samples(rng.uniform(0.06, 1.0))), flank)
    box = np.convolve(box, np.ones(flank) / flank, "same")
    if rng.random() < 0.4:
        kept = np.exp(-1 / (rng.uniform(0.1, 1.0) * FS))
        box, level = np.pad(box, (0, FS)), 0.0
        for i, value in enumerate(box.tolist()):
            level = kept * level + (1 - kept) * value
            box[i] = value - level
    return box


def _settling(rng: np.random.Generator, _: NDArray[np.floating]) -> Signal:
    decay, flank = rng.uniform(0.05, 0.5), _samples(rng.uniform(0.01, 0.08))
    curve = np.exp(-np.arange(_samples(5 * decay)) / (decay * FS))
    return np.convolve(np.pad(curve, (flank, 0)), np.ones(flank) / flank, "same")


def _swing(rng: np.random.Generator, _: NDArray[np.floating]) -> Signal:
    time = np.linspace(0, 1, _samples(rng.uniform(0.4, 2.0)))
    turns = rng.choice([0.5, 1.0, 1.0, 1.5, 2.0])
    wave = np.sin(2 * np.pi * turns * time + rng.uniform(0, 0.5))
    return np.asarray(wave * np.sin(np.pi * time) ** rng.uniform(0.3, 1.5))


def _jerk(rng: np.random.Generator, _: NDArray[np.floating]) -> Signal:
    time, top = np.linspace(0, 1, _samples(rng.uniform(0.04, 0.2))), rng.uniform(0.15, 0.85)
    return np.minimum(time / top, (1 - time) / (1 - top))


def _to_and_fro(rng: np.random.Generator, _: NDArray[np.floating]) -> Signal:
    time = np.linspace(0, 1, _samples(rng.uniform(0.08, 0.35)))
    return np.asarray(np.sin(2 * np.pi * time) * np.exp(-rng.uniform(0, 4) * time))


def _motion(rng: np.random.Generator, noise: NDArray[np.floating]) -> Signal:
    """A cut of recorded electrode motion, its height 1."""
    size, row = _samples(rng.uniform(0.25, 1.5)), noise[rng.integers(len(noise))]
    at = int(rng.integers(len(row) - size))
    cut = row[at : at + size].astype(np.float64)
    cut = (cut - np.linspace(cut[0], cut[-1], size)) * np.hanning(size) ** 0.3
    return np.asarray(cut / max(float(np.abs(cut).max()), 1e-6))


Maker = Callable[[np.random.Generator, NDArray[np.floating]], Signal]
# What makes it, its share, and how high it is beside the others.
KINDS: Sequence[tuple[Maker, float, float]] = (
    (_bump, 0.16, 1.0),
    (_bell, 0.14, 1.0),
    (_box, 0.16, 0.7),
    (_settling, 0.08, 1.0),
    (_swing, 0.14, 0.7),
    (_jerk, 0.12, 0.5),
    (_to_and_fro, 0.06, 0.5),
    (_motion, 0.14, 1.0),
)
