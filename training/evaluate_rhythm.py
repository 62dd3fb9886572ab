"""Measure rhythm events and signal quality, and draw what was missed.

``python -m training.evaluate_rhythm`` runs the exported model and `runtime.rhythm.follow` over
recordings that neither was designed on: DS2, and the second half of nstdb's noises mixed into DS2;
``--design`` takes DS1 and the first half instead. Fibrillation is looked for in all patients of
cudb, each judged by a model that saw nothing of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime import Beat, Detector
from runtime.detector import DEFAULT_ARTIFACTS
from runtime.errors import EkgError
from runtime.findings import CLASSES, DOUBTFUL, Event, Flaw
from runtime.rhythm import follow as rhythm
from runtime.rhythm.follow import AF, VF, VT, Rhythm
from runtime.signal import features as waveform
from runtime.signal import quality
from training import fit_rhythm
from training.databases import CUDB, DS1, DS2
from training.download import require_data
from training.errors import DataError
from training.recordings import FS, Record, load, load_all
from training.results import as_json, require_writable
from training.scores import Rates

OUT = Path(__file__).resolve().parent.parent / "bench" / "results" / "rhythm"
DECIBELS = (0.0, -6.0)
LONG_RUN = 5  # V beats in a row that must not be missed
_V_RUNS = (VT, "ventricular_run")
STRIP_S, STRIPS = 10.0, 16  # of a strip; on a page
NO_GATE = quality.QualityPolicy(flat_mv=-1.0, clipped_s=1e9, railed_s=1e9, jump_mv_s=np.inf,
                                baseline_mv=np.inf, powerline_mv=np.inf, noise=np.inf)


@dataclass(frozen=True)
class Miss:
    """A stretch of signal where something was missed or wrongly reported."""

    what: str
    name: str
    moment: float
    signal: NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """A record as the runtime hears it: signal at 360 Hz, its beats."""

    name: str
    signal: NDArray[np.float32]
    beats: list[Beat]

    def events(self, policy: quality.QualityPolicy | None = None) -> list[Event]:
        """Closed events."""
        return events_of(self.beats, self.signal, policy)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: write ``rhythm.json``, ``rhythm.md`` and the strips into ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate_rhythm",
                                     description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--design", action="store_true", help="on the design recordings")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(arguments)
    try:
        require_writable(args.out)
        detector = Detector.load(args.artifacts, provider="cpu")
        folder = require_data(["mitdb", "cudb", "nstdb", "svdb"])
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    figures, misses = evaluate(detector, folder, design=args.design)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "rhythm.json").write_text(as_json(figures) + "\n")
    pages = draw(misses, args.out)
    text = table(figures, pages)
    (args.out / "rhythm.md").write_text(text + "\n")
    print(text)


def evaluate(detector: Detector, folder: Path, *, design: bool = False
             ) -> tuple[dict[str, Any], list[Miss]]:
    """All figures, and what was missed."""
    from tqdm import tqdm

    names = DS1 if design else DS2
    records = load_all("mitdb", names, folder)
    heard = [hear(detector, record.name, record.signal[0], FS)
             for record in tqdm(records, desc="beats of mitdb", unit="record")]
    found = {h.name: h.events() for h in tqdm(heard, desc="events of mitdb", unit="record")}
    fibrillation, misses = measure_fibrillation(detector, folder)
    atrial, more = measure_atrial(folder, heard, found)
    misses += more
    runs, more = measure_runs(records, heard, found)
    misses += more
    false, more = measure_false_alarms(records, heard, found, folder)
    misses += more
    return {
        "model": detector.digest.hex(),
        "recordings": {"mitdb": names, "cudb": CUDB,
                       "nstdb": f"{'first' if design else 'second'} half"},
        "policy": {"rhythm": asdict(rhythm.RhythmPolicy()),
                   "quality": asdict(quality.QualityPolicy())},
        "fibrillation": fibrillation,
        "false alarms": false, "atrial fibrillation": atrial, "ventricular runs": runs,
        "by the same rules": measure_kinds(records, heard, found),
        "clean": measure_clean(heard),
        "noise": measure_noise(detector, folder, records, design=design),
    }, misses


def hear(detector: Detector, name: str, signal: NDArray[np.floating], fs: float) -> Heard:
    """Run the detector; the signal is resampled as a stream would."""
    from runtime.signal.resample import resampler

    stream = detector.stream(fs)
    beats = stream.push(signal) + stream.finish()
    ecg, _ = resampler(fs, FS).push(np.zeros((1, 0), dtype=np.float32),
                                    np.asarray(signal - signal[0], dtype=np.float32)[None], 0)
    return Heard(name, ecg[0], beats)


def events_of(beats: Sequence[Beat], signal: NDArray[np.float32],
              policy: quality.QualityPolicy | None = None) -> list[Event]:
    """Closed events of a whole record."""
    state = Rhythm(quality=policy)
    # Two seconds before the end are decided by `finish`, as in a stream.
    return rhythm.closed(state.push(beats, signal, len(signal) / FS - 2.0)[1] + state.finish())


def measure_fibrillation(detector: Detector, folder: Path) -> tuple[dict[str, Any], list[Miss]]:
    """Windows of five seconds, one each second, wholly inside or outside marked fibrillation.

    Cross-validated: for each sixth of cudb's patients the model is fitted on the others, in
    place of the one that is shipped.

    A window is called fibrillation where an event covers at least half of it; by itself, where
    its own log-odds are above the policy's doubt. Ways: all windows; those that touch nothing
    the reference calls unreadable; of these, those the runtime can read.
    """
    from tqdm import tqdm

    from runtime import records

    doubt = rhythm.RhythmPolicy().vf_doubt
    rows, misses = {}, []
    total: dict[str, NDArray[np.int64]] = {}
    for name in tqdm(_judged_by_others(folder), total=len(CUDB), desc="cudb", unit="record"):
        record = records.read(folder / "cudb" / name)
        heard = hear(detector, name, record.signal, record.fs)
        kept = fit_rhythm.readable(heard.signal)
        truth = fit_rhythm.label_windows(
            len(kept), fit_rhythm.fibrillation(folder, "cudb", name))
        marked = fit_rhythm.truth_of(folder, name, len(kept)) >= 0
        called = covered(heard.events(), (VF,), len(kept))
        pieces = waveform.windows(waveform.at_rate(heard.signal, FS))[: len(kept)]
        odds = waveform.models()["fibrillation"].log_odds(waveform.features(pieces))
        counts = {"all windows": fit_rhythm.four(truth, called, truth >= 0),
                  "not marked unreadable": fit_rhythm.four(truth, called, marked),
                  "readable windows": fit_rhythm.four(truth, called, marked & kept),
                  "readable windows, each by itself": fit_rhythm.four(truth, odds >= doubt,
                                                                      marked & kept)}
        total = {way: total.get(way, 0) + count for way, count in counts.items()}
        rows[name] = {"windows": dict(zip(("TP", "FN", "FP", "TN"),
                                          counts["not marked unreadable"].tolist(), strict=True)),
                      "readable": round(float(kept.mean()), 3)}
        for what, wrong in (("fibrillation missed", (truth == 1) & ~called & marked),
                            ("false fibrillation", (truth == 0) & called & marked)):
            misses += [Miss(what, name, at, heard.signal) for at in _stretches(wrong)]
    return {way: _se_sp(count) for way, count in total.items()} | {"per patient": rows}, misses


def _judged_by_others(folder: Path) -> Iterator[str]:
    """The patients of cudb; while one is looked at, the runtime's model is fitted without them."""
    shipped = waveform.models()["fibrillation"]
    data = fit_rhythm.design_windows(folder)
    try:
        for names, model in fit_rhythm.left_out(data, fit_rhythm.fibrillation_task):
            waveform.models()["fibrillation"] = model
            yield from (name for name in names if name in CUDB)
    finally:
        waveform.models()["fibrillation"] = shipped


def covered(events: Iterable[Event], kinds: Sequence[str], count: int) -> NDArray[np.bool_]:
    """Which windows, one each second, events cover for at least half, bool [count]."""
    second = np.arange(count + waveform.WINDOW_S)
    share = np.zeros(len(second))
    for event in events:
        if event.kind in kinds:
            share += np.clip(np.minimum(event.end or 0.0, second + 1)
                             - np.maximum(event.start, second), 0, 1)
    total = np.convolve(share, np.ones(waveform.WINDOW_S), "valid")[:count]
    return np.asarray(total >= waveform.WINDOW_S / 2)


def measure_atrial(folder: Path, heard: Sequence[Heard], found: dict[str, list[Event]]
                   ) -> tuple[dict[str, Any], list[Miss]]:
    """By duration, s, against the reference's rhythm marks.

    Atrial flutter is counted as no fibrillation, left out, and as fibrillation.
    """
    rows, misses = {}, []
    sums = {way: np.zeros(3) for way in ("flutter is not", "flutter left out", "flutter is")}
    for h in heard:
        size = len(h.signal) // 36  # tenths of a second
        truth, flutter = (_painted(fit_rhythm.rhythm_marks(folder, h.name, mark), size)
                          for mark in ("(AFIB", "(AFL"))
        called = _painted(np.array([(e.start, e.end) for e in found[h.name]
                                    if e.kind == AF]).reshape(-1, 2), size)
        for way, real, kept in (("flutter is not", truth, np.ones(size, bool)),
                                ("flutter left out", truth, ~flutter),
                                ("flutter is", truth | flutter, np.ones(size, bool))):
            sums[way] += [(real & called & kept).sum() / 10, (real & kept).sum() / 10,
                          (called & kept).sum() / 10]
        if truth.any() or called.any():
            rows[h.name] = {"there_s": float(truth.sum() / 10), "flutter_s":
                            float(flutter.sum() / 10), "reported_s": float(called.sum() / 10),
                            "right_s": float((truth & called).sum() / 10)}
        for what, wrong in (("AF missed", truth & ~called),
                            ("false AF", called & ~truth & ~flutter)):
            misses += [Miss(what, h.name, at / 10, h.signal)
                       for at in _stretches(wrong, least=300)]
    return {way: {"Se": _share(s[0], s[1]), "+P": _share(s[0], s[2]), "there_s": s[1],
                  "reported_s": s[2]} for way, s in sums.items()} | {"per record": rows}, misses


def measure_runs(records: Sequence[Record], heard: Sequence[Heard],
                 found: dict[str, list[Event]]) -> tuple[dict[str, Any], list[Miss]]:
    """Reference runs of V beats that an event overlaps, by length; and events with a run."""
    counts: dict[str, list[int]] = {"3": [0, 0], "4": [0, 0], f"{LONG_RUN} or more": [0, 0]}
    right = reported = 0
    misses = []
    for record, h in zip(records, heard, strict=True):
        events = [e for e in found[h.name] if e.kind in _V_RUNS]
        for start, length, hit in ventricular_runs(record, events):
            row = counts[str(length) if length < LONG_RUN else f"{LONG_RUN} or more"]
            row[0] += hit
            row[1] += 1
            if not hit and length >= LONG_RUN:
                misses.append(Miss(f"run of {length} V missed", h.name, start, h.signal))
        reported += len(events)
        right += sum(any(_overlap(e, start, end) for start, end, length in _runs(record)
                         if length >= 3) for e in events)
    return {"found by length": {k: {"found": v[0], "there": v[1], "Se": _share(*v)}
                                for k, v in counts.items()},
            "events": {"right": right, "reported": reported, "+P": _share(right, reported)}
            }, misses


def measure_false_alarms(records: Sequence[Record], heard: Sequence[Heard],
                         found: dict[str, list[Event]], folder: Path
                         ) -> tuple[dict[str, Any], list[Miss]]:
    """Fibrillation where none is marked, asystole where the reference has beats."""
    misses = []
    for record, h in zip(records, heard, strict=True):
        spans = fit_rhythm.fibrillation(folder, "mitdb", record.name)
        for event in found[h.name]:
            end = event.end or 0.0
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
    return {"events": [{"what": m.what, "record": m.name, "at_s": m.moment} for m in misses],
            "hours": hours, "per hour": len(misses) / hours}, misses


def measure_kinds(records: Sequence[Record], heard: Sequence[Heard],
                  found: dict[str, list[Event]]) -> dict[str, Any]:
    """Each kind against what the same rules make of the reference's beats."""
    sums: dict[str, Rates] = {}
    for record, h in zip(records, heard, strict=True):
        real = events_of(reference_beats(record), h.signal)
        for kind in rhythm.KINDS:
            there = [e for e in real if e.kind == kind]
            reported = [e for e in found[h.name] if e.kind == kind]
            old = sums.get(kind, Rates(0, 0, 0))
            sums[kind] = Rates(old.right + sum(_meets(e, reported) for e in there),
                               old.there + len(there), old.reported + len(reported))
    return {kind: {"found": r.right, "there": r.there, "reported": r.reported,
                   "Se": _share(r.right, r.there)} for kind, r in sums.items()}


def measure_clean(heard: Sequence[Heard]) -> dict[str, Any]:
    """Share of the seconds of unmixed records that carry each flaw."""
    sums = {flaw.name: 0 for flaw in Flaw if flaw.name}
    doubtful, seconds, rows = 0, 0, {}
    for h in heard:
        flaws = np.array([int(f) for f in quality.assess(h.signal, FS).seconds])
        bad = (flaws & int(DOUBTFUL)) != 0
        for flaw in Flaw:
            if flaw.name:
                sums[flaw.name] += int(((flaws & int(flaw)) != 0).sum())
        doubtful, seconds = doubtful + int(bad.sum()), seconds + len(bad)
        rows[h.name] = round(float(bad.mean()), 5)
    return {"flagged": doubtful / seconds, "by flaw": {k: v / seconds for k, v in sums.items()},
            "per record": rows}


def measure_noise(detector: Detector, folder: Path, records: Sequence[Record], *, design: bool
                  ) -> dict[str, Any]:
    """False events an hour in the noisy blocks, and real events kept, with and without gate.

    Real events are what the same rules make of the reference's beats and the clean signal; a
    reported event is false where none of its kind overlaps it.
    """
    from tqdm import tqdm

    results: dict[str, Any] = {}
    whole = {r.name: events_of(reference_beats(r), r.signal[0] - r.signal[0, 0]) for r in records}
    for noise in ("em", "ma", "bw"):
        samples = load("nstdb", noise, folder).signal[0]
        half = len(samples) // 2
        part = samples[:half] if design else samples[half:]
        for decibels in DECIBELS:
            count = {"hours": 0.0, "real": 0, "kept, gate": 0, "kept, no gate": 0,
                     "false, gate": 0, "false, no gate": 0}
            grave = {"gate": 0, "no gate": 0}
            for record in tqdm(records, desc=f"{noise} at {decibels:g} dB", unit="record"):
                mixed, noisy = fit_rhythm.mix(record, part, decibels)
                heard = hear(detector, record.name, mixed, FS)
                real = [e for e in whole[record.name] if _inside(e, noisy)]
                count["hours"] += float((noisy[:, 1] - noisy[:, 0]).sum() / 3600)
                count["real"] += len(real)
                for way, policy in (("gate", None), ("no gate", NO_GATE)):
                    events = [e for e in heard.events(policy) if _inside(e, noisy)]
                    false = [e for e in events if not _meets(e, whole[record.name])]
                    count[f"false, {way}"] += len(false)
                    grave[way] += sum(e.kind in (VF, VT, "asystole") for e in false)
                    count[f"kept, {way}"] += sum(_meets(e, events) for e in real)
            fall = 1 - count["false, gate"] / max(count["false, no gate"], 1)
            results[f"{noise} {decibels:g} dB"] = count | {
                "false an hour, gate": count["false, gate"] / count["hours"],
                "false an hour, no gate": count["false, no gate"] / count["hours"],
                "fall": fall, "false VF, VT, asystole": grave,
                "kept of those found without gate": _share(count["kept, gate"],
                                                           count["kept, no gate"])}
    return results


def reference_beats(record: Record) -> list[Beat]:
    """The reference's beats as the runtime would report them."""
    return [Beat(int(sample) / FS, CLASSES[label], 1.0, tuple(np.eye(len(CLASSES))[label].tolist()))
            for sample, label in zip(record.beats, record.labels, strict=True)]


def draw(misses: Sequence[Miss], out: Path) -> list[str]:
    """Strips of everything missed or false, some to a page; gives the pages' names."""
    from matplotlib.figure import Figure

    for old in out.glob("misses-*.png"):
        old.unlink()
    pages = []
    for at in range(0, len(misses), STRIPS):
        page = misses[at : at + STRIPS]
        figure = Figure(figsize=(9, 0.9 * len(page) + 0.3), layout="constrained")
        for axes, miss in zip(figure.subplots(len(page), squeeze=False)[:, 0], page, strict=True):
            first = max(0, round((miss.moment - STRIP_S / 4) * FS))
            strip = miss.signal[first : first + round(STRIP_S * FS)]
            axes.plot(first / FS + np.arange(len(strip)) / FS, strip, lw=0.6, color="black")
            axes.set_title(f"{miss.name}: {miss.what}, {miss.moment:.1f} s", fontsize=7, pad=1)
            axes.tick_params(labelsize=5, length=1)
        name = f"misses-{at // STRIPS + 1:02d}.png"
        figure.savefig(out / name, dpi=70)
        pages.append(name)
    return pages


def table(figures: dict[str, Any], pages: Sequence[str]) -> str:
    """The figures as Markdown."""
    f, a, r = figures["fibrillation"], figures["atrial fibrillation"], figures["ventricular runs"]
    false, clean = figures["false alarms"], figures["clean"]
    run = r["found by length"][f"{LONG_RUN} or more"]
    mitdb = "DS2" if figures["recordings"]["mitdb"][0] == DS2[0] else "DS1 (design)"
    lines = [
        f"# Rhythm events and signal quality, measured on {mitdb}", "",
        f"Model {figures['model'][:12]}. Made by `python -m training.evaluate_rhythm`.", "",
        "| what | figure |", "|---|---|",
        *(f"| VF/flutter, cudb, cross-validated, 5-s windows, {way} | Se {_pc(f[way]['Se'])}, "
          f"Sp {_pc(f[way]['Sp'])} ({f[way]['there']} and {f[way]['other']} windows) |"
          for way in f if way != "per patient"),
        f"| false VF or asystole, {mitdb} | {false['per hour']:.2f}/h "
        f"({len(false['events'])} in {false['hours']:.1f} h) |",
        *(f"| AF by duration, {mitdb}, {way} | Se {_pc(a[way]['Se'])}, +P {_pc(a[way]['+P'])} |"
          for way in ("flutter is not", "flutter left out", "flutter is")),
        f"| runs of {LONG_RUN} or more V found | {run['found']} of {run['there']} "
        f"({_pc(run['Se'])}) |",
        f"| V run events with 3 or more V in the reference | {_pc(r['events']['+P'])} of "
        f"{r['events']['reported']} |",
        f"| clean seconds flagged | {_pc(clean['flagged'])} |", "",
        "| noise | false/h, no gate | false/h, gate | fall | real events kept, no gate | gate |",
        "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {n['false an hour, no gate']:.1f} | {n['false an hour, gate']:.1f} "
              f"| {_pc(n['fall'])} | {n['kept, no gate']} of {n['real']} | {n['kept, gate']} |"
              for name, n in figures["noise"].items()]
    pooled = figures["noise"].values()
    gate, without, kept, were = (sum(n[key] for n in pooled) for key in (
        "false, gate", "false, no gate", "kept, gate", "kept, no gate"))
    lines += ["", f"Over all mixtures false events fall by {_pc(1 - _share(gate, without))}; of "
              f"the {were} real events found without gate, {_pc(_share(kept, were))} as many are "
              "found with it."]
    lines += ["", "| kind | by reference beats | of these found | reported |", "|---|---|---|---|"]
    lines += [f"| {kind.replace('_', ' ')} | {k['there']} | {k['found']} | {k['reported']} |"
              for kind, k in figures["by the same rules"].items()]
    lines += ["", "| cudb patient | TP | FN | FP | TN | readable |", "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(str(v) for v in p['windows'].values())} "
              f"| {p['readable']:.2f} |" for name, p in f["per patient"].items()]
    lines += ["", "| AF record | there s | flutter s | reported s | right s |",
              "|---|---|---|---|---|"]
    lines += [f"| {name} | {p['there_s']:.0f} | {p['flutter_s']:.0f} | {p['reported_s']:.0f} "
              f"| {p['right_s']:.0f} |" for name, p in a["per record"].items()]
    return "\n".join([*lines, "", "Strips of every miss and false alarm: "
                      + (", ".join(f"[{page}]({page})" for page in pages) or "none") + "."])


def ventricular_runs(record: Record, events: Sequence[Event]
                     ) -> list[tuple[float, int, bool]]:
    """Each run of 3 or more V beats in the reference: its start (s), its length, and whether a
    closed event of a run or of ventricular tachycardia overlaps it."""
    told = [event for event in events if event.kind in _V_RUNS]
    return [(start, length, any(_overlap(event, start, end) for event in told))
            for start, end, length in _runs(record) if length >= 3]


def _overlap(event: Event, start: float, end: float) -> bool:
    return event.start <= end + 0.2 and (event.end or 0) >= start - 0.2


def _runs(record: Record) -> Iterator[tuple[float, float, int]]:
    """Start and end (s) and length of each run of V beats in the reference."""
    is_v = np.concatenate([[False], record.labels == CLASSES.index("V"), [False]])
    edges = np.flatnonzero(np.diff(is_v.astype(np.int8)))
    for first, last in edges.reshape(-1, 2):
        yield record.beats[first] / FS, record.beats[last - 1] / FS, int(last - first)


def _stretches(wrong: NDArray[np.bool_], least: int = 1) -> list[float]:
    """Where each stretch of at least so many true values begins."""
    edges = np.flatnonzero(np.diff(np.pad(wrong.astype(np.int8), 1))).reshape(-1, 2)
    return [float(first) for first, last in edges if last - first >= least]


def _painted(spans: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Tenths of a second inside any span (s), bool [size]."""
    inside = np.zeros(size, dtype=bool)
    for start, end in np.rint(spans * 10).astype(np.int64):
        inside[start:end] = True
    return inside


def _meets(event: Event, others: Sequence[Event]) -> bool:
    """Whether an event of the same kind overlaps; VT and V run count as one."""
    kinds = _V_RUNS if event.kind in _V_RUNS else (event.kind,)
    return any(o.kind in kinds and _overlap(o, event.start, event.end or 0) for o in others)


def _inside(event: Event, noisy: NDArray[np.float64]) -> bool:
    """Whether an event begins in a noisy block."""
    return bool(((noisy[:, 0] <= event.start) & (event.start < noisy[:, 1])).any())


def _se_sp(counts: NDArray[np.int64]) -> dict[str, float]:
    tp, fn, fp, tn = (int(c) for c in counts)
    return {"Se": _share(tp, tp + fn), "Sp": _share(tn, tn + fp), "there": tp + fn,
            "other": tn + fp}


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _pc(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
