"""A simulated signal, and files of it in the formats that need a package to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.simulate import simulate

FS = 250


@pytest.fixture(scope="session")
def signal() -> NDArray[np.float64]:
    """20 s at 250 Hz, mV."""
    return simulate(20, fs=FS, seed=1).signal.astype(np.float64)


@pytest.fixture(scope="session")
def write_wfdb() -> Callable[..., None]:
    wfdb = pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")

    def write(folder: Path, name: str, leads: dict[str, tuple[np.ndarray, str]]) -> None:
        """Write a record of signals and their units, by lead."""
        signals, units = zip(*leads.values(), strict=True)
        wfdb.wrsamp(
            name,
            fs=FS,
            units=list(units),
            sig_name=list(leads),
            fmt=["16"] * len(leads),
            p_signal=np.stack(signals, axis=1),
            write_dir=str(folder),
        )

    return write


@pytest.fixture(scope="session")
def write_edf() -> Callable[..., None]:
    edfio = pytest.importorskip("edfio", reason="no edfio (pip install edfio)")

    def write(path: Path, *leads: tuple[str, float, np.ndarray, str]) -> None:
        """Write leads of a name, rate, signal and unit."""
        edfio.Edf(
            [
                edfio.EdfSignal(signal, fs, label=name, physical_dimension=unit)
                for name, fs, signal, unit in leads
            ]
        ).write(path)

    return write


@pytest.fixture
def wfdb_record(
    tmp_path: Path, signal: NDArray[np.float64], write_wfdb: Callable[..., None]
) -> Path:
    """A record of V5, the signal upside down, and MLII, the signal."""
    write_wfdb(tmp_path, "rec", {"V5": (-signal, "mV"), "MLII": (signal, "mV")})
    return tmp_path / "rec"
