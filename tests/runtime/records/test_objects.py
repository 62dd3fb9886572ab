"""What other programs hold in memory is read as their files are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import Detector, InputError, RecordError, read

FS = 250  # of the fixture `signal`


@pytest.fixture
def leads(signal: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Respiration before an ECG, as monitors have them."""
    return {"RESP": np.sin(np.arange(len(signal)) / 200), "V5": -signal, "MLII": signal}


def test_numbers_with_a_rate(signal: NDArray[np.float64], detector: Detector) -> None:
    record = read(signal, fs=FS)
    assert (record.lead, record.fs, record.units, record.leads) == ("ECG", FS, "mV", ("ECG",))
    found = detector.annotate(signal.tolist(), fs=FS)
    assert found.beats == detector.annotate(record).beats
    assert len(found.beats) > 15


def test_a_record_passes_through(signal: NDArray[np.float64]) -> None:
    record = read(signal, fs=FS)
    assert read(record) is record
    with pytest.raises(InputError, match="one lead in mV already"):
        read(record, fs=FS)


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_axes_the_longer_is_time(
    leads: dict[str, NDArray[np.float64]], turned: bool
) -> None:
    numbers = np.stack(list(leads.values()), axis=1)
    record = read(numbers.T if turned else numbers, fs=FS)
    assert (record.lead, record.choice) == ("1", "by its beats")
    assert read(numbers, fs=FS, lead="2").signal.tolist() == leads["MLII"].tolist()


def test_leads_by_name(leads: dict[str, NDArray[np.float64]]) -> None:
    record = read(leads, fs=FS)
    assert (record.lead, record.choice) == ("MLII", "by its name")
    assert record.leads == ("RESP", "V5", "MLII")
    assert read(leads, fs=FS, lead="V5").signal.tolist() == leads["V5"].tolist()
    with pytest.raises(RecordError, match="has no ECG"):
        read({"RESP": leads["RESP"]}, fs=FS)


def test_units_are_checked_and_may_be_given(signal: NDArray[np.float64]) -> None:
    with pytest.raises(RecordError, match="likely uV"):
        read(signal * 1000 + 0.5, fs=FS)
    assert np.allclose(read(signal * 1000, fs=FS, units="uV").signal, signal)


def test_missing_numbers_are_gaps(signal: NDArray[np.float64]) -> None:
    masked = np.ma.masked_array(signal, mask=np.arange(len(signal)) < 50)
    assert read(masked, fs=FS).gaps == pytest.approx(50 / len(signal))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ([0.0] * 300, "numbers without a rate; give fs in Hz"),
        ({"II": [0.0] * 300}, "numbers without a rate; give fs in Hz"),
        ({}, "the dict is empty"),
        ([], "a list without samples"),
        (object(), "a object cannot be read as an ECG; expected a path, a wfdb Record"),
        (["a", "b"], "a list cannot be read as an ECG"),
        (np.zeros((2, 2, 2)), r"numbers \(2, 2, 2\); expected \[samples\] or \[samples, leads\]"),
        (np.zeros((9, 9)), r"numbers \(9, 9\); expected"),
        (np.zeros((300, 299)), "up to 256 leads"),
        ({"II": np.zeros((3, 3))}, r"lead II is \(3, 3\); expected \[samples\]"),
        (None, "a NoneType"),
    ],
)
def test_what_holds_no_ecg_is_refused(source: Any, sentence: str) -> None:
    fs = None if "rate" in sentence else FS
    with pytest.raises(InputError, match=sentence):
        read(source, fs=fs)


@pytest.mark.needs("wfdb")
def test_a_wfdb_record_as_its_file(wfdb_record: Path) -> None:
    import wfdb

    expected = read(wfdb_record)
    physical = wfdb.rdrecord(str(wfdb_record))
    digital = wfdb.rdrecord(str(wfdb_record), physical=False)
    frames = wfdb.rdrecord(str(wfdb_record), smooth_frames=False)
    digital_frames = wfdb.rdrecord(str(wfdb_record), physical=False, smooth_frames=False)
    for source in (physical, digital, frames, digital_frames):
        record = read(source)
        assert (record.name, record.lead, record.fs) == ("rec", "MLII", FS)
        assert np.array_equal(record.signal, expected.signal)
    samples = read(wfdb.rdsamp(str(wfdb_record)))
    assert (samples.lead, samples.fs) == ("MLII", FS)
    assert np.array_equal(samples.signal, expected.signal)
    with pytest.raises(InputError, match=r"a name for each lead, as of wfdb\.rdsamp"):
        read((expected.signal, {"sig_name": ["MLII"], "fs": FS}))
    physical.base_date, physical.base_time = datetime(2020, 1, 2).date(), datetime.min.time()
    assert read(physical).start == datetime(2020, 1, 2)
    assert read(physical, start_s=1.5).start == datetime(2020, 1, 2, 0, 0, 1, 500_000)
    with pytest.raises(InputError, match="holds no signal"):
        read(wfdb.rdheader(str(wfdb_record)))


@pytest.mark.needs("mne")
def test_an_mne_raw_in_volts(leads: dict[str, NDArray[np.float64]]) -> None:
    import mne

    types = {"RESP": "resp", "V5": "eeg", "MLII": "ecg"}
    info = mne.create_info(list(leads), FS, list(types.values()))
    info.set_meas_date(datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC))
    raw = mne.io.RawArray(np.stack(list(leads.values())) / 1000, info, verbose="error")
    record = read(raw)
    assert (record.lead, record.start) == ("MLII", datetime(2020, 1, 2, 3, 4, 5))
    assert np.allclose(record.signal, leads["MLII"])
    assert read(raw, lead="V5").lead == "V5"
    with pytest.raises(RecordError, match="lead RESP is in 'n/a'"):
        read(raw, lead="RESP")
    raw.set_annotations(mne.Annotations([2.0], [1.0], ["BAD_lead_off"], raw.info["meas_date"]))
    assert read(raw).gaps == pytest.approx(FS / len(record.signal), abs=2 / len(record.signal))


@pytest.mark.needs("mne")
def test_an_mne_raw_without_an_ecg_is_refused(signal: NDArray[np.float64]) -> None:
    import mne

    info = mne.create_info(["Fp1", "Cz"], FS, "eeg")
    with pytest.raises(RecordError, match="has no ECG"):
        read(mne.io.RawArray(np.stack([signal, signal]) / 1e6, info, verbose="error"))


@pytest.mark.needs("pandas")
def test_a_frame_as_a_table(leads: dict[str, NDArray[np.float64]]) -> None:
    import pandas

    frame = pandas.DataFrame(leads)
    assert read(frame, fs=FS).lead == "MLII"
    frame.attrs["sampling_rate"] = FS
    assert read(frame).fs == FS
    with pytest.raises(RecordError, match="sampled at 250 Hz; --fs 500 contradicts"):
        read(frame, fs=500)
    frame = pandas.DataFrame({"time": np.arange(len(frame)) / FS, "ECG (uV)": leads["V5"] * 1000})
    record = read(frame)
    assert (record.fs, record.lead) == (pytest.approx(FS), "ECG")
    assert np.allclose(record.signal, leads["V5"])
    with pytest.raises(RecordError, match="does not say its rate"):
        read(frame[["ECG (uV)"]])
    with pytest.raises(InputError, match="empty"):
        read(frame[:0], fs=FS)


@pytest.mark.needs("pandas")
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_frames_dates_give_rate_start_and_gaps(
    signal: NDArray[np.float64], zone: str | None
) -> None:
    import pandas

    moments = pandas.date_range("2024-05-06 07:08:09", periods=len(signal), freq="4ms", tz=zone)
    series = pandas.Series(signal, moments, name="II")
    record = read(series)
    assert (record.fs, record.lead, record.name) == (FS, "II", "DataFrame")
    assert record.start == datetime(2024, 5, 6, 7, 8, 9)
    cut = read(series.drop(series.index[500:750]))
    assert len(cut.signal) == len(signal)
    assert cut.gaps == pytest.approx(250 / len(signal))
    elapsed = pandas.Series(signal, pandas.to_timedelta(np.arange(len(signal)) * 4, unit="ms"))
    assert read(elapsed).fs == FS


@pytest.mark.needs("pandas")
def test_other_columns_of_a_frame_are_no_leads(signal: NDArray[np.float64]) -> None:
    import pandas

    moments = pandas.date_range("2024-05-06", periods=len(signal), freq="4ms")
    frame = pandas.DataFrame({"when": moments, "note": "x", "ECG": signal.astype(np.float32)})
    record = read(frame)
    assert (record.fs, record.leads) == (FS, ("ECG",))


@pytest.mark.needs("neurokit2")
def test_neurokits_pairs(signal: NDArray[np.float64], detector: Detector) -> None:
    import neurokit2

    signals, info = neurokit2.ecg_process(signal, sampling_rate=FS)
    for pair in ((signals, info), (signals, FS)):
        found = detector.annotate(pair)
        assert (found.record.fs, found.record.lead) == (FS, "ECG_Raw")
        assert found.beats == detector.annotate(signal, fs=FS).beats
    with pytest.raises(RecordError, match="does not say its rate"):
        read((signals, {}))
