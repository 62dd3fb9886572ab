"""Training data: simulated where there is none, and it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import dataset, download
from training.dataset import TRAINING, training_data
from training.errors import DataError


def test_without_recordings_it_trains_on_simulated_signal_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(_: object) -> Path:
        raise DataError("there is none.")

    monkeypatch.setattr(dataset, "require_data", absent)
    monkeypatch.setattr(dataset, "data_folder", lambda: None)
    monkeypatch.setattr(dataset, "simulated_records", lambda count: [])
    _, _, data = training_data(["mitdb"])
    assert data.startswith("SIMULATED")
    assert "SIMULATED" in capsys.readouterr().out


def test_the_data_folder_is_checked_before_a_download_in_fixed_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the hash seed decided whether a failed download left what looks like recordings."""
    asked = []

    def broken_off(databases: object) -> Path:
        asked.append(databases)
        (tmp_path / "data" / "mitdb").mkdir(parents=True)
        raise DataError("the network is gone.")

    monkeypatch.delenv("EKG_DATA", raising=False)
    monkeypatch.setattr(download, "PROJECT", tmp_path)
    monkeypatch.setattr(dataset, "require_data", broken_off)
    monkeypatch.setattr(dataset, "simulated_records", lambda count: [])
    assert training_data(list(TRAINING))[2].startswith("SIMULATED")
    assert asked == [["mitdb", "svdb", "nstdb"]]
