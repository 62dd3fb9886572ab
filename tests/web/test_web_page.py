"""The page without a server, in Chromium: the runtime's beats, also without a network."""

from __future__ import annotations

from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_cuts import cut
from web_driver import IN_PIECES, PIECE_S, RECORDS, Known

from runtime import Detector

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


def found(page: Any) -> list[tuple[int, str]]:
    """The beats that the page shows, as it saves them."""
    page.wait_for_selector("#save:not([hidden])")
    with page.expect_download() as download:
        page.click("#save")
    header, *rows = Path(download.value.path()).read_text().splitlines()
    assert header == "time (s),label,score,AF probability"
    cells = [row.split(",") for row in rows]
    assert all(0 <= float(af) <= 1 for *_, af in cells)
    return [(round(float(time) * 360), label) for time, label, *_ in cells]


def dropped(page: Any, *files: Path | dict[str, Any]) -> list[tuple[int, str]]:
    page.set_input_files("#files", [str(one) if isinstance(one, Path) else one for one in files])
    return found(page)


def test_the_sample(page: Any, known: Known) -> None:
    page.click("#sample")
    assert found(page) == known("sample")[1]
    assert page.text_content("#counts") == "52 beats: 39 N, 11 V, 2 S"


@pytest.mark.parametrize("sizes", [[360] * 31, [1, 17, 18, 19, 5000, 6000]])
def test_however_the_signal_is_cut(page: Any, known: Known, sizes: list[int]) -> None:
    ecg, beats = known("sample")
    assert [tuple(beat) for beat in page.evaluate(PUSHED, [ecg.tolist(), sizes])] == beats


def files_of(record: Path) -> list[Path]:
    return [record.with_suffix(ending) for ending in (".hea", ".dat")]


@pytest.mark.parametrize("name", IN_PIECES)
def test_minutes_of_mitdb(page: Any, known: Known, data: Path, tmp_path: Path, name: str) -> None:
    piece = cut(data / "mitdb" / name, tmp_path, PIECE_S)
    assert dropped(page, *files_of(piece)) == known(str(piece))[1]


@pytest.mark.trial
@pytest.mark.parametrize("name", RECORDS)
def test_records_of_mitdb(page: Any, known: Known, data: Path, name: str) -> None:
    record = data / "mitdb" / name
    assert dropped(page, *files_of(record)) == known(str(record))[1]


@pytest.mark.parametrize(
    "seconds", [pytest.param(1800.0, marks=pytest.mark.trial), PIECE_S], ids=["whole", "minutes"]
)
def test_another_rate_is_resampled(
    page: Any, known: Known, data: Path, tmp_path: Path, seconds: float
) -> None:
    """The same filter in float64 instead of float32: an R peak may move by a sample."""
    record = cut(data / "svdb" / "800", tmp_path, seconds)
    beats, expected = dropped(page, *files_of(record)), known(str(record))[1]
    assert len(beats) == len(expected) > seconds / 1.8
    assert max(abs(a - b) for (a, _), (b, _) in zip(beats, expected, strict=True)) <= 1
    differing = sum(a != b for (_, a), (_, b) in zip(beats, expected, strict=True))
    assert differing <= len(expected) // 1000


def test_a_gap_is_bridged_as_by_the_runtime(page: Any, known: Known, detector: Detector) -> None:
    ecg, _ = known("sample")
    ecg[3600:4320] = ecg[7000:7010] = np.nan
    ecg[4320:] += 0.7  # another level, to which the signal is eased
    cells = [f"{i / 360:.6f},{'' if np.isnan(mv) else mv}" for i, mv in enumerate(ecg)]
    table = "\n".join(["time (s),ECG (mV)", *cells])
    file = {"name": "gap.csv", "mimeType": "text/csv", "buffer": table.encode()}
    stream = detector.stream(360, events=True)
    beats = stream.push(ecg) + stream.finish()
    assert dropped(page, file) == [(round(beat.time * 360), beat.label) for beat in beats]


def test_fibrillation_is_reported(page: Any, data: Path, tmp_path: Path) -> None:
    """Record 201 of mitdb begins in atrial fibrillation."""
    dropped(page, *files_of(cut(data / "mitdb" / "201", tmp_path, PIECE_S)))
    assert "atrial fibrillation" in page.text_content("#rhythm")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("empty.csv", "", "has no column of numbers"),
        ("plain.csv", "0.1\n0.2\n0.3", "does not say its sampling rate"),
        ("slow.csv", "time,mV\n0,0.1\n1,0.2\n2,0.1", "expected 100 to 1000 Hz"),
        ("adu.csv", "time (ms),ECG\n0,900\n4,905\n8,903", "is no ECG in mV"),
        ("100.dat", "0", "needs its header"),
    ],
)
def test_what_cannot_be_read_is_said(page: Any, name: str, text: str, sentence: str) -> None:
    file = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
    page.set_input_files("#files", [file])
    page.wait_for_selector("#status.error")
    assert sentence in page.text_content("#status")


def test_the_simulated_patient_is_followed_live(page: Any) -> None:
    page.click("#simulated")
    page.wait_for_selector("#counts:text-matches('^[4-9] beats: ')")


def test_it_works_without_a_network(page: Any, site: tuple[ThreadingHTTPServer, str]) -> None:
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    page.context.set_offline(True)
    stranger, again = page.context.new_page(), page.context.new_page()
    with pytest.raises(Exception, match="ERR_INTERNET_DISCONNECTED"):
        stranger.goto(site[1].replace("127.0.0.1", "localhost"))  # nothing is kept of that host
    again.goto(site[1])
    again.click("#sample")
    assert len(found(again)) == 52


def test_a_recording_begins_with_a_number(page: Any) -> None:
    with pytest.raises(Exception, match="sample 0 is no number"):
        page.evaluate(PUSHED, [[float(np.nan), float(np.nan)], [2]])
