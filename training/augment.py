"""Batches of a training step: crops of real recordings, varied as patients and devices differ.

Every crop is a function of the recipe's seed and the step alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.findings import CLASSES
from training import amplifier
from training.model import HOP, Design
from training.recipe import Recipe
from training.recordings import FS, Record

IGNORE = -1  # frames whose label is not known: no loss
# Frames of which only this much is known (`training.train.frame_loss`): no beat or N; not S.
NORMAL_AT_MOST, NOT_S = -2, -3
# What is known where beats are doubtful, of each pool of `Recipe.strangers`.
DOUBTFUL = (NORMAL_AT_MOST, NOT_S, NORMAL_AT_MOST)
# A beat is written on the three frames whose middles lie within 75 ms of its R peak.
BEAT_REACH = round(0.075 * FS)
# From the edge of a short window; whether a beat cut by it counts is not defined.
EDGE = round(0.1 * FS)
# DS1's patients in atrial fibrillation, whose early beats are no S: two are few.
FIBRILLATING = ("201", "203")
N, S = CLASSES.index("N"), CLASSES.index("S")


def draw(
    records: Sequence[Record],
    noise: NDArray[np.float32],
    recipe: Recipe,
    design: Design,
    step: int,
    pools: Sequence[Sequence[Record]] = (),
) -> tuple[Tensor, Tensor]:
    """The signals and frame labels of one step.

    Crops and windows stand in one batch: batch norm has to see the mixture it will serve.

    Parameters
    ----------
    pools : recordings of strangers, in the order of `Recipe.strangers`

    Returns
    -------
    ecg : float32 [batch, samples], mV, first sample subtracted
    targets : int64 [batch, frames], class of the frame, `IGNORE`, `NORMAL_AT_MOST` or `NOT_S`
    """
    rng = np.random.default_rng((recipe.seed, step))
    samples = round(recipe.crop_s * FS)
    ecgs, targets = [], []
    for i in range(recipe.batch + recipe.window_batch):
        alone = None
        if i >= recipe.batch:
            seconds = 1.0 if rng.random() < 0.6 else rng.uniform(1.0, 10.0)
            alone = min(round(FS * seconds), samples // 2)
        ecg, labels = example(rng, records, noise, recipe, samples, alone, pools)
        ecgs.append(ecg)
        targets.append(frame_targets(labels, design))
    return torch.from_numpy(np.stack(ecgs)), torch.from_numpy(np.stack(targets))


def frame_targets(labels: NDArray[np.int8], design: Design) -> NDArray[np.int64]:
    """Frame classes of sample classes: frame i gets that of its delayed moment."""
    moments = np.arange(len(labels) // HOP) * HOP + HOP // 2 - design.delay_samples
    targets = labels[moments.clip(0)].astype(np.int64)
    targets[moments < 0] = 0  # before the recording there are no beats
    return targets


def example(
    rng: np.random.Generator,
    records: Sequence[Record],
    noise: NDArray[np.float32],
    recipe: Recipe,
    samples: int,
    alone: int | None,
    pools: Sequence[Sequence[Record]] = (),
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """One crop, augmented.

    ``alone`` keeps only so many samples and holds the last one after that.

    Returns
    -------
    ecg : float32 [samples], mV
    labels : int8 [samples]: 0 for none, class + 1 within 75 ms of a beat, `IGNORE`,
        `NORMAL_AT_MOST` or `NOT_S`
    """
    # Time stretch: the heart beats up to 20 % slower or faster than recorded.
    stretch = np.exp(rng.uniform(-0.18, 0.18))
    wanted = alone or samples
    rhythm = "as recorded"
    if alone is None and rng.random() < recipe.retimed:
        rhythm = str(rng.choice(("premature", "fibrillation", "arrhythmia"), p=recipe.rhythms))
    # Another rhythm may use up more signal than it gives.
    length = int(np.ceil(wanted * stretch * (1.0 if rhythm == "as recorded" else 1.6))) + 1
    which, unknown = pick(rng, recipe.strangers), IGNORE
    if which is None:
        record, start = holter(rng, records, recipe, length)
    else:
        pool, unknown, rhythm = pools[which], DOUBTFUL[which], "as recorded"
        record = pool[int(rng.integers(len(pool)))]
        if length > record.signal.shape[1]:  # what is there, and then as of a window alone
            length = record.signal.shape[1]
            wanted = alone = int((length - 1) / stretch)
        start = int(rng.integers(record.signal.shape[1] - length + 1))
    # The first lead (of twelve any), the other, or a view from between them.
    mix = np.zeros(len(record.signal))
    mix[0 if which is None else rng.integers(len(mix))] = 1.0
    if rng.random() < 0.5:
        mix = rng.normal(0.0, 1.0, len(mix))
        mix /= np.linalg.norm(mix)
    ecg = mix @ record.signal[:, start : start + length]  # a copy
    low, high = np.searchsorted(record.beats, (start - 2 * FS, start + length + 2 * FS))
    beats, classes = record.beats[low:high] - start, record.labels[low:high]
    if rng.random() < recipe.blocked:
        kept = block(rng, ecg, beats, classes)
        beats, classes = beats[kept], classes[kept]
    at = np.arange(wanted) * stretch
    # In fibrillation no beat is premature: neither is one left where it is made, nor made there.
    if (rhythm == "fibrillation" and (classes == S).any()) or (
        rhythm == "premature" and record.name in FIBRILLATING
    ):
        rhythm = "as recorded"
    if rhythm != "as recorded" and len(beats) > 1:
        to, anew = retime(rng, beats / stretch, classes, rhythm)
        shown = warp(beats.astype(np.float64), to, wanted)
        # All that is shown has to lie between two beats, and in the signal that there is.
        if to[0] <= 0 and to[-1] >= wanted and shown[0] >= 0 and shown[-1] <= length - 1:
            at, classes = shown, anew
            if rhythm == "fibrillation":
                ecg = fibrillating(rng, ecg, beats)
    ecg = np.interp(at, np.arange(length), ecg) * np.exp(rng.normal(0.0, 0.35))
    if rng.random() < 0.15:
        ecg = -ecg  # electrodes swapped
    other_device = recipe.devices > 0 and rng.random() < recipe.devices
    if other_device:
        ecg = ecg * amplifier.gain(rng)
    ecg = add_noise(rng, ecg, noise)
    if other_device:
        ecg = amplifier.heard(rng, ecg)
    labels = sample_labels(
        record.flutter - start, beats, classes, at, edges=alone is not None, unknown=unknown
    )
    if alone is not None:
        ecg = np.pad(ecg, (0, samples - alone), mode="edge")
        labels = np.pad(labels, (0, samples - alone))
    return (ecg - ecg[0]).astype(np.float32), labels


def pick(rng: np.random.Generator, shares: Sequence[float]) -> int | None:
    """The pool of strangers to draw a crop from, if any; without shares no number is drawn."""
    if not any(shares):
        return None
    which = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
    return which if which < len(shares) else None


def holter(
    rng: np.random.Generator, records: Sequence[Record], recipe: Recipe, length: int
) -> tuple[Record, int]:
    """A Holter recording, and where in it a crop of this length starts."""
    svdb = [r for r in records if r.database == "svdb"]
    others = [r for r in records if r.database != "svdb"]
    pool = svdb if svdb and (not others or rng.random() < recipe.svdb_share) else others
    often = np.array([recipe.fibrillating if r.name in FIBRILLATING else 1.0 for r in pool])
    record = pool[rng.choice(len(pool), p=often / often.sum())]
    start = int(rng.integers(record.signal.shape[1] - length))
    rare = np.flatnonzero(record.labels)
    if len(rare) and rng.random() < recipe.rare:
        beat = record.beats[rare[rng.integers(len(rare))]]
        start = int(np.clip(beat - rng.integers(length), 0, record.signal.shape[1] - length))
    return record, start


def block(
    rng: np.random.Generator,
    ecg: NDArray[np.float64],
    beats: NDArray[np.int64],
    classes: NDArray[np.int8],
) -> NDArray[np.bool_]:
    """Take QRS and T wave of some N beats out, in place: a straight line instead.

    Their P waves stay, as in a second-degree block, or go too, as when the sinus node pauses:
    few patients show either, and a network that never saw a P wave alone takes it for a beat.

    Returns
    -------
    bool [beats], which are left
    """
    often, silent = rng.choice((0.1, 0.3, 0.5)), rng.random() < 0.3
    kept = np.ones(len(beats), dtype=bool)
    for i in range(len(beats) - 1):
        first = beats[i] - round((0.3 if silent else 0.09) * FS)
        last = min(beats[i] + round(0.45 * FS), beats[i + 1] - round(0.26 * FS))
        room = last - beats[i] >= 0.25 * FS  # in faster rhythm T wave and next P wave are one
        if classes[i] == N and room and first >= 0 and last < len(ecg) and rng.random() < often:
            ecg[first : last + 1] = np.linspace(ecg[first], ecg[last], last + 1 - first)
            kept[i] = False
    return kept


def retime(
    rng: np.random.Generator, beats: NDArray[np.float64], classes: NDArray[np.int8], rhythm: str
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Give a patient's beats another rhythm; gives each beat's new place and class.

    Few patients show each rhythm, so a network learns their shapes instead; with this, every
    patient's shape is seen in every rhythm.

    Parameters
    ----------
    beats : [beats], R peaks in samples, ascending
    classes : int8 [beats], indices into `CLASSES`
    rhythm : premature (N beats that come early become S, singly, in runs, or every few beats),
        fibrillation (every interval of another length; still N) or arrhythmia (intervals that
        swing slowly, as with breathing; still N)
    """
    intervals, classes = np.diff(beats), classes.copy()
    if rhythm == "fibrillation":
        intervals *= np.exp(rng.normal(0.0, rng.uniform(0.12, 0.28), len(intervals)))
    elif rhythm == "arrhythmia":
        depth, rate = rng.uniform(0.03, 0.25), rng.uniform(0.1, 0.4) / FS
        intervals *= 1 + depth * np.sin(2 * np.pi * (rate * beats[1:] + rng.random()))
    else:
        often, early = rng.choice((0.05, 0.15, 0.35)), rng.uniform(0.5, 0.8)
        lasting, pause = rng.choice((0.0, 0.3, 0.85)), rng.uniform(1.0, 1.4)
        inside, longest = False, 1.3 * np.median(intervals)
        for i in range(1, len(beats)):
            # After a pause or a beat taken out, half of the interval is not early.
            plain = classes[i - 1] in (N, S) and classes[i] == N and intervals[i - 1] <= longest
            # What was premature before is not so again, unless as a run.
            starts = plain and classes[i - 1] == N and rng.random() < often
            goes_on = inside and plain and rng.random() < lasting
            if inside and not goes_on:
                intervals[i - 1] *= pause
            elif starts or goes_on:
                intervals[i - 1] *= early * np.exp(rng.normal(0.0, 0.04))
                classes[i] = S
            inside = starts or goes_on
    shortest = np.minimum(0.3 * FS, np.diff(beats))  # no heart beats faster than it did, or 200
    return beats[0] + np.concatenate([[0.0], np.cumsum(np.maximum(intervals, shortest))]), classes


def warp(beats: NDArray[np.float64], to: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """The moment of the recording that each sample shows when its beats are moved.

    P wave, QRS and the T wave's begin keep their shape if there is room for them; the rest
    between two beats is stretched or shortened, as it is when a heart changes its rate.

    Parameters
    ----------
    beats, to : [beats], R peaks in the recording and in what is made of it, in samples
    samples : number to give

    Returns
    -------
    float64 [samples], ascending
    """
    pace = (beats[-1] - beats[0]) / (to[-1] - to[0])
    room = np.minimum(np.diff(to), np.diff(beats) / pace)
    before = np.minimum(np.append(room[0], room) * 0.35, 0.24 * FS)
    after = np.minimum(np.append(room, room[-1]) * 0.4, 0.3 * FS)
    source = np.stack([beats - before * pace, beats, beats + after * pace], axis=1).ravel()
    target = np.stack([to - before, to, to + after], axis=1).ravel()
    return np.interp(np.arange(samples), target, source)


def fibrillating(
    rng: np.random.Generator, ecg: NDArray[np.float64], beats: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Take the P waves out (a straight line instead), and put fibrillation waves in."""
    ecg = ecg.copy()
    for beat in beats:
        first, last = beat - round(0.24 * FS), beat - round(0.07 * FS)
        if first >= 0 and last < len(ecg):
            ecg[first : last + 1] = np.linspace(ecg[first], ecg[last], last + 1 - first)
    time = np.arange(len(ecg)) / FS
    rate = rng.uniform(4.0, 9.0) + 0.7 * np.sin(
        2 * np.pi * (rng.uniform(0.1, 0.5) * time + rng.random())
    )
    size = np.exp(rng.normal(-3.2, 0.7))  # 0.04 mV, seldom above 0.1
    return np.asarray(ecg + size * np.sin(2 * np.pi * np.cumsum(rate) / FS))


def sample_labels(
    flutter: NDArray[np.int64],
    beats: NDArray[np.int64],
    classes: NDArray[np.int8],
    at: NDArray[np.float64],
    *,
    edges: bool,
    unknown: int = IGNORE,
) -> NDArray[np.int8]:
    """Classes of the samples that show the moments ``at`` of the recording.

    ``unknown`` is that of where no beats are defined (``flutter``).
    """
    samples = len(at)
    labels = np.zeros(samples, dtype=np.int8)

    def place(moments: NDArray[np.integer]) -> NDArray[np.int64]:
        """Samples of the crop that show these moments; beyond its ends, at its mean pace."""
        pace = (at[-1] - at[0]) / (samples - 1)
        inside = np.interp(moments, at, np.arange(samples))
        before = np.minimum(moments - at[0], 0) / pace
        return np.rint(inside + before + np.maximum(moments - at[-1], 0) / pace).astype(np.int64)

    for episode in flutter:
        labels[slice(*place(episode).clip(0, samples))] = unknown
    for middle, label in zip(place(beats), classes, strict=True):
        cut_off = edges and not EDGE <= middle < samples - EDGE
        reach = slice(max(middle - BEAT_REACH, 0), max(middle + BEAT_REACH, 0))
        labels[reach] = IGNORE if cut_off else label + 1
    return labels


def add_noise(
    rng: np.random.Generator, ecg: NDArray[np.float64], noise: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Real noise from nstdb, powerline and slow drift, each on some crops, in mV."""
    samples = len(ecg)
    time = np.arange(samples) / FS
    if rng.random() < 0.5:
        row, start = rng.integers(len(noise)), rng.integers(noise.shape[1] - samples)
        piece = noise[row, start : start + samples]
        ecg = ecg + (piece - piece.mean()) * np.exp(rng.normal(-1.6, 0.8))
    if rng.random() < 0.2:
        powerline = np.sin(2 * np.pi * (rng.choice((50.0, 60.0)) * time + rng.random()))
        ecg = ecg + rng.exponential(0.05) * powerline
    if rng.random() < 0.2:
        drift = np.sin(2 * np.pi * (rng.uniform(0.05, 0.5) * time + rng.random()))
        ecg = ecg + rng.exponential(0.3) * drift
    return ecg
