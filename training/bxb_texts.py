"""The texts of bxb and sumstats, to the byte."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from training.bxb import BEATS, LABELS
from training.ec57 import Comparison, Ratio, Summary, summarise

# bxb's options, and with sumstats' sums below.
FORMATS = ("L", "l", "S", "s", "C", "c", "sum", "sum-l")

Named = tuple[str, Comparison]  # record and its comparison
Figure = TypeVar("Figure", Ratio, float)


def report(results: Sequence[Named], form: str, annotators: tuple[str, str]) -> tuple[str, str]:
    """bxb's two texts: beat by beat, and shutdown.

    Parameters
    ----------
    results : records and their comparisons
    form : one of `FORMATS`; small letters and ``"sum-l"`` count S with N
    annotators : names of the reference and of the test annotator
    """
    sveb = form in ("L", "S", "C", "sum")
    results = [(name, c if sveb else c.without_sveb()) for name, c in results]
    if form in ("S", "s", "C", "c"):
        return (
            "".join(_page(name, c, form, annotators) for name, c in results),
            "".join(_shutdown_page(c, sveb) for _, c in results),
        )
    beats = [_HEADING[sveb], *(_line(name, c, sveb) for name, c in results)]
    shutdown = [_SHUTDOWN_HEADING[sveb], *(_shutdown_line(name, c, sveb) for name, c in results)]
    if form.startswith("sum"):
        beats.append(_summary(summarise([c for _, c in results]), sveb))
    return "".join(beats), "".join(shutdown)


_HEADING = {
    False: "Record Nn' Vn' Fn' On'  Nv   Vv  Fv' Ov' No' Vo' Fo'"
    "  Q Se   Q +P   V Se   V +P  V FPR\n",
    True: "Record Nn' Sn' Vn' Fn' On'  Ns  Ss  Vs  Fs' Os' Nv  Sv   Vv  Fv' Ov' No' So' Vo' Fo'"
    "  Q Se   Q +P   V Se   V +P   S Se   S +P RR err\n",
}
_SHUTDOWN_HEADING = {
    False: "Record Nx   Vx   Fx   Qx  % beats  % N    % V    % F   Total Shutdown\n"
    "                           missed missed missed missed      Time\n",
    True: "Record Nx   Sx   Vx   Fx   Qx  % beats  % N    % S    % V    % F   Total Shutdown\n"
    "                                missed missed missed missed missed      Time\n",
}


def _page(record: str, comparison: Comparison, form: str, annotators: tuple[str, str]) -> str:
    """``bxb -S`` and ``-C``: matrix and statistics of one record."""
    sveb = form.isupper()
    lines = [
        f"Beat-by-beat comparison results for record {record}",
        f"Reference annotator: {annotators[0]}",
        f"     Test annotator: {annotators[1]}",
        "",
    ]
    if form in "Ss":
        labels = _groups(" ".join(LABELS), sveb)
        lines += ["               Algorithm", *_matrix(comparison, labels, labels)]
    else:
        lines += ["         Algorithm", *_matrix(comparison, *_condensed(sveb))]
    lines += [
        "",
        *(
            _named(name, ratio, _decimals(name))
            for name, ratio in _shown(comparison.statistics, sveb).items()
        ),
    ]
    error = f"{comparison.rr_error_ms:6.2f} ms" if comparison.rr_errors else "     -"
    return "\n".join([*lines, f"{'RMS RR interval error':>26}: {error}" if sveb else "", ""])


def _matrix(comparison: Comparison, rows: list[str], columns: list[str]) -> list[str]:
    """Groups of labels against groups; neither O nor X has cells against o and x."""
    width = max(len("+".join(row)) for row in rows)
    margin = " " * (width + 2)
    lines = [
        margin + " " + "".join(f"{'+'.join(column).lower():>5}" for column in columns),
        margin + "_" * (5 * len(columns) + 1),
    ]
    for row in rows:
        shown = columns if row[0] in BEATS else [c for c in columns if c[0] in BEATS]
        cells = _cells(comparison.count(row, column) for column in shown)
        lines.append(f" {'+'.join(row):^{width}} |{cells}")
    return lines


def _line(record: str, comparison: Comparison, sveb: bool) -> str:
    """``bxb -L``, first file: one record."""
    line = f"{record:>4} {_line_counts(comparison, sveb, 5)}{_percents(comparison, sveb)}"
    if sveb:
        line += f" {comparison.rr_error_ms:6.2f}" if comparison.rr_errors else "     -"
    return line + "\n"


def _line_counts(comparison: Comparison, sveb: bool, first: int) -> str:
    """The condensed matrix column by column, Nn' (``first``) and Vv wider than three digits."""
    rows, columns = _condensed(sveb)
    cells = [(row, column) for column in columns for row in rows][:-1]
    widths = {cells[0]: first, ("V", "V"): 4}
    return " ".join(f"{comparison.count(*cell):{widths.get(cell, 3)}d}" for cell in cells)


def _shutdown_line(record: str, comparison: Comparison, sveb: bool) -> str:
    """``bxb -L``, second file: one record."""
    lost = _cells(comparison.count(label, "X") for label in _groups(" ".join(BEATS), sveb))
    missed = "".join(
        _number(ratio.percent, 2) for ratio in _shown(comparison.missed_in_shutdown, sveb).values()
    )
    totals = " ".join(str(comparison.count(label)) for label in BEATS)
    return f"{record:>4}{lost}  {missed}{comparison.shutdown_s:5d} seconds {totals}\n"


def _shutdown_page(comparison: Comparison, sveb: bool) -> str:
    """Shutdown after one record's report, as ``bxb -S`` and ``-C`` print it."""
    lines = [
        _named(f"{name} missed in shutdown", ratio, 2)
        for name, ratio in _shown(comparison.missed_in_shutdown, sveb).items()
    ]
    time = f"{'Total shutdown time':>26}: {comparison.shutdown_s:5d} seconds"
    return "\n".join(["", *lines, time, ""])


def _summary(summary: Summary, sveb: bool) -> str:
    """The sums that sumstats prints below the lines."""
    gross = {name: ratio.percent for name, ratio in summary.gross.items()}
    width = 83 if sveb else 54
    totals = "  ".join(
        f"Total {plural}: {summary.gross[f'{beats} sensitivity'].whole}"
        for beats, plural in {"QRS": "QRS complexes", "VEB": "VEBs", "SVEB": "SVEBs"}.items()
        if sveb or beats != "SVEB"
    )
    return (
        f"{'_' * (132 if sveb else 86)}\n"
        f"{'Sum ' if sveb else 'Sum  '}{_line_counts(summary.total, sveb, 6)}\n"
        f"{'Gross':<{width}}{_numbers(gross, sveb)}\n"
        f"{'Average':<{width}}{_numbers(summary.average, sveb)}\n"
        f"{totals}\n"
        f"\nSummary of results from {summary.records} record{'s' * (summary.records != 1)}\n"
    )


def _groups(text: str, sveb: bool) -> list[str]:
    return [group for group in text.split() if sveb or group != "S"]


def _condensed(sveb: bool) -> tuple[list[str], list[str]]:
    """Rows and columns of the condensed matrix."""
    return _groups("N S V FQ OX", sveb), _groups("NFQ S V OX", sveb)


def _shown(figures: dict[str, Figure], sveb: bool) -> dict[str, Figure]:
    """Figures of S, or those that bxb gives in their stead."""
    left_out = ("VEB false",) if sveb else ("S", "RR")
    return {name: figure for name, figure in figures.items() if not name.startswith(left_out)}


def _decimals(name: str) -> int:
    return 3 if name == "VEB false positive rate" else 2


def _percents(comparison: Comparison, sveb: bool) -> str:
    return _numbers({name: r.percent for name, r in comparison.statistics.items()}, sveb)


def _numbers(figures: dict[str, float], sveb: bool) -> str:
    return "".join(_number(f, _decimals(name)) for name, f in _shown(figures, sveb).items())


def _number(figure: float, decimals: int) -> str:
    return "      -" if math.isnan(figure) else f" {figure:6.{decimals}f}"


def _named(name: str, ratio: Ratio, decimals: int) -> str:
    percent = f"{ratio.percent:6.{decimals}f}%" if ratio.whole else "     - "
    return f"{name:>26}: {percent} ({ratio.part}/{ratio.whole})"


def _cells(counts: Iterable[int]) -> str:
    return "".join(f" {count:4d}" for count in counts)
