"""Simulated patients and noise, for when no real recordings can be had."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.findings import CLASSES
from runtime.simulate import simulate
from training.recordings import FS, Record


def simulated_records(count: int, *, seconds: float = 300.0) -> list[Record]:
    """Simulated patients, two leads each, for training without real ones."""
    records = []
    for seed in range(count):
        made = simulate(seconds, fs=FS, seed=seed, heart_rate=55.0 + 5.0 * (seed % 9))
        beats = np.rint(made.times * FS).astype(np.int64)
        labels = np.array([CLASSES.index(label) for label in made.labels], dtype=np.int8)
        beats = np.minimum(beats, len(made.signal) - 1)
        second = np.gradient(made.signal) * 8.0  # another view of the same beats
        records.append(
            Record(
                f"s{seed:02d}",
                "simulated",
                ("I", "II"),
                np.stack([made.signal, second]).astype(np.float32),
                beats,
                labels,
                np.zeros((0, 2), dtype=np.int64),
                tuple(
                    (int(beat), label, 0) for beat, label in zip(beats, made.labels, strict=True)
                ),
            )
        )
    return records


def simulated_noise(count: int = 3, *, seconds: float = 300.0) -> NDArray[np.float32]:
    """Noise in place of nstdb's: slow random drift, float32 [count, samples], mV."""
    steps = np.random.default_rng(0).standard_normal((count, round(seconds * FS)))
    drift = np.cumsum(steps, axis=1) * 0.01
    return (drift + 0.02 * steps).astype(np.float32)
