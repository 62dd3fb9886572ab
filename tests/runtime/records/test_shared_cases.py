"""Files of kinds that were once refused or read wrongly, if a checkout has them beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import Detector, RecordError
from runtime.cli.whole_records import notes_on
from runtime.records import read

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no files in {CASES}")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(provider="cpu")


@pytest.mark.parametrize(
    ("file", "options", "beats"),
    [
        ("01-*/gap.csv", {}, 35),
        ("01-*/nan.hea", {}, 34),
        *((f"02-*/{name}.csv", {"fs": 360}, 25) for name in ("uv", "microvolts", "ecg_uV")),
        ("03-*/adc10.csv", {"fs": 360, "units": "200/mV"}, 25),
        ("03-*/raw.hea", {"units": "200/mV"}, 25),
        ("03-*/uv.csv", {"fs": 360, "units": "uV"}, 25),
        ("03-*/volts.csv", {"fs": 360, "units": "V"}, 25),
        ("04-*/psg.edf", {}, 49),
        ("05-*/acc.csv", {}, 15),
        ("05-*/hr.csv", {}, 15),
        *((f"08-*/{name}.csv", {"fs": 360}, 37) for name in ("sentinel1", "sentinel3")),
        ("08-*/spike200.csv", {"fs": 360}, 37),
        ("09-*/apple.csv", {}, 25),
        ("09-*/apple.csv", {"fs": 360}, 25),
        *((f"10-*/{name}", {}, 9) for name in ("psl.txt", "packet.csv", "tab.txt")),
        *((f"11-*/{name}", {}, 9) for name in ("opensignals.txt", "shimmer.csv")),
        *((f"12-*/{name}.csv", {}, 9) for name in ("iso", "midnight")),
        ("12-*/iso.csv", {"fs": 360}, 9),
        *((f"13-*/{name}.csv", {}, 9) for name in ("cut", "footer", "comma")),
        *((f"16-*/{name}", {}, 9) for name in ("contiguous-d.edf", "x.bdf", "x.rec", "uv.edf")),
        ("16-*/blank.edf", {}, 9),
        ("16-*/cut.edf", {"partial": True}, 8),
        ("19-*/spikes.csv", {"fs": 1000}, 15),
    ],
)
def test_all_beats_are_found(
    file: str, options: dict[str, object], beats: int, detector: Detector
) -> None:
    if file.endswith(".hea"):
        pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    if file.startswith(("04", "16")):
        pytest.importorskip("edfio", reason="no edfio (pip install edfio)")
    (path,) = CASES.glob(file)
    annotation = detector.annotate(read(path, **options))  # type: ignore[arg-type]
    assert (len(annotation.beats), annotation.events) == (beats, [])
    assert not set(annotation.labels) - {"N", "S"}


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("02-*/adu.csv", "lead ECG is in 'adu'; expected mV, uV or V"),
        ("03-*/adc10.csv", "likely counts of a converter"),
        ("03-*/uv.csv", "likely uV"),
        ("03-*/volts.csv", "likely V"),
        ("16-*/cut.edf", "promises 7 data records.*--partial reads the 6 whole ones"),
    ],
)
def test_what_is_in_doubt_is_refused(file: str, sentence: str) -> None:
    if file.endswith("edf"):
        pytest.importorskip("edfio", reason="no edfio (pip install edfio)")
    (path,) = CASES.glob(file)
    with pytest.raises(RecordError, match=sentence):
        read(path, fs=360)


def test_r_peaks_are_not_at_a_pacemakers_spikes(detector: Detector) -> None:
    (path,) = CASES.glob("19-*/spikes.csv")
    record = read(path, fs=1000)
    beats = detector.annotate(record).beats
    spikes = np.flatnonzero(np.abs(np.diff(record.signal)) > 10) / 1000
    for beat in beats[1:]:
        assert np.abs(spikes - beat.time).min() > 0.1


@pytest.mark.parametrize("rate", [220, 300, 600])
def test_a_heart_too_fast_for_all_its_beats_is_said(rate: int, detector: Detector) -> None:
    (path,) = CASES.glob(f"18-*/rate{rate}.csv")
    record = read(path, fs=500)
    quality = detector.assess(record.signal, record.fs)
    assert quality.fast > 0.5
    assert not quality.ok
    assert any(
        "too fast for all its beats" in note
        for note in notes_on(detector, detector.annotate(record))
    )
