"""HL7 aECG: codes and units, and XML that is made to do harm."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.sample_devices import write_aecg
from bench.sample_recording import recording
from runtime import RecordError
from runtime.records import read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_aecg(tmp_path, recording())


def change(path: Path, pattern: str, replacement: str) -> Path:
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count
    path.write_text(text)
    return path


def test_origin_and_scale_are_applied(path: Path) -> None:
    before = read(path).signal
    change(path, 'origin value="0" unit="uV"', 'origin value="0.25" unit="mV"')
    change(path, 'scale value="1"', 'scale value="2.5"')
    np.testing.assert_allclose(read(path).signal, 2.5 * before + 0.25)


def test_times_may_be_relative(path: Path) -> None:
    change(path, "TIME_ABSOLUTE", "TIME_RELATIVE")
    change(path, 'head value="[^"]*"', 'head value="1500" unit="ms"')
    record = read(path)
    assert record.gaps == pytest.approx(540 / 11_340)


@pytest.mark.parametrize(
    ("step", "unit", "fs"), [("2", "ms", 500), ("0.002778", "s", 360), ("0.0083", "s", 120.48)]
)
def test_rate_is_whole_if_the_increment_is_that_rounded(
    path: Path, step: str, unit: str, fs: float
) -> None:
    change(path, 'increment value="[^"]*" unit="s"', f'increment value="{step}" unit="{unit}"')
    assert read(path).fs == pytest.approx(fs, abs=0.5 if fs == 120.48 else 0)


def test_word_among_the_digits_is_a_missing_sample(path: Path) -> None:
    change(path, "<digits>(\\S+) (\\S+)", "<digits>\\1 NaN")
    assert read(path).gaps == pytest.approx(1 / 10_800)


def test_representative_beats_are_left_out(path: Path) -> None:
    derived = (
        "<derivation><derivedSeries><component><sequenceSet><component><sequence>"
        '<code code="MDC_ECG_LEAD_II"/><value><digits>1 2 3</digits></value>'
        "</sequence></component></sequenceSet></component></derivedSeries></derivation></series>"
    )
    expected = read(path).signal
    np.testing.assert_array_equal(read(change(path, "</series>", derived)).signal, expected)


def test_series_that_overlap_are_refused(path: Path) -> None:
    series = re.search("<component><series>.*</series></component>", path.read_text())
    assert series
    with pytest.raises(RecordError, match="the series of lead II overlap"):
        read(change(path, "</AnnotatedECG>", f"{series[0]}</AnnotatedECG>"))


def test_series_spread_over_months_are_refused_before_memory_is_taken(path: Path) -> None:
    series = re.search("<component><series>.*</series></component>", path.read_text())
    assert series
    later = re.sub(r'head value="\d{4}', 'head value="2032', series[0])
    with pytest.raises(RecordError, match=r"spreads its series over .* s; expected one recording"):
        read(change(path, "</AnnotatedECG>", f"{later}</AnnotatedECG>"))


def test_other_xml_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text("<RestingECG><a/></RestingECG>")
    with pytest.raises(RecordError, match="is XML of 'RestingECG'; expected 'AnnotatedECG'"):
        read(tmp_path / "x.xml")


LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
DOCTYPES = {
    "entities that unfold": f'<!DOCTYPE x [<!ENTITY a0 "ha">{LAUGHS}]>',
    "a file of this machine": '<!DOCTYPE x [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>',
    "another host": '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY a9 "1">]>',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("doctype", DOCTYPES)
def test_document_type_is_refused_before_it_unfolds(
    path: Path, doctype: str, encoding: str
) -> None:
    text = path.read_text().replace("<AnnotatedECG", DOCTYPES[doctype] + "<AnnotatedECG", 1)
    text = re.sub("<digits>", "<digits>&a9; ", text).replace('encoding="UTF-8"', "")
    path.write_bytes(text.encode(encoding))
    with pytest.raises(RecordError, match=r"rec\.xml declares a document type"):
        read(path)


def test_cut_off_file_names_its_line(path: Path) -> None:
    path.write_text(path.read_text()[:5000])
    with pytest.raises(RecordError, match=r"rec\.xml is no whole XML file: .* in line 2"):
        read(path)
