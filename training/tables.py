"""The figures of `training.evaluate` as Markdown, in %."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_CELLS = (
    ("QRS Se", "QRS +P"),
    ("VEB Se", "VEB +P", "VEB F1"),
    ("SVEB Se", "SVEB +P", "SVEB F1"),
    ("F F1",),
    ("accuracy",),
)  # of a row of `table`
_HEADING = "QRS Se/+P | VEB Se/+P/F1 | SVEB Se/+P/F1 | F F1 | accuracy"
_PACED_CELLS = (("QRS Se", "QRS +P"), ("Q Se", "Q +P", "Q F1"), ("accuracy",))


def tables(metrics: dict) -> str:  # type: ignore[type-arg]
    """The figures as Markdown, in %."""
    rows = {part: metrics[part] for part in ("whole records", "from 5:00", "rhythm not followed")}
    windows = metrics["one-second windows"]
    parts = [
        table(rows | metrics["per record"]),
        f"SVEB F1 without 232: {100 * metrics['SVEB F1 without 232']:.1f}; "
        f"one-second windows alone, normal or not: {100 * windows['accuracy']:.1f} % right "
        f"(sensitivity {100 * windows['sensitivity']:.1f}, "
        f"specificity {100 * windows['specificity']:.1f}).",
        f"Their class (the rarest beat's; 'none' where no R peak lies in the window): "
        f"{100 * windows['right class']:.1f} % right.",
        _window_table(windows["classes"]),
        "As PhysioNet's `bxb` and `sumstats` count (EC57): from 5:00, e and j are S, F and Q "
        "called v or s are not held against +P.",
        _bxb_table(metrics["bxb, from 5:00"]),
    ]
    if "paced" in metrics:
        paced = metrics["paced"]
        parts += [
            "Patients with a pacemaker, paced beats (and their fusions) being Q:",
            table(
                {"both": paced["whole records"]} | paced["per record"],
                "QRS Se/+P | Q Se/+P/F1 | accuracy",
                _PACED_CELLS,
            ),
        ]
    return "\n\n".join(parts)


def table(
    rows: Mapping[str, dict[str, float]],
    heading: str = _HEADING,
    columns: Sequence[Sequence[str]] = _CELLS,
) -> str:
    """Summaries of scores as a Markdown table, in %."""
    lines = [f"| | {heading} | time error |", "|---" * (len(columns) + 2) + "|"]
    for name, figures in rows.items():
        cells = [
            name,
            *("/".join(_number(100 * figures[f], 2) for f in cell) for cell in columns),
            _number(1000 * figures["time error, median absolute"], 1) + " ms",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _window_table(classes: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| one-second windows | number | Se/+P/F1 |", "|---|---|---|"]
    lines += [
        f"| {label} | {figures['windows']:,} | "
        f"{'/'.join(_number(100 * figures[f], 1) for f in ('Se', '+P', 'F1'))} |"
        for label, figures in classes.items()
    ]
    return "\n".join(lines)


def _bxb_table(figures: Mapping[str, Any]) -> str:
    lines = ["| bxb, from 5:00 | gross | counts | average of records |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {_number(100 * f['gross'], 2)} | {f['right']:,}/{f['of']:,} "
        f"| {_number(100 * f['average'], 2)} |"
        for name, f in figures.items()
        if isinstance(f, dict)
    ]
    error = _number(figures["RR interval error, average, ms"], 2)
    return "\n".join([*lines, f"| RMS RR interval error | | | {error} ms |"])


def _number(figure: float, decimals: int) -> str:
    return "-" if math.isnan(figure) else f"{figure:.{decimals}f}"
