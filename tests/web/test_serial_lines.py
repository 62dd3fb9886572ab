"""The page reads lines of a serial port as `ekg stream --serial` does."""

from __future__ import annotations

import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from web_driver import ROOT

from runtime import InputError
from runtime.cli.feed import read_feed

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node")

READ = """
const { Lines } = await import(process.argv[1]);
let text = "";
for await (const piece of process.stdin) text += piece;
const found = JSON.parse(text).map((feed) => {
  const lines = new Lines(250, "");
  try {
    return feed.flatMap((line) => {
      const value = lines.read(line);
      return value === null ? [] : [...Array(lines.lost).fill(NaN), value];
    });
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(found));
"""
LINES = (ROOT / "runtime" / "server" / "static" / "lines.js").as_uri()

KNOWN = [
    *"ECG (mV)|ECG [uV]|ECG (\xb5V)|ecg_uV|ECG microvolts|ECG <nV>|ECGuV|ECG, mV|EKG: uV".split(
        "|"
    ),
    *"ECG (0.1 mV)|ECG [5 uV/LSB]|II (1e-6 V)|ECG (uV pk)|ECG (V)|ECG|ready|ECG（uV）".split("|"),
]
UNKNOWN = [
    *"ECG (mV/10)|ECG [kV]|II (mV x10)|ECG (decimillivolts)|ECG (0 mV)|ECG (pV)".split("|"),
    *"ECG (adu)|ECG [counts]|ECG (ADC counts)|ECG (normalized)|ECG (%)|ECG (mmHg)".split("|"),
]


def read_by_page(feeds: list[list[str]]) -> list[list[float | None] | str]:
    """The page's samples of each feed, None for missing ones, or its sentence."""
    done = subprocess.run(
        ["node", "--input-type=module", "-e", READ, LINES],
        input=json.dumps(feeds),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return list(json.loads(done.stdout))


@pytest.fixture(scope="module")
def page() -> dict[str, list[float | None] | str]:
    headers = [*KNOWN, *UNKNOWN]
    return dict(zip(headers, read_by_page([[h, "0.5", "-0.25"] for h in headers]), strict=True))


@pytest.mark.parametrize("header", KNOWN)
def test_a_unit_is_read_as_by_the_command(
    page: dict[str, list[float | None] | str], header: str
) -> None:
    feed = io.StringIO(f"{header}\n0.5\n-0.25\n")
    command = [value for chunk in read_feed("-", 250, opened=feed) for value in chunk]
    assert page[header] == pytest.approx(command)


@pytest.mark.parametrize("header", UNKNOWN)
def test_an_unknown_unit_is_refused_in_a_sentence(
    page: dict[str, list[float | None] | str], header: str
) -> None:
    assert isinstance(page[header], str)
    assert "expected mV, uV or V" in page[header]
    with pytest.raises(InputError, match="expected mV, uV or V"):
        list(read_feed("-", 250, opened=io.StringIO(f"{header}\n0.5\n-0.25\n")))


def test_counts_are_refused_and_sentinels_are_missing() -> None:
    ecg = np.round(0.5 * np.sin(np.arange(1600) / 40) + (np.arange(1600) % 250 < 8), 3)
    marked = ecg.copy()
    marked[300:800] = -32768
    counts = 8_388_608 + np.rint(10_000 * ecg).astype(int)
    feeds = [[str(value) for value in values.tolist()] for values in (marked, counts)]
    samples, sentence = read_by_page(feeds)
    assert samples == [None if value < -500 else value for value in marked.tolist()]
    assert "cannot be an ECG in mV: they are likely counts" in sentence
    with pytest.raises(InputError, match=r"cannot be an ECG in mV.* likely 200/mV"):
        list(read_feed("-", 250, opened=io.StringIO("\n".join(feeds[1]))))


@pytest.mark.parametrize(
    ("header", "row"),
    [("time,ecg", "{t:.3f},{v}"), ("ecg;ms", "{v};{ms}"), ("sample\tecg", "{i}\t{v}")],
)
def test_samples_that_times_leave_out_are_missing(header: str, row: str) -> None:
    kept = [i for i in range(600) if not 300 <= i < 350]
    lines = [row.format(i=i, t=i / 250, ms=4 * i, v=i % 7) for i in kept]
    lines[100] = "!"
    (samples,) = read_by_page([[header, *lines]])
    feed = io.StringIO("\n".join([header, *lines]))
    command = [value for chunk in read_feed("-", 250, units="mV", opened=feed) for value in chunk]
    assert samples == [None if np.isnan(value) else value for value in command]
    assert len(samples) == 600
