"""The ECG among a file's leads: by name, then unit, then signal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime import RecordError
from runtime.records import read
from runtime.records.leads import Lead, choose, is_ecg
from runtime.records.shape import SHARP, sharpness
from runtime.simulate import simulate

FS = 250


@pytest.mark.parametrize(
    "name",
    [
        *"ECG EKG ecg1 I II III aVR avf MLII MLI V V1 V5 v6 CM5".split(),
        *"CS5 NEHB-D Vx LA-RA LL-RA DII ES".split(),
        "ECG II",
        "heart ECG",
        "ECG LEAD II",
        "Lead I",
        "EKG 2",
        "chest strap",
        "Shimmer_ECG_LL-RA_24BIT_CAL",
        "ecg_raw",
        "ECGraw",
        "ECG V",
        "ecgData",
        "MCL1",
        "Lead 2",
        "Ableitung II",
        "Elektrokardiogramm",
        "ЭКГ",
        "心电",
        "ΗΚΓ",
        "II导联",
        "leadII",
        "LEAD2",
        "mod.V5",
        "wave II",
        "EASI ES",
        "Elettrocardiogramma",
        "Odprowadzenie II",
        "ECG left leg",
    ],
)
def test_names_of_ecg_leads_are_known(name: str) -> None:
    assert is_ecg(name) is True


@pytest.mark.parametrize(
    "name",
    [
        *"EEG EOG(L) EMG RESP PLETH ABP ART HR SpO2 SaO2 H.R. Temp".split(),
        *"acc_x accX AccelX gyro_z nSeq".split(),
        "EEG C3-A2",
        "EEG Fpz-Cz",
        "Fpz-Cz",
        "C4-M1",
        "O2-A1",
        "EMG chin",
        "heartRate",
        "ECG HR",
        "THOR RES",
        "Resp oro-nasal",
        "Pulse rate",
        "Event marker",
        "battery",
        "ECG quality",
        "Beschleunigung X",
        "acelerómetro x",
        "Atmung",
        "Herzfrequenz",
        "心率",
        "дыхание",
        *"EEG1 EMG2 HEOG LAT RAT Leg/L PLM Tib ABD THO RIP TRIG RRI IBI EGM PCG BCG".split(),
        *"ax gy R_peaks ECG_R_Peaks ECG_T_Offsets ECG_Phase_Atrial RSP_Raw leadoff".split(),
        "Chest effort",
        "Chin1-Chin2",
        "Fréquence cardiaque",
        "Heart Sounds",
        "ECG lead off",
    ],
)
def test_names_of_other_signals_are_known(name: str) -> None:
    assert is_ecg(name) is False


@pytest.mark.parametrize("name", ["0", "value", "ch1", "A1", "signal", "Channel 3", "C3"])
def test_other_names_say_nothing(name: str) -> None:
    assert is_ecg(name) is None


def others(samples: int) -> dict[str, np.ndarray]:
    """Noise, breath, a pulse wave, a count and marks, as other columns are."""
    rng, time = np.random.default_rng(1), np.arange(samples) / FS
    pulse = np.exp(-(((time % 0.83) - 0.2) ** 2) / 0.01)
    return {
        "noise": 0.3 * rng.standard_normal(samples),
        "breath": np.sin(2 * np.pi * 0.25 * time) + 0.01 * rng.standard_normal(samples),
        "pulse": pulse + 0.001 * rng.standard_normal(samples),
        "count": np.arange(samples) % 16.0,
        "marks": (np.arange(samples) % 500 < 3) * 1.0,
        "flat": np.zeros(samples),
    }


@pytest.mark.parametrize("seed", range(5))
def test_beats_are_sharp_and_nothing_else_is(seed: int) -> None:
    ecg = simulate(20, fs=FS, seed=seed, noise_mv=0.03).signal.astype(np.float64)
    assert sharpness(ecg, FS) > SHARP
    assert sharpness(1e-3 * ecg + 7, FS) == pytest.approx(sharpness(ecg, FS))
    for name, signal in others(len(ecg)).items():
        assert sharpness(signal, FS) < SHARP, name


def write_table(path: Path, columns: dict[str, np.ndarray]) -> Path:
    rows = np.stack(list(columns.values()), axis=1)
    np.savetxt(path, rows, "%.5f", ",", header=",".join(columns), comments="")
    return path


def test_columns_without_telling_names_are_judged_by_their_beats(
    tmp_path: Path, signal: np.ndarray
) -> None:
    columns = {f"ch{i}": other for i, other in enumerate(others(len(signal)).values())}
    path = write_table(tmp_path / "x.csv", columns | {"ch9": signal})
    record = read(path, fs=FS)
    assert (record.lead, record.choice) == ("ch9", "by its beats")
    path = write_table(tmp_path / "x.csv", {"a": columns["ch0"], "b": columns["ch1"]})
    assert read(path, fs=FS).choice == "the first, as none has clear beats"


def test_column_called_ecg_comes_before_others(tmp_path: Path, signal: np.ndarray) -> None:
    noise = others(len(signal))["noise"]
    path = write_table(
        tmp_path / "x.csv", {"acc_x": noise, "HR": noise, "value": signal, "ECG": -signal}
    )
    record = read(path, fs=FS)
    assert (record.lead, record.choice) == ("ECG", "by its name")
    assert read(path, fs=FS, lead="value").choice == ""
    assert read(path, fs=FS, lead="ecg").lead == "ECG"


def test_lead_in_volts_comes_before_one_without_a_unit(tmp_path: Path, signal: np.ndarray) -> None:
    path = write_table(tmp_path / "x.csv", {"a": signal, "b (mV)": -signal})
    record = read(path, fs=FS)
    assert (record.lead, record.choice) == ("b", "the only one in volts")


def test_monitor_and_sleep_records_give_their_ecg(
    tmp_path: Path,
    signal: np.ndarray,
    write_wfdb: Callable[..., None],
    write_edf: Callable[..., None],
) -> None:
    noise = others(len(signal))["noise"]
    write_wfdb(
        tmp_path, "icu", {"RESP": (noise, "mV"), "PLETH": (noise, "mV"), "II": (signal, "mV")}
    )
    assert read(tmp_path / "icu").lead == "II"
    sleep = [(name, FS, 40 * noise, "uV") for name in ("EEG C3-A2", "EOG(L)", "EMG chin")]
    write_edf(tmp_path / "x.edf", *sleep, ("EKG", FS, 1000 * signal, "uV"))
    record = read(tmp_path / "x.edf")
    assert (record.lead, record.choice) == ("EKG", "by its name")
    write_edf(tmp_path / "y.edf", *sleep)
    with pytest.raises(RecordError, match=r"no ECG: its leads are EEG C3-A2, EOG\(L\), EMG chin"):
        read(tmp_path / "y.edf")


@pytest.mark.parametrize(
    ("factor", "offset", "likely", "units"),
    [
        (200, 512, "counts of a converter", "200/mV"),
        (200, 0, "uV", "200/mV"),
        (1000, 0, "uV", "uV"),
        (1e-3, 0, "V", "V"),
        (1e-3, 1.65, "V", "V"),
        (4e5, 2**22, "counts of a converter", "400000/mV"),
    ],
)
def test_numbers_without_a_unit_that_cannot_be_millivolts_are_refused(
    tmp_path: Path, signal: np.ndarray, factor: float, offset: float, likely: str, units: str
) -> None:
    numbers = factor * signal + offset
    numbers = numbers if factor < 1 else np.rint(numbers)
    np.savetxt(tmp_path / "x.csv", numbers, "%.6f" if factor < 1 else "%d")
    with pytest.raises(RecordError, match=rf"has no unit.*likely {likely}: give --units"):
        read(tmp_path / "x.csv", fs=FS)
    found = read(tmp_path / "x.csv", fs=FS, units=units).signal
    np.testing.assert_allclose(np.ptp(found), np.ptp(signal), atol=0.02)
    assert read(tmp_path / "x.csv", fs=FS, units="mV").signal[0] == pytest.approx(
        numbers[0], abs=1e-6
    )


def test_offset_of_half_a_supply_is_taken_off(tmp_path: Path, signal: np.ndarray) -> None:
    np.savetxt(tmp_path / "x.csv", signal / 1000 + 1.65, "%.7f")
    record = read(tmp_path / "x.csv", fs=FS, units="V")
    assert np.abs(record.signal).max() < 20
    np.testing.assert_allclose(np.diff(record.signal), np.diff(signal), atol=1e-3)
    assert record.notes[0].startswith("an offset of 16")
    signal = np.where(np.arange(len(signal)) < 0.7 * len(signal), -999, signal)  # no offset
    np.savetxt(tmp_path / "y.csv", signal, "%.4f", header="ECG (mV)", comments="")
    assert not read(tmp_path / "y.csv", fs=FS).notes


def test_numbers_that_cannot_be_in_the_unit_that_the_file_states_are_refused(
    tmp_path: Path, signal: np.ndarray
) -> None:
    np.savetxt(tmp_path / "x.csv", 200 * signal, "%d", header="ECG (mV)", comments="")
    with pytest.raises(RecordError, match=r"said to be in mV, and spans .* mV in two seconds"):
        read(tmp_path / "x.csv", fs=FS)
    found = read(tmp_path / "x.csv", fs=FS, units="200/mV").signal
    np.testing.assert_allclose(found, signal, atol=0.01)
    assert np.ptp(read(tmp_path / "x.csv", fs=FS, units="mV").signal) > 20


def test_spikes_and_flat_lines_without_a_unit_are_no_other_unit(
    tmp_path: Path, signal: np.ndarray
) -> None:
    spikes = signal.copy()
    spikes[[1000, 1001, 3000]] = -999
    noise = 0.002 * np.random.default_rng(1).standard_normal(len(signal))
    for numbers in (spikes, noise, np.zeros(5000)):
        np.savetxt(tmp_path / "x.csv", numbers, "%.4f")
        assert len(read(tmp_path / "x.csv", fs=FS).signal) == len(numbers)


@pytest.mark.parametrize("header", ["ECG", "ECG (mV)"])
def test_many_values_for_missing_ones_are_no_other_unit(
    tmp_path: Path, signal: np.ndarray, header: str
) -> None:
    values = signal.copy()
    values[::40] = -999
    (tmp_path / "x.csv").write_text("\n".join([header, *(f"{v:.5f}" for v in values)]))
    record = read(tmp_path / "x.csv", fs=FS)
    np.testing.assert_allclose(record.signal, values, atol=1e-5)


def test_units_that_a_header_leaves_out_are_checked_too(tmp_path: Path, signal: np.ndarray) -> None:
    pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    np.rint(200 * signal).astype("<i2").tofile(tmp_path / "raw.dat")
    (tmp_path / "raw.hea").write_text(f"raw 1 {FS} {len(signal)}\nraw.dat 16 1 16 0 0 0 0 II\n")
    with pytest.raises(RecordError, match="lead II has no unit"):
        read(tmp_path / "raw")
    np.testing.assert_allclose(read(tmp_path / "raw", units="200/mV").signal, signal, atol=3e-3)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ("I II III", "II"),
        ("I MLII II", "MLII"),
        ("V1 V2", "V1"),
        ("aVR D2 V1", "D2"),
        ("ECG_LA-RA ECG_LL-RA ECG_Vx-RL", "ECG_LL-RA"),
    ],
)
def test_lead_nearest_to_that_of_training_is_taken(tmp_path: Path, names: str, chosen: str) -> None:
    """Then the first: MLII is a modified lead II."""
    signal = simulate(10, fs=FS, seed=1).signal
    rows = "\n".join(",".join([f"{v:.4f}"] * len(names.split())) for v in signal)
    (tmp_path / "x.csv").write_text(names.replace(" ", ",") + "\n" + rows)
    record = read(tmp_path / "x.csv", fs=FS)
    assert (record.lead, record.choice) == (chosen, "by its name")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("D1", "ECG"), "ECG"),
        (("V", "II"), "II"),
        (("D1", "D2", "D3"), "D2"),
        (("D1", "V1"), "D1"),
        (("D1",), "D1"),
    ],
)
def test_names_that_mean_other_signals_too_need_another_lead_beside_them(
    names: tuple[str, ...], chosen: str
) -> None:
    leads = [Lead(name, 360.0, "mV", lambda: np.zeros(3600)) for name in names]
    assert choose(Path("x"), leads, None)[0].name == chosen


def test_a_flat_lead_gives_way_to_one_that_moves(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "x.csv"
    rows = [f"0.5,{index % 7},{value:.5f}" for index, value in enumerate(signal)]
    path.write_text("\n".join(["II,RESP,V1", *rows]))
    record = read(path, fs=360)
    assert (record.lead, record.choice) == ("V1", "as II is flat")
    assert read(path, fs=360, lead="II").lead == "II"  # as asked for
    flat = [f"0.5,{index % 7},0" for index in range(len(signal))]
    path.write_text("\n".join(["II,RESP,V1", *flat]))
    assert read(path, fs=360).lead == "II"  # a flat line, which `annotate` says
