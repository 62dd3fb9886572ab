"""The figures of rhythm events as a page: a table, and strips of everything missed or false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.model.contract import FS
from training.databases import DS2
from training.rhythm_matching import LONG_RUN, share

STRIP_S, STRIPS = 10.0, 16  # of a strip; on a page


@dataclass(frozen=True)
class Miss:
    """A stretch of signal in which something was missed or wrongly reported."""

    what: str
    name: str
    moment: float
    signal: NDArray[np.float32]


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
        f"# Rhythm events and signal quality, measured on {mitdb}",
        "",
        f"Model {figures['model'][:12]}. Made by `python -m training.evaluate_rhythm`.",
        "",
        "| what | figure |",
        "|---|---|",
        *(
            f"| VF/flutter, cudb, cross-validated, 5-s windows, {way} | "
            f"Se {percent(f[way]['Se'])}, Sp {percent(f[way]['Sp'])} "
            f"({f[way]['there']} and {f[way]['other']} windows) |"
            for way in f
            if way != "per patient"
        ),
        f"| false VF or asystole, {mitdb} | {false['per hour']:.2f}/h "
        f"({len(false['events'])} in {false['hours']:.1f} h) |",
        *(
            f"| AF by duration, {mitdb}, {way} | Se {percent(a[way]['Se'])}, "
            f"+P {percent(a[way]['+P'])} |"
            for way in ("flutter is not", "flutter left out", "flutter is")
        ),
        f"| runs of {LONG_RUN} or more V found | {run['found']} of {run['there']} "
        f"({percent(run['Se'])}) |",
        f"| V run events with 3 or more V in the reference | {percent(r['events']['+P'])} of "
        f"{r['events']['reported']} |",
        f"| clean seconds flagged | {percent(clean['flagged'])} |",
        "",
        "| noise | false/h, no gate | false/h, gate | fall | real events kept, no gate | gate |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {n['false an hour, no gate']:.1f} | {n['false an hour, gate']:.1f} "
        f"| {percent(n['fall'])} | {n['kept, no gate']} of {n['real']} | {n['kept, gate']} |"
        for name, n in figures["noise"].items()
    ]
    pooled = figures["noise"].values()
    gate, without, kept, were = (
        sum(n[key] for n in pooled)
        for key in ("false, gate", "false, no gate", "kept, gate", "kept, no gate")
    )
    lines += [
        "",
        f"Over all mixtures false events fall by {percent(1 - share(gate, without))}; of "
        f"the {were} real events found without gate, {percent(share(kept, were))} as many "
        "are found with it.",
    ]
    lines += ["", "| kind | by reference beats | of these found | reported |", "|---|---|---|---|"]
    lines += [
        f"| {kind.replace('_', ' ')} | {k['there']} | {k['found']} | {k['reported']} |"
        for kind, k in figures["by the same rules"].items()
    ]
    lines += ["", "| cudb patient | TP | FN | FP | TN | readable |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {name} | {' | '.join(str(v) for v in p['windows'].values())} | {p['readable']:.2f} |"
        for name, p in f["per patient"].items()
    ]
    lines += [
        "",
        "| AF record | there s | flutter s | reported s | right s |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {p['there_s']:.0f} | {p['flutter_s']:.0f} | {p['reported_s']:.0f} "
        f"| {p['right_s']:.0f} |"
        for name, p in a["per record"].items()
    ]
    return "\n".join(
        [
            *lines,
            "",
            "Strips of every miss and false alarm: "
            + (", ".join(f"[{page}]({page})" for page in pages) or "none")
            + ".",
        ]
    )


def percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"
