"""Limits of signal quality on design patients: seconds flagged at half, one and double.

``python -m training.quality_limits`` judges every second of DS1 and svdb (first leads; nothing of
DS2) with each limit at half its shipped value, at it, and at double, and prints the share of the
seconds that carry the limit's flaw, and how many of the reference's beats lie in them. A limit is
well placed if it flags little of these readable recordings, and if halving or doubling it changes
little: then it separates two things that are far apart. Lasting noise, whose limit
`training.fit_noise` sets, is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from runtime.detector import load_rhythm
from runtime.findings import Flaw
from runtime.model.contract import FS
from runtime.rhythm import RhythmModel
from runtime.signal.quality import assess
from training.databases import DS1, SVDB
from training.download import require_data
from training.errors import DataError
from training.recordings import Record, load_all

LIMITS = {
    "flat_mv": Flaw.FLAT,
    "clipped_s": Flaw.CLIPPED,
    "railed_s": Flaw.RAILED,
    "rail_mv": Flaw.RAILED,
    "jump_mv_s": Flaw.RAILED,
    "baseline_mv": Flaw.BASELINE,
    "powerline_mv": Flaw.POWERLINE,
    "noise_log_odds": Flaw.NOISE,
}
FACTORS = (0.5, 1.0, 2.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table."""
    parser = argparse.ArgumentParser(prog="python -m training.quality_limits", description=__doc__)
    parser.parse_args(arguments)
    try:
        folder = require_data(["mitdb", "svdb"])
        records = [*load_all("mitdb", DS1, folder), *load_all("svdb", SVDB, folder)]
    except DataError as error:
        parser.exit(2, f"{error}\n")
    print(table(records, load_rhythm()))


def table(records: Sequence[Record], model: RhythmModel) -> str:
    """The figures as Markdown."""
    counts: dict[tuple[str, float], NDArray[np.int64]] = {}
    seconds = beats = 0
    for record in tqdm(records, desc="quality", unit="record"):
        for name, flaw in LIMITS.items():
            for factor in FACTORS:
                flagged = flagged_seconds(record, model, name, factor, flaw)
                inside = flagged[np.minimum(record.beats // FS, len(flagged) - 1)]
                counts.setdefault((name, factor), np.zeros(2, dtype=np.int64))
                counts[name, factor] += [flagged.sum(), inside.sum()]
        seconds, beats = seconds + len(flagged), beats + len(record.beats)
    lines = [
        f"{len(records)} records, {seconds / 3600:.0f} h, {beats:,} beats.",
        "",
        "| limit | value | flagged at half | as shipped | at double | beats in the seconds "
        "flagged as shipped |",
        "|---|---|---|---|---|---|",
    ]
    for name in LIMITS:
        shares = " | ".join(
            f"{100 * counts[name, factor][0] / seconds:.3f} %" for factor in FACTORS
        )
        lines.append(
            f"| `{name}` | {getattr(model.quality, name):g} | {shares} | {counts[name, 1.0][1]:,} |"
        )
    return "\n".join(lines)


def flagged_seconds(
    record: Record, model: RhythmModel, name: str, factor: float, flaw: Flaw
) -> NDArray[np.bool_]:
    """True for the seconds of a record's first lead that carry a flaw, one limit being changed."""
    value = factor * getattr(model.quality, name)
    changed = replace(model.quality, lasting_noise_log_odds=100.0, **{name: value})
    quality = assess(record.signal[0], FS, changed, model.noise)
    return np.array([bool(second & flaw) for second in quality.seconds])


if __name__ == "__main__":
    main()
