"""Files on the page: read as `ekg annotate` reads them, or refused in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import (
    csv,
    drop,
    is_shown,
    saved,
    state,
    table,
    until,
    whole,
)

from runtime import Detector, RecordError
from runtime.records import read
from runtime.records.leads import is_ecg
from runtime.simulate import simulate


def test_a_dropped_csv_file_shows_the_beats_that_predict_finds(
    open_page: Callable[..., Any], detector: Detector
) -> None:
    signal = simulate(70, fs=250, seed=5, ectopic=0.3).signal
    page = open_page()
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
    page = open_page()
    page.evaluate("document.getElementById('pace').value = 'fast'")
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    state(page, "Finished")
    recording = read(tmp_path / "rec")
    is_shown(page, whole(detector, recording.signal, recording.fs))
    np.testing.assert_allclose(saved(page, "Save signal")["ECG"], recording.signal, atol=2e-5)
    page.locator("#lead").select_option(label="V1")  # the flat one
    state(page, "Finished")
    is_shown(page, whole(detector, other, 360))


@pytest.mark.parametrize(
    "text",
    [
        *(
            table(np.arange(4 * fs) / fs, decimals)
            for fs, decimals in [
                (250, 6),
                (257, 3),
                (333, 3),
                (360, 3),
                (360, 4),
                (360, 9),
                (512, 3),
                (800, 3),
            ]
        ),
        table(1.7e9 + np.arange(3000) / 360, 3),
        table(np.arange(36000) / 359.5, 6),
        table(np.array([*range(1000), *range(1000, 3000, 2), *range(9000, 9900)]) / 360, 3),
        table(np.array([t for t in range(4000) if t % 700 > 40]) / 500, 4),
        "\ufeff" + table(np.arange(900) / 300, 9, '"Time","ecg, raw"'),
        table(np.arange(900) * 4, 0, "Time (ms),'ECG' [uV]"),
        table(np.arange(900) / 250, 3, "# time,lead (left)"),
        "time,t,I" + "".join(f"\n{i / 250:.3f},{i},{i % 17}" for i in range(900)),
        table(np.arange(900) / 250, 3).replace(",5", ',"5"'),
        table(
            np.sort(np.arange(2000) / 250 + np.random.default_rng(1).uniform(-3e-3, 3e-3, 2000)), 9
        ),
        table(
            np.sort(np.arange(2000) / 250 + np.random.default_rng(1).uniform(-8e-4, 8e-4, 2000)), 9
        ),
        "'Elapsed time','II'\n'hh:mm:ss.mmm','uV'"
        + "".join(
            f"\n'{i // 15000}:{i % 15000 / 250:06.3f}',{i % 17}" for i in range(14000, 16000)
        ),
        "'Elapsed time','MLII'\n'hh:mm:ss.mmm','mV'"
        + "".join(
            f"\n'{int(at // 3600)}:{int(at // 60 % 60):02d}:{at % 60:06.3f}',{i % 17}"
            for i, at in enumerate(3590 + np.arange(9000) / 360)
        ),
        "'Elapsed time','ABP','II'\n'seconds','mmHg','V'"
        + "".join(f"\n{i / 250:.3f},80,{i % 17 / 1000}" for i in range(900)),
        "\n,1\n2,\n3,4\n",
        "nan,1\n2,3\n",
    ],
)
def test_a_csv_file_is_read_as_annotate_reads_it(
    open_page: Callable[..., Any], tmp_path: Path, text: str
) -> None:
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    expected = read(tmp_path / "x.csv", fs=None if "ime" in text else 100)
    got = open_page().evaluate(
        """async (text) => {
        const { readRecording } = await import("./static/files.js");
        const { fs, leads, first, read } = await readRecording([new File([text], "x.csv")], 100);
        return { fs, lead: leads[first], signal: Array.from(read(first)) };
    }""",
        text,
    )
    assert got["fs"] == pytest.approx(expected.fs, rel=1e-9)
    assert got["lead"] == (expected.lead if "ime" in text else "column 1")
    np.testing.assert_array_equal(got["signal"], expected.signal.astype(np.float32))


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


@pytest.mark.parametrize(
    "names",
    [
        ("EEG C3-A2|noise", "ECG|ecg"),
        ("accX|noise", "ch1|breath", "V5|ecg"),
        ("I|noise", "aVR|noise", "II|ecg"),
        ("ECG II|ecg", "MLII|ecg"),
        ("ch1|noise", "ch2|breath", "ch3|ecg"),
        ("value|noise", "other (mV)|ecg"),
        ("ecg_uV|uV",),
        ("ECG [microvolts]|uV", "II (V)|V"),
        ("ECG|uV",),
        ("ECG|counts",),
        ("ECG|V",),
        ("RESP|breath", "PLETH|noise"),
    ],
)
def test_the_lead_is_chosen_or_refused_as_read_does(
    open_page: Callable[..., Any], tmp_path: Path, names: tuple[str, ...]
) -> None:
    text = columns(*names)
    (tmp_path / "x.csv").write_text(text)
    got = open_page().evaluate(
        """async (text) => {
        const { readRecording } = await import("./static/files.js");
        try {
            const { leads, first, read } = await readRecording([new File([text], "x.csv")], 100);
            return { lead: leads[first], signal: Array.from(read(first)) };
        } catch (error) { return { refused: error.message }; }
    }""",
        text,
    )
    try:
        expected = read(tmp_path / "x.csv")
    except RecordError as error:
        ours = re.search(r"no ECG|likely (uV|V|counts of a converter)", str(error))
        assert ours is not None
        assert ours[0] in got["refused"]
        return
    assert got["lead"] == expected.lead
    np.testing.assert_array_equal(got["signal"], expected.signal.astype(np.float32))


def test_names_are_those_that_read_knows(open_page: Callable[..., Any]) -> None:
    names = "ECG ekg1 II aVR MLII LL-RA Lead_2 ECG_HR EEG EOG(L) Fpz-Cz C3 SpO2 accX nSeq value"
    names += " ecg_raw Shimmer_ECG_LL-RA_24BIT_CAL heartRate ECG_V 0 ch1 lead DII MCL1 Thor_Res"
    got = open_page().evaluate(
        "async (names) => (await import('./static/leads.js')) && "
        "names.map((await import('./static/leads.js')).isEcg)",
        names.split(),
    )
    assert got == [is_ecg(name) for name in names.split()]


def test_a_wfdb_record_shows_its_leads_in_volts_only(
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
    page = open_page()
    page.evaluate("document.getElementById('pace').value = 'fast'")
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    state(page, "Finished")
    assert page.locator("#lead option").all_inner_texts() == ["II"]
    np.testing.assert_allclose(
        saved(page, "Save signal")["ECG"], read(tmp_path / "rec").signal, atol=2e-5
    )
    whole_file = (tmp_path / "rec.dat").read_bytes()
    (tmp_path / "rec.dat").write_bytes(whole_file[:-1])
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    page.get_by_text(f"it has {len(whole_file) - 1} bytes; expected {len(whole_file)}").wait_for()


def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(open_page: Callable[..., Any]) -> None:
    page = open_page()
    drop(page, "", "rec.dat")
    page.get_by_text("needs its .hea header").wait_for()
    drop(page, "1,2\n3\n")
    page.get_by_text("row 2: 1 columns; expected 2").wait_for()
    drop(page, table(np.array([*range(500), *range(86400 * 250, 86400 * 250 + 500)]) / 250, 6))
    page.get_by_text("4.0 s of signal spread over 86402.0 s").wait_for()
    drop(page, table(np.arange(500) / 250, 6, "clock,I").replace(",", ";").replace(";", ",", 1))
    page.get_by_text("row 1: 1 columns; expected 2").wait_for()
    drop(page, "clock,ticks\n" + "\n".join(f"{i},0" for i in range(500)))
    page.get_by_text("the column 'clock' never falls").wait_for()
    drop(page, "time (min),I\n0,1\n1,2\n")
    page.get_by_text("is in 'min'; expected s, ms or hh:mm:ss").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#problem").is_hidden()
    drop(page, "time,I\n0,x\n0.004,y\n")
    page.get_by_text("lead I has no sample").wait_for()


def test_a_table_in_another_encoding_is_refused_not_misread(open_page: Callable[..., Any]) -> None:
    page = open_page()
    content = "time,ECG (µV)\n" + "\n".join(f"{i / 250},{i % 97}" for i in range(500))
    for encoding in ("latin-1", "utf-16"):
        page.locator("#files").set_input_files(
            [
                {
                    "name": f"{encoding}.csv",
                    "mimeType": "text/csv",
                    "buffer": content.encode(encoding),
                }
            ]
        )
        page.get_by_text(f"{encoding}.csv is no text in UTF-8").wait_for()


def test_a_lead_that_is_no_ecg_is_refused_when_it_is_chosen(open_page: Callable[..., Any]) -> None:
    page = open_page()
    drop(
        page,
        "time,ECG,count,empty\n"
        + "\n".join(f"{i / 250:.3f},{i % 97 / 100},{i // 9}," for i in range(500)),
    )
    page.get_by_text("made, ECG").wait_for()
    page.locator("#lead").select_option(label="count")
    page.get_by_text("the column 'count' never falls").wait_for()
    page.locator("#lead").select_option(label="empty")
    page.get_by_text("lead empty has no sample").wait_for()
    assert page.locator("#name").inner_text() == "made, ECG"  # which goes on


def test_the_rate_of_a_table_without_times_can_be_corrected(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.evaluate("document.getElementById('pace').value = 'fast'")
    drop(page, "\n".join(f"{i % 97 / 100}" for i in range(3600)))
    state(page, "Finished")
    assert saved(page, "Save signal")["time"][-1] == pytest.approx(3599 / 360, abs=1e-5)
    page.locator("#rate").fill("250")
    page.keyboard.press("Enter")
    until(
        page,
        "document.getElementById('state').textContent === 'Finished'"
        " && document.getElementById('name').textContent.includes('made')",
    )
    page.wait_for_timeout(500)
    state(page, "Finished")
    assert saved(page, "Save signal")["time"][-1] == pytest.approx(3599 / 250, abs=1e-5)
    drop(page, csv(simulate(5, fs=250, seed=5).signal, 250))
    until(page, "document.querySelectorAll('#lead option')[0].textContent === 'MLII'")
    assert page.locator("#rate").is_hidden()  # the file tells it


def test_samples_beyond_the_headers_length_are_not_read(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    signal = np.rint(200 * simulate(20, fs=250, seed=6).signal).astype("<i2")
    (tmp_path / "x.dat").write_bytes(signal.tobytes())
    page = open_page()
    page.evaluate("document.getElementById('pace').value = 'fast'")
    for told, expected in ((4000, 4000), (0, 5000)):
        (tmp_path / "x.hea").write_text(f"x 1 250 {told}\nx.dat 16 200/mV 16 0 0 0 0 MLII\n")
        page.locator("#files").set_input_files([tmp_path / "x.hea", tmp_path / "x.dat"])
        page.wait_for_timeout(300)
        state(page, "Finished")
        shown = saved(page, "Save signal")["ECG"]
        assert len(shown) == expected
        if told:
            np.testing.assert_allclose(shown, read(tmp_path / "x").signal, atol=2e-5)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_header_in_microvolts_is_read_in_either_encoding(
    open_page: Callable[..., Any], tmp_path: Path, encoding: str
) -> None:
    signal = np.rint(1000 * simulate(5, fs=250, seed=6).signal).astype("<i2")
    (tmp_path / "x.dat").write_bytes(signal.tobytes())
    (tmp_path / "x.hea").write_text(
        "x 1 250 1250\nx.dat 16 1(0)/µV 16 0 0 0 0 MLII\n", encoding=encoding
    )
    page = open_page()
    page.evaluate("document.getElementById('pace').value = 'fast'")
    page.locator("#files").set_input_files([tmp_path / "x.hea", tmp_path / "x.dat"])
    page.get_by_text("x, MLII").wait_for()
    state(page, "Finished")
    shown = saved(page, "Save signal")["ECG"]
    np.testing.assert_allclose(shown, signal / 1000, atol=2e-5)
    np.testing.assert_allclose(shown, read(tmp_path / "x").signal, atol=2e-5)
