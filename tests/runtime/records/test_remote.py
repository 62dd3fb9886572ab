"""Recordings at URLs: one file or several, what is missing, and what fsspec lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from physionet_server import served

from bench.sample_files import WRITERS, recording
from runtime import MissingPackageError, RecordError
from runtime.cli.main import main
from runtime.records import read, remote
from runtime.records.signals import read_recording

fsspec = pytest.importorskip("fsspec", reason="no fsspec (pip install fsspec)")


@pytest.fixture
def memory() -> Iterator[Any]:
    """Fsspec's files in memory, which stand for those of an object store."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def put(memory: Any, folder: Path) -> None:
    for path in folder.iterdir():
        memory.pipe_file(f"/bucket/{path.name}", path.read_bytes())


@pytest.mark.needs("wfdb", "edfio", "pyarrow", "pydicom", "scipy", "ecgdatakit")
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_read_from_a_store(tmp_path: Path, memory: Any, name: str) -> None:
    path = WRITERS[name](tmp_path, recording())
    put(memory, tmp_path)
    here, there = read(path), read(f"memory://bucket/{path.name}")
    assert (there.name, there.lead, there.fs) == (here.name, here.lead, here.fs)
    np.testing.assert_array_equal(there.signal, here.signal)


@pytest.mark.needs("wfdb")
def test_wfdb_record_may_be_named_by_itself_or_any_file(tmp_path: Path, memory: Any) -> None:
    path = WRITERS["WFDB"](tmp_path, recording())
    put(memory, tmp_path)
    expected = read(path).signal
    for name in ("rec", "rec.hea", "rec.dat"):
        np.testing.assert_array_equal(read(f"memory://bucket/{name}").signal, expected)


@pytest.mark.needs("aiohttp", "wfdb")
def test_https_is_read_and_missing_files_are_named(tmp_path: Path) -> None:
    path = WRITERS["WFDB"](tmp_path, recording())
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with served("/data", files) as (address, _):
        found = read(f"{address}/data/rec")
        np.testing.assert_array_equal(found.signal, read(path).signal)
        with pytest.raises(RecordError, match=rf"{address}/data/other\.csv does not exist"):
            read(f"{address}/data/other.csv")


def test_errors_name_the_url_and_nothing_is_left_behind(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote.tempfile, "tempdir", str(tmp_path))
    memory.pipe_file("/bucket/x.csv", b"no numbers here")
    with pytest.raises(RecordError, match=r"^memory://bucket/x\.csv is not a table of numbers"):
        read("memory://bucket/x.csv")
    with pytest.raises(RecordError, match=r"memory://bucket/none does not exist"):
        read("memory://bucket/none")
    assert not list(tmp_path.iterdir())


def test_kind_of_url_without_its_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(MissingPackageError, match=r"s3://b/x\.edf cannot be read: Install s3fs"):
        read("s3://b/x.edf")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give an S3 bucket of a server on this machine, as boto3 has it."""
    moto = pytest.importorskip("moto.server", reason="no moto (pip install 'moto[server]')")
    pytest.importorskip("s3fs", reason="no s3fs (pip install s3fs)")
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "made-up"),
        ("AWS_SECRET_ACCESS_KEY", "made-up"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", address),
        ("AWS_ENDPOINT_URL_S3", address),
    ):
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    bucket = boto3.resource("s3").Bucket("recordings")
    bucket.create()
    try:
        yield bucket
    finally:
        server.stop()
        fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.slow
@pytest.mark.needs("wfdb", "edfio")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of botocore and moto
def test_recordings_in_s3_are_read_and_annotated(
    tmp_path: Path, bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("WFDB", "EDF", "CSV"):
        folder = tmp_path / name
        folder.mkdir()
        path = WRITERS[name](folder, recording(gap=True))
        for file in folder.iterdir():
            bucket.upload_file(str(file), f"ward 3/{name}/{file.name}")
        url = f"s3://recordings/ward 3/{name}/{path.name}"
        here, there = read(path), read(url)
        assert (there.name, there.lead, there.fs) == (here.name, here.lead, here.fs)
        np.testing.assert_array_equal(there.signal, here.signal)
    assert main(["--provider", "cpu", "annotate", url, "--csv", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "rec.ekg.csv").read_text().count("\n") > 10
    with pytest.raises(RecordError, match=r"^s3://recordings/none\.csv does not exist"):
        read("s3://recordings/none.csv")
    with pytest.raises(RecordError, match=r"^s3://other/x\.csv (does not exist|cannot be fetched)"):
        read("s3://other/x.csv")
    bucket.put_object(Key="bad.csv", Body=b"no numbers here")
    with pytest.raises(RecordError, match=r"^s3://recordings/bad\.csv is not a table of numbers"):
        read("s3://recordings/bad.csv")


def test_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(RecordError, match=r"nosuch://b/x\.edf cannot be fetched"):
        read("nosuch://b/x.edf")


def test_url_is_converted_and_annotated(
    tmp_path: Path, memory: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    WRITERS["CSV"](tmp_path, recording(gap=True))
    put(memory, tmp_path)
    assert main(["convert", "memory://bucket/rec.csv", str(tmp_path / "x.npz")]) == 0
    assert read_recording(tmp_path / "x.npz").signals[0].gaps == [(3600, 4500)]
    pytest.importorskip("wfdb")
    asked = ["--provider", "cpu", "annotate", "memory://bucket/rec.csv", "--out", str(tmp_path)]
    assert main(asked) == 0
    assert (tmp_path / "rec.ekg").is_file()
