"""Compare annotation files: bxb's and sumstats' texts to the byte, or the papers' figures.

``python -m training.ec57_report --reference DIR --test DIR`` is the command; `training.ec57`
counts for bxb, `training.scores` for papers.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.findings import CLASSES
from training.bxb import BEATS, LABELS
from training.ec57 import (
    LEARNING_S,
    MATCH_S,
    Annotations,
    Comparison,
    Ratio,
    Summary,
    compare,
    summarise,
)
from training.errors import DataError
from training.recordings import AAMI, flutter
from training.scores import Score, score, total_score
from training.tables import table

FORMATS = ("L", "l", "S", "s", "C", "c", "sum", "sum-l", "papers")

Named = tuple[str, Comparison]  # record and its comparison
Figure = TypeVar("Figure", Ratio, float)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 if all records could be compared, else 2 with one sentence."""
    args = _parser().parse_args(arguments)
    try:
        if args.out == args.shutdown_out != "-":
            raise ValueError(f"--out and --shutdown-out are both {args.out}; expected two files.")
        beats, shutdown = _run(args)
        _write(args.out, beats)
        if args.shutdown_out:
            _write(args.shutdown_out, shutdown)
    except (DataError, OSError, ValueError) as error:
        print(f"ec57_report: {error}", file=sys.stderr)
        return 2
    return 0


def report(results: Sequence[Named], form: str, annotators: tuple[str, str]) -> tuple[str, str]:
    """bxb's two texts: beat by beat, and shutdown.

    Parameters
    ----------
    results : records and their comparisons
    form : one of `FORMATS` except ``"papers"``; small letters and ``"sum-l"`` count S with N
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


def compare_files(
    reference: Path, test: Path, record: str, annotators: tuple[str, str], **options: Any
) -> Comparison:
    """`compare` the annotations of one record.

    Parameters
    ----------
    reference, test : folders; the header is in the first
    annotators : endings of the files' names
    options : as of `compare`

    Raises
    ------
    DataError
        A file is missing or damaged.
    """
    fs, samples = read_header(reference, record)
    return compare(
        read_annotations(reference, record, annotators[0], fs),
        read_annotations(test, record, annotators[1], fs),
        fs,
        record_samples=samples,
        **options,
    )


def score_files(
    reference: Path, test: Path, record: str, annotators: tuple[str, str], **options: Any
) -> Score:
    """As `compare_files`, but `score`: the papers' convention."""
    fs, samples = read_header(reference, record)
    start, stop = options.get("start_s", 0.0), options.get("stop_s", math.inf)
    stop = min(stop, samples / fs) if samples else stop
    if stop <= start:
        raise ValueError(
            f"The comparison would stop at {stop:g} s before it starts at {start:g} s."
        )
    there = read_annotations(reference, record, annotators[0], fs)
    found = read_annotations(test, record, annotators[1], fs)
    return score(
        *_beats(there), *_beats(found), fs, flutter=flutter(there.marks(), sys.maxsize), **options
    )


def read_annotations(folder: Path, record: str, annotator: str, fs: float) -> Annotations:
    """Read an annotation file; times in another resolution are brought to ``fs`` (Hz)."""
    path = _existing(folder / f"{record}.{annotator}")
    content = path.read_bytes()
    if content[-2:] != b"\0\0" or len(content) % 2:
        raise DataError(
            f"{path} does not end as a WFDB annotation file does: it is cut off or no such file."
        )
    if not content.strip(b"\0"):  # no annotations, of which wfdb makes an error
        return Annotations(np.zeros(0, np.int64), [])
    import wfdb

    try:
        found = wfdb.rdann(str(folder / record), annotator)
    except Exception as error:  # wfdb raises whatever a damaged byte leads to
        raise DataError(f"{path} cannot be read: {error}.") from error
    samples = np.asarray(found.sample, dtype=np.int64)
    if found.fs and found.fs != fs:
        samples = np.floor(samples * (fs / found.fs) + 0.5).astype(np.int64)
    return Annotations(samples, found.symbol, found.subtype)


def read_header(folder: Path, record: str) -> tuple[float, int | None]:
    """Sampling frequency in Hz and length in samples (None: not stated) of a record."""
    import wfdb

    path = _existing(folder / f"{record}.hea")
    try:
        header = wfdb.rdheader(str(folder / record))
    except Exception as error:  # as above
        raise DataError(f"{path} cannot be read: {error}.") from error
    if not header.fs:
        raise DataError(f"{path} states no sampling frequency.")
    return float(header.fs), header.sig_len or None


# --- bxb's texts ----------------------------------------------------------------------------

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


# --- Files and command line -----------------------------------------------------------------


def _beats(annotations: Annotations) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples and indices into `CLASSES` of what are beats in papers."""
    beats = [
        (sample, CLASSES.index(AAMI[symbol]))
        for sample, symbol, _ in annotations.marks()
        if symbol in AAMI
    ]
    samples, labels = np.array(beats, dtype=np.int64).reshape(-1, 2).T
    return samples, labels


def _run(args: argparse.Namespace) -> tuple[str, str]:
    annotators = (args.annotators[0], args.annotators[1])
    records = args.records or sorted(path.stem for path in args.test.glob(f"*.{annotators[1]}"))
    if not records:
        raise DataError(f"{args.test} holds no annotation files *.{annotators[1]}.")
    given = {"start_s": args.start, "stop_s": args.to, "window_s": args.window}
    times = {name: time for name, time in given.items() if time is not None}
    folders = args.reference, args.test
    if args.format == "papers":
        if args.shutdown_out:
            raise ValueError("--shutdown-out goes with bxb's formats; papers know no shutdown.")
        scores = {r: score_files(*folders, r, annotators, **times) for r in records}
        scores["sum"] = total_score(scores.values())
        return table({r: found.summary() for r, found in scores.items()}) + "\n", ""
    results = [(r, compare_files(*folders, r, annotators, **times)) for r in records]
    return report(results, args.format, annotators)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.ec57_report",
        description="Compare beat annotations as WFDB's bxb and sumstats do (ANSI/AAMI EC57).",
    )
    add = parser.add_argument
    add(
        "--reference",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the reference annotations and the headers",
    )
    add("--test", type=Path, required=True, metavar="DIR", help="folder of the test annotations")
    add(
        "--annotators",
        nargs=2,
        default=("atr", "prt"),
        metavar=("REF", "TEST"),
        help="extensions of the annotation files (default: atr prt)",
    )
    add("--records", nargs="+", metavar="REC", help="default: all with test annotations")
    add(
        "--format",
        choices=FORMATS,
        default="S",
        help="bxb's option letter; sum and sum-l add sumstats' sums to L and l; papers is the "
        "convention of the literature (default: S)",
    )
    add(
        "--from",
        dest="start",
        type=_seconds,
        metavar="TIME",
        help=f"start, in seconds or m:s or h:m:s (default: {LEARNING_S:g}; 0 with papers)",
    )
    add("--to", type=_seconds, metavar="TIME", help="end (default: end of the record)")
    add("--window", type=_seconds, metavar="TIME", help=f"match window (default: {MATCH_S:g})")
    add("--out", default="-", metavar="FILE", help="default: standard output")
    add("--shutdown-out", metavar="FILE", help="shutdown report (- for standard output)")
    return parser


def _seconds(text: str) -> float:
    """Seconds of ``s``, ``m:s`` or ``h:m:s``."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < math.inf for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 300, 5:00 or 0:05:00")
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    return path


def _write(name: str, text: str) -> None:
    if name == "-":
        sys.stdout.write(text)
    else:
        Path(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
