"""Archives: each record once, as `ekg annotate` has it, and bad ones named."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import orjson
import pytest

pytest.importorskip("distributed", reason="no distributed (pip install distributed)")
pytest.importorskip("pyarrow", reason="no pyarrow (pip install pyarrow)")
pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")

import fsspec
import pyarrow.parquet as pq
import wfdb
from distributed import Client, LocalCluster

from runtime import Detector, RecordError
from runtime.cli.main import main as ekg
from runtime.model.artifacts import DEFAULT_ARTIFACTS
from runtime.simulate import simulate
from scale.archive import places, run, task
from scale.archive.tables import write_beats, write_records
from scale.model import model_name

FS = 250


def table(path: Path, seed: int, seconds: float = 12.0) -> Path:
    """A record as a table of numbers."""
    signal = simulate(seconds, fs=FS, seed=seed, ectopic=0.3).signal
    np.savetxt(
        path,
        np.column_stack([np.arange(len(signal)) / FS, signal]),
        "%.5f",
        ",",
        header="time (s),ECG (mV)",
        comments="",
    )
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good records in two folders, and one that is none."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "ward").mkdir()
    for i, name in enumerate(("a.csv", "b.csv", "ward/c.csv")):
        table(folder / name, i)
    (folder / "bad.csv").write_text("nothing,of\nthe,kind\n")
    return folder


def job(source: object, out: object, detector: Detector, **more: object) -> task.Job:
    return task.Job(
        str(source),
        str(out),
        model_name(detector),
        str(DEFAULT_ARTIFACTS),
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def addresses() -> Iterator[tuple[str, str]]:
    """Those of a cluster's scheduler and of its dashboard."""
    with run.local_cluster(2) as both:
        yield both


@pytest.fixture(scope="module")
def cluster(addresses: tuple[str, str]) -> str:
    return addresses[0]


def test_an_archive_is_done_once(
    archive: Path, cluster: str, detector: Detector, tmp_path: Path
) -> None:
    sources = places.records(str(archive))
    assert [Path(source).name for source in sources] == ["a.csv", "b.csv", "bad.csv", "c.csv"]
    jobs = [job(source, tmp_path / "out", detector, beats=True) for source in sources]
    seen: list[task.Row] = []
    rows = run.annotate_all(jobs, cluster, done=seen.append)
    assert len(seen) == 4
    assert [row["source"] for row in rows] == sources
    good = [row for row in rows if "error" not in row]
    assert [row["name"] for row in good] == ["a", "b", "c"]
    assert all(row["new"] for row in good)
    assert "bad.csv" in rows[2]["error"]
    assert ekg(["annotate", *(s for s in sources if "bad" not in s), "--out", str(tmp_path)]) == 0
    for row in good:
        result = (tmp_path / "out" / f"{row['results']}.ekg").read_bytes()
        assert result == (tmp_path / f"{row['name']}.ekg").read_bytes()
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = run.annotate_all(jobs, cluster, done=seen.append)
    assert not any(row.get("new") for row in again)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == files


def test_a_killed_worker_leaves_its_records_to_the_others(
    archive: Path, cluster: str, detector: Detector, tmp_path: Path
) -> None:
    jobs = [
        job(archive / name, tmp_path / str(i), detector)
        for i in range(6)
        for name in ("a.csv", "ward/c.csv")
    ]
    with Client(cluster, set_as_default=False) as client:
        processes = list(client.run(os.getpid).values())

    def kill_one(row: task.Row) -> None:
        if processes:
            os.kill(processes.pop(), signal.SIGKILL)
            processes.clear()

    rows = run.annotate_all(jobs, cluster, done=kill_one)
    assert [row.get("name") for row in rows] == ["a", "c"] * 6
    assert len(list(tmp_path.glob("*/*.ekg"))) == 12


def test_no_scheduler_is_one_sentence(
    archive: Path, detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CONNECT_S", 0.5)
    jobs = [job(archive / "a.csv", tmp_path, detector)]
    with pytest.raises(run.SchedulerError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"):
        run.annotate_all(jobs, "tcp://127.0.0.1:9", done=lambda _: None, away_s=0.0)


def test_no_worker_is_one_sentence(archive: Path, detector: Detector, tmp_path: Path) -> None:
    jobs = [job(archive / "a.csv", tmp_path, detector)]
    with (
        LocalCluster(n_workers=0, dashboard_address=None) as empty,
        pytest.raises(run.SchedulerError, match=r"no worker started within 0\.1 s"),
    ):
        run.annotate_all(jobs, empty.scheduler_address, done=lambda _: None, start_s=0.1)


def test_the_dashboard_is_made_at_the_first_visit(addresses: tuple[str, str]) -> None:
    pytest.importorskip("bokeh", reason="no bokeh (pip install bokeh)")
    for _ in range(2):
        with urlopen(addresses[1]) as answer:
            assert (answer.status, answer.url) == (200, f"{addresses[1]}status")
            assert b"Dask" in answer.read()


def test_a_long_record_goes_on_where_it_broke_off(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = table(tmp_path / "long.csv", 5, seconds=400.0)
    whole = task.annotate(job(record, tmp_path / "whole", detector))
    cut = job(record, tmp_path / "cut", detector, cut_s=60.0)
    writes = []

    def broken(at: places.Place, name: str, content: bytes) -> None:
        if len(writes) == 3:
            raise RuntimeError("the process ends here")
        writes.append(name)
        places.write(at, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(task, "write", broken)
        with pytest.raises(RuntimeError):
            task.annotate(cut)
    assert [name.rpartition(".")[2] for name in writes] == ["part0000", "part0001", "part0002"]
    pushed: list[int] = []
    resume = detector.resume

    def counted(token: bytes):  # type: ignore[no-untyped-def]
        stream = resume(token)
        pushed.append(round(stream.seconds))
        return stream

    monkeypatch.setattr(Detector, "resume", lambda self, token: counted(token))
    row = task.annotate(cut)
    assert pushed == [60, 120, 180]
    assert row["beats"] == whole["beats"]
    assert row["events"] == whole["events"]
    a, b = (tmp_path / name / f"{whole['results']}.ekg" for name in ("whole", "cut"))
    assert a.read_bytes() == b.read_bytes()
    assert not list((tmp_path / "cut").glob("*.part*"))


def test_a_record_of_16_bits_is_read_as_codes(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    signal = simulate(130.0, fs=FS, seed=2, ectopic=0.3).signal.astype(np.float64)
    signal[9000:9300] = np.nan
    wfdb.wrsamp("r", FS, ["mV"], ["II"], signal[:, None], fmt=["16"], adc_gain=[200], baseline=[0])
    whole = task.annotate(job("r", "whole", detector))
    task.annotate(job("r", "cut", detector, cut_s=60.0))
    assert ekg(["annotate", "r", "--out", "."]) == 0
    expected = Path("r.ekg").read_bytes()
    for folder in ("whole", "cut"):
        assert Path(folder, f"{whole['results']}.ekg").read_bytes() == expected


def test_other_options_are_another_result(
    archive: Path, detector: Detector, tmp_path: Path
) -> None:
    names = {
        task.annotate(job(archive / "a.csv", tmp_path, detector, units=units))["results"]
        for units in (None, "mV")
    }
    assert len(names) == 2


def test_another_model_is_refused(archive: Path, detector: Detector, tmp_path: Path) -> None:
    other = task.Job(str(archive / "a.csv"), str(tmp_path), "0" * 16, str(DEFAULT_ARTIFACTS))
    assert "another model than the one asked for" in task.annotate(other)["error"]


def test_sources_and_results_on_another_file_system(
    archive: Path, detector: Detector, tmp_path: Path
) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/a.csv", (archive / "a.csv").read_bytes())
    assert places.records("memory://in") == ["memory:///in/a.csv"]
    row = task.annotate(job("memory:///in/a.csv", "memory://out", detector))
    here = task.annotate(job(archive / "a.csv", tmp_path, detector))
    assert row["results"] == here["results"]
    assert (
        memory.cat_file(f"/out/{row['results']}.ekg")
        == (tmp_path / f"{here['results']}.ekg").read_bytes()
    )
    assert not task.annotate(job("memory:///in/a.csv", "memory://out", detector))["new"]


def test_a_wfdb_record_is_fetched_with_its_files(
    data: Path, detector: Detector, tmp_path: Path
) -> None:
    memory = fsspec.filesystem("memory")
    for ending in ("hea", "dat", "atr"):
        memory.pipe_file(f"/db/100.{ending}", (data / f"mitdb/100.{ending}").read_bytes())
    assert places.records("memory://db") == ["memory:///db/100"]
    with places.fetched("memory:///db/100") as path:
        assert sorted(file.name for file in path.parent.iterdir()) == ["100.dat", "100.hea"]
        assert places.content_hash(path) == places.content_hash(data / "mitdb/100")


def test_segments_of_a_record_are_no_records(tmp_path: Path) -> None:
    (tmp_path / "long.hea").write_text("long/2 1 250 1000\npart1 500\npart2 500\n")
    for name in ("part1", "part2", "single"):
        (tmp_path / f"{name}.hea").write_text(f"{name} 1 250 500\n{name}.dat 16 200 16 0 0 0 0 I\n")
    assert [Path(one).name for one in places.records(str(tmp_path))] == ["long", "single"]


def test_tables_of_the_archive(archive: Path, detector: Detector, tmp_path: Path) -> None:
    rows = [
        task.annotate(job(archive / name, tmp_path, detector, beats=True))
        for name in ("a.csv", "ward/c.csv")
    ]
    out = places.place(str(tmp_path))
    write_records(out, rows)
    write_beats(out, rows)
    records = pq.read_table(tmp_path / "records.parquet").to_pylist()
    assert [row["name"] for row in records] == ["a", "c"]
    beats = pq.read_table(tmp_path / "beats.parquet").to_pylist()
    assert len(beats) == sum(row["beats_N"] + row["beats_S"] + row["beats_V"] for row in records)
    assert {beat["record"] for beat in beats} == {"a", "c"}
    assert beats[0]["time"] == pytest.approx(beats[0]["sample"] / FS, abs=1 / FS)


def test_a_result_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    out = places.place(str(tmp_path / "new"))
    places.write(out, "a.json", b"one")
    places.write(out, "a.json", b"two")
    assert places.read_file(out, "a.json") == b"two"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]
    assert places.read_file(out, "b.json") is None
    shutil.rmtree(tmp_path / "new")
    (tmp_path / "new").write_text("a file")
    with pytest.raises(RecordError, match="cannot be written"):
        places.write(out, "a.json", b"three")


def test_the_command_names_bad_records(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["archive", str(archive), "no/such", "--out", str(tmp_path), "--workers", "1"]
    assert ekg(arguments, commands="scale.cli") == 2
    printed = capsys.readouterr()
    assert f"3 records in {tmp_path}, 3 of them new; 2 failed." in printed.out
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "dashboard: http://127.0.0.1:" in printed.err
    row = orjson.loads(next(tmp_path.glob("a.*.json")).read_bytes())
    assert row["quality"]["ok"] in (True, False)
