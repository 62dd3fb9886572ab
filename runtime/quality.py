"""What is wrong with a signal, second by second: said as a quality, never as a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from runtime import waveform

EQUAL_MV = 1e-6  # values that differ by less are the same
HUGE_MV = 20.0  # no surface ECG swings so far: a loose electrode, or the wrong units


class Flaw(IntFlag):
    """What can be wrong with a second of signal; several may be."""

    NONE = 0
    FLAT = 1
    CLIPPED = 2
    BASELINE = 4
    NOISE = 8
    POWERLINE = 16
    RAILED = 32


# Nothing is read from such a second: no beat of it counts, and no absence of beats.
UNREADABLE = Flaw.FLAT | Flaw.RAILED
# Beats may be false here; fibrillation, which looks like noise, is still told from it.
DOUBTFUL = UNREADABLE | Flaw.BASELINE | Flaw.NOISE


@dataclass(frozen=True)
class QualityPolicy:
    """From where on something is a flaw; `docs/rhythm.md` tells how the values were chosen.

    Attributes
    ----------
    flat_mv : least movement within a second; a QRS of any lead is larger, a loose lead less
    clipped_s : so long at the signal's extreme without a break: peaks are cut off
    railed_s : so long within ``rail_mv`` of it: nothing but the amplifier's end is seen; or
    jump_mv_s : a slope that no heart makes: it jumps there or back
    baseline_mv : largest swing within a second of the level that the ECG rides on
    powerline_mv : amplitude of a lasting 50 or 60 Hz oscillation
    noise : log-odds of the noise model (`runtime.waveform`), for muscle and electrode motion
    """

    flat_mv: float = 0.03
    clipped_s: float = 0.014
    railed_s: float = 0.06
    rail_mv: float = 0.01
    jump_mv_s: float = 900.0
    baseline_mv: float = 5.0
    powerline_mv: float = 0.2
    noise: float = 3.0


@dataclass(frozen=True)
class Quality:
    """Is this signal fit to be read?

    Attributes
    ----------
    flat : share of the seconds in which the signal hardly moves (lead off)
    clipped : share of the seconds whose peaks are cut off, or that are at the amplifier's end
    range_mv : largest less smallest value of the signal, mV
    baseline, noise, powerline : share of the seconds with a baseline storm, with muscle or
        motion noise (told from 5 s on), with mains hum
    seconds : the flaws of each second
    """

    flat: float
    clipped: float
    range_mv: float
    baseline: float = 0.0
    noise: float = 0.0
    powerline: float = 0.0
    seconds: tuple[Flaw, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Nothing was found that makes beats doubtful; hum is filtered out and does not."""
        return (self.flat == self.clipped == self.baseline == self.noise == 0
                and self.range_mv <= HUGE_MV)

    def to_dict(self) -> dict[str, object]:
        shares = {name: round(getattr(self, name), 4)
                  for name in ("flat", "clipped", "baseline", "noise", "powerline")}
        return {"ok": self.ok, **shares, "range_mv": round(self.range_mv, 4)}


def assess(ecg: NDArray[np.floating], fs: float, policy: QualityPolicy | None = None) -> Quality:
    """Judge a signal second by second.

    Parameters
    ----------
    ecg : [samples], mV, at least one sample
    fs : Hz
    """
    policy = policy or QualityPolicy()
    second = min(max(round(fs), 1), len(ecg))
    rows = ecg[: len(ecg) // second * second].reshape(-1, second)
    low, high = float(ecg.min()), float(ecg.max())
    flaws = flaws_of(rows, fs, policy, np.full(len(rows), low), np.full(len(rows), high))
    if len(ecg) >= waveform.WINDOW_S * fs:
        pieces = waveform.windows(waveform.at_rate(ecg, fs))
        noise = waveform.models()["noise"].log_odds(waveform.features(pieces)) >= policy.noise
        flaws |= np.where(noise[centred(np.arange(len(rows)), len(noise))], int(Flaw.NOISE), 0)

    def share(flaw: Flaw) -> float:
        return float((flaws & int(flaw) != 0).mean()) if some else 0.0

    some = bool(flaws.any())
    return Quality(share(Flaw.FLAT), share(Flaw.CLIPPED | Flaw.RAILED), high - low,
                   share(Flaw.BASELINE), share(Flaw.NOISE), share(Flaw.POWERLINE),
                   tuple(Flaw(int(flaw)) for flaw in flaws))


def centred(seconds: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Which of ``count`` windows, one starting each second, speaks of each second."""
    return np.clip(seconds - waveform.WINDOW_S // 2, 0, count - 1)


def flaws_of(rows: NDArray[np.floating], fs: float, policy: QualityPolicy,
             low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.int64]:
    """Flaws that a second shows by itself, as the bits of `Flaw`.

    Parameters
    ----------
    rows : [seconds, samples], mV
    low, high : [seconds], extremes of the signal as far as they are known, mV
    """
    ecg = np.asarray(rows, dtype=np.float64)
    flat = np.ptp(ecg, axis=1) < policy.flat_mv
    jump = np.abs(np.diff(ecg, axis=1)).max(axis=1, initial=0.0) * fs > policy.jump_mv_s
    rails = [np.abs(ecg - rail[:, None]) for rail in (low, high)]
    clipped, railed = (
        np.logical_or(*(_has_run(rail <= near, seconds * fs) for rail in rails))
        for near, seconds in ((EQUAL_MV, policy.clipped_s), (policy.rail_mv, policy.railed_s)))
    return np.asarray(
        flat * int(Flaw.FLAT) | (clipped & ~flat) * int(Flaw.CLIPPED)
        | ((railed | jump) & ~flat) * int(Flaw.RAILED)
        | (_level_swing(ecg) > policy.baseline_mv) * int(Flaw.BASELINE)
        | (_hum(ecg, fs) > policy.powerline_mv) * int(Flaw.POWERLINE), dtype=np.int64)


def _has_run(true: NDArray[np.bool_], length: float) -> NDArray[np.bool_]:
    """Which rows hold at least ``length`` true values in a row."""
    size = max(2, round(length))
    if true.shape[1] < size:
        return np.zeros(len(true), dtype=bool)
    if not (true.sum(axis=1) >= size).any():  # nearly always
        return np.zeros(len(true), dtype=bool)
    total = np.cumsum(np.pad(true, ((0, 0), (1, 0))), axis=1)
    return np.asarray((total[:, size:] - total[:, :-size] == size).any(axis=1))


def _level_swing(ecg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Range of the medians of a second's quarters, mV; a QRS moves no median."""
    quarter = ecg.shape[1] // 4
    if not quarter:
        return np.zeros(len(ecg))
    medians = np.median(ecg[:, : 4 * quarter].reshape(len(ecg), 4, quarter), axis=2)
    return np.asarray(np.ptp(medians, axis=1))


def _hum(ecg: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """Amplitude of 50 or 60 Hz that lasts, mV: the median over tenths of a second, in which
    both make whole periods and most of which hold no QRS."""
    tenth = round(fs / 10)
    count = ecg.shape[1] // tenth
    if not count:
        return np.zeros(len(ecg))
    pieces = ecg[:, : count * tenth].reshape(len(ecg), count, tenth)
    time = np.arange(tenth) / fs
    # A slope across a tenth leaks little into whole periods, a curve less.
    amplitudes = [np.abs(pieces @ np.exp(-2j * np.pi * mains * time)) * 2 / tenth
                  for mains in (50.0, 60.0)]
    return np.asarray(np.median(np.maximum(*amplitudes), axis=1))
