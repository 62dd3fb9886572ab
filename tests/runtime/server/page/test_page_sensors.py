"""Sensors on the page, simulated behind the browser's interfaces."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_driver import is_shown, saved, state, until
from simulated_strap import PACKET, base64_of, browser_script, packets_of

from runtime import Detector, InputError
from runtime.cli import polar
from runtime.records import read
from runtime.simulate import simulate


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    """Forty seconds at 130 Hz, whole uV, whole packets."""
    signal = simulate(40, fs=130, seed=3, ectopic=0.2).signal.astype(np.float64)
    return np.rint(signal[: len(signal) // PACKET * PACKET] * 1000) / 1000


def connect(page: Any, source: str) -> None:
    page.locator("#source").select_option(source)
    page.get_by_role("button", name="Connect").click()


def end(page: Any, given: int) -> None:
    until(page, f"window.given === {given}")
    page.get_by_role("button", name="End recording").click()
    state(page, "Finished")


def reports(page: Any, words: str) -> None:
    """Wait for what the page says of how well samples come."""
    shown = "document.getElementById('sensor').textContent"
    until(page, f"{shown}.includes({json.dumps(words)})")


def edf(page: Any, folder: Path) -> Any:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save EDF").click()
    download.value.save_as(folder / download.value.suggested_filename)
    return read(folder / download.value.suggested_filename)


def test_a_straps_ecg_is_shown_and_saved_as_it_came(
    open_page: Callable[..., Any], detector: Detector, ecg: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("edfio")
    frames = packets_of(ecg)
    page = open_page(script=browser_script(packets=base64_of(frames)))
    connect(page, "strap")
    end(page, len(frames))
    assert page.evaluate("window.asked[0]") == list(polar.START_ECG)
    assert page.evaluate("window.asked.at(-1)") == list(polar.STOP_ECG)
    assert page.locator("#name").inner_text() == "Polar H10 12345678"
    reports(page, f"{len(frames)} packets · jitter ")
    stream = detector.stream(130, events=True)
    is_shown(page, [*stream.push(ecg), *stream.finish()])
    recording = edf(page, tmp_path)
    assert (recording.fs, recording.lead, recording.start is not None) == (130, "ECG", True)
    np.testing.assert_allclose(recording.signal, ecg, atol=1e-6)  # to the last uV, and as long


def test_lost_packets_and_a_strap_out_of_reach_are_gaps_of_their_length(
    open_page: Callable[..., Any], ecg: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("edfio")
    frames = packets_of(ecg)
    lost = [10, 11, 30, 31, 32]
    kept = [frame for number, frame in enumerate(frames) if number not in lost]
    kept.insert(5, kept[4])  # one comes twice
    page = open_page(script=browser_script(packets=base64_of(kept), leavesAfter=[29]))
    connect(page, "strap")
    end(page, len(kept))
    missing = np.zeros(len(ecg), bool)
    for number in lost:
        missing[number * PACKET : (number + 1) * PACKET] = True
    recording = edf(page, tmp_path)
    np.testing.assert_array_equal(np.isnan(recording.signal), missing)
    np.testing.assert_allclose(recording.signal[~missing], ecg[~missing], atol=1e-6)
    reports(page, f"{len(kept) - 1} packets")
    reports(page, f"{missing.sum() / 130:.1f} s lost · connected again 1×")


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ({"ecg": False}, "gives neither ECG nor heart rate; expected a strap, such as a Polar H10"),
        ({"refuses": 3}, "refuses to give its ECG (f0 02 00 03 00)"),
        ({"packets": base64_of([b"\2" + bytes(20)])}, "expected a frame of ECG (type 0, form 0)"),
    ],
)
def test_a_strap_without_ecg_is_refused_in_a_sentence(
    open_page: Callable[..., Any], device: dict[str, Any], reason: str
) -> None:
    page = open_page(script=browser_script(**{"packets": []} | device))
    connect(page, "strap")
    state(page, "Stopped")
    assert reason in page.locator("#problem").inner_text()


def test_a_strap_that_gives_its_heart_rate_only_is_shown_and_said_to_have_no_ecg(
    open_page: Callable[..., Any],
) -> None:
    rr = [round(1024 * s) for s in np.linspace(0.8, 1.0, 40)]
    rates = [b"\x10" + bytes([60]) + value.to_bytes(2, "little") for value in rr]
    page = open_page(script=browser_script(packets=[], ecg=False, rates=base64_of(rates)))
    connect(page, "strap")
    until(page, "window.given === 40")
    state(page, "No ECG")
    sentence = page.locator("#problem").inner_text()
    assert "gives its heart rate and RR intervals, and no ECG" in sentence
    assert "no beat can be found or labelled; a Polar H10 gives it" in sentence
    reports(page, "60/min by the strap · RR 1000 ms")
    line = page.locator("#intervals svg")
    assert line.get_attribute("aria-label") == "RR intervals, the last 40: 800 to 1000 ms"
    assert len(line.locator("polyline").get_attribute("points").split()) == 40
    assert page.locator("#counts").inner_text().split().count("0") == 5  # no beat of any class
    page.get_by_role("button", name="End recording").click()
    page.locator("#source").select_option("simulated")
    until(page, "document.getElementById('intervals').hidden")


def test_heart_rates_are_those_of_python(open_page: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    messages = [bytes([flags]) + rng.bytes(7) for flags in range(32)]
    messages += [b"\x00\x3c", b"\x11\x2c\x01\x00\x04\xff", b"\x18\x3c\x00\x00"]
    expected = []
    for message in messages:
        read_there = polar.read_heart_rate(message)
        expected.append([read_there.bpm, *(ms / 1000 for ms in read_there.rr_ms)])
    got = open_page().evaluate(
        """async (messages) => {
        const { readHeartRate } = await import("./static/polar.js");
        return messages.map((text) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const { bpm, intervals } = readHeartRate(new DataView(bytes.buffer));
            return [bpm, ...intervals];
        }); }""",
        base64_of(messages),
    )
    assert [len(one) for one in got] == [len(one) for one in expected]
    for one, other in zip(got, expected, strict=True):
        assert one == pytest.approx(other)


def test_frames_and_their_places_are_those_of_python(open_page: Callable[..., Any]) -> None:
    """Whatever samples and times they have: the page and `ekg stream --ble` read the same."""
    rng = np.random.default_rng(5)
    frames, expected, here = [], [], 0.0
    placer = polar.PacketPlacer(polar.FS)
    device_ns = 599_616_000_000_000_000
    for _ in range(200):
        count = int(rng.integers(0, 80))
        device_ns += int(rng.choice([count, count + 1, 3 * count, 0, -(10**6), 10**7]) / 130 * 1e9)
        here += float(rng.uniform(0, 5))
        values = rng.integers(-(2**23), 2**23, count)
        body = b"".join(int(v).to_bytes(3, "little", signed=True) for v in values)
        frames.append((b"\0" + device_ns.to_bytes(8, "little") + b"\0" + body, here))
        device_s, samples = polar.read_ecg(frames[-1][0])
        placed = placer.place(device_s, here, samples)
        repeated = count > 0 and len(placed) == 0
        expected.append([None if repeated else len(placed) - count, *samples.astype("f4").tolist()])
    got = open_page().evaluate(
        """async (frames) => {
        const { PacketPlacer, readEcg } = await import("./static/polar.js");
        const placer = new PacketPlacer(130);
        return frames.map(([text, hereS]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const { deviceS, samples } = readEcg(new DataView(bytes.buffer));
            return [placer.place(deviceS, hereS, samples.length), ...samples];
        }); }""",
        [[base64.b64encode(frame).decode(), here] for frame, here in frames],
    )
    assert got == expected
    with pytest.raises(InputError):
        polar.read_ecg(b"\0" * 9)


@pytest.mark.parametrize("form", ["counts", "columns"])
def test_a_serial_device_is_shown_and_saved(
    open_page: Callable[..., Any], detector: Detector, tmp_path: Path, form: str
) -> None:
    """An AD8232 behind a converter, or a board that names its columns."""
    pytest.importorskip("edfio")
    signal = simulate(30, fs=250, seed=2).signal.astype(np.float64)
    if form == "counts":
        values = np.rint(signal * 225 + 512)
        lines = ["AD8232 ready", *(f"{value:.0f}" for value in values)]
        lines[2001:2011] = ["!"] * 10  # leads off
        expected, unit = values / 225, "225/mV"
        expected[2000:2010] = np.nan
    else:
        expected, unit = np.rint(1000 * signal) / 1000, ""
        lines = ["time,resp,ECG (uV)", *(f"{i},7,{v:.0f}" for i, v in enumerate(1000 * expected))]
    content = b"\xff\xfe" + "\r\n".join(lines).encode() + b"\r\n"
    pieces = [content[at : at + 700] for at in range(0, len(content), 700)]
    page = open_page(script=browser_script(pieces=base64_of(pieces)))
    page.locator("#source").select_option("serial")
    page.locator("#serial-unit").fill(unit)
    page.get_by_label("Baud").fill("57600")
    page.get_by_role("button", name="Connect").click()
    end(page, len(pieces))
    assert page.evaluate("window.asked") == [57600]
    reports(page, "7500 samples")
    stream = detector.stream(250, events=True)
    is_shown(page, [*stream.push(expected.astype("f4")), *stream.finish()])
    recording = edf(page, tmp_path)
    np.testing.assert_allclose(recording.signal, expected, atol=7e-5)  # half a step of 16 bits


def test_a_device_that_is_unplugged_is_followed_again(
    open_page: Callable[..., Any],
) -> None:
    signal = simulate(20, fs=250, seed=2).signal
    lines = [f"{value:.4f}\r\n" for value in signal]
    pieces = ["".join(lines[at : at + 50]).encode() for at in range(0, 5000, 50)]
    page = open_page(script=browser_script(pieces=base64_of(pieces), unplugsAfter=40))
    connect(page, "serial")
    end(page, len(pieces))
    shown = saved(page, "Save signal")
    values = shown[shown.dtype.names[1]]
    gap = np.flatnonzero(np.isnan(values))
    assert gap[0] == 2000
    assert (np.diff(gap) == 1).all()
    assert 150 < len(gap) < 2500  # a second at least, in which it was away
    np.testing.assert_allclose(values[:2000], signal[:2000], atol=1e-4)
    np.testing.assert_allclose(values[-2999:], signal[-2999:], atol=1e-4)
    reports(page, "back 1×")


@pytest.mark.parametrize(
    ("lines", "unit", "reason"),
    [
        ([str(500 + i % 97) for i in range(1600)], "", "have no unit and cannot be an ECG in mV"),
        (["garbage"] * 2600, "", "There is no line that is a number"),
        (["1,2"] * 600, "", "2 values; expected one number a line"),
        (["1"] * 600, "adu", "The unit is 'adu'; expected mV, uV, V or a gain"),
    ],
)
def test_lines_that_are_no_ecg_are_refused_in_a_sentence(
    open_page: Callable[..., Any], lines: list[str], unit: str, reason: str
) -> None:
    page = open_page(script=browser_script(pieces=base64_of(["\n".join([*lines, ""]).encode()])))
    page.locator("#source").select_option("serial")
    page.locator("#serial-unit").fill(unit)
    page.get_by_role("button", name="Connect").click()
    page.get_by_text(reason).wait_for()


def test_a_browser_without_sensors_says_so(open_page: Callable[..., Any]) -> None:
    page = open_page(
        script="delete Navigator.prototype.bluetooth; delete Navigator.prototype.serial;"
    )
    options = page.locator("#source option").all_inner_texts()
    assert "Chest strap (Bluetooth) (this browser has no Web Bluetooth)" in options
    assert "Serial port (this browser has no Web Serial)" in options


@pytest.mark.parametrize("fs", [100, 130, 250.5, 333.3333, 1000])
def test_edf_files_hold_any_rate_scale_and_gap(
    open_page: Callable[..., Any], tmp_path: Path, fs: float
) -> None:
    pytest.importorskip("edfio")
    rng = np.random.default_rng(7)
    signal = rng.normal(size=int(12.3 * fs)).astype("f4")
    signal[20] = 60 if fs == 100 else 3
    signal[5:9] = np.nan
    signal[int(3 * fs) : int(6.5 * fs)] = np.nan
    got = open_page().evaluate(
        """async ([samples, fs]) => {
        const { writeEdf } = await import("./static/edfwriter.js");
        const bytes = writeEdf({ samples: Float32Array.from(samples, (v) => v ?? NaN), fs,
            lead: "Lead µ II (chest) of a long name", device: "Ünit 1",
            startsAt: Date.UTC(2026, 1, 3, 4, 5, 6) });
        return Array.from(bytes); }""",
        [[None if np.isnan(v) else float(v) for v in signal], fs],
    )
    (tmp_path / "x.edf").write_bytes(bytes(got))
    recording = read(tmp_path / "x.edf", lead="Lead u II (chest")
    assert recording.fs == pytest.approx(fs, rel=1e-6)
    assert str(recording.start) == "2026-02-03 04:05:06"
    assert len(recording.signal) == len(signal)
    np.testing.assert_array_equal(np.isnan(recording.signal), np.isnan(signal))
    step = max(1, np.nanmax(np.abs(signal))) * 1.0001 / 32767
    np.testing.assert_allclose(recording.signal, signal, atol=0.51 * step)
