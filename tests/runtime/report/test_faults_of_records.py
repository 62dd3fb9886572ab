"""What earlier reports of these recordings had wrong, on the recordings that showed it.

Beats in fibrillation (cu01) and pauses in runs are in `test_ten_records`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Detector, EkgError
from runtime.records import read
from runtime.report import Layout, Study, flaws_of_seconds, study_of, write
from runtime.report.excerpts import MIN_APART, MIN_APART_S, choose_excerpts
from runtime.report.pages import gravity_colour
from runtime.report.pdf import find_browser
from runtime.report.plots import scale_of
from runtime.report.summary import Summary, trend_of
from runtime.report.words import KINDS

pytestmark = [pytest.mark.needs("jinja2", "wfdb"), pytest.mark.slow]


def study(detector: Detector, source: str | Path) -> Study:
    record = read(source)
    found = detector.annotate(record)
    flaws = flaws_of_seconds(record, detector.assess)
    limits = detector.rhythm_policy.limits
    return study_of(record, found.beats, found.events, flaws, limits=limits)


@pytest.fixture(scope="module")
def half_hour(data: Path, detector: Detector) -> Study:
    """207: bigeminy, runs, fibrillation, a slow rhythm of the ventricles."""
    return study(detector, data / "mitdb/207")


def ink(folder: Path, name: str) -> list[float]:
    """Of each page of a PDF the share of lines that hold something."""
    image = pytest.importorskip("PIL.Image")
    drawn = ["pdftoppm", "-r", "40", "-gray", str(folder / f"{name}.pdf"), str(folder / "page")]
    subprocess.run(drawn, check=True)
    shares = []
    for path in sorted(folder.glob("page-*.pgm")):
        with image.open(path) as page:
            shares.append(float((np.asarray(page) < 200).any(axis=1).mean()))
    return shares


@pytest.fixture
def printer() -> None:
    try:
        find_browser()
    except EkgError as error:
        pytest.skip(str(error))
    if shutil.which("pdftoppm") is None:
        pytest.skip("no pdftoppm (apt-get install poppler-utils)")


@pytest.mark.usefixtures("printer")
def test_half_a_minute_prints_without_empty_pages(detector: Detector, tmp_path: Path) -> None:
    """Page 1 was almost empty, page 2 held one word, and the trend ended at 0:23 of 0:30."""
    write(tmp_path, study(detector, "sample"), Layout(pdf=True))
    shares = ink(tmp_path, "sample")
    assert len(shares) <= 3
    assert shares[0] > 0.3  # of its lines; a blank page has none, prose at single spacing 0.6
    assert min(shares) > 0.1
    text = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "sample.pdf", "-"], capture_output=True, text=True
    ).stdout
    assert re.search(r"0:00:00 .*0:00:30|0:00 .*0:30", text)  # the axis, to its end


@pytest.mark.usefixtures("printer")
def test_half_an_hour_takes_few_pages(half_hour: Study, tmp_path: Path) -> None:
    """It took 21."""
    write(tmp_path, half_hour, Layout(pdf=True))
    shares = ink(tmp_path, "207")
    assert len(shares) <= 12
    assert shares[0] > 0.3  # of its lines; a blank page has none, prose at single spacing 0.6
    assert min(shares) > 0.1


@pytest.mark.parametrize("name", ["mitdb/207", "mitdb/222", "mitdb/231", "mitdb/105"])
def test_no_event_is_slower_or_faster_than_the_extremes(
    data: Path, detector: Detector, name: str
) -> None:
    """A slowest rate of 52 stood beside 27 s below 50/min at the same spot."""
    summary = Summary(study(detector, data / name))
    assert summary.rate is not None
    rates = {
        kind: [row.rate for row in summary.events if row.event.kind == kind and row.rate]
        for kind in ("bradycardia", "tachycardia")
    }
    for rate in rates["bradycardia"]:
        assert summary.rate.least.value <= rate + 1e-6
    for rate in rates["tachycardia"]:
        assert summary.rate.greatest.value >= rate - 1e-6


def test_strips_of_one_kind_are_no_neighbours(half_hour: Study) -> None:
    """Six of one kind were neighbours of one run."""
    apart = max(MIN_APART_S, MIN_APART * half_hour.seconds)
    starts: dict[str, list[float]] = {}
    for excerpt in choose_excerpts(Summary(half_hour), 18):
        starts.setdefault(excerpt.kind, []).append(excerpt.start)
    assert max(map(len, starts.values())) > 1
    for moments in starts.values():
        assert all(np.diff(sorted(moments)) >= apart)


def test_the_trend_holds_all_rates_and_rhythms_have_colours_of_their_gravity(
    half_hour: Study, tmp_path: Path, parse: Callable[[str], Any]
) -> None:
    """Rates ran beyond the axis, all rhythms were alarm-red, and a rule spoke of log-odds."""
    page = parse(write(tmp_path, half_hour, Layout(strips=4)).read_text(encoding="utf-8"))
    assert "log-odds" not in page.text.lower()
    trend = trend_of(half_hour).rate
    scale = scale_of(float(np.nanmin(trend)), float(np.nanmax(trend)), 150)
    _, rates = half_hour.rates
    assert scale.low <= rates.min()
    assert rates.max() <= scale.high
    colours = {kind: gravity_colour(kind) for kind in KINDS}
    assert len(set(colours.values())) == 3
    assert colours["bigeminy"] != colours["ventricular_fibrillation"]
