"""The data folder: found, downloaded, checked, and errors that say what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from physionet_server import PhysioNet, served

from training import download
from training.download import VERSION, data_folder, require_data, verify
from training.errors import DataError

ENDINGS = (".hea", ".dat", ".atr")


def test_missing_data_is_explained_with_three_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    monkeypatch.setenv("EKG_PHYSIONET", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(DataError, match=r"EKG_DATA .* data/mitdb/.* network"):
        require_data(["mitdb"])


def test_a_download_that_finds_no_server_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty data/mitdb would be taken for data ever after."""
    monkeypatch.delenv("EKG_DATA", raising=False)
    monkeypatch.setenv("EKG_PHYSIONET", "http://127.0.0.1:9")
    root = tmp_path / "project"
    monkeypatch.setattr(download, "PROJECT", root)
    with pytest.raises(DataError, match="could not be downloaded"):
        require_data(["mitdb"])
    assert not root.exists()
    assert data_folder() is None


def test_a_path_that_is_no_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKG_DATA", "/nowhere/at/all")
    with pytest.raises(DataError, match="EKG_DATA names /nowhere/at/all"):
        data_folder()


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, harm: str) -> None:
    (tmp_path / "1.dat").write_bytes(b"signal")
    (tmp_path / "SHA256SUMS").write_text(hashlib.sha256(b"signal").hexdigest() + "  1.dat\n")
    verify(tmp_path)
    if harm == "missing":
        (tmp_path / "1.dat").unlink()
    else:
        (tmp_path / "1.dat").write_bytes(b"sigmal")
    with pytest.raises(DataError, match=rf"1\.dat is {harm}"):
        verify(tmp_path)


@pytest.fixture
def physionet(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[PhysioNet]]:
    monkeypatch.setattr(download, "RECORDS", {"mitdb": ("1", "2")})
    rng = np.random.default_rng(0)
    files = {name + ending: rng.bytes(50_000) for name in "12" for ending in ENDINGS}
    with served(f"/files/mitdb/{VERSION}", files) as (address, handler):
        monkeypatch.setenv("EKG_PHYSIONET", f"{address}/files")
        yield handler


def test_download_fetches_checks_and_is_not_repeated(
    tmp_path: Path, physionet: type[PhysioNet]
) -> None:
    download.download("mitdb", tmp_path)
    verify(tmp_path / "mitdb")
    for name, body in physionet.files.items():
        if name != "SHA256SUMS.txt":
            assert (tmp_path / "mitdb" / name).read_bytes() == body
    physionet.asked.clear()
    download.download("mitdb", tmp_path)
    assert [path.rsplit("/")[-1] for path, _ in physionet.asked] == ["SHA256SUMS.txt"]


def test_a_complete_database_needs_no_sums_and_a_part_of_one_is_filled_up(
    tmp_path: Path, physionet: type[PhysioNet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """wfdb's own downloader leaves none."""
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    download.download("mitdb", tmp_path)
    (tmp_path / "mitdb" / "SHA256SUMS").unlink()
    physionet.asked.clear()
    assert require_data(["mitdb"]) == tmp_path
    assert physionet.asked == []
    (tmp_path / "mitdb" / "2.atr").unlink()
    require_data(["mitdb"])
    assert (tmp_path / "mitdb" / "2.atr").read_bytes() == physionet.files["2.atr"]
    (tmp_path / "mitdb" / "1.dat").write_bytes(b"spoilt")  # which the sums, there again, tell
    with pytest.raises(DataError, match=r"1\.dat is damaged"):
        require_data(["mitdb"])


def test_a_folder_that_cannot_be_written_is_named_with_the_reason(
    tmp_path: Path, physionet: type[PhysioNet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    (tmp_path / "mitdb").write_text("in the way")
    with pytest.raises(DataError) as refused:
        require_data(["mitdb"])
    assert str(refused.value).startswith(
        f"mitdb cannot be written to {tmp_path / 'mitdb'} (File exists); expected"
    )


def test_an_unknown_database_is_refused_before_another_is_fetched(
    tmp_path: Path, physionet: type[PhysioNet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    with pytest.raises(DataError, match="'nosuch' is no database"):
        require_data(["mitdb", "nosuch"])
    assert not physionet.asked
    assert not list(tmp_path.iterdir())


def test_a_broken_download_goes_on_where_it_stopped(
    tmp_path: Path, physionet: type[PhysioNet]
) -> None:
    physionet.breaks.add("1.dat")
    with pytest.raises(DataError, match="run again"):
        download.download("mitdb", tmp_path)
    download.download("mitdb", tmp_path)
    ranges = [given for path, given in physionet.asked if path.endswith("1.dat") and given]
    assert len(ranges) == 1
    assert int(ranges[0].removeprefix("bytes=").rstrip("-")) > 20_000
    verify(tmp_path / "mitdb")


def test_a_file_that_arrives_damaged_is_refused(tmp_path: Path, physionet: type[PhysioNet]) -> None:
    physionet.spoils.add("2.atr")
    with pytest.raises(DataError, match=r"2\.atr arrived damaged"):
        download.download("mitdb", tmp_path)
    assert not (tmp_path / "mitdb" / "2.atr").exists()
