"""What the page saves, against what `annotate` writes, on ten real records and one made up."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import state, until
from record_cuts import cut

from runtime import Detector
from runtime.records import read
from runtime.records.outputs.tables import CsvWriter
from runtime.records.outputs.wfdb_annotations import WfdbWriter
from runtime.simulate import simulate

# Fibrillation, bigeminy and runs, another rate; with the others those of the report's test.
RECORDS = [
    *("cudb/cu01", "mitdb/119", "mitdb/207", "svdb/800"),
    *(
        pytest.param(name, marks=pytest.mark.trial)
        for name in ("cudb/cu05", "mitdb/100", "mitdb/105", "mitdb/200", "mitdb/222", "mitdb/231")
    ),
]
SECONDS = 300
DOTS_MM = 300 / 25.4


def file_of(page: Any, button: str) -> tuple[str, Path]:
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return download.value.suggested_filename, download.value.path()


def table_of(path: Path) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.read_csv(path, keep_default_na=False, na_values=[""])


@pytest.fixture
def opened(open_page: Callable[..., Any], tmp_path: Path) -> Any:
    """Ten seconds of a square wave of 1 mV, 1 s long, at 250 Hz, with a gap."""
    wfdb = pytest.importorskip("wfdb")
    wave = np.where(np.arange(2500) % 500 < 250, 0.0, 1.0)
    wave[2000:2100] = np.nan
    wfdb.wrsamp(
        "rec",
        fs=250,
        units=["mV"],
        sig_name=["MLII"],
        fmt=["16"],
        p_signal=wave[:, None],
        write_dir=str(tmp_path),
    )
    page = open_page(viewport={"width": 1280, "height": 900})
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    state(page, "Finished")
    page.locator("#gain").select_option("10")
    return page


@pytest.mark.parametrize("name", RECORDS)
def test_beats_and_events_are_those_of_annotate(
    data: Path, open_page: Callable[..., Any], detector: Detector, tmp_path: Path, name: str
) -> None:
    """Table for table, and mark for mark of the WFDB annotations."""
    wfdb = pytest.importorskip("wfdb")
    stem = cut(data / name, tmp_path, SECONDS, "16").name
    found = detector.annotate(read(tmp_path / stem))
    page = open_page()
    page.locator("#files").set_input_files([tmp_path / f"{stem}.hea", tmp_path / f"{stem}.dat"])
    state(page, "Finished")
    assert page.locator("#name").inner_text() == f"{stem}, {found.record.lead}"
    beats, events = (
        table_of(io.BytesIO(content))  # type: ignore[arg-type]
        for content in CsvWriter().contents(found, scores=False)
    )
    named, path = file_of(page, "Save beats")
    assert named == f"{stem}-beats.csv"
    shown = table_of(path)
    assert list(shown["label"]) == list(beats["label"])
    for column in ("time", "score"):
        np.testing.assert_allclose(shown[column], beats[column], atol=1e-4)
    whole = beats["rr"].notna()  # those over a gap are left out there
    np.testing.assert_allclose(shown["rr"][whole], beats["rr"][whole], atol=2e-4)
    named, path = file_of(page, "Save events")
    assert named == f"{stem}-events.csv"
    shown = table_of(path).sort_values(["start", "kind"])
    events = events.sort_values(["start", "kind"])
    for column in ("kind", "rule"):
        assert list(shown[column]) == list(events[column])
    for column in ("start", "end", "confidence"):
        np.testing.assert_allclose(
            shown[column].astype(float), events[column].astype(float), atol=1e-4
        )
    named, path = file_of(page, "Save annotations")
    assert named == f"{stem}.ekg"
    shutil.copy(path, tmp_path / f"{stem}.ekg")
    ours = wfdb.rdann(str(tmp_path / stem), "ekg")
    (content,) = WfdbWriter().contents(found, scores=False)
    (tmp_path / f"{stem}.annotate").write_bytes(content)
    theirs = wfdb.rdann(str(tmp_path / stem), "annotate")
    marks = [list(zip(a.sample, a.symbol, a.aux_note, strict=True)) for a in (ours, theirs)]
    assert marks[0] == marks[1]
    counted = {
        line.split()[0]: int(line.split()[1])
        for line in page.locator("#counts li").all_inner_texts()
    }
    assert counted == {label: list(beats["label"]).count(label) for label in "NSVFQ"}


def test_a_picture_is_to_scale_with_grid_lead_and_units(opened: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    named, path = file_of(opened, "PNG")
    assert named == "rec-0.0s.png"
    with image.open(path) as picture:
        pixels = np.asarray(picture.convert("L")).astype(int)
    assert pixels.shape[1] == round(297 * DOTS_MM)
    dark = pixels < 90
    # A rise of 1 mV is 10 mm high; between two, 2 s, are 50 mm.
    body = dark[round(28 * DOTS_MM) :, round(21 * DOTS_MM) : round(285 * DOTS_MM)]
    heights = body.sum(axis=0) / DOTS_MM
    edges = np.flatnonzero(heights > 9)
    columns = edges[np.flatnonzero(np.diff(edges, prepend=-99) > 5)] / DOTS_MM
    np.testing.assert_allclose(np.diff(columns)[:4], 25, atol=0.3)
    assert heights[edges].max() == pytest.approx(10, abs=0.5)
    # The grid: bold lines every 5 mm, across a row without trace.
    row = pixels[round(40 * DOTS_MM), round(11 * DOTS_MM) : round(200 * DOTS_MM)]
    bold = np.flatnonzero(row < 245) / DOTS_MM
    lines = bold[np.flatnonzero(np.diff(bold, prepend=-9) > 1)]
    assert {round(step) for step in np.diff(lines)} <= {5, 10, 15}


def test_a_page_of_pdf_is_to_scale_and_says_so(opened: Any, tmp_path: Path) -> None:
    named, path = file_of(opened, "PDF")
    assert named == "rec-0.0s.pdf"
    content = path.read_bytes().decode("latin-1")
    places = [int(at) for at in re.findall(r"^(\d{10}) 00000 n", content, re.MULTILINE)]
    for number, at in enumerate(places, 1):
        assert content[at:].startswith(f"{number} 0 obj")
    length = int(re.search(r"/Length (\d+)", content)[1])  # type: ignore[index]
    stream = content.partition("stream\n")[2]
    assert stream[length:].startswith("\nendstream")
    paths = re.findall(r"((?:[\d.]+ [\d.]+ [ml]\n?)+) S", stream[:length])
    lines = [
        np.array([p.split()[:2] for p in re.findall(r"[\d.]+ [\d.]+ [ml]", one)], float)
        for one in paths
    ]
    trace = max(lines, key=len) / 72 * 25.4
    assert len(trace) == 2000  # to the gap, across which there is no line
    assert np.ptp(trace[:, 1]) == pytest.approx(10, abs=0.1)
    assert np.ptp(trace[:, 0]) == pytest.approx(1999 / 250 * 25, abs=0.1)
    words = "".join(
        bytes.fromhex(code).decode("latin-1") for code in re.findall(r"<([0-9a-f]+)> Tj", content)
    )
    for said in ("rec, MLII", "25 mm/s", "10 mm/mV", "leads MLII in mV", "250 Hz"):
        assert said in words


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext (poppler-utils)")
def test_another_program_reads_the_pdf(opened: Any) -> None:
    _, path = file_of(opened, "PDF")
    read_by = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True)
    assert "rec, MLII" in read_by.stdout
    assert not read_by.stderr


def test_all_leads_that_are_shown_are_on_the_picture(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    wfdb = pytest.importorskip("wfdb")
    signal = simulate(20, seed=6).signal.astype(float)
    names = ["I", "II", "III", "V1"]
    wfdb.wrsamp(
        "rec",
        fs=360,
        units=["mV"] * 4,
        sig_name=names,
        fmt=["16"] * 4,
        p_signal=np.stack([signal] * 4, axis=1),
        write_dir=str(tmp_path),
    )
    page = open_page(viewport={"width": 1280, "height": 900})
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    state(page, "Finished")
    page.locator("#leads-menu summary").click()
    for name in ("I", "III", "V1"):
        page.get_by_role("checkbox", name=name, exact=True).check()
    until(page, "document.querySelectorAll('.lead').length === 4")
    content = file_of(page, "PDF")[1].read_bytes().decode("latin-1")
    words = [
        bytes.fromhex(code).decode("latin-1") for code in re.findall(r"<([0-9a-f]+)> Tj", content)
    ]
    assert [word for word in words if word in names] == ["II", "I", "III", "V1"]
