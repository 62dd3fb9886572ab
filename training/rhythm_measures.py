"""Figures of rhythm events and signal quality, one function a kind of event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime import Detector
from runtime.beats import Beats, from_beats
from runtime.findings import CLASSES, DOUBTFUL, Event, Flaw
from runtime.model.contract import FS, BeatPolicy
from runtime.rhythm import RhythmModel, RhythmTracker, closed, kinds, take_together
from runtime.rhythm.events.atrial import AF
from runtime.rhythm.events.runs import VT
from runtime.rhythm.events.ventricular import VF, VentricularLimits
from runtime.signal import features as waveform
from training import fit_rhythm
from training.databases import CUDB
from training.recordings import Record, load
from training.rhythm_matching import (
    LONG_RUN,
    V_RUNS,
    begins_inside,
    covered,
    four,
    meets,
    overlap,
    painted,
    runs_of_v,
    se_sp,
    share,
    stretches,
    ventricular_runs,
)
from training.rhythm_references import (
    as_heard,
    fibrillation,
    label_windows,
    mix,
    readable,
    rhythm_marks,
    truth_of,
)
from training.rhythm_report import Miss
from training.rhythm_windows import design_windows, fibrillation_task
from training.scores import Rates

DECIBELS = (0.0, -6.0)


NO_GATE: dict[str, float] = {
    "flat_mv": 0.0,
    "clipped_s": 60.0,
    "railed_s": 60.0,
    "rail_mv": 0.0,
    "jump_mv_s": 1e9,
    "baseline_mv": 1000.0,
    "powerline_mv": 1000.0,
    "noise_log_odds": 100.0,
    "lasting_noise_log_odds": 100.0,
}


WEIGHTS = BeatPolicy().class_weights


@dataclass(frozen=True)
class Heard:
    """A record as the runtime hears it: signal at 360 Hz, its beats."""

    name: str
    signal: NDArray[np.float32]
    beats: Beats

    def events(self, model: RhythmModel) -> list[Event]:
        """Closed events."""
        return events_of(self.beats, self.signal, model)

    def reported(self, model: RhythmModel) -> list[Event]:
        """Everything reported of an event, when it began and when it ended, as `Stream.events`."""
        return reported(self.beats, self.signal, model)


def hear(detector: Detector, name: str, signal: NDArray[np.floating], fs: float) -> Heard:
    """Run the detector; the signal is bridged and resampled as a stream would."""
    stream = detector.stream(fs)
    beats = from_beats(stream.push(signal) + stream.finish(), FS)
    return Heard(name, as_heard(signal, fs), beats)


def events_of(beats: Beats, signal: NDArray[np.float32], model: RhythmModel) -> list[Event]:
    """Closed events of a whole record."""
    return closed(reported(beats, signal, model))


def reported(beats: Beats, signal: NDArray[np.float32], model: RhythmModel) -> list[Event]:
    """Events of a whole record as they are reported, those that are taken back too."""
    tracker = RhythmTracker(model, WEIGHTS)
    take_together([tracker.seconds], [signal])
    # Two seconds before the end are decided by `finish`, as in a stream.
    _, events = tracker.follow(beats, len(signal) / FS - 2.0)
    return events + tracker.finish()


def measure_fibrillation(
    detector: Detector, folder: Path, shipped: RhythmModel
) -> tuple[dict[str, Any], list[Miss]]:
    """Windows of five seconds, one each second, wholly inside or outside marked fibrillation.

    Cross-validated: for each sixth of cudb's patients the model is fitted on the others, in
    place of the one that is shipped.

    A window is called fibrillation if an event covers at least half of it; by itself, if its own
    log-odds are above the policy's prior. Counted are all windows; those that touch nothing the
    reference calls unreadable; of these, those the runtime can read.
    """
    from tqdm import tqdm

    from runtime import records

    prior = shipped.policy.of(VentricularLimits).vf_prior
    rows, misses = {}, []
    total: dict[str, NDArray[np.int64]] = {}
    for name, model in tqdm(
        _judged_by_others(folder, shipped), total=len(CUDB), desc="cudb", unit="record"
    ):
        record = records.read(folder / "cudb" / name)
        heard = hear(detector, name, record.signal, record.fs)
        kept = readable(heard.signal, shipped.quality)
        truth = label_windows(len(kept), fibrillation(folder, "cudb", name))
        marked = truth_of(folder, name, len(kept)) >= 0
        called = covered(heard.events(model), (VF,), len(kept))
        pieces = waveform.windows(waveform.at_rate(heard.signal, FS))[: len(kept)]
        log_odds = model.fibrillation.log_odds(waveform.features(pieces))
        counts = {
            "all windows": four(truth, called, truth >= 0),
            "not marked unreadable": four(truth, called, marked),
            "readable windows": four(truth, called, marked & kept),
            "readable windows, each by itself": four(truth, log_odds >= prior, marked & kept),
        }
        total = {way: total.get(way, 0) + count for way, count in counts.items()}
        rows[name] = {
            "windows": dict(
                zip(("TP", "FN", "FP", "TN"), counts["not marked unreadable"].tolist(), strict=True)
            ),
            "readable": round(float(kept.mean()), 3),
        }
        for what, wrong in (
            ("fibrillation missed", (truth == 1) & ~called & marked),
            ("false fibrillation", (truth == 0) & called & marked),
        ):
            misses += [Miss(what, name, at, heard.signal) for at in stretches(wrong)]
    return {way: se_sp(count) for way, count in total.items()} | {"per patient": rows}, misses


def _judged_by_others(folder: Path, shipped: RhythmModel) -> Iterator[tuple[str, RhythmModel]]:
    """The patients of cudb, each with the shipped rhythm but a fibrillation model that was fitted
    without them."""
    data = design_windows(folder, shipped.quality)
    for names, model in fit_rhythm.left_out(data, fibrillation_task):
        yield from ((name, replace(shipped, fibrillation=model)) for name in names if name in CUDB)


def measure_atrial(
    folder: Path, heard: Sequence[Heard], found: dict[str, list[Event]]
) -> tuple[dict[str, Any], list[Miss]]:
    """By duration, s, against the reference's rhythm marks.

    Atrial flutter is counted as no fibrillation, left out, and as fibrillation.
    """
    rows, misses = {}, []
    sums = {way: np.zeros(3) for way in ("flutter is not", "flutter left out", "flutter is")}
    for h in heard:
        size = len(h.signal) // 36  # tenths of a second
        truth, flutter = (
            painted(rhythm_marks(folder, h.name, mark), size) for mark in ("(AFIB", "(AFL")
        )
        called = painted(
            np.array([(e.start, e.end) for e in found[h.name] if e.kind == AF]).reshape(-1, 2), size
        )
        for way, real, kept in (
            ("flutter is not", truth, np.ones(size, bool)),
            ("flutter left out", truth, ~flutter),
            ("flutter is", truth | flutter, np.ones(size, bool)),
        ):
            sums[way] += [
                (real & called & kept).sum() / 10,
                (real & kept).sum() / 10,
                (called & kept).sum() / 10,
            ]
        if truth.any() or called.any():
            rows[h.name] = {
                "there_s": float(truth.sum() / 10),
                "flutter_s": float(flutter.sum() / 10),
                "reported_s": float(called.sum() / 10),
                "right_s": float((truth & called).sum() / 10),
            }
        for what, wrong in (
            ("AF missed", truth & ~called),
            ("false AF", called & ~truth & ~flutter),
        ):
            misses += [Miss(what, h.name, at / 10, h.signal) for at in stretches(wrong, least=300)]
    return {
        way: {"Se": share(s[0], s[1]), "+P": share(s[0], s[2]), "there_s": s[1], "reported_s": s[2]}
        for way, s in sums.items()
    } | {"per record": rows}, misses


def measure_runs(
    records: Sequence[Record], heard: Sequence[Heard], found: dict[str, list[Event]]
) -> tuple[dict[str, Any], list[Miss]]:
    """Reference runs of V beats that an event overlaps, by length; and events with a run."""
    counts: dict[str, list[int]] = {"3": [0, 0], "4": [0, 0], f"{LONG_RUN} or more": [0, 0]}
    right = reported = 0
    misses = []
    for record, h in zip(records, heard, strict=True):
        events = [e for e in found[h.name] if e.kind in V_RUNS]
        for start, length, hit in ventricular_runs(record, events):
            row = counts[str(length) if length < LONG_RUN else f"{LONG_RUN} or more"]
            row[0] += hit
            row[1] += 1
            if not hit and length >= LONG_RUN:
                misses.append(Miss(f"run of {length} V missed", h.name, start, h.signal))
        reported += len(events)
        right += sum(
            any(overlap(e, start, end) for start, end, length in runs_of_v(record) if length >= 3)
            for e in events
        )
    return {
        "found by length": {
            k: {"found": v[0], "there": v[1], "Se": share(*v)} for k, v in counts.items()
        },
        "events": {"right": right, "reported": reported, "+P": share(right, reported)},
    }, misses


def measure_false_alarms(
    records: Sequence[Record], heard: Sequence[Heard], raised: dict[str, list[Event]], folder: Path
) -> tuple[dict[str, Any], list[Miss]]:
    """Events of fibrillation outside its marks, and of asystole among the reference's beats.

    Events that were taken back count as well.
    """
    misses = []
    for record, h in zip(records, heard, strict=True):
        spans = fibrillation(folder, "mitdb", record.name)
        for event in raised[h.name]:
            if event.end is None:
                continue  # it comes again with its end
            end = event.end
            if event.kind == VF:
                false = not any(event.start < b and end > a for a, b in spans)
            elif event.kind == "asystole":
                inside = record.beats / FS
                false = bool(((inside > event.start + 0.2) & (inside < end - 0.2)).any())
            else:
                continue
            if false:
                misses.append(Miss(f"false {event.kind}", h.name, event.start, h.signal))
    hours = sum(len(h.signal) for h in heard) / FS / 3600
    return {
        "events": [{"what": m.what, "record": m.name, "at_s": m.moment} for m in misses],
        "hours": hours,
        "per hour": len(misses) / hours,
    }, misses


def measure_kinds(
    records: Sequence[Record],
    heard: Sequence[Heard],
    found: dict[str, list[Event]],
    rhythm: RhythmModel,
) -> dict[str, Any]:
    """Each kind against the events that the same rules make of the reference's beats."""
    sums: dict[str, Rates] = {}
    for record, h in zip(records, heard, strict=True):
        real = events_of(reference_beats(record), h.signal, rhythm)
        for kind in (one.name for one in kinds()):
            there = [e for e in real if e.kind == kind]
            reported = [e for e in found[h.name] if e.kind == kind]
            old = sums.get(kind, Rates(0, 0, 0))
            sums[kind] = Rates(
                old.right + sum(meets(e, reported) for e in there),
                old.there + len(there),
                old.reported + len(reported),
            )
    return {
        kind: {
            "found": r.right,
            "there": r.there,
            "reported": r.reported,
            "Se": share(r.right, r.there),
        }
        for kind, r in sums.items()
    }


def measure_clean(detector: Detector, heard: Sequence[Heard]) -> dict[str, Any]:
    """Share of the seconds of unmixed records that carry each flaw."""
    sums = {flaw.name: 0 for flaw in Flaw if flaw.name}
    doubtful, seconds, rows = 0, 0, {}
    for h in heard:
        flaws = np.array([int(f) for f in detector.assess(h.signal, FS).seconds])
        bad = (flaws & int(DOUBTFUL)) != 0
        for flaw in Flaw:
            if flaw.name:
                sums[flaw.name] += int(((flaws & int(flaw)) != 0).sum())
        doubtful, seconds = doubtful + int(bad.sum()), seconds + len(bad)
        rows[h.name] = round(float(bad.mean()), 5)
    return {
        "flagged": doubtful / seconds,
        "by flaw": {k: v / seconds for k, v in sums.items()},
        "per record": rows,
    }


def measure_noise(
    detector: Detector,
    folder: Path,
    records: Sequence[Record],
    rhythm: RhythmModel,
    *,
    design: bool,
) -> dict[str, Any]:
    """False events an hour in the noisy blocks, and real events kept, with and without gate.

    Real events are those that the same rules make of the reference's beats and the clean signal;
    a reported event is false if none of its kind overlaps it.
    """
    from tqdm import tqdm

    results: dict[str, Any] = {}
    ungated = replace(rhythm, quality=replace(rhythm.quality, **NO_GATE))
    whole = {
        r.name: events_of(reference_beats(r), r.signal[0] - r.signal[0, 0], rhythm) for r in records
    }
    for noise in ("em", "ma", "bw"):
        samples = load("nstdb", noise, folder).signal[0]
        half = len(samples) // 2
        part = samples[:half] if design else samples[half:]
        for decibels in DECIBELS:
            count = {
                "hours": 0.0,
                "real": 0,
                "kept, gate": 0,
                "kept, no gate": 0,
                "false, gate": 0,
                "false, no gate": 0,
            }
            grave = {"gate": 0, "no gate": 0}
            for record in tqdm(records, desc=f"{noise} at {decibels:g} dB", unit="record"):
                mixed, noisy = mix(record, part, decibels)
                heard = hear(detector, record.name, mixed, FS)
                real = [e for e in whole[record.name] if begins_inside(e, noisy)]
                count["hours"] += float((noisy[:, 1] - noisy[:, 0]).sum() / 3600)
                count["real"] += len(real)
                for way, model in (("gate", rhythm), ("no gate", ungated)):
                    events = [e for e in heard.events(model) if begins_inside(e, noisy)]
                    false = [e for e in events if not meets(e, whole[record.name])]
                    count[f"false, {way}"] += len(false)
                    grave[way] += sum(e.kind in (VF, VT, "asystole") for e in false)
                    count[f"kept, {way}"] += sum(meets(e, events) for e in real)
            fall = 1 - count["false, gate"] / max(count["false, no gate"], 1)
            results[f"{noise} {decibels:g} dB"] = count | {
                "false an hour, gate": count["false, gate"] / count["hours"],
                "false an hour, no gate": count["false, no gate"] / count["hours"],
                "fall": fall,
                "false VF, VT, asystole": grave,
                "kept of those found without gate": share(
                    count["kept, gate"], count["kept, no gate"]
                ),
            }
    return results


def reference_beats(record: Record) -> Beats:
    """The reference's beats as the runtime would read them."""
    rows = np.eye(len(CLASSES))[record.labels].tolist()
    return Beats(record.beats.tolist(), rows, record.labels.tolist())
