"""A recording on the page: gone through, measured, compared, corrected and saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import is_shown, saved, saved_signal, state, until, whole
from page_tools import npm_package

from runtime import Detector
from runtime.records import read
from runtime.simulate import simulate

FS = 360
SECONDS = 90


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WFDB record of two leads with a clock, and a reference that is wrong in three places."""
    wfdb = pytest.importorskip("wfdb")
    folder = tmp_path_factory.mktemp("record")
    signal = simulate(SECONDS, fs=FS, seed=6, ectopic=0.3).signal.astype(float)
    wfdb.wrsamp(
        "rec",
        fs=FS,
        units=["mV", "mV"],
        sig_name=["MLII", "V1"],
        fmt=["16"] * 2,
        p_signal=np.stack([signal, -signal], axis=1),
        write_dir=str(folder),
    )
    header = (folder / "rec.hea").read_text().splitlines()
    header[0] += " 23:59:30 03/11/2026"
    (folder / "rec.hea").write_text("\n".join(header) + "\n")
    return folder / "rec"


@pytest.fixture(scope="module")
def truth(record: Path, detector: Detector) -> list[Any]:
    return whole(detector, read(record).signal, FS)


@pytest.fixture
def opened(open_page: Callable[..., Any], record: Path) -> Any:
    page = open_page(viewport={"width": 1280, "height": 900})
    page.locator("#files").set_input_files([f"{record}.hea", f"{record}.dat"])
    state(page, "Finished")
    return page


def start_of_strip(page: Any) -> float:
    minutes, seconds = page.locator("#strip-text").inner_text().split(" ")[0].split(":")
    return 60 * int(minutes) + float(seconds)


def test_the_whole_recording_is_shown_at_once_by_its_clock(opened: Any, truth: list[Any]) -> None:
    is_shown(opened, truth)
    assert opened.locator("#sweep").is_hidden()
    assert opened.locator("#strip-clock").inner_text() == "at 23:59:30"
    assert opened.locator("#progress").is_hidden()


def test_any_place_is_reached_by_overview_time_and_keys(opened: Any) -> None:
    overview = opened.locator("#overview")
    box = opened.locator("#overview .u-over").bounding_box()
    opened.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert start_of_strip(opened) == pytest.approx(SECONDS / 2 - 5, abs=3)
    overview.focus()
    opened.keyboard.press("Home")
    assert start_of_strip(opened) == 0
    opened.keyboard.press("ArrowRight")
    assert start_of_strip(opened) > 3
    assert overview.get_attribute("aria-valuetext").startswith("strip at 23:59:")
    opened.locator("#goto").fill("0:00:10")  # after midnight, 40 s from the start
    opened.keyboard.press("Enter")
    wide = float(opened.evaluate("document.getElementById('strip').clientWidth")) / 25 / 96 * 25.4
    assert start_of_strip(opened) == pytest.approx(40 - wide / 2, abs=0.8)
    opened.locator("#goto").fill("+0:20")
    opened.keyboard.press("Enter")
    assert start_of_strip(opened) == pytest.approx(20 - wide / 2, abs=0.8)
    opened.locator("#goto").fill("noon")
    opened.keyboard.press("Enter")
    opened.get_by_text("expected h:mm:ss, mm:ss or seconds").wait_for()


def test_the_strip_zooms_and_drags(opened: Any) -> None:
    strip = opened.locator("#strip")
    strip.focus()
    opened.keyboard.press("+")
    assert "50 mm/s" in opened.locator(".lead").first.inner_text()
    box = strip.bounding_box()
    opened.mouse.move(box["x"] + 300, box["y"] + 80)
    opened.mouse.wheel(0, 120)
    until(opened, "document.querySelector('.lead').textContent.includes('25 mm/s')")
    opened.keyboard.press("End")
    opened.keyboard.press("Home")
    opened.mouse.down()
    opened.mouse.move(box["x"] + 200, box["y"] + 80, steps=5)
    opened.mouse.up()
    assert start_of_strip(opened) == pytest.approx(100 / 25 / 96 * 25.4, abs=0.25)


def test_calipers_measure_the_interval_between_beats(opened: Any, truth: list[Any]) -> None:
    opened.locator("#strip").focus()
    opened.keyboard.press("c")
    words = opened.locator("#measured").inner_text()
    measured = int(words.split(" ms")[0])
    intervals = np.rint(1000 * np.diff([beat.time for beat in truth]))
    assert min(abs(intervals - measured)) <= 1
    assert f"{60000 / measured:.0f}/min" in words
    assert "+1.00 mV" in words
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowUp")
    words = opened.locator("#measured").inner_text()
    assert int(words.split(" ms")[0]) == pytest.approx(measured + 10, abs=1)
    assert "+1.05 mV" in words
    opened.keyboard.press("m")
    assert opened.locator(".marched").count() > 5
    opened.keyboard.press("Escape")
    assert opened.locator("#measured").inner_text() == ""


def test_a_second_lead_is_shown_with_its_scale(opened: Any) -> None:
    opened.locator("#leads-menu summary").click()
    opened.get_by_role("checkbox", name="V1").check()
    until(opened, "document.querySelectorAll('.lead').length === 2")
    assert opened.locator(".lead").all_inner_texts()[1].startswith("V1 · 25 mm/s · ")


def test_corrections_change_counts_and_files_and_are_taken_back(
    opened: Any, truth: list[Any], tmp_path: Path
) -> None:
    wfdb = pytest.importorskip("wfdb")
    strip = opened.locator("#strip")
    strip.focus()
    opened.keyboard.press("Home")
    opened.keyboard.press("Shift+ArrowRight")
    chosen = opened.locator("#beat-text").inner_text()
    at = float(chosen.rsplit(":", 1)[1])
    i = int(np.argmin([abs(beat.time - at) for beat in truth]))
    assert chosen.startswith({"N": "Normal", "V": "Ventricular"}[truth[i].label])
    opened.keyboard.press("f")
    assert opened.locator("#count-F").inner_text() == "1"
    opened.get_by_role("button", name="Fusion beat").wait_for()
    opened.keyboard.press("Shift+ArrowRight")
    opened.keyboard.press("Delete")
    assert opened.locator("#edits").inner_text() == "Beat taken out. 2 corrections."
    expected = [(beat.time, beat.label) for beat in truth]
    expected[i] = (expected[i][0], "F")
    del expected[i + 1]
    table = saved(opened, "Save beats")
    assert [str(label) for label in table["label"]] == [label for _, label in expected]
    with opened.expect_download() as download:
        opened.get_by_role("button", name="Save annotations").click()
    assert download.value.suggested_filename == "rec.ekg"
    download.value.save_as(tmp_path / "rec.ekg")
    marks = wfdb.rdann(str(tmp_path / "rec"), "ekg")
    assert marks.fs == FS
    beats = [(s, c) for s, c in zip(marks.sample, marks.symbol, strict=True) if c in "NSVFQ"]
    assert beats == [(round(time * FS), label) for time, label in expected]
    opened.keyboard.press("Control+z")
    opened.keyboard.press("Control+z")
    assert opened.locator("#undo").is_disabled()
    is_shown(opened, truth)


def test_a_reference_is_compared_and_its_disagreements_listed(
    opened: Any, truth: list[Any], tmp_path: Path
) -> None:
    wfdb = pytest.importorskip("wfdb")
    marks = [(round(beat.time * FS), beat.label) for beat in truth]
    marks[3] = (marks[3][0], "F")  # another class
    del marks[6]  # one that the reference lacks
    marks.append((marks[-1][0] + FS, "N"))  # and one that is not found
    wfdb.wrann(
        "rec",
        "atr",
        np.array([sample for sample, _ in marks]),
        symbol=[label for _, label in marks],
        fs=FS,
        write_dir=str(tmp_path),
    )
    opened.locator("#files").set_input_files([tmp_path / "rec.atr"])
    found = len(marks) - 1
    expected = (
        f"rec.atr: {100 * found / len(marks):.1f} % of {len(marks)} beats found, "
        f"{100 * (found - 1) / found:.1f} % of these with the same class, "
        "1 more than the reference."
    )
    until(opened, f"document.getElementById('agreement').textContent === {json.dumps(expected)}")
    opened.locator("#filter").select_option("disagreement")
    names = opened.locator("#list .what").all_inner_texts()
    assert [name.strip() for name in names] == [
        f"{truth[3].label}, by the reference F",
        f"{truth[6].label}, none by the reference",
        "Not found: N of the reference",
    ]
    (tmp_path / "bad.atr").write_bytes(b"\x01\x04\x02")
    opened.locator("#files").set_input_files([tmp_path / "bad.atr"])
    opened.get_by_text("bad.atr is cut off").wait_for()


def test_events_are_filtered_and_searched(opened: Any) -> None:
    total = int(opened.locator("#event-count").inner_text())
    opened.locator("#filter").select_option("V")
    shown = opened.locator("#list .what").all_inner_texts()
    assert shown
    assert all(line.startswith("Ventricular beat") for line in shown)
    assert opened.locator("#event-count").inner_text() == f"{len(shown)} of {total}"
    opened.locator("#filter").select_option("")
    opened.locator("#search").fill("no such thing")
    assert opened.locator("#empty").inner_text() == "No event fits the filter."


def test_trends_sum_up_all_intervals(opened: Any, truth: list[Any]) -> None:
    opened.locator("#trends summary").click()
    opened.get_by_text("intervals between neighbours").wait_for()
    intervals = np.diff([beat.time for beat in truth])
    text = opened.locator("#trends-text").inner_text()
    assert text.startswith(f"{len(intervals)} intervals")
    count = sum(beat.label == "V" for beat in truth)
    assert f"Ventricular: mean of {count} beats" in opened.locator("#averages-text").inner_text()


def test_an_edf_file_shows_its_clock_and_the_beats_that_annotate_finds(
    open_page: Callable[..., Any], detector: Detector, tmp_path: Path
) -> None:
    edfio = pytest.importorskip("edfio")
    import datetime

    signal = simulate(30, fs=250, seed=5, ectopic=0.3).signal.astype(float)
    given = edfio.EdfSignal(signal, 250, label="ECG II", physical_dimension="mV")
    other = edfio.EdfSignal(np.zeros(30 * 25), 25, label="Resp", physical_dimension="mV")
    marks = [edfio.EdfAnnotation(beat, None, "N") for beat in (1.0, 2.0)]
    edfio.Edf([given, other], starttime=datetime.time(7, 30, 0), annotations=marks).write(
        tmp_path / "x.edf"
    )
    page = open_page(refusals=True)
    page.locator("#files").set_input_files([tmp_path / "x.edf"])
    state(page, "Finished")
    recording = read(tmp_path / "x.edf")
    is_shown(page, whole(detector, recording.signal, recording.fs))
    np.testing.assert_allclose(saved_signal(page), recording.signal, atol=2e-5)
    assert page.locator("#strip-clock").inner_text() == "at 07:30:00"
    assert "of 2 beats found" in page.locator("#agreement").inner_text()
    (tmp_path / "x.edf").write_bytes((tmp_path / "x.edf").read_bytes()[:-1])
    page.locator("#files").set_input_files([tmp_path / "x.edf"])
    page.get_by_text("x.edf is not a whole EDF file").wait_for()


@pytest.mark.parametrize(
    ("scheme", "width"),
    [("light", 1280), ("dark", 1280), ("light", 900), ("dark", 820), ("light", 390), ("dark", 390)],
)
def test_axe_finds_no_violation(
    open_page: Callable[..., Any], record: Path, scheme: str, width: int
) -> None:
    axe = (npm_package("axe-core") / "axe.min.js").read_text(encoding="utf-8")
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    state(page, "Live")
    page.evaluate(axe)
    check = """() => axe.run(document, {resultTypes: ["violations"]}).then(({violations}) =>
        violations.map(({id, nodes}) => `${id}: ${nodes.map(({target}) => target).join(" ")}`))"""
    assert page.evaluate(check) == []
    page.evaluate("for (const o of document.querySelectorAll('#source option')) o.disabled = false")
    for source in ("strap", "serial"):
        page.locator("#source").select_option(source)
        assert page.evaluate(check) == []
    page.locator("#files").set_input_files([f"{record}.hea", f"{record}.dat"])
    state(page, "Finished")
    page.locator("#trends summary").click()
    page.locator("#calipers").click()
    page.locator("#list button").first.click()
    page.locator("#strip").focus()
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate(check) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_is_switched_and_kept(open_page: Callable[..., Any]) -> None:
    page = open_page(color_scheme="light")
    paper = "getComputedStyle(document.documentElement).getPropertyValue('--paper')"
    light = page.evaluate(paper)
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.locator("#theme").inner_text() == "Theme: dark"
    assert page.evaluate(paper) != light
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(paper) != light
