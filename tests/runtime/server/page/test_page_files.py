"""Files on the page: read as `ekg annotate` reads them, or refused in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import (
    Server,
    csv,
    drop,
    is_shown,
    saved,
    saved_signal,
    state,
    table,
    until,
    whole,
)
from record_cuts import cut

from runtime import Beat, Detector, RecordError
from runtime.records import read
from runtime.records.leads import is_ecg
from runtime.simulate import simulate


def test_a_dropped_csv_file_shows_the_beats_that_predict_finds(
    open_page: Callable[..., Any], detector: Detector
) -> None:
    signal = simulate(70, fs=250, seed=5, ectopic=0.3).signal
    page = open_page(refusals=True)
    page.evaluate("document.getElementById('pace').value = 'fast'")
    drop(page, csv(signal, 250))
    state(page, "Finished")
    is_shown(page, whole(detector, signal, 250))
    assert page.locator("#name").inner_text() == "made, MLII"
    assert page.locator("#drop").is_hidden()


@pytest.mark.parametrize("written", ["16", "212"])
def test_a_wfdb_pair_shows_the_beats_that_annotate_finds(
    open_page: Callable[..., Any], detector: Detector, tmp_path: Path, written: str
) -> None:
    wfdb = pytest.importorskip("wfdb")
    signal = simulate(30, seed=6, ectopic=0.3).signal
    other = np.zeros_like(signal)
    wfdb.wrsamp(
        "rec",
        fs=360,
        units=["mV", "mV"],
        sig_name=["V1", "MLII"],
        fmt=[written] * 2,
        p_signal=np.stack([other, signal - 0.4], axis=1).astype(float),
        adc_gain=[200, 190],
        baseline=[0, 64],
        write_dir=str(tmp_path),
    )
    page = open_page(refusals=True)
    page.evaluate("document.getElementById('pace').value = 'fast'")
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    state(page, "Finished")
    recording = read(tmp_path / "rec")
    is_shown(page, whole(detector, recording.signal, recording.fs))
    np.testing.assert_allclose(saved_signal(page), recording.signal, atol=2e-5)
    page.locator("#lead").select_option(label="V1")  # the flat one
    page.get_by_text("rec, V1").wait_for()
    state(page, "Finished")
    is_shown(page, whole(detector, other, 360))


def columns(*names: str) -> str:
    """A table of 10 s at 250 Hz; what a column holds is said behind its name, after a bar."""
    rng, time = np.random.default_rng(1), np.arange(2500) / 250
    ecg = simulate(10, fs=250, seed=5).signal.astype(float)
    kinds = {
        "ecg": ecg,
        "uV": np.rint(1000 * ecg),
        "counts": np.rint(200 * ecg) + 2048,
        "V": ecg / 1000,
        "noise": 0.3 * rng.standard_normal(2500),
        "breath": np.sin(2 * np.pi * 0.25 * time) + 0.01 * rng.standard_normal(2500),
    }
    given = [name.split("|") for name in names]
    head = ",".join(["time", *(name for name, _ in given)])
    rows = zip(time, *(kinds[kind] for _, kind in given), strict=True)
    return head + "".join("\n" + ",".join(f"{value:.7g}" for value in row) for row in rows)


def expected_of(path: Path, **stated: Any) -> str:
    """The sentence of `read`, as the page shows it."""
    with pytest.raises(RecordError) as refused:
        read(path, **stated)
    sentence = str(refused.value).replace(f"{path.parent}/", "")
    for option, field in (("--units", "Unit"), ("--fs", "Rate"), ("--lead", "Lead")):
        sentence = sentence.replace(option, field)
    return sentence


@pytest.mark.parametrize(
    "names",
    [
        ("EEG C3-A2|noise", "ECG|ecg"),
        ("accX|noise", "ch1|breath", "V5|ecg"),
        ("ch1|noise", "ch2|breath", "ch3|ecg"),
        ("ecg_uV|uV",),
        ("ECG|uV",),
        ("ECG|counts",),
        ("ECG|V",),
        ("RESP|breath", "PLETH|noise"),
    ],
)
def test_lead_and_unit_are_taken_or_refused_as_read_does(
    open_page: Callable[..., Any], tmp_path: Path, names: tuple[str, ...]
) -> None:
    (tmp_path / "x.csv").write_text(columns(*names))
    page = open_page(refusals=True)
    page.locator("#files").set_input_files([tmp_path / "x.csv"])
    try:
        expected = read(tmp_path / "x.csv")
    except RecordError:
        page.get_by_text(expected_of(tmp_path / "x.csv")).wait_for()
        return
    page.get_by_text(f"x, {expected.lead}").wait_for()
    state(page, "Finished")
    np.testing.assert_allclose(saved_signal(page), expected.signal, atol=2e-5)


def test_names_are_those_that_read_knows(open_page: Callable[..., Any]) -> None:
    names = "ECG ekg1 II aVR MLII LL-RA Lead_2 ECG_HR EEG EOG(L) Fpz-Cz C3 SpO2 accX nSeq value"
    names += " ecg_raw Shimmer_ECG_LL-RA_24BIT_CAL heartRate ECG_V 0 ch1 lead DII MCL1 Thor_Res"
    got = open_page(refusals=True).evaluate(
        "async (names) => (await import('./static/leads.js')) && "
        "names.map((await import('./static/leads.js')).isEcg)",
        names.split(),
    )
    assert got == [is_ecg(name) for name in names.split()]


def test_leads_that_are_no_voltage_are_refused_when_they_are_chosen(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    wfdb = pytest.importorskip("wfdb")
    signal = simulate(5, seed=6).signal.astype(float)
    wfdb.wrsamp(
        "rec",
        fs=360,
        units=["mmHg", "V"],
        sig_name=["ABP", "II"],
        fmt=["16"] * 2,
        p_signal=np.stack([signal, signal / 1000], axis=1),
        write_dir=str(tmp_path),
    )
    page = open_page(refusals=True)
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    state(page, "Finished")
    np.testing.assert_allclose(saved_signal(page), read(tmp_path / "rec").signal, atol=2e-5)
    page.locator("#lead").select_option(label="ABP")
    page.get_by_text("lead ABP is in 'mmHg'; expected mV, uV or V").wait_for()
    assert page.locator("#name").inner_text() == "rec, II"  # which stays
    whole_file = (tmp_path / "rec.dat").read_bytes()
    (tmp_path / "rec.dat").write_bytes(whole_file[:-1])
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    page.get_by_text(expected_of(tmp_path / "rec")).wait_for()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "1,2\n3\n"),
        ("x.csv", table(np.array([*range(500), *range(86400 * 250, 86400 * 250 + 500)]) / 250, 6)),
        ("x.csv", "time,I\n0,x\n0.004,y\n"),
        ("x.dat", "nothing"),
        ("x.unknown", "\x00\x01\x02\x03 no recording"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_the_sentence_of_read(
    open_page: Callable[..., Any], tmp_path: Path, name: str, text: str
) -> None:
    page = open_page(refusals=True)
    drop(page, text, name)
    (tmp_path / name).write_text(text)
    page.get_by_text(expected_of(tmp_path / name)).wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#problem").is_hidden()


def test_a_table_in_any_encoding_is_read(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(refusals=True)
    signal = np.rint(1000 * simulate(5, fs=250, seed=5).signal)
    content = "time,ECG (µV)\n" + "\n".join(f"{i / 250},{v}" for i, v in enumerate(signal))
    for encoding in ("latin-1", "utf-16"):
        (tmp_path / f"{encoding}.csv").write_text(content, encoding=encoding)
        page.locator("#files").set_input_files([tmp_path / f"{encoding}.csv"])
        page.get_by_text(f"{encoding}, ECG", exact=True).first.wait_for()
        state(page, "Finished")
        np.testing.assert_allclose(saved_signal(page), signal / 1000, atol=2e-5)


def test_rate_and_unit_that_a_table_does_not_state_are_asked_for(
    open_page: Callable[..., Any],
) -> None:
    page = open_page(refusals=True)
    signal = np.rint(1000 * simulate(15, fs=250, seed=5).signal)
    drop(page, "\n".join(f"{v:.0f}" for v in signal))
    page.get_by_text("does not say its rate; give Rate in Hz").wait_for()
    page.locator("#rate").fill("250")
    page.keyboard.press("Enter")
    page.get_by_text("they are likely uV: give Unit uV").wait_for()
    page.locator("#unit").fill("uV")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('name').textContent.startsWith('made, ')")
    state(page, "Finished")
    table = saved(page, "Save signal")
    assert table["time"][-1] == pytest.approx((len(signal) - 1) / 250, abs=1e-5)
    np.testing.assert_allclose(saved_signal(page), signal / 1000, atol=2e-5)
    drop(page, csv(simulate(5, fs=360, seed=5).signal, 360))  # what was said was said of the other
    page.get_by_text("made, MLII").wait_for()
    assert page.locator("#rate").input_value() == ""


def test_a_format_of_another_kind_is_read_as_read_does(
    open_page: Callable[..., Any], detector: Detector, tmp_path: Path
) -> None:
    signal = simulate(20, fs=250, seed=6).signal
    np.savez(tmp_path / "x.npz", signal=signal[:, None], fs=250, leads=["II"], units=["mV"])
    page = open_page(refusals=True)
    page.locator("#files").set_input_files([tmp_path / "x.npz"])
    page.get_by_text("x, II").wait_for()
    state(page, "Finished")
    is_shown(page, whole(detector, read(tmp_path / "x.npz").signal, 250))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_header_in_microvolts_is_read_in_either_encoding(
    open_page: Callable[..., Any], tmp_path: Path, encoding: str
) -> None:
    signal = np.rint(1000 * simulate(5, fs=250, seed=6).signal).astype("<i2")
    (tmp_path / "x.dat").write_bytes(signal.tobytes())
    (tmp_path / "x.hea").write_text(
        "x 1 250 1250\nx.dat 16 1(0)/µV 16 0 0 0 0 MLII\n", encoding=encoding
    )
    page = open_page(refusals=True)
    page.evaluate("document.getElementById('pace').value = 'fast'")
    page.locator("#files").set_input_files([tmp_path / "x.hea", tmp_path / "x.dat"])
    page.get_by_text("x, MLII").wait_for()
    state(page, "Finished")
    shown = saved_signal(page)
    np.testing.assert_allclose(shown, signal / 1000, atol=2e-5)
    np.testing.assert_allclose(shown, read(tmp_path / "x").signal, atol=2e-5)


ANALYSED = "/^[1-9]/.test(document.getElementById('progress-text').textContent)"


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory, detector: Detector) -> tuple[Path, list[Beat]]:
    """Three hours, which take a moment, and their beats."""
    path = tmp_path_factory.mktemp("hours") / "hours.npz"
    signal = np.resize(simulate(600, fs=250, seed=7, ectopic=0.1).signal, 3 * 3600 * 250)
    np.savez(path, signal=signal[:, None], fs=250, units=["mV"], leads=["II"])
    return path, list(detector.annotate(read(path)).beats)


def test_a_server_that_is_killed_while_it_answers_loses_and_doubles_no_beat(
    open_page: Callable[..., Any], server: Server, hours: tuple[Path, list[Beat]]
) -> None:
    """The answers that follow a file break off; the page asks for the rest."""
    page = open_page(outage=True)
    page.locator("#files").set_input_files([hours[0]])
    until(page, ANALYSED)
    server.kill()
    page.get_by_text("does not answer").wait_for()
    server.start()
    state(page, "Finished")
    is_shown(page, hours[1])


def test_what_a_pause_leaves_is_asked_for(
    open_page: Callable[..., Any], hours: tuple[Path, list[Beat]]
) -> None:
    page = open_page()
    page.locator("#files").set_input_files([hours[0]])
    until(page, ANALYSED)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(1000)  # what was on its way comes
    shown = page.locator("#progress-text").inner_text()
    assert shown.endswith("% analysed")
    page.wait_for_timeout(1000)
    assert page.locator("#progress-text").inner_text() == shown
    page.get_by_role("button", name="Pause").click()
    state(page, "Finished")
    is_shown(page, hours[1])


def test_of_fibrillation_no_line_rate_or_interval_is_made(
    data: Path, open_page: Callable[..., Any], detector: Detector, tmp_path: Path
) -> None:
    pytest.importorskip("wfdb")
    stem = cut(data / "cudb/cu01", tmp_path, 300, "16").name
    found = detector.annotate(read(tmp_path / stem))
    spans = [
        (event.start, event.end or 0.0)
        for event in found.events
        if event.kind in ("ventricular_fibrillation", "asystole")
    ]
    assert any(start < beat.time < end for beat in found.beats for start, end in spans)
    page = open_page(viewport={"width": 1280, "height": 900})
    page.locator("#files").set_input_files([tmp_path / f"{stem}.hea", tmp_path / f"{stem}.dat"])
    state(page, "Finished")
    lines = page.locator("#list button:not(:has(.class-event))")
    for text in lines.locator("time").all_inner_texts():
        minutes, seconds = map(float, text.split(":"))
        at = 60 * minutes + seconds
        assert not any(start + 1 < at < end - 1 for start, end in spans)
    assert re.fullmatch(r"\d+ of them in fibrillation, .*", page.locator("#uncounted").inner_text())
    page.locator("#trends summary").click()
    until(page, "document.getElementById('trends-text').innerText")
    sentence = page.locator("#trends-text").inner_text()
    assert int(sentence.split()[0]) <= int(np.isfinite(found.rr).sum())
