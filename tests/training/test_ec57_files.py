"""Annotation files compared: classes, fibrillation, and a file that is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.databases import DS1
from training.ec57 import Ratio
from training.ec57_files import compare_files, read_annotations, score_files
from training.errors import DataError

# wfdb, when imported, uses pandas in a way that pandas will give up.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

ANNOTATORS = ("atr", "prt")


def test_papers_classes_and_fibrillation_are_read_from_files(data: Path) -> None:
    """Published counts of DS1; 207 has fibrillation, where flutter waves are no beats."""
    mitdb = data / "mitdb"
    total = sum(score_files(mitdb, mitdb, record, ("atr", "atr")).confusion for record in DS1)
    assert np.array_equal(total, np.diag([45866, 944, 3788, 415, 8, 0]))
    late = score_files(mitdb, mitdb, "207", ("atr", "atr"), start_s=1500.0, stop_s=1600.0)
    assert 0 < late.confusion.sum() < 200


def test_both_conventions_pair_the_brackets_of_fibrillation_alike(tmp_path: Path) -> None:
    """An end without a beginning says nothing; else the beats up to 5000 were all false."""
    import wfdb

    marks = {
        "atr": [(500, "]"), (1000, "N"), (2000, "["), (5000, "]"), (6000, "N")],
        "prt": [(1000, "N"), (3000, "V"), (3500, "V"), (4000, "V"), (6000, "N")],
    }
    (tmp_path / "x.hea").write_text("x 1 360 10000\nx.dat 16 200\n")
    for annotator, written in marks.items():
        samples, symbols = zip(*written, strict=True)
        wfdb.wrann("x", annotator, np.array(samples), symbol=list(symbols), write_dir=str(tmp_path))
    papers = score_files(tmp_path, tmp_path, "x", ANNOTATORS).qrs
    assert (papers.right, papers.there, papers.reported) == (2, 2, 2)
    bxb = compare_files(tmp_path, tmp_path, "x", ANNOTATORS, start_s=0.0)
    for figure in ("QRS sensitivity", "QRS positive predictivity"):
        assert bxb.statistics[figure] == Ratio(2, 2)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"100\.atr is missing"):
        read_annotations(tmp_path, "100", "atr", 360.0)
