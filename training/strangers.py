"""How a detector does on people and devices it never saw: ``python -m training.strangers``.

Hand-held strips (cinc2017), clinical ten-second leads (ptbxl), both of the fixed fifth of people
on whom nothing is trained, and longer recordings with fibrillation (cpsc2021) go through the
runtime, with the rhythm followed and without. Their labels are of a whole recording, so what is
counted is how many recordings hold what their label rules out, or what it promises. Intervals are
95 %, by bootstrap over people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from runtime.findings import DOUBTFUL, Beat, Record
from runtime.rhythm import kinds
from training.devices import one_thread
from training.errors import DataError
from training.results import as_json, require_writable
from training.torch_detector import detector_of
from training.weak import Entry, WeakRecord, entries, read

LEADS = {"cinc2017": ("ECG",), "ptbxl": ("I", "II", "V5"), "cpsc2021": ("I",)}
LABELS = ("N", "block", "sinus", "A", "paroxysmal", "O", "~")
GRAVE = {kind.name for kind in kinds() if kind.gravity >= 90}  # runs of V beats and what is worse
FIBRILLATION = "atrial_fibrillation"
DRAWS = 1000  # of the bootstrap
FIGURES = {
    "V": "with a V",
    "S": "with an S",
    "grave": "with a grave event",
    "AF": "with atrial fibrillation reported",
    "noise": "flagged as noisy",
    "S beats": "S of the beats",
    "V beats": "V of the beats",
    "V alone": "with a V, network alone",
    "S alone": "with an S, network alone",
    "S beats alone": "S of the beats, network alone",
    "V beats alone": "V of the beats, network alone",
}


@dataclass(frozen=True)
class Finding:
    """What was found in one lead of one recording.

    Attributes
    ----------
    beats, alone : beats of each label, with the rhythm followed and by the network alone
    events : kinds of the events reported
    noise : share of its seconds in which beats are doubtful
    noisy : it is noise as a whole
    """

    entry: Entry
    beats: Mapping[str, int]
    alone: Mapping[str, int]
    events: frozenset[str]
    noise: float
    noisy: bool = False

    def figure(self, name: str) -> tuple[float, float]:
        """What one of `FIGURES` counts, and of how many."""
        where = self.alone if name.endswith("alone") else self.beats
        what = name.removesuffix(" alone")
        if what.endswith(" beats"):
            return where.get(what[0], 0), sum(where.values())
        told = {
            "grave": bool(self.events & GRAVE),
            "AF": FIBRILLATION in self.events,
            "noise": self.noise > 0 or self.noisy,
        }
        return float(told[what] if what in told else where.get(what, 0) > 0), 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the tables; save them in ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m training.strangers", description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument("--run", type=Path, help="a training run or checkpoint in their place")
    parser.add_argument("--databases", nargs="+", choices=tuple(LEADS), default=list(LEADS))
    parser.add_argument(
        "--trained-too",
        action="store_true",
        help="of cinc2017 and ptbxl also the people who may be trained on",
    )
    parser.add_argument("--limit", type=int, help="only so many recordings of each database")
    parser.add_argument("--out", type=Path, help="folder for strangers.json and strangers.md")
    args = parser.parse_args(arguments)
    one_thread()
    try:
        if args.out:
            require_writable(args.out)
        detector = (
            detector_of(args.run) if args.run else Detector.load(args.artifacts, provider="cpu")
        )
        findings = []
        for database in args.databases:
            try:
                known = chosen(database, trained_too=args.trained_too)[: args.limit]
            except DataError as error:
                print(f"{error} It is left out.")
                continue
            findings += [
                found
                for entry in tqdm(known, desc=database, unit="record")
                for found in listen(detector, read(entry))
            ]
    except (DataError, EkgError) as error:
        parser.exit(2, f"{error}\n")
    results = {
        "model": detector.digest.hex(),
        "people": "all" if args.trained_too else "held back from all training",
        **summary(findings),
    }
    print(report(results))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "strangers.json").write_text(as_json(results) + "\n")
        (args.out / "strangers.md").write_text(report(results) + "\n")


def chosen(database: str, *, trained_too: bool = False) -> list[Entry]:
    """The recordings that are measured; nothing of cpsc2021 is trained on."""
    return [
        entry
        for entry in entries(database)
        if trained_too or database == "cpsc2021" or entry.held_back
    ]


def listen(detector: Detector, record: WeakRecord) -> list[Finding]:
    """What a detector finds in each lead of `LEADS`, at the recording's own rate."""
    found = []
    for lead in LEADS[record.entry.database]:
        ecg = record.signal[record.leads.index(lead)].astype(np.float64)
        annotation = detector.annotate(Record(record.entry.name, lead, record.fs, ecg, 0.0))
        stream = detector.stream(record.fs)
        alone = stream.push(ecg) + stream.finish()
        quality = detector.assess(ecg, record.fs)
        flaws = quality.seconds
        found.append(
            Finding(
                record.entry,
                _counts(annotation.beats),
                _counts(alone),
                frozenset(event.kind for event in annotation.events),
                sum(bool(flaw & DOUBTFUL) for flaw in flaws) / len(flaws),
                bool(quality.noisy),
            )
        )
    return found


def _counts(beats: Iterable[Beat]) -> dict[str, int]:
    labels = [beat.label for beat in beats]
    return {label: labels.count(label) for label in dict.fromkeys(labels)}


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """Figures by database and label: value, and low and high end of its interval, 0 to 1."""
    results: dict[str, Any] = {}
    for database in dict.fromkeys(found.entry.database for found in findings):
        results[database] = {}
        here = [found for found in findings if found.entry.database == database]
        for label in LABELS:
            those = [found for found in here if found.entry.label == label]
            if not those:
                continue
            people = {found.entry.person: 0 for found in those}
            results[database][label] = {
                "recordings": len({found.entry.name for found in those}),
                "people": len(people),
                **{name: interval(those, name) for name in FIGURES},
            }
    return results


def interval(findings: Sequence[Finding], name: str) -> list[float]:
    """A figure, and its 95 % interval by drawing people anew with replacement."""
    people = {
        person: i
        for i, person in enumerate(dict.fromkeys(found.entry.person for found in findings))
    }
    counts = np.zeros((len(people), 2))
    for found in findings:
        counts[people[found.entry.person]] += found.figure(name)
    if not counts[:, 1].any():
        return [float("nan")] * 3
    rng = np.random.default_rng(0)
    drawn = counts[rng.integers(len(people), size=(DRAWS, len(people)))].sum(axis=1)
    return [
        _share(counts.sum(axis=0)),
        *np.nanpercentile([_share(pair) for pair in drawn], [2.5, 97.5]).tolist(),
    ]


def _share(pair: NDArray[np.float64]) -> float:
    return float(pair[0] / pair[1]) if pair[1] else float("nan")


def report(results: Mapping[str, Any]) -> str:
    """The figures as Markdown, in %."""
    parts = []
    for database in (name for name in LEADS if name in results):
        labels = results[database]
        lines = [
            f"| {database}, in % | "
            + " | ".join(
                f"{label} ({figures['recordings']:,})" for label, figures in labels.items()
            )
            + " |",
            "|---" * (len(labels) + 1) + "|",
        ]
        lines += [
            f"| {words} | "
            + " | ".join(
                "{:.1f} ({:.1f} to {:.1f})".format(*(100 * part for part in figures[name]))
                for figures in labels.values()
            )
            + " |"
            for name, words in FIGURES.items()
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
