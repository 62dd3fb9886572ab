"""Look-ahead and filter length: the accuracy they buy and the delay they cost, drawn.

``make ablation`` trains short runs that differ in one of them and calls this with their folders.
The figures are those of the training patients who were held out; DS2 is not read for a choice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import checkpoint
from training.errors import DataError
from training.model import HOP, Design, parameter_count
from training.recordings import FS
from training.results import require_writable

OUT = Path(__file__).resolve().parent / "results" / "ablation"
FIGURES = ("QRS F1", "VEB F1", "SVEB F1", "accuracy")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: ``ablation.json``, ``.md`` and ``.png`` of the runs named."""
    parser = argparse.ArgumentParser(prog="python -m bench.ablation", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders that training.train wrote")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(arguments)
    try:
        require_writable(args.out)
        rows = sorted((read(run) for run in args.runs), key=lambda row: row["delay, s"])
    except DataError as error:
        parser.exit(2, f"{error}\n")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "ablation.json").write_text(json.dumps(rows, indent=1) + "\n")
    (args.out / "ablation.md").write_text(table(rows))
    draw(rows, args.out / "ablation.png")
    print(table(rows))


def read(run: Path) -> dict[str, Any]:
    """One run: what it was and what it reached on the held-out patients."""
    net, saved = checkpoint.load(run / "model.pt")
    recipe: dict[str, Any] = saved["recipe"]  # type: ignore[assignment]
    held_out: dict[str, float] = saved["held_out"]  # type: ignore[assignment]
    if not held_out:
        raise DataError(f"{run} held no patient out; expected runs of `make ablation`.")
    return {
        "look-ahead, s": net.design.look_ahead * HOP / FS,
        "band taps": net.design.band_taps,
        "delay, s": net.design.delay_samples / FS,
        "parameters": parameter_count(net),
        "carry": net.carry_size,
        "steps": recipe["steps"],
        "seed": recipe["seed"],
        **{name: held_out[name] for name in FIGURES},
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The runs as Markdown, shares in %."""
    lines = [
        "# Look-ahead and filter length against accuracy",
        "",
        f"`make ablation`: {_all(rows, 'steps')} steps each, seed {_all(rows, 'seed')}; "
        "held-out training patients, never DS2; in %.",
        "",
        f"| look-ahead | band taps | delay | {' | '.join(FIGURES)} |",
        "|---" * (3 + len(FIGURES)) + "|",
    ]
    for row in rows:
        shares = " | ".join(f"{100 * row[name]:.2f}" for name in FIGURES)
        lines.append(
            f"| {row['look-ahead, s']:.2f} s | {row['band taps']} "
            f"| {row['delay, s']:.2f} s | {shares} |"
        )
    return "\n".join([*lines, "", "![against delay](ablation.png)", ""])


def _all(rows: Sequence[dict[str, Any]], name: str) -> str:
    return ", ".join(str(value) for value in sorted({row[name] for row in rows}))


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Each figure against the delay: one line for the look-ahead, one for the filter's length."""
    from matplotlib.figure import Figure

    default = Design()
    series = {
        "look-ahead (filter as shipped)": [
            row for row in rows if row["band taps"] == default.band_taps
        ],
        "filter length (look-ahead as shipped)": [
            row for row in rows if round(row["look-ahead, s"] * FS / HOP) == default.look_ahead
        ],
    }
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    for axes, name in zip(figure.subplots(2, 2).flat, FIGURES, strict=True):
        for label, points in series.items():
            axes.plot(
                [row["delay, s"] for row in points],
                [100 * row[name] for row in points],
                "o-",
                label=label,
            )
        axes.axvline(default.delay_samples / FS, color="0.8", zorder=0)
        axes.set(xlabel="delay of a frame, s (grey: shipped)", ylabel=f"{name}, %")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(loc="best", fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
