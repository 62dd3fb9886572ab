"""An annotated record: its numbers, tables, words and pictures."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import runtime
from runtime import Detector, InputError, RecordError, read
from runtime.findings import DOUBTFUL, Event, Record
from runtime.records import Annotation
from runtime.records.annotation import PIECE_S

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def found(detector: Detector) -> Annotation:
    """The sample, annotated."""
    return detector.annotate("sample")


def test_beats_in_seconds_and_samples(found: Annotation) -> None:
    assert found.times.tolist() == [beat.time for beat in found.beats]
    assert found.samples.tolist() == [round(beat.time * 360) for beat in found.beats]
    assert "".join(found.labels) == "".join(beat.label for beat in found.beats)
    assert len(found.beats) == 52
    assert [event.kind for event in found.events] == ["couplet"]


def test_beats_are_those_of_a_stream(found: Annotation, detector: Detector) -> None:
    stream = detector.stream(360, events=True)
    assert found.beats == stream.push(found.record.signal) + stream.finish()


def test_quality_is_that_of_the_whole_signal(found: Annotation, detector: Detector) -> None:
    assert found.quality == detector.assess(found.record.signal, 360)
    assert found.quality is found.quality  # judged once


def test_quality_of_several_pieces(detector: Detector) -> None:
    """The first piece is a flat line, the second is the sample."""
    signal = read("sample").signal
    long = np.concatenate([np.zeros(PIECE_S * 360), signal])
    quality = detector.annotate(long, fs=360).quality
    assert len(quality.seconds) == PIECE_S + 30
    assert quality.flat == pytest.approx(PIECE_S / (PIECE_S + 30))
    assert quality.range_mv == pytest.approx(np.ptp(long))
    assert all(flaw & DOUBTFUL for flaw in quality.seconds[:PIECE_S])


def test_rr_and_heart_rate(found: Annotation) -> None:
    assert np.allclose(found.rr, np.diff(found.times))
    assert found.heart_rate == pytest.approx(60 / np.diff(found.times).mean())
    measured = found.hrv()
    assert measured.intervals == sum(
        a.label == b.label == "N" for a, b in zip(found.beats[:-1], found.beats[1:], strict=True)
    )


def test_no_interval_spans_a_gap(found: Annotation) -> None:
    at = found.times[10]
    holed = replace(found, gaps=[(at + 0.05, at + 0.06)])
    assert np.flatnonzero(np.isnan(holed.rr)).tolist() == [10]
    assert holed.hrv().intervals < found.hrv().intervals


def test_gaps_are_missing_samples_and_what_no_heart_makes(detector: Detector) -> None:
    signal = read("sample").signal.copy()
    signal[3600:4320] = np.nan
    signal[7200:7240] = -999.0
    signal[9000:9003] = -999.0  # 8 ms hide no beat
    found = detector.annotate(signal, fs=360)
    (start, end), (spike, _) = found.gaps
    assert (start, spike) == (10.0, 20.0)
    assert end == pytest.approx(12.0, abs=0.1)
    assert np.isnan(found.rr).sum() >= 2
    assert found.record.gaps == pytest.approx(720 / len(signal))
    assert not found.quality.ok


def test_as_json(found: Annotation) -> None:
    fields = json.loads(json.dumps(found.to_dict()))
    assert fields["record"]["leads"] == ["MLII"]
    assert fields["record"]["units"] == "mV"
    score = round(found.beats[0].score, 4)
    assert fields["beats"][0] == {"time": 0.2639, "label": "N", "score": score, "sample": 95}
    assert fields["events"][0]["kind"] == "couplet"
    assert fields["quality"]["ok"] is True
    assert fields["heart_rate"] == round(found.heart_rate or 0, 1)


def test_as_the_server_gives_it(detector: Detector) -> None:
    record = read("sample")
    result = detector.predict(record.signal, record.fs, events=True)
    assert not isinstance(result, list)
    fields = result.to_dict()
    score = round(result.beats[0].score, 4)
    assert fields["beats"][0] == {"time": 0.2639, "label": "N", "score": score}
    assert fields["events"] == [event.to_dict() for event in result.events]
    assert repr(result) == ("Result(V, anomaly, score 1.00: 52 beats, 1 events, signal good)")


@pytest.mark.needs("pandas")
def test_as_tables(found: Annotation) -> None:
    beats, events = found.to_dataframe(), found.to_dataframe("events")
    assert list(beats.columns) == ["time", "sample", "label", "score", "rr"]
    assert beats["label"].value_counts().to_dict() == {"N": 39, "V": 11, "S": 2}
    assert np.isnan(beats["rr"][0])
    assert beats["rr"][1:].tolist() == found.rr.tolist()
    assert events.loc[0, ["kind", "mdc", "snomed"]].tolist() == ["couplet", "10:9952", "251182009"]
    with pytest.raises(InputError, match="'waves'; expected beats or events"):
        found.to_dataframe("waves")


def test_short_words(found: Annotation) -> None:
    assert repr(found) == "Annotation('sample', lead MLII, 30.175 s: 39 N, 2 S, 11 V; 1 events)"
    assert repr(found.record) == "Record('sample', lead MLII, 30.175 s at 360 Hz in mV)"
    assert "no beats; 0 events" in repr(replace(found, beats=[], events=[]))


def test_nothing_found(found: Annotation, tmp_path: Path) -> None:
    nothing = replace(found, beats=[], events=[])
    assert nothing.heart_rate is None
    assert nothing.rr.shape == nothing.sound.shape == (0,)
    assert nothing.samples.shape == (0,)
    assert nothing.to_dict()["heart_rate"] is None
    assert "unknown" in nothing._repr_html_()


def test_a_page_for_notebooks_is_whole(found: Annotation) -> None:
    record = replace(found.record, name="<b>&", lead="II'")
    many = [Event("pause", float(i), i + 0.5, 0.5, "2 s < x") for i in range(12)]
    page = ElementTree.fromstring(replace(found, record=record, events=many)._repr_html_())
    text = " ".join(page.itertext())
    assert "<b>&, lead II'" in text
    assert "39 N, 2 S, 11 V" in text
    assert "and 2 more events" in text
    assert len(page.find(".//polyline").attrib["points"].split()) > 500  # type: ignore[union-attr]


def test_a_page_says_what_is_wrong_with_the_signal(detector: Detector) -> None:
    noisy = detector.annotate(np.random.default_rng(0).normal(0, 0.5, 7200), fs=360)
    assert "noise: 100%" in noisy._repr_html_()


@pytest.mark.needs("matplotlib")
def test_a_strip_shows_its_beats_and_events(found: Annotation) -> None:
    from matplotlib.figure import Figure

    axes = found.plot(10, 5, axes=Figure().subplots())
    assert axes.get_xlim() == (10, 15)
    drawn = [text.get_text() for text in axes.texts]
    inside = [beat.label for beat in found.beats if 10 <= beat.time < 15]
    assert sorted(drawn) == sorted([*inside, "couplet"])
    # Beyond the end the last seconds are shown.
    assert found.plot(1e6, 5, axes=Figure().subplots()).get_xlim()[1] == pytest.approx(30.175)
    long = found.plot(0, 1000, axes=Figure().subplots())
    assert long.get_xlim() == (0, pytest.approx(30.175))


def test_it_can_be_kept_and_sent(found: Annotation) -> None:
    again = pickle.loads(pickle.dumps(found))
    assert again.beats == found.beats
    assert again.quality == found.quality


def test_a_format_that_is_not_written_is_refused(found: Annotation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="as 'docx'; expected wfdb, edf, csv"):
        found.write("docx", tmp_path)
    with pytest.raises(RecordError, match="letters only"):
        found.to_csv(tmp_path, annotator="../x")
    assert not list(tmp_path.iterdir())


def test_odd_rates_keep_their_own_samples(detector: Detector) -> None:
    """A stream takes the nearest ratio; times and samples are of the record's own rate."""
    record = read("sample")
    odd = replace(record, fs=360.0005)
    found = detector.annotate(odd)
    assert isinstance(found.record, Record)
    places = detector.annotate(record).samples
    assert found.samples.tolist() == places.tolist()


def test_names_are_loaded_when_they_are_asked_for() -> None:
    program = (
        "import sys, runtime; loaded = lambda: 'runtime.records' in sys.modules; "
        "assert 'read' in dir(runtime); print(loaded(), runtime.read.__name__, loaded())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "read", "True"]
    assert runtime.Annotation is Annotation
    with pytest.raises(AttributeError, match="has no attribute 'write'"):
        _ = runtime.write  # type: ignore[attr-defined]
