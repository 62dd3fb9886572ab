"""Data: counts, splits, resampling, download and damage."""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import wfdb

from training import fit_rhythm, io

ENDINGS = (".hea", ".dat", ".atr")


def test_beats_of_both_sets_are_the_ones_every_paper_counts(data: Path) -> None:
    ds1, ds2 = (io.class_counts(io.load("mitdb", name, data) for name in names)
                for names in (io.DS1, io.DS2))
    assert ds1.tolist() == [45_866, 944, 3_788, 415, 8]
    assert ds2.tolist() == [44_259, 1_837, 3_221, 388, 7]


def test_no_patient_is_in_both_sets() -> None:
    assert len(io.DS1) == len(io.DS2) == 22
    assert not set(io.DS1) & set(io.DS2)
    assert not (set(io.DS1) | set(io.DS2)) & set(io.PACED)


def test_mlii_comes_first_wherever_it_was_recorded_second(data: Path) -> None:
    assert io.load("mitdb", "114", data).leads == ("MLII", "V5")


def test_svdb_is_resampled_with_its_beats(data: Path) -> None:
    record = io.load("svdb", "800", data)
    assert record.seconds == pytest.approx(1800, abs=1)
    # At a beat the signal moves; half a beat later it does not.
    slope = np.abs(np.gradient(record.signal[0]))
    near = [slope[b - 15 : b + 16].max() for b in record.beats[5:200]]
    between = (record.beats[5:200] + record.beats[6:201]) // 2
    away = [slope[b - 15 : b + 16].max() for b in between]
    assert np.median(near) > 3 * np.median(away)


def test_folds_split_patients_and_share_out_rare_beats() -> None:
    records = io.simulated_records(12, seconds=60)
    folds = io.folds(records, 4)
    assert sorted(r.name for fold in folds for r in fold) == [r.name for r in records]
    assert [len(fold) for fold in folds] == [3, 3, 3, 3]
    rare = [sum(int((r.labels == 1).sum()) for r in fold) for fold in folds]
    assert max(rare) - min(rare) <= max(1, sum(rare) // 4)


def test_windows_carry_their_rarest_beat() -> None:
    signal = np.zeros((1, 4 * io.FS), dtype=np.float32)
    record = io.Record("x", "made up", ("I",), signal, np.array([10, 100, 400, 1100]),
                       np.array([0, 2, 0, 1], dtype=np.int8), np.zeros((0, 2), dtype=np.int64))
    windows, labels = io.windows(record)
    assert windows.shape == (4, io.FS)
    assert labels.tolist() == [2, 0, -1, 1]


def test_missing_data_is_explained_with_three_remedies(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    monkeypatch.setenv("EKG_PHYSIONET", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(io.DataError, match=r"EKG_DATA .* data/mitdb/.* network"):
        io.require_data(["mitdb"])


def test_a_download_that_finds_no_server_leaves_no_folder(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty data/mitdb would be taken for data ever after."""
    monkeypatch.delenv("EKG_DATA", raising=False)
    monkeypatch.setenv("EKG_PHYSIONET", "http://127.0.0.1:9")
    root = tmp_path / "project"
    monkeypatch.setattr(io, "__file__", str(root / "training" / "io.py"))
    with pytest.raises(io.DataError, match="could not be downloaded"):
        io.require_data(["mitdb"])
    assert not root.exists()
    assert io.data_folder() is None


def test_a_folder_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKG_DATA", "/nowhere/at/all")
    with pytest.raises(io.DataError, match="EKG_DATA names /nowhere/at/all"):
        io.data_folder()


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, harm: str) -> None:
    (tmp_path / "1.dat").write_bytes(b"signal")
    (tmp_path / "SHA256SUMS").write_text(hashlib.sha256(b"signal").hexdigest() + "  1.dat\n")
    io.verify(tmp_path)
    if harm == "missing":
        (tmp_path / "1.dat").unlink()
    else:
        (tmp_path / "1.dat").write_bytes(b"sigmal")
    with pytest.raises(io.DataError, match=rf"1\.dat is {harm}"):
        io.verify(tmp_path)


def test_an_unreadable_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    (tmp_path / "mitdb" / "1.hea").write_text("this is no header")
    with pytest.raises(io.DataError, match="cannot be read as a WFDB record"):
        io.load("mitdb", "1", tmp_path)


BRACKETS = {
    "closed": ([(100, "["), (200, "]"), (300, "["), (400, "]")], [(100, 200), (300, 400)]),
    "open": ([(100, "["), (200, "]"), (300, "[")], [(100, 200), (300, 1000)]),
    "end first": ([(50, "]"), (80, "N"), (100, "["), (200, "]")], [(100, 200)]),
    "end first, open": ([(50, "]"), (100, "[")], [(100, 1000)]),
    "begun twice": ([(100, "["), (150, "["), (200, "]"), (250, "]"), (300, "N")], [(100, 200)]),
    "none": ([(100, "N")], [])}


@pytest.mark.parametrize(("marks", "episodes"), BRACKETS.values(), ids=BRACKETS)
def test_fibrillation_lasts_to_its_end_mark_or_the_records_end(
        marks: list[tuple[int, str]], episodes: list[tuple[int, int]], tmp_path: Path) -> None:
    (tmp_path / "cudb").mkdir()
    (tmp_path / "cudb" / "x.hea").write_text("x 1 360 1000\nx.dat 16 200 16 0 0 0 0 II\n")
    (tmp_path / "cudb" / "x.dat").write_bytes(bytes(2000))
    samples, symbols = zip(*marks, strict=True)
    wfdb.wrann("x", "atr", np.array(samples), symbol=list(symbols),
               write_dir=str(tmp_path / "cudb"))
    found = io.load("cudb", "x", tmp_path).flutter
    assert found.shape == (len(episodes), 2)
    assert found.tolist() == [list(episode) for episode in episodes]


def test_both_readers_of_fibrillation_agree(data: Path) -> None:
    """Of cudb's records these eight end in fibrillation that has no end mark."""
    for name in ("cu15", "cu19", "cu20", "cu28", "cu29", "cu30", "cu31", "cu35"):
        record = io.load("cudb", name, data)
        spans = fit_rhythm.fibrillation(data, "cudb", name)
        assert record.flutter.shape == spans.shape
        np.testing.assert_allclose(record.flutter / io.FS, spans, atol=1 / io.FS)


class _PhysioNet(BaseHTTPRequestHandler):
    """PhysioNet's layout; knows ranges, and can break off or spoil a file."""

    files: dict[str, bytes]
    asked: list[tuple[str, str | None]]
    breaks: set[str]
    spoils: set[str]

    def do_GET(self) -> None:
        asked_range = self.headers.get("Range")
        self.asked.append((self.path, asked_range))
        prefix, name = self.path.rsplit("/", 1)
        body = self.files.get(name)
        if prefix != f"/files/mitdb/{io.VERSION}" or body is None:
            self.send_error(404)
            return
        start = int(asked_range[6:-1]) if asked_range else 0
        if name in self.spoils:
            body = body[:-1] + b"?"
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + (len(body) - start) // 2 if name in self.breaks else len(body)
        self.wfile.write(body[start:end])
        self.breaks.discard(name)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def physionet(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_PhysioNet]]:
    monkeypatch.setattr(io, "RECORDS", {"mitdb": ("1", "2")})
    rng = np.random.default_rng(0)
    files = {name + ending: rng.bytes(50_000) for name in "12" for ending in ENDINGS}
    sums = "".join(f"{hashlib.sha256(body).hexdigest()} {name}\n" for name, body in files.items())
    handler = type("Handler", (_PhysioNet,), {
        "files": files | {"SHA256SUMS.txt": sums.encode()}, "asked": [], "breaks": set(),
        "spoils": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("EKG_PHYSIONET", f"http://127.0.0.1:{server.server_port}/files")
    yield handler
    server.shutdown()
    server.server_close()


def test_download_fetches_checks_and_is_not_repeated(
        tmp_path: Path, physionet: type[_PhysioNet]) -> None:
    io.download("mitdb", tmp_path)
    io.verify(tmp_path / "mitdb")
    for name, body in physionet.files.items():
        if name != "SHA256SUMS.txt":
            assert (tmp_path / "mitdb" / name).read_bytes() == body
    physionet.asked.clear()
    io.download("mitdb", tmp_path)
    assert [path.rsplit("/")[-1] for path, _ in physionet.asked] == ["SHA256SUMS.txt"]


def test_a_complete_database_needs_no_sums_and_a_part_of_one_is_filled_up(
        tmp_path: Path, physionet: type[_PhysioNet], monkeypatch: pytest.MonkeyPatch) -> None:
    """wfdb's own downloader leaves none."""
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    io.download("mitdb", tmp_path)
    (tmp_path / "mitdb" / "SHA256SUMS").unlink()
    physionet.asked.clear()
    assert io.require_data(["mitdb"]) == tmp_path
    assert physionet.asked == []
    (tmp_path / "mitdb" / "2.atr").unlink()
    io.require_data(["mitdb"])
    assert (tmp_path / "mitdb" / "2.atr").read_bytes() == physionet.files["2.atr"]
    (tmp_path / "mitdb" / "1.dat").write_bytes(b"spoilt")  # which the sums, there again, tell
    with pytest.raises(io.DataError, match=r"1\.dat is damaged"):
        io.require_data(["mitdb"])


def test_a_folder_that_cannot_be_written_is_named_with_the_reason(
        tmp_path: Path, physionet: type[_PhysioNet], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    (tmp_path / "mitdb").write_text("in the way")
    with pytest.raises(io.DataError) as refused:
        io.require_data(["mitdb"])
    assert str(refused.value).startswith(
        f"mitdb cannot be written to {tmp_path / 'mitdb'} (File exists); expected")


@pytest.mark.parametrize("command", [
    "training.train", "training.evaluate", "training.evaluate_rhythm", "bench.noise",
    "bench.detectors", "training.seeds no_run", "bench.ablation no_run"])
def test_results_that_could_not_be_written_are_not_measured(
        command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    module, *runs = command.split()
    with pytest.raises(SystemExit) as left:
        importlib.import_module(module).main([*runs, "--out", str(tmp_path / "file/a/b.json")])
    assert left.value.code == 2
    assert "cannot be made or written (Not a directory)" in capsys.readouterr().err


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    io.require_writable(tmp_path / "a" / "b")
    io.require_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_database_is_refused_before_another_is_fetched(
        tmp_path: Path, physionet: type[_PhysioNet], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKG_DATA", str(tmp_path))
    with pytest.raises(io.DataError, match="'nosuch' is no database"):
        io.require_data(["mitdb", "nosuch"])
    assert not physionet.asked
    assert not list(tmp_path.iterdir())


def test_a_broken_download_goes_on_where_it_stopped(
        tmp_path: Path, physionet: type[_PhysioNet]) -> None:
    physionet.breaks.add("1.dat")
    with pytest.raises(io.DataError, match="run again"):
        io.download("mitdb", tmp_path)
    io.download("mitdb", tmp_path)
    ranges = [given for path, given in physionet.asked if path.endswith("1.dat") and given]
    assert len(ranges) == 1
    assert int(ranges[0].removeprefix("bytes=").rstrip("-")) > 20_000
    io.verify(tmp_path / "mitdb")


def test_a_file_that_arrives_damaged_is_refused(
        tmp_path: Path, physionet: type[_PhysioNet]) -> None:
    physionet.spoils.add("2.atr")
    with pytest.raises(io.DataError, match=r"2\.atr arrived damaged"):
        io.download("mitdb", tmp_path)
    assert not (tmp_path / "mitdb" / "2.atr").exists()
