"""The clock of a device beside this machine's: how fast it runs, told to people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from time import monotonic

import numpy as np

WINDOW_S = 5.0  # the packet of each that came soonest is taken: the others waited on their way
MIN_WINDOWS = 6
WRONG_RATE = 0.03  # no clock is so wrong, but a rate that was given may be
DAY_S = 86_400.0


class DeviceClock:
    """Measures how fast a device's clock runs, from its times and those of arrival.

    Packets come late by more or less, never early. So within each window the one that came
    soonest is taken, and a line is laid through these.

    Attributes
    ----------
    seconds : length of what was measured, by the device's clock
    """

    seconds = 0.0

    def __init__(self) -> None:
        self._windows: dict[int, tuple[float, float]] = {}  # device's time, and how late, s
        self._first: tuple[float, float] | None = None

    def add(self, device_s: float, here_s: float) -> None:
        """Take the time of a packet by the device's clock, and by ours when it came."""
        if self._first is None:
            self._first = device_s, here_s
        device, here = device_s - self._first[0], here_s - self._first[1]
        self.seconds = max(self.seconds, device)
        window = int(device // WINDOW_S)
        late = here - device
        if window not in self._windows or late < self._windows[window][1]:
            self._windows[window] = device, late

    def add_each(self, chunks: Iterator[list[float]], fs: float) -> Iterator[list[float]]:
        """Give the same chunks; each says that the device took so many samples."""
        count = 0
        for chunk in chunks:
            count += len(chunk)
            self.add(count / fs, monotonic())
            yield chunk

    def drift_ppm(self) -> tuple[float, float] | None:
        """Return how much too fast the device's clock runs, and the standard error, in ppm.

        None if less than half a minute was measured. Our own clock is taken to be right.
        """
        if len(self._windows) < MIN_WINDOWS:
            return None
        points = np.array(sorted(self._windows.values())[:-1])  # the last window is not over
        device = points[:, 0] - points[:, 0].mean()
        slope = float(device @ points[:, 1] / (device @ device))
        rest = points[:, 1] - points[:, 1].mean() - slope * device
        error = math.sqrt(float(rest @ rest) / max(1, len(points) - 2) / float(device @ device))
        # It lags behind by so much more each second if the device's seconds are shorter.
        return -slope / (1 + slope) * 1e6, error * 1e6

    def sentence(self, fs: float) -> str:
        """Say what was measured, and what it makes of a rate in Hz."""
        found = self.drift_ppm()
        if found is None:
            return (
                f"the device's clock was not measured: {self.seconds:.0f} s came; it takes "
                f"{WINDOW_S * MIN_WINDOWS:.0f}."
            )
        drift, error = found
        says = (
            f"the device's clock runs {abs(drift):.0f} ppm (+-{error:.0f}) "
            f"{'fast' if drift > 0 else 'slow'}, {abs(drift) * DAY_S / 1e6:.1f} s in a day: "
            f"{fs * (1 + drift / 1e6):.6g} samples a second, measured over {self.seconds:.0f} s."
        )
        if abs(drift) > WRONG_RATE * 1e6:
            says += f" So it does not sample at {fs:g} Hz; give the rate with --fs."
        return says
