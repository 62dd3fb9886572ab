"""Records from PhysioNet: what belongs to them, hashes, broken transfers, versions, mirrors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from physionet_server import PhysioNet, served

from runtime import RecordError
from runtime.cli.main import main
from runtime.records import read
from runtime.records.physionet import download, parse_sums

pytestmark = pytest.mark.needs("requests", "wfdb")


@pytest.fixture
def server(
    tmp_path: Path,
    signal: np.ndarray,
    write_wfdb: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[type[PhysioNet]]:
    """Records 100 and 1001, each of header, samples and annotations, and one of two segments."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("100", "1001"):
        write_wfdb(source, name, {"MLII": (signal, "mV")})
        (source / f"{name}.atr").write_bytes(b"\0\0")
    (source / "both.hea").write_text("both/2 1 250 10000\n100 5000\n1001 5000\n")
    files = {path.name: path.read_bytes() for path in source.iterdir()}
    with served("/files/mitdb/1.0.0", files) as (address, handler):
        monkeypatch.setenv("EKG_PHYSIONET", f"{address}/files")
        yield handler


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_record_comes_with_all_its_files_and_no_others(
    tmp_path: Path, server: type[PhysioNet], signal: np.ndarray
) -> None:
    assert main(["download", "mitdb/100", "--out", str(tmp_path / "data")]) == 0
    folder = tmp_path / "data" / "mitdb"
    assert names(folder) == ["100.atr", "100.dat", "100.hea"]
    np.testing.assert_allclose(read(folder / "100").signal, signal, atol=1e-3)
    server.asked.clear()
    download("mitdb/100", tmp_path / "data")
    assert not [path for path, _ in server.asked if "/mitdb/1.0.0/100" in path]


def test_record_of_segments_comes_with_them(tmp_path: Path, server: type[PhysioNet]) -> None:
    download("mitdb/both", tmp_path)
    assert len(read(tmp_path / "mitdb" / "both").signal) == 10_000
    assert "1001.dat" in names(tmp_path / "mitdb")


def test_whole_database_is_fetched_and_progress_told(
    tmp_path: Path, server: type[PhysioNet]
) -> None:
    came: list[int] = []
    files = download("mitdb", tmp_path, progress=came.append)
    assert len(files) == 7
    assert sum(came) == sum(path.stat().st_size for path in files)


def test_transfer_that_broke_off_goes_on(tmp_path: Path, server: type[PhysioNet]) -> None:
    server.files["100.dat"] += bytes(60_000)
    server.breaks.add("100.dat")
    with pytest.raises(RecordError, match=r"could not be downloaded .* run again"):
        download("mitdb/100", tmp_path)
    assert (tmp_path / "mitdb" / "100.dat.part").stat().st_size > 20_000
    server.files["100.dat"] = server.files["100.dat"][:-60_000]
    (tmp_path / "mitdb" / "100.dat.part").write_bytes(server.files["100.dat"][:5000])
    server.asked.clear()
    download("mitdb/100", tmp_path)
    assert ("/files/mitdb/1.0.0/100.dat", "bytes=5000-") in server.asked


def test_file_that_arrives_damaged_is_refused(
    tmp_path: Path, server: type[PhysioNet], capsys: pytest.CaptureFixture[str]
) -> None:
    server.spoils.add("100.dat")
    asked = ["download", "mitdb/100", "mitdb/1001", "--out", str(tmp_path)]
    assert main(asked) == 2
    told = capsys.readouterr()
    assert "100.dat arrived damaged (its SHA-256 is not the one in SHA256SUMS.txt)" in told.err
    assert "mitdb/1001: 3 files" in told.out, "the others are still fetched"


def test_latest_version_is_that_of_the_page_and_another_may_be_named(
    tmp_path: Path, server: type[PhysioNet]
) -> None:
    server.prefix = "/files/mitdb/1.2.3"
    server.pages = {"/content/mitdb/": b"<p>Version: 1.2.3</p>"}
    download("mitdb/100", tmp_path)
    assert (tmp_path / "mitdb" / "100.dat").is_file()
    with pytest.raises(RecordError, match=r"mitdb/1\.0\.0 does not exist"):
        download("mitdb/1.0.0/100", tmp_path)


@pytest.mark.parametrize("what", ["mitdb/999", "mitdb/10"])
def test_record_that_is_not_there_is_named(
    tmp_path: Path, server: type[PhysioNet], what: str
) -> None:
    with pytest.raises(RecordError, match=r"mitdb 1\.0\.0 has no record '.*'; .*RECORDS"):
        download(what, tmp_path)


def test_server_that_is_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKG_PHYSIONET", "http://127.0.0.1:9/files")
    with pytest.raises(RecordError, match=r"could not be downloaded from http://127\.0\.0\.1:9"):
        download("mitdb/100", tmp_path)
    assert not (tmp_path / "mitdb").exists()


def test_names_that_lead_out_of_the_folder_are_left_out() -> None:
    sums = parse_sums("aa ../x.hea\nbb /etc/x\ncc ./a/100.hea\ndd *101.hea\n\nnoname\n")
    assert sums == {"a/100.hea": "cc", "101.hea": "dd"}
