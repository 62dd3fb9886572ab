"""The page reads lines of a serial port as `ekg stream --serial` does."""

from __future__ import annotations

import io
import json
import shutil
import subprocess

import pytest
from web_driver import ROOT

from runtime import InputError
from runtime.cli.feed import read_feed

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node")

READ = """
const { Lines } = await import(process.argv[1]);
const found = JSON.parse(process.argv[2]).map((header) => {
  const lines = new Lines(250, "");
  try {
    lines.read(header);
    return [0.5, -0.25].map((value) => lines.read(String(value)));
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


@pytest.fixture(scope="module")
def page() -> dict[str, list[float] | str]:
    headers = [*KNOWN, *UNKNOWN]
    done = subprocess.run(
        ["node", "--input-type=module", "-e", READ, LINES, json.dumps(headers)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return dict(zip(headers, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("header", KNOWN)
def test_a_unit_is_read_as_by_the_command(page: dict[str, list[float] | str], header: str) -> None:
    feed = io.StringIO(f"{header}\n0.5\n-0.25\n")
    command = [value for chunk in read_feed("-", 250, opened=feed) for value in chunk]
    assert page[header] == pytest.approx(command)


@pytest.mark.parametrize("header", UNKNOWN)
def test_an_unknown_unit_is_refused_in_a_sentence(
    page: dict[str, list[float] | str], header: str
) -> None:
    assert isinstance(page[header], str)
    assert "expected mV, uV or V" in page[header]
    with pytest.raises(InputError, match="expected mV, uV or V"):
        list(read_feed("-", 250, opened=io.StringIO(f"{header}\n0.5\n-0.25\n")))
