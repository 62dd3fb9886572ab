"""The monitor page in a real browser: what it shows is what the detector finds, whatever happens.

Needs Chromium and the package playwright (`apt-get install chromium`, `pip install playwright`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal as signals
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Beat, Detector
from runtime.records import read
from runtime.server.feed import Feed, sane
from runtime.simulate import simulate

playwright = pytest.importorskip("playwright.sync_api",
                                 reason="no playwright (pip install playwright)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (apt-get install chromium)")

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--disable-component-update", "--no-first-run")
NEAR_S = 0.01  # a saved signal has five digits; an R peak may move by a sample
PATIENCE_MS = 20_000
HEART_RATE = "document.getElementById('heart-rate').textContent > 0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``python -m runtime serve`` on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime", "--provider", "cpu", "serve", "--port",
             str(self.port), "--workers", "1", "--log", "error"], cwd=ROOT,
            stdout=subprocess.DEVNULL, env=os.environ | {"EKG_DRAIN": "0"}, start_new_session=True)

    def kill(self) -> None:
        """As a crash or a power cut would."""
        os.killpg(self.process.pid, signals.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Callable[..., Any]]:
    """Opens the page; when the test ends no error was logged and nobody else was asked."""
    contexts, errors, strangers = [], [], []

    def open_page(url: str = server.url, *, outage: bool = False, **options: Any) -> Any:
        for _ in range(200):
            try:
                urllib.request.urlopen(url + "/health/ready").close()
                break
            except OSError:
                time.sleep(0.1)
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" and not (
            outage and "Failed to load resource" in line.text) else None)
        page.on("request", lambda asked: strangers.append(asked.url)
                if not asked.url.startswith((url, "blob:")) else None)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors
    assert not strangers


def saved(page: Any, button: str) -> np.ndarray:
    """The table that a button of the page saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return np.genfromtxt(download.value.path(), delimiter=",", names=True, dtype=None,
                         encoding="utf-8", ndmin=1)


def is_shown(page: Any, beats: list[Beat]) -> None:
    """The page has these beats, each once."""
    shown = saved(page, "Save beats")
    assert [str(label) for label in shown["label"]] == [beat.label for beat in beats]
    np.testing.assert_allclose(shown["time"], [beat.time for beat in beats], atol=NEAR_S)
    counted = {line.split()[0]: int(line.split()[1]) for line in
               page.locator("#counts li").all_inner_texts()}
    assert counted == {k: sum(beat.label == k for beat in beats) for k in "NSVFQ"}


def until(page: Any, expression: str) -> None:
    """Wait until it is true; playwright's own waiting needs eval, which the page forbids."""
    for _ in range(PATIENCE_MS // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {expression}")


def vital_signs(page: Any) -> list[str]:
    return [page.locator(f"#{name}").inner_text()
            for name in ("heart-rate", "rhythm-now", "quality")]


def state(page: Any, word: str) -> None:
    """Wait for what the page says of itself."""
    until(page, f"document.getElementById('state').textContent === '{word}'")


def whole(detector: Detector, signal: np.ndarray, fs: float) -> list[Beat]:
    return detector.predict(signal, fs).beats  # type: ignore[union-attr]


def csv(signal: np.ndarray, fs: float) -> str:
    return "time,MLII\n" + "".join(f"{i / fs:.6f},{mv:.6f}\n" for i, mv in enumerate(signal))


def drop(page: Any, text: str, name: str = "made.csv") -> None:
    page.evaluate("""([text, name]) => {
        const data = new DataTransfer();
        data.items.add(new File([text], name));
        for (const type of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(
                new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
        }}""", [text, name])


def test_a_dropped_csv_file_shows_the_beats_that_predict_finds(
        open_page: Callable[..., Any], detector: Detector) -> None:
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
        open_page: Callable[..., Any], detector: Detector, tmp_path: Path, written: str) -> None:
    wfdb = pytest.importorskip("wfdb")
    signal = simulate(30, seed=6, ectopic=0.3).signal
    other = np.zeros_like(signal)
    wfdb.wrsamp("rec", fs=360, units=["mV", "mV"], sig_name=["V1", "MLII"], fmt=[written] * 2,
                p_signal=np.stack([other, signal - 0.4], axis=1).astype(float),
                adc_gain=[200, 190], baseline=[0, 64], write_dir=str(tmp_path))
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


def table(times: np.ndarray, decimals: int, head: str = "time,MLII") -> str:
    return head + "".join(f"\n{t:.{decimals}f},{i % 97}" for i, t in enumerate(times))


@pytest.mark.parametrize("text", [
    *(table(np.arange(4 * fs) / fs, decimals) for fs, decimals in [
        (250, 6), (257, 3), (333, 3), (360, 3), (360, 4), (360, 9), (512, 3), (800, 3)]),
    table(1.7e9 + np.arange(3000) / 360, 3),
    table(np.arange(36000) / 359.5, 6),
    table(np.array([*range(1000), *range(1000, 3000, 2), *range(9000, 9900)]) / 360, 3),
    table(np.array([t for t in range(4000) if t % 700 > 40]) / 500, 4),
    "\ufeff" + table(np.arange(900) / 300, 9, '"Time","ecg, raw"'),
    table(np.arange(900) * 4, 0, "Time (ms),'ECG' [uV]"),
    table(np.arange(900) / 250, 3, "# time,lead (left)"),
    "time,t,I" + "".join(f"\n{i / 250:.3f},{i},{i % 97}" for i in range(900)),
    table(np.arange(900) / 250, 3).replace(",5", ',"5"'),
    table(np.sort(np.arange(2000) / 250 + np.random.default_rng(1).uniform(-3e-3, 3e-3, 2000)), 9),
    table(np.sort(np.arange(2000) / 250 + np.random.default_rng(1).uniform(-8e-4, 8e-4, 2000)), 9),
    "'Elapsed time','II'\n'hh:mm:ss.mmm','uV'" + "".join(
        f"\n'{i // 15000}:{i % 15000 / 250:06.3f}',{i % 97}" for i in range(14000, 16000)),
    "'Elapsed time','MLII'\n'hh:mm:ss.mmm','mV'" + "".join(
        f"\n'{int(at // 3600)}:{int(at // 60 % 60):02d}:{at % 60:06.3f}',{i % 97}"
        for i, at in enumerate(3590 + np.arange(9000) / 360)),
    "'Elapsed time','ABP','II'\n'seconds','mmHg','V'" + "".join(
        f"\n{i / 250:.3f},80,{i % 97 / 1000}" for i in range(900)),
    "\n,1\n2,\n3,4\n",
    "nan,1\n2,3\n",
])
def test_a_csv_file_is_read_as_annotate_reads_it(
        open_page: Callable[..., Any], tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    expected = read(tmp_path / "x.csv", fs=None if "ime" in text else 100)
    got = open_page().evaluate("""async (text) => {
        const { readRecording } = await import("./static/files.js");
        const { fs, leads, read } = await readRecording([new File([text], "x.csv")], 100);
        return { fs, lead: leads[0], signal: Array.from(read(0)) };
    }""", text)
    assert got["fs"] == pytest.approx(expected.fs, rel=1e-9)
    assert got["lead"] == (expected.lead if "ime" in text else "column 1")
    np.testing.assert_array_equal(got["signal"], expected.signal.astype(np.float32))


def test_a_wfdb_record_shows_its_leads_in_volts_only(
        open_page: Callable[..., Any], tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    signal = simulate(5, seed=6).signal.astype(float)
    wfdb.wrsamp("rec", fs=360, units=["mmHg", "V"], sig_name=["ABP", "II"], fmt=["16"] * 2,
                p_signal=np.stack([signal, signal / 1000], axis=1), write_dir=str(tmp_path))
    page = open_page()
    page.evaluate("document.getElementById('pace').value = 'fast'")
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    state(page, "Finished")
    assert page.locator("#lead option").all_inner_texts() == ["II"]
    np.testing.assert_allclose(saved(page, "Save signal")["ECG"], read(tmp_path / "rec").signal,
                               atol=2e-5)
    whole_file = (tmp_path / "rec.dat").read_bytes()
    (tmp_path / "rec.dat").write_bytes(whole_file[:-1])
    page.locator("#files").set_input_files([tmp_path / "rec.hea", tmp_path / "rec.dat"])
    page.get_by_text(f"it has {len(whole_file) - 1} bytes; expected {len(whole_file)}").wait_for()


def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(open_page: Callable[..., Any]
                                                            ) -> None:
    page = open_page()
    drop(page, "", "rec.dat")
    page.get_by_text("needs its .hea header").wait_for()
    drop(page, "1,2\n3\n")
    page.get_by_text("row 2: 1 columns; expected 2").wait_for()
    drop(page, table(np.array([*range(500), *range(86400 * 250, 86400 * 250 + 500)]) / 250, 6))
    page.get_by_text("4.0 s of signal spread over 86402.0 s").wait_for()
    drop(page, table(np.arange(500) / 250, 6, "clock,I").replace(",", ";").replace(";", ",", 1))
    page.get_by_text("row 1: 1 columns; expected 2").wait_for()
    drop(page, "clock,I\n" + "\n".join(f"{i},0" for i in range(500)))
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
        page.locator("#files").set_input_files([
            {"name": f"{encoding}.csv", "mimeType": "text/csv",
             "buffer": content.encode(encoding)}])
        page.get_by_text(f"{encoding}.csv is no text in UTF-8").wait_for()


def test_every_lead_of_a_table_is_looked_at_before_it_is_shown(open_page: Callable[..., Any]
                                                               ) -> None:
    page = open_page()
    drop(page, "time,ECG,count,empty\n" + "\n".join(
        f"{i / 250:.3f},{i % 97 / 100},{i // 9}," for i in range(500)))
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
    until(page, "document.getElementById('state').textContent === 'Finished'"
                " && document.getElementById('name').textContent.includes('made')")
    page.wait_for_timeout(500)
    state(page, "Finished")
    assert saved(page, "Save signal")["time"][-1] == pytest.approx(3599 / 250, abs=1e-5)
    drop(page, csv(simulate(5, fs=250, seed=5).signal, 250))
    until(page, "document.querySelectorAll('#lead option')[0].textContent === 'MLII'")
    assert page.locator("#rate").is_hidden()  # the file tells it


def test_what_follows_the_length_that_a_header_tells_is_not_read(
        open_page: Callable[..., Any], tmp_path: Path) -> None:
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
        open_page: Callable[..., Any], tmp_path: Path, encoding: str) -> None:
    signal = np.rint(1000 * simulate(5, fs=250, seed=6).signal).astype("<i2")
    (tmp_path / "x.dat").write_bytes(signal.tobytes())
    (tmp_path / "x.hea").write_text("x 1 250 1250\nx.dat 16 1(0)/µV 16 0 0 0 0 MLII\n",
                                    encoding=encoding)
    page = open_page()
    page.evaluate("document.getElementById('pace').value = 'fast'")
    page.locator("#files").set_input_files([tmp_path / "x.hea", tmp_path / "x.dat"])
    page.get_by_text("x, MLII").wait_for()
    state(page, "Finished")
    shown = saved(page, "Save signal")["ECG"]
    np.testing.assert_allclose(shown, signal / 1000, atol=2e-5)
    np.testing.assert_allclose(shown, read(tmp_path / "x").signal, atol=2e-5)


@pytest.mark.parametrize("slow_ms", [0, 1500])
def test_a_server_that_is_killed_loses_and_doubles_no_beat(
        open_page: Callable[..., Any], server: Server, detector: Detector, slow_ms: int) -> None:
    page = open_page(outage=True)
    page.evaluate("""wait => {
        const plain = window.fetch;
        window.fetch = async (...request) => {
            const answer = await plain(...request);
            if (wait) await new Promise(resolve => setTimeout(resolve, wait));
            return answer;
        };}""", slow_ms)
    until(page, HEART_RATE)
    server.kill()
    page.get_by_text("does not answer").wait_for()
    until(page, "document.getElementById('heart-rate').textContent === '--'")  # nothing stale
    server.start()
    state(page, "Live")
    page.get_by_role("button", name="Pause").click()
    state(page, "Paused")  # which it says once all the signal is answered for
    signal = saved(page, "Save signal")["ECG"]
    assert len(signal) > 5 * 360
    is_shown(page, detector.stream(360).push(signal))
    assert page.locator("#problem").is_hidden()
    page.get_by_role("button", name="Pause").click()
    state(page, "Live")


@pytest.mark.parametrize(("seconds", "pace", "refused"), [(130, "fast", 1), (7, "real", 14)])
def test_another_model_in_between_loses_and_doubles_no_beat(
        open_page: Callable[..., Any], detector: Detector, seconds: float, pace: str, refused: int
        ) -> None:
    """The page starts anew from stored signal where its token is no longer taken; early in the
    recording that is from its first sample."""
    signal = simulate(seconds, fs=250, seed=8).signal
    page = open_page(outage=True)
    page.evaluate(f"document.getElementById('pace').value = '{pace}'")
    asked = []

    def refuse_once(route: Any) -> None:
        with_token = "carry_bytes=0" not in route.request.url
        asked.append(route.request.url)
        if with_token and sum("carry_bytes=0" not in url for url in asked) == refused:
            route.fulfill(status=409, content_type="application/problem+json",
                          body=json.dumps({"detail": "the token was saved by another model."}))
        else:
            route.continue_()

    page.get_by_role("button", name="Pause").click()  # so that the patient asks for nothing
    page.wait_for_timeout(300)
    page.route("**/stream?*", refuse_once)
    drop(page, csv(signal, 250))
    state(page, "Finished")
    assert sum("carry_bytes=0" in url for url in asked) >= 2
    shown = saved(page, "Save beats")
    truth = whole(detector, signal, 250)
    assert len(shown) == len(truth)
    np.testing.assert_allclose(shown["time"], [beat.time for beat in truth], atol=0.02)


def test_events_are_told_listed_and_lead_to_their_strip(open_page: Callable[..., Any]) -> None:
    page = open_page()

    def with_events(route: Any) -> None:
        answer = route.fetch()
        event = {"kind": "ventricular_tachycardia", "start": 3.0, "end": 6.0, "confidence": 0.9,
                 "rule": "3 beats above 100/min"}
        route.fulfill(response=answer, json=answer.json() | {
            "events": [event, event], "rhythm": "bigeminy", "heart_rate": 61.4})

    page.evaluate("document.getElementById('pace').value = 'fast'")
    page.route("**/stream?*", with_events)
    drop(page, csv(simulate(40, fs=250, seed=5, ectopic=0.3).signal, 250))
    state(page, "Finished")
    assert page.locator("#rhythm-now").inner_text() == "Bigeminy"
    assert page.locator("#heart-rate").inner_text() == "61"
    assert "Ventricular tachycardia at 0:03" in page.locator("#alarm").inner_text()
    event = page.get_by_role("button", name="Ventricular tachycardia")
    assert event.count() == 1
    assert "3 beats above 100/min" in event.inner_text()
    lines = page.locator("#list button").all_inner_texts()
    times = [int(line.rsplit(":", 1)[1]) for line in lines if line.startswith("Ventricular beat")]
    assert times  # but those that the event is made of have no line of their own
    assert not [time for time in times if 3 < time < 5]
    # By keyboard: one stop of the Tab key, arrows inside, Enter shows and tells the strip.
    buttons = page.locator("#list button")
    assert buttons.count() > 3
    page.locator("#newest").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "strip"
    page.keyboard.press("ArrowRight")
    assert page.locator("#newest").get_attribute("aria-pressed") == "false"
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    chosen = page.evaluate("document.activeElement.innerText")
    start = re.search(r"\d+:\d\d", chosen.split("\n")[-1]).group()  # type: ignore[union-attr]
    text = page.locator("#strip-text").inner_text()
    first, last = re.findall(r"(\d+):(\d\d\.\d)", text)
    seconds = [60 * int(m) + float(s) for m, s in ((*start.split(":"),), first, last)]
    assert seconds[1] <= seconds[0] <= seconds[2]
    assert page.locator("#announce").inner_text() == f"Strip {text}"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "save-beats"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_everything_has_a_name_and_can_be_read(open_page: Callable[..., Any], scheme: str,
                                               width: int) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    state(page, "Live")
    assert page.get_by_text("Not a medical device", exact=True).is_visible()
    for role in ("button", "combobox"):
        for control in page.get_by_role(role).all():
            assert control.evaluate("e => e.labels?.[0]?.innerText || e.ariaLabel || e.innerText")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate("""() => {
        const style = getComputedStyle(document.documentElement);
        const names = ["text", "quiet", "accent", "alarm", "warn", "n", "s", "v", "f", "q"];
        return ["panel", "paper"].flatMap(ground => names.map(name =>
            [name, ground, ...[name, ground].map(one => style.getPropertyValue("--" + one))]));
        }""")
    for name, ground, ink, under in colours:
        light, dark = sorted((luminance(ink), luminance(under)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{name} on {ground}"  # WCAG 2.2, 1.4.3


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb, as WCAG 2.2 defines it."""
    digits = colour.strip().lstrip("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_a_live_feed_is_shown_whole(open_page: Callable[..., Any], detector: Detector) -> None:
    signal = simulate(30, fs=250, seed=9, ectopic=0.3).signal
    port = free_port()
    with feeding(port, 250) as device:
        give(device, signal[:3000])  # before anybody looks
        page = open_page(f"http://127.0.0.1:{port}")
        state(page, "Live")
        give(device, signal[3000:])
        device.stdin.close()  # type: ignore[union-attr]
        state(page, "Finished")
        is_shown(page, whole(detector, signal, 250))
        assert page.locator("#name").inner_text() == "Live feed"
        device.send_signal(signals.SIGINT)
        assert device.wait(10) == 0


@contextmanager
def feeding(port: int, fs: float) -> Iterator[subprocess.Popen[str]]:
    """A live feed's page, and the process that takes the device's lines."""
    with subprocess.Popen(
            [sys.executable, "-m", "runtime", "--provider", "cpu", "stream", "-", "--fs", str(fs),
             "--units", "uV", "--page", str(port)], cwd=ROOT, stdin=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def give(device: subprocess.Popen[str], signal: np.ndarray) -> None:
    assert device.stdin is not None
    device.stdin.writelines(f"{1000 * mv:.4f}\n" for mv in signal)
    device.stdin.flush()


def test_a_live_feed_that_gives_nothing_shows_nothing_that_was(
        open_page: Callable[..., Any]) -> None:
    signal = simulate(40, fs=250, seed=9).signal
    port = free_port()
    with feeding(port, 250) as device:
        give(device, signal[:5000])
        page = open_page(f"http://127.0.0.1:{port}", outage=True)
        until(page, HEART_RATE)
        state(page, "No signal")
        assert vital_signs(page) == ["--", "--", "--"]
        assert "no sample for 5 s" in page.get_by_role("alert").first.inner_text()
        give(device, signal[5000:])
        state(page, "Live")
        until(page, HEART_RATE)
        assert page.locator("#problem").is_hidden()
        device.kill()
        state(page, "Feed away")
        assert vital_signs(page) == ["--", "--", "--"]
        assert "does not answer" in page.get_by_role("alert").first.inner_text()


def test_a_live_feed_that_is_started_again_is_shown_from_its_beginning(
        open_page: Callable[..., Any], detector: Detector) -> None:
    port = free_port()
    with feeding(port, 250) as device:
        give(device, simulate(20, fs=250, seed=9).signal)
        page = open_page(f"http://127.0.0.1:{port}", outage=True)
        until(page, HEART_RATE)
    signal = simulate(30, fs=500, seed=10).signal
    with feeding(port, 500) as device:
        give(device, signal)
        device.stdin.close()  # type: ignore[union-attr]
        state(page, "Finished")
        is_shown(page, whole(detector, signal, 500))


def test_what_no_amplifier_gives_is_held_at_the_value_before(
        capsys: pytest.CaptureFixture[str]) -> None:
    chunks = [np.array([np.nan, 1.0, 2e6]), np.array([]), np.array([np.inf, 3e305, 1e6, -4.0])]
    held = list(sane(chunks, 0.001))
    assert [piece.tolist() for piece in held] == [
        [0.0, pytest.approx(0.001), pytest.approx(0.001)], [],
        [pytest.approx(0.001), pytest.approx(0.001), 1000.0, pytest.approx(-0.004)]]
    assert list(map(len, sane([[1e308]], 1000.0))) == [1]
    assert capsys.readouterr().err.count("beyond ±1000 mV") == 2  # once for each signal


def refuse(status: int, detail: str) -> Callable[[Any], None]:
    """A route that the server answers with a problem."""
    return lambda route: route.fulfill(status=status, content_type="application/problem+json",
                                       body=json.dumps({"detail": detail}))


def test_a_run_that_was_refused_is_stopped_and_says_so(open_page: Callable[..., Any]) -> None:
    page = open_page(outage=True)
    until(page, HEART_RATE)
    page.route("**/stream?*", refuse(400, "sample 3 is not finite"))
    state(page, "Stopped")
    assert vital_signs(page) == ["--", "--", "--"]
    assert "sample 3 is not finite" in page.get_by_role("alert").first.inner_text()
    for _ in range(2):
        page.get_by_role("button", name="Pause").click()
        assert page.locator("#state").inner_text() == "Stopped"
    signal = len(saved(page, "Save signal"))
    page.wait_for_timeout(300)
    assert len(saved(page, "Save signal")) == signal  # nothing comes that would go nowhere
    page.locator("#rhythm").select_option("af")
    page.locator("#source").dispatch_event("change")
    page.unroute("**/stream?*")
    state(page, "Live")  # a new run goes on


def test_an_event_that_lasts_stays_on_the_list_until_the_stream_starts_anew(
        open_page: Callable[..., Any]) -> None:
    lasting = {"kind": "atrial_fibrillation", "start": 0.5, "end": None, "confidence": 0.9,
               "rule": "x"}
    pauses = [{"kind": "pause", "start": i / 50, "end": i / 50, "confidence": 0.9, "rule": "x"}
              for i in range(50, 370)]
    events = [lasting, *pauses]
    page = open_page(outage=True)

    def with_events(route: Any) -> None:
        answer = route.fetch()
        told = []
        if "carry_bytes=0" in route.request.url:  # the file's first chunk
            told, events[:] = events.copy(), []
        route.fulfill(response=answer, json=answer.json() | {"events": told})

    state(page, "Live")  # the patient's stream is begun
    page.route("**/stream?*", with_events)
    drop(page, csv(simulate(30, fs=250, seed=5, ectopic=0.0).signal, 250))
    line = page.get_by_role("button", name="Atrial fibrillation")
    line.wait_for()
    assert "lasting" in line.inner_text()
    assert page.locator("#list button").count() == 300
    page.wait_for_timeout(2500)  # so that some of it is decided
    page.route("**/stream?*", refuse(409, "the token was saved by another model."), times=1)
    until(page, "!document.getElementById('list').innerText.includes('lasting')")
    assert line.count() == 1
    state(page, "Live")


def test_a_token_that_is_not_accepted_is_asked_for_again(open_page: Callable[..., Any],
                                                         server: Server) -> None:
    def guard(route: Any) -> None:
        if route.request.headers.get("authorization") == "Bearer right":
            route.continue_()
        else:
            refuse(401, "no valid bearer token")(route)

    page = open_page(outage=True)
    page.route("**/model", guard)
    page.reload()
    state(page, "Token wanted")
    assert page.locator("#login-said").inner_text() == ""  # none was given yet
    for button in ("Save beats", "Save signal"):
        page.get_by_role("button", name=button).click()  # of nothing: no error
    for token, said in (("right\u2026", "of ASCII only"), ("wrong", "did not accept"),
                        ("right", "")):
        page.locator("#token").fill(token)
        page.get_by_role("button", name="Connect").click()
        if said:
            page.locator("#login-said").get_by_text(said).wait_for()
            assert page.evaluate("sessionStorage.getItem('token')") is None
            assert page.locator("#login").is_visible()
    state(page, "Live")
    assert page.locator("#login").is_hidden()


def test_the_feed_answers_by_sample_number() -> None:
    feed = Feed(100, "x")
    feed.append(np.arange(5, dtype=np.float32))
    feed.append(np.arange(5, 9, dtype=np.float32))
    assert feed.since(3)[0] == 3
    np.testing.assert_array_equal(feed.since(3)[1], np.arange(3, 9))
    feed.end()
    assert feed.since(8)[2]
    for beyond in (9, 100):
        first, samples, ended = feed.since(beyond)
        assert (first, len(samples), ended) == (9, 0, True)
