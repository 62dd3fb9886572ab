"""The page without a server, in Chromium: the runtime's beats, also without a network."""

from __future__ import annotations

from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_cuts import cut
from simulated_strap import PACKET, base64_of, browser_script, packets_of
from web_driver import PIECE_S, RECORDS, Known, dropped, found

from runtime import Detector
from runtime.cli import polar
from runtime.records import read
from runtime.simulate import simulate

PUSHED = """async ([ecg, sizes]) => {
  const { open } = await import("./ekg.js");
  const detector = await open();
  const stream = detector.stream();
  const beats = [];
  let at = 0;
  for (const size of sizes) {
    beats.push(...(await stream.push(Float64Array.from(ecg.slice(at, at + size)))).beats);
    at += size;
  }
  beats.push(...(await stream.finish()).beats);
  detector.close();
  return beats.map(({ rPeak, label }) => [rPeak, label]);
}"""


def test_the_sample(used_page: Any, known: Known) -> None:
    used_page.click("#sample")
    assert found(used_page) == known("sample")[1]
    assert used_page.text_content("#counts") == "52 beats: 39 N, 11 V, 2 S"


@pytest.mark.parametrize("sizes", [[360] * 31, [1, 17, 18, 19, 5000, 6000]])
def test_however_the_signal_is_cut(used_page: Any, known: Known, sizes: list[int]) -> None:
    ecg, beats = known("sample")
    assert [tuple(beat) for beat in used_page.evaluate(PUSHED, [ecg.tolist(), sizes])] == beats


def files_of(record: Path) -> list[Path]:
    return [record.with_suffix(ending) for ending in (".hea", ".dat")]


@pytest.mark.parametrize("name", RECORDS)
def test_minutes_of_mitdb(
    used_page: Any, known: Known, data: Path, tmp_path: Path, name: str
) -> None:
    piece = cut(data / "mitdb" / name, tmp_path, PIECE_S)
    assert dropped(used_page, *files_of(piece)) == known(str(piece))[1]


@pytest.mark.trial
@pytest.mark.parametrize("name", RECORDS)
def test_records_of_mitdb(used_page: Any, known: Known, data: Path, name: str) -> None:
    record = data / "mitdb" / name
    assert dropped(used_page, *files_of(record)) == known(str(record))[1]


@pytest.mark.parametrize(
    "seconds", [pytest.param(1800.0, marks=pytest.mark.trial), PIECE_S], ids=["whole", "minutes"]
)
def test_another_rate_is_resampled(
    used_page: Any, known: Known, data: Path, tmp_path: Path, seconds: float
) -> None:
    """The same filter in float64 instead of float32: an R peak may move by a sample."""
    record = cut(data / "svdb" / "800", tmp_path, seconds)
    beats, expected = dropped(used_page, *files_of(record)), known(str(record))[1]
    assert len(beats) == len(expected) > seconds / 1.8
    assert max(abs(a - b) for (a, _), (b, _) in zip(beats, expected, strict=True)) <= 1
    differing = sum(a != b for (_, a), (_, b) in zip(beats, expected, strict=True))
    assert differing <= len(expected) // 1000


def test_a_gap_is_bridged_as_by_the_runtime(
    used_page: Any, known: Known, detector: Detector
) -> None:
    ecg, _ = known("sample")
    ecg[3600:4320] = ecg[7000:7010] = np.nan
    ecg[4320:] += 0.7  # another level, to which the signal is eased
    cells = [f"{i / 360:.6f},{'' if np.isnan(mv) else mv}" for i, mv in enumerate(ecg)]
    table = "\n".join(["time (s),ECG (mV)", *cells])
    file = {"name": "gap.csv", "mimeType": "text/csv", "buffer": table.encode()}
    stream = detector.stream(360, events=True)
    beats = stream.push(ecg) + stream.finish()
    assert dropped(used_page, file) == [(round(beat.time * 360), beat.label) for beat in beats]


def test_fibrillation_is_reported(used_page: Any, data: Path, tmp_path: Path) -> None:
    """Record 201 of mitdb begins in atrial fibrillation."""
    dropped(used_page, *files_of(cut(data / "mitdb" / "201", tmp_path, PIECE_S)))
    assert "atrial fibrillation" in used_page.text_content("#rhythm")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("empty.csv", "", "has no column of numbers"),
        ("plain.csv", "0.1\n0.2\n0.3", "does not say its sampling rate"),
        ("slow.csv", "time,mV\n0,0.1\n1,0.2\n2,0.1", "expected 100 to 1000 Hz"),
        ("adu.csv", "time (ms),ECG\n0,900\n4,950\n8,903", "is no ECG in mV"),
        ("100.dat", "0", "needs its header"),
    ],
)
def test_what_cannot_be_read_is_said(used_page: Any, name: str, text: str, sentence: str) -> None:
    file = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
    used_page.set_input_files("#files", [file])
    used_page.wait_for_selector("#status.error")
    assert sentence in used_page.text_content("#status")


def test_the_simulated_patient_is_followed_live(page: Any) -> None:
    page.click("#simulated")
    page.wait_for_selector("#counts:text-matches('^[4-9] beats: ')")


def with_devices(page: Any, **device: Any) -> None:
    """Open the page again in a browser that has these devices."""
    page.add_init_script(browser_script(**device))
    page.reload()


def given(page: Any, count: int) -> None:
    """Wait until the device has given so much; the page's policy forbids Playwright's own way."""
    for _ in range(600):
        if page.evaluate("window.given") == count:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"the device has given {page.evaluate('window.given')} of {count}")


def ended(page: Any, count: int) -> None:
    given(page, count)
    page.click("#end")
    page.wait_for_selector("#save-edf:not([hidden])")


def recording(page: Any, folder: Path) -> Any:
    with page.expect_download() as download:
        page.click("#save-edf")
    download.value.save_as(folder / download.value.suggested_filename)
    return read(folder / download.value.suggested_filename)


def is_as_of_the_runtime(
    beats: list[tuple[int, str]], detector: Detector, ecg: np.ndarray, fs: float
) -> None:
    stream = detector.stream(fs, events=True)
    expected = [*stream.push(ecg), *stream.finish()]
    assert [label for _, label in beats] == [beat.label for beat in expected]
    moved = np.array([at for at, _ in beats]) - [360 * beat.time for beat in expected]
    assert np.abs(moved).max() <= 1.5


@pytest.mark.parametrize("lost", [[], [20, 21, 22, 45]], ids=["whole", "lost"])
def test_a_strap_is_followed_and_saved(
    page: Any, detector: Detector, tmp_path: Path, lost: list[int]
) -> None:
    pytest.importorskip("edfio")
    signal = simulate(40, fs=polar.FS, seed=3, ectopic=0.2).signal.astype(np.float64)
    ecg = np.rint(signal[: len(signal) // PACKET * PACKET] * 1000) / 1000
    frames = [frame for i, frame in enumerate(packets_of(ecg)) if i not in lost]
    with_devices(page, packets=base64_of(frames), leavesAfter=[20] if lost else [])
    page.click("#connect-strap")
    ended(page, len(frames))
    for number in lost:
        ecg[number * PACKET : (number + 1) * PACKET] = np.nan
    is_as_of_the_runtime(found(page), detector, ecg, polar.FS)
    saved = recording(page, tmp_path)
    assert (saved.name, saved.fs) == ("Polar-H10-12345678", polar.FS)
    np.testing.assert_allclose(saved.signal, ecg, atol=1e-6)


def test_a_strap_without_ecg_is_said_to_have_none(page: Any) -> None:
    rates = [b"\x10\x3c" + (900 + i).to_bytes(2, "little") for i in range(20)]
    with_devices(page, packets=[], ecg=False, rates=base64_of(rates))
    page.click("#connect-strap")
    given(page, 20)
    page.wait_for_selector("#status:text('gives its heart rate and RR intervals, and no ECG')")
    page.wait_for_selector("#sensor:text('60/min by the strap · RR 897 ms')")
    assert "RR intervals, the last 20" in page.get_attribute("#intervals", "aria-label")
    page.click("#sample")  # another recording ends it
    page.wait_for_selector("#save:not([hidden])")
    assert page.is_hidden("#intervals")
    assert page.is_hidden("#end")


def test_a_strap_that_refuses_is_a_sentence(page: Any) -> None:
    with_devices(page, packets=[], refuses=3)
    page.click("#connect-strap")
    page.wait_for_selector("#status.error:text('refuses to give its ECG (f0 02 00 03 00)')")


def test_a_serial_port_is_followed_and_saved(page: Any, detector: Detector, tmp_path: Path) -> None:
    pytest.importorskip("edfio")
    counts = np.rint(simulate(30, fs=250, seed=2).signal.astype(np.float64) * 225 + 512)
    content = "".join(["AD8232 ready\r\n", *(f"{value:.0f}\r\n" for value in counts)]).encode()
    pieces = [content[at : at + 700] for at in range(0, len(content), 700)]
    with_devices(page, pieces=base64_of(pieces))
    page.fill("#serial-unit", "225/mV")
    page.fill("#baud", "57600")
    page.click("#connect-serial")
    ended(page, len(pieces))
    assert page.evaluate("window.asked") == [57600]
    is_as_of_the_runtime(found(page), detector, counts / 225, 250)
    np.testing.assert_allclose(recording(page, tmp_path).signal, counts / 225, atol=7e-5)


def test_a_browser_without_devices_says_so(page: Any) -> None:
    page.add_init_script("delete Navigator.prototype.bluetooth; delete Navigator.prototype.serial;")
    page.reload()
    button = page.locator("#connect-strap")
    assert button.is_disabled()
    assert "this browser has no Web Bluetooth" in button.text_content()


def test_it_works_without_a_network(page: Any, site: tuple[ThreadingHTTPServer, str]) -> None:
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    page.context.set_offline(True)
    stranger, again = page.context.new_page(), page.context.new_page()
    with pytest.raises(Exception, match="ERR_INTERNET_DISCONNECTED"):
        stranger.goto(site[1].replace("127.0.0.1", "localhost"))  # nothing is kept of that host
    again.goto(site[1])
    again.click("#sample")
    assert len(found(again)) == 52


def test_it_can_be_installed(page: Any) -> None:
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    browser = page.context.new_cdp_session(page)
    found = browser.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A context of a test is a private window, in which nothing can be installed.
    assert {error["errorId"] for error in found} <= {"in-incognito"}


def test_a_recording_may_begin_without_numbers(used_page: Any, known: Known) -> None:
    ecg, beats = known("sample")
    ecg = np.concatenate([np.full(360, np.nan), ecg])
    found = used_page.evaluate(PUSHED, [ecg.tolist(), [100, 7, len(ecg) - 107]])
    later = [(sample + 360, label) for sample, label in beats]
    assert [tuple(beat) for beat in found[-45:]] == later[-45:]
    assert used_page.evaluate(PUSHED, [[float(np.nan)] * 2, [2]]) == []
