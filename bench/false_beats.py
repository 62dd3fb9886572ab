"""False V and S of normal strips, before and after: ``python -m bench.false_beats --base REV``.

The first fifty strips of cinc2017 that are normal, may be trained on and hold a V or an S by the
commit before, each drawn where its first one stands: that commit's labels above, those of the
working tree below, seconds flagged as doubtful in grey.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bench.checkouts import CheckoutError, checkout, environment
from bench.environments import ROOT
from bench.measure import unwind_on_sigterm
from training.errors import DataError
from training.results import require_writable
from training.weak import WeakRecord, entries, read

OUT = Path("docs/img/false-beats.png")
STRIPS, COLUMNS, SECONDS = 50, 5, 6.0
AT_ONCE = 25  # strips of one process
Findings: TypeAlias = dict[str, Any]  # beats: [s, label] each; doubtful: bool of each second
# Of either commit, in its own folder: signals from standard input, findings to standard output.
WORKER = """
import json, sys
import numpy as np
from runtime.detector import Detector
from runtime.findings import DOUBTFUL
detector, answers = Detector.load(provider="cpu"), []
for fs, path in json.load(sys.stdin):
    ecg = np.load(path)
    stream = detector.stream(fs, events=True)
    beats = stream.push(ecg) + stream.finish()
    answers.append({
        "beats": [[beat.time, beat.label] for beat in beats],
        "doubtful": [bool(flaw & DOUBTFUL) for flaw in detector.assess(ecg, fs).seconds],
    })
json.dump(answers, sys.stdout)
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: draw the picture, print how many strips are left."""
    import tempfile

    parser = argparse.ArgumentParser(prog="python -m bench.false_beats", description=__doc__)
    parser.add_argument("--base", required=True, metavar="REV", help="the commit before")
    parser.add_argument("--strips", type=int, default=STRIPS)
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    args = parser.parse_args(arguments)
    unwind_on_sigterm()
    try:
        require_writable(args.out.parent)
        known = [e for e in entries("cinc2017") if e.label == "N" and not e.held_back]
        rows: list[tuple[WeakRecord, Findings]] = []
        with checkout(args.base) as base, tempfile.TemporaryDirectory() as folder:
            for at in range(0, len(known), AT_ONCE):
                records = [read(entry) for entry in known[at : at + AT_ONCE]]
                found = findings(base, records, Path(folder))
                rows += [pair for pair in zip(records, found, strict=True) if false_beats(pair[1])]
                if len(rows) >= args.strips:
                    break
            rows = rows[: args.strips]
            after = findings(ROOT, [record for record, _ in rows], Path(folder))
    except (CheckoutError, DataError) as error:
        parser.exit(2, f"{error}\n")
    draw([(record, before, now) for (record, before), now in zip(rows, after, strict=True)], args)
    print(json.dumps(summary([before for _, before in rows], after), indent=1))


def findings(tree: Path, records: Sequence[WeakRecord], folder: Path) -> list[Findings]:
    """What the runtime of a checkout finds in each record.

    Raises
    ------
    CheckoutError
        That runtime failed.
    """
    asked = []
    for number, record in enumerate(records):
        np.save(path := folder / f"{number}.npy", record.signal[0].astype(np.float64))
        asked.append([record.fs, str(path)])
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=tree,
        env=environment(),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CheckoutError(f"{tree.name}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    answers: list[Findings] = json.loads(done.stdout)
    return answers


def false_beats(found: Findings) -> list[tuple[float, str]]:
    """Time and label of the V and S beats, of which a normal strip has none."""
    return [(time, label) for time, label in found["beats"] if label in ("V", "S")]


def summary(before: Sequence[Findings], after: Sequence[Findings]) -> dict[str, list[int]]:
    """Before and after: strips with a V, with an S, with neither, with doubtful seconds."""
    return {
        "with a V": [_with(rows, "V") for rows in (before, after)],
        "with an S": [_with(rows, "S") for rows in (before, after)],
        "with neither": [sum(not false_beats(found) for found in rows) for rows in (before, after)],
        "doubtful": [sum(any(found["doubtful"]) for found in rows) for rows in (before, after)],
    }


def _with(rows: Sequence[Findings], label: str) -> int:
    return sum(any(own == label for _, own in found["beats"]) for found in rows)


def draw(rows: Sequence[tuple[WeakRecord, Findings, Findings]], args: argparse.Namespace) -> None:
    """Draw the strips, and save them."""
    from matplotlib.figure import Figure

    lines = -(-len(rows) // COLUMNS)
    figure = Figure(figsize=(4.0 * COLUMNS, 1.25 * lines + 0.5), layout="constrained")
    axes = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for place in axes:
        place.set_axis_off()
    for place, (record, before, after) in zip(axes, rows, strict=False):
        ecg, fs = record.signal[0], record.fs
        start = max(0.0, min(false_beats(before)[0][0] - SECONDS / 2, len(ecg) / fs - SECONDS))
        time = np.arange(len(ecg)) / fs
        shown = (time >= start) & (time < start + SECONDS)
        level = float(np.median(ecg[shown]))
        place.plot(time[shown], np.clip(ecg[shown] - level, -1.5, 2.0), "k", lw=0.5)
        for second in np.flatnonzero(after["doubtful"]).tolist():
            place.axvspan(second, second + 1, color="#d8d8d8", lw=0)
        for found, height, edge in ((before, 2.1, "bottom"), (after, -1.6, "top")):
            for moment, label in found["beats"]:
                if start <= moment < start + SECONDS:
                    wrong = label in ("V", "S")
                    place.text(
                        moment,
                        height,
                        label,
                        fontsize=6,
                        ha="center",
                        va=edge,
                        color="#c00000" if wrong else "#909090",
                        fontweight="bold" if wrong else "normal",
                    )
        place.set(xlim=(start, start + SECONDS), ylim=(-2.2, 2.7))
        place.set_title(
            f"{Path(record.entry.name).name}, {start:.0f} s", fontsize=6, loc="left", pad=1
        )
    figure.suptitle(
        f"Normal strips of cinc2017: above the labels of {args.base}, below those of now; false V "
        "and S in red, doubtful seconds of now in grey; 6 s each, -1.5 to 2 mV",
        fontsize=9,
    )
    figure.savefig(args.out, dpi=75)


if __name__ == "__main__":
    main()
