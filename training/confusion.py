"""The confusion matrix drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.scores import NONE


def draw_confusion(metrics: dict, path: Path) -> None:  # type: ignore[type-arg]
    """The confusion matrix as a picture: shares of the reference by colour, counts as text."""
    from matplotlib.figure import Figure

    confusion = metrics["confusion"]
    counts = np.array(confusion["counts"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if row == column == NONE:
            continue
        axes.text(
            column,
            row,
            f"{count:,}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if shares[row, column] > 0.5 else "black",
        )
    axes.set_xticks(range(NONE + 1), confusion["columns"])
    axes.set_yticks(range(NONE + 1), confusion["rows"])
    axes.set(xlabel="reported", ylabel="reference", title="Beats, colour: share of the row")
    figure.savefig(path, dpi=120)
