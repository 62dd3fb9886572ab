"""``python -m runtime``: what the commands print, write and refuse."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import runtime
from runtime import Detector
from runtime.cli.main import _follow, main
from runtime.findings import Record
from runtime.model import providers
from runtime.records import read
from runtime.server.wire import result_fields
from runtime.simulate import simulate


@pytest.fixture
def csv_record(tmp_path: Path) -> Path:
    signal = simulate(30, seed=1).signal
    (tmp_path / "sim.csv").write_text("MLII\n" + "\n".join(f"{v:.5f}" for v in signal))
    return tmp_path / "sim.csv"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(a) for a in ("--provider", "cpu", *arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


ROOT = Path(runtime.__file__).parent.parent
# A provider that no installed ONNX Runtime has together with the others.
ABSENT = "cuda" if "coreml" in providers.compiled_in() else "coreml"


def command(*arguments: object, stdout: int = subprocess.PIPE,
            environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "runtime", "--provider", "cpu", *map(str, arguments)],
        stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | (environment or {}))


def test_predict_prints_one_json_object(
        csv_record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "predict", csv_record, "--fs", 360, "--start", 2, "--seconds", 5)
    answer = json.loads(out)
    assert status == 0
    assert answer["provider"] == "cpu"
    assert len(answer["beats"]) >= 4


def test_predict_follows_the_rhythm_as_the_server_does(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], detector: Detector) -> None:
    slow = simulate(20, seed=1, heart_rate=40, ectopic=0.0).signal
    (tmp_path / "slow.csv").write_text("\n".join(f"{v:.6f}" for v in slow))
    _, out, _ = run(capsys, "predict", tmp_path / "slow.csv", "--fs", 360)
    signal = read(tmp_path / "slow.csv", fs=360).signal
    answer, found = json.loads(out), detector.predict(signal, 360, events=True)
    assert [event["kind"] for event in answer["events"]] == ["bradycardia"]
    assert answer == {**answer, **result_fields(found)}  # type: ignore[arg-type]


def test_annotate_writes_what_predict_finds(
        csv_record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        detector: Detector) -> None:
    import wfdb

    status, out, _ = run(capsys, "annotate", csv_record, "--fs", 360, "--out", tmp_path / "o",
                         "--csv")
    assert status == 0
    assert "sim.ekg: lead MLII" in out
    recording = read(csv_record, fs=360)
    expected = detector.predict(recording.signal, 360).beats  # type: ignore[union-attr]
    marks = wfdb.rdann(str(tmp_path / "o" / "sim"), "ekg")
    assert marks.sample.tolist() == [round(b.time * 360) for b in expected]
    assert marks.symbol == [b.label for b in expected]
    assert len((tmp_path / "o" / "sim.ekg.csv").read_text().splitlines()) == len(expected) + 1


def test_a_record_that_fails_is_named_and_keeps_no_other_from_its_turn(
        csv_record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = csv_record.with_name("slow.csv")
    slow.write_text("time,I\n" + "\n".join(f"{i},0" for i in range(100)))
    for command, result in (("annotate", "sim.ekg"), ("report", "sim.html")):
        csv_record.write_text("time,MLII\n" + "\n".join(
            f"{i / 360:.6f},{v:.5f}" for i, v in enumerate(simulate(10, seed=1).signal)))
        status, out, err = run(capsys, command, slow, csv_record, "--out", csv_record.parent)
        assert (status, len(out.splitlines())) == (2, 1)
        assert result in out
        assert err == f"error: {slow}: fs is 1 Hz; expected a sampling rate from 100 to 1000 Hz.\n"


def test_a_reader_that_has_read_enough_keeps_no_record_from_its_turn(csv_record: Path) -> None:
    names = [csv_record.with_name(f"r{i}.csv") for i in range(3)]
    for name in names:
        name.write_text(csv_record.read_text())
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = command("annotate", *names, "--fs", 360, "--out", csv_record.parent, stdout=write_end)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name.with_suffix(".ekg").is_file() for name in names)


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_output_is_no_error_of_the_work(csv_record: Path, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m runtime --provider cpu annotate "$1" --fs 360 --out "$2" {closed}',
         sys.executable, csv_record, csv_record.parent], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert csv_record.with_suffix(".ekg").is_file()


def test_a_name_that_the_output_cannot_spell_ends_no_work(csv_record: Path) -> None:
    strange = csv_record.with_name("☃.csv")
    strange.write_text(csv_record.read_text())
    done = command("annotate", strange, csv_record, "--fs", 360, "--out", csv_record.parent,
                   environment={"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


def test_a_table_of_beats_replaces_no_recording(csv_record: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    other = csv_record.with_name("sim.ekg.csv")
    other.write_text(csv_record.read_text())
    status, _, err = run(capsys, "annotate", csv_record, other, "--fs", 360, "--csv", "--out",
                         csv_record.parent)
    assert status == 2
    assert "sim.ekg.csv is part of a recording and would be replaced" in err
    assert other.read_text() == csv_record.read_text()


def test_marks_of_an_odd_rate_lie_on_its_samples(detector: Detector) -> None:
    """A stream takes the nearest ratio; over a day that is 0.4 s at this rate."""
    signal, fs = simulate(60, fs=100, seed=1, heart_rate=40).signal.astype(float), 100.00049
    assert detector.stream(fs).fs == 100
    at, odd = (_follow(detector, Record("x", "I", rate, signal, 0.0)) for rate in (100.0, fs))
    assert [beat.time * fs for beat in odd[0]] == pytest.approx(
        [beat.time * 100 for beat in at[0]], abs=1e-6)
    assert [event.start * fs for event in odd[1]] == pytest.approx(
        [event.start * 100 for event in at[1]], abs=1e-6)
    assert odd[1]


@pytest.mark.parametrize(("arguments", "status"), [
    (("doctor",), 0), (("predict", "x.csv", "--fs", "360"), 0)])
def test_a_reader_who_has_enough_is_no_error(csv_record: Path, arguments: tuple[str, ...],
                                             status: int) -> None:
    csv_record.rename(csv_record.with_name("x.csv"))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | {
        "PYTHONPATH": str(Path(runtime.__file__).parents[1])}
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run([sys.executable, "-m", "runtime", *arguments], stdout=write_end,
                          stderr=subprocess.PIPE, text=True, env=environment,
                          cwd=csv_record.parent)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (status, "")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "runtime", *arguments], stdout=full,
                              stderr=subprocess.PIPE, text=True, env=environment,
                              cwd=csv_record.parent)
    assert done.returncode == 2
    assert done.stderr == ("error: standard output cannot be written or read (No space left on "
                           "device).\n")


def test_annotate_gives_the_figures_of_evaluate(
        data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], detector: Detector
        ) -> None:
    import wfdb

    from runtime.findings import CLASSES
    from training.detect import find
    from training.recordings import load
    from training.scores import score_record

    assert run(capsys, "annotate", data / "mitdb" / "228", "--out", tmp_path)[0] == 0
    marks = wfdb.rdann(str(tmp_path / "228"), "ekg")
    record = load("mitdb", "228", data)
    beats, labels = find(detector, record)
    is_beat = [symbol in CLASSES for symbol in marks.symbol]  # rhythm marks stand between them
    written = score_record(record, marks.sample[is_beat], np.array(
        [CLASSES.index(symbol) for symbol in marks.symbol if symbol in CLASSES]))
    np.testing.assert_array_equal(written.confusion,
                                  score_record(record, beats, labels).confusion)


def test_stream_prints_beats_of_standard_input(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join(f"{v:.5f}" for v in simulate(10, seed=2).signal)
    monkeypatch.setattr("sys.stdin", io.StringIO(lines + "\n\n"))
    status, out, _ = run(capsys, "stream", "-", "--fs", 360)
    assert status == 0
    assert len(out.splitlines()) >= 10


def test_stream_names_the_line_that_is_no_number(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("0.1\nlead off\n"))
    status, _, err = run(capsys, "stream", "-", "--fs", 360)
    assert status == 2
    assert "line 2 of standard input is 'lead off'" in err


def test_stream_names_the_line_that_is_no_text(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    feed = io.BytesIO(b"0.1\n\xff\xfe0.2\n")  # as a serial device may begin
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(feed, "utf-8", errors="strict"))
    status, _, err = run(capsys, "stream", "-", "--fs", 360)
    assert status == 2
    assert "line 2 of standard input is" in err


def test_stream_holds_samples_that_are_missing_and_says_so_once(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [f"{v:.5f}" for v in simulate(10, seed=2).signal]
    gaps = whole.copy()
    for at, word in ((0, "nan"), (1000, "inf"), (1001, "-1e999")):
        gaps[at], whole[at] = word, whole[at - 1] if at else "0"
    whole[1001] = whole[1000]
    printed = []
    for lines in (gaps, whole):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
        printed.append(run(capsys, "stream", "-", "--fs", 360))
    assert printed[0][:2] == printed[1][:2]
    assert printed[0][0] == 0
    assert printed[0][2].splitlines() == [
        "warning: line 1 of standard input is 'nan'; such a sample is missing, and held at the "
        "value before."]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(["0.1"] * 400 + ["1001"])))
    status, _, err = run(capsys, "stream", "-", "--fs", 360)
    assert status == 2
    assert "are the units right?" in err


def test_simulated_signal_says_so(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[str, object] = {}
    monkeypatch.setattr("runtime.server.feed.show", lambda *_, **given: shown.update(given))
    monkeypatch.setattr("runtime.client.simulate", lambda _, fs: simulate(10, fs=fs))
    for arguments in ((), ("--page", 0)):
        status, _, err = run(capsys, "stream", *arguments)
        assert status == 0
        assert err.startswith("this is a simulated patient")
    assert shown["name"] == "Simulated patient"


@pytest.fixture
def nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    for way in ("os.execve", "subprocess.Popen", "runtime.server.feed.make_server"):
        monkeypatch.setattr(way, lambda *_, **__: pytest.fail("it was served"))


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize("fs", [5, "nan", "inf", "1e18"])
@pytest.mark.parametrize("where", [("--page", 0), ("--url", "http://127.0.0.1:9"), ()])
def test_a_feed_of_a_rate_that_no_stream_takes_is_not_read(
        fs: object, where: tuple[object, ...], capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no number\n"))
    status, out, err = run(capsys, "stream", "-", "--fs", fs, *where, *(
        ("--patience", 0) if "--url" in where else ()))
    assert (status, out) == (2, "")
    assert "expected a sampling rate from 100 to 1000 Hz" in err


@pytest.mark.usefixtures("nothing_is_served")
def test_a_record_of_such_a_rate_gets_no_page(
        csv_record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "stream", csv_record, "--fs", 50, "--page", 0)
    assert status == 2
    assert "fs is 50 Hz" in err


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("EKG_LOG", "loud", "EKG_LOG is 'loud'; expected one of debug, info, warning, error."),
    *(("EKG_DRAIN", value, f"EKG_DRAIN is '{value}'; expected seconds, 0 to 3600.")
      for value in ("abc", "", "nan", "-1", "1e9"))])
def test_serve_names_a_setting_that_is_wrong(
        name: str, value: str, sentence: str, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert run(capsys, "serve", "--port", 0) == (2, "", f"error: {sentence}\n")


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize("token", ["s3 cret", "s3cret€", "\n"])
def test_a_token_that_no_header_carries_is_refused_unquoted(
        command: str, token: str, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKG_TOKEN", token)
    status, out, err = run(capsys, command, *(("--port", 0) if command == "serve" else ()))
    assert (status, out) == (2, "")
    assert err.startswith("error: the bearer token ")
    assert len(err.splitlines()) == 1
    assert "s3" not in err


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize("arguments", [
    *(("--seconds", value) for value in ("nan", "inf", "1e18", "0", "-1")), ("--seed", "-1")])
def test_the_demo_refuses_before_it_serves(
        arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "demo", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {arguments[0]} is ")


@pytest.mark.usefixtures("nothing_is_served")
def test_the_demo_feeds_no_server_of_somebody_else(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, out, err = run(capsys, "demo", "--port", port)
    assert (status, out) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}" in err


def test_doctor_tells_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    assert "golden answer" in out


@pytest.mark.parametrize("arguments", [
    ("predict", "/nowhere/100"),
    ("annotate", "/nowhere/100"),
    ("stream", "--url", "http://127.0.0.1:9", "--page", "8000"),
    ("stream", "--pace", "fast", "--page", "8000"),
    ("annotate", "x.csv", "--fs", "360", "--out", "x.csv"),
    ("annotate", "x.csv", "x.csv", "--fs", "360"),
    ("report", "x.csv", "x.csv", "--fs", "360"),
    ("predict", "x.csv", "--fs", "360", "--start", "nan"),
    ("predict", "x.csv", "--fs", "360", "--start", "1e308"),
    ("stream", "-"),
    ("stream", "x.csv", "--fs", "360", "--units", "uV"),
    *(("stream", "--fs", rate) for rate in ("nan", "inf", "1e18", "0")),
    ("--artifacts", "/nowhere", "predict", "x.csv"),
    ("--artifacts", "/nowhere", "serve"),
    ("--provider", ABSENT, "predict", "x.csv", "--fs", "360"),
    ("serve", "--host", "203.0.113.1"),
    ("serve", "--port", "70000"),
])
def test_errors_are_one_sentence_and_status_2(
        arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("\n".join(["0.0"] * 400))
    assert main(list(arguments)) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
