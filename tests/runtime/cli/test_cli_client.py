"""The commands that ask a server: `client`, and `stream --url`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_servers import FINE, answers, free_port, hangs_up, scripted, serving

from runtime import Detector
from runtime.cli.main import main as command
from runtime.server.app import create_app
from runtime.simulate import simulate

FS = 360
SIGNAL = simulate(10, seed=8).signal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client's waits pass at once, on a clock of their own."""
    now = [0.0]
    monkeypatch.setattr("runtime.client.time.monotonic", lambda: now[0])
    monkeypatch.setattr("runtime.client.time.sleep", lambda s: now.__setitem__(0, now[0] + s))
    return now


@pytest.fixture(scope="module")
def url(detector: Detector) -> Iterator[str]:
    with serving(create_app(detector)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    (tmp_path / "sim.csv").write_text("MLII\n" + "\n".join(f"{v:.5f}" for v in SIGNAL))
    return tmp_path / "sim.csv"


@pytest.mark.parametrize("bearer", ["s3\ncret", "s3 cret", "s3cret€", "s3cr\xe9t", "\n"])
def test_a_token_that_no_header_carries_is_refused_unquoted(
    bearer: str, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert command(["client", "--token", bearer, "--url", url, "--count", "1"]) == 2
    said = capsys.readouterr().err
    assert "expected printable ASCII without spaces." in said
    assert "s3" not in said
    assert clock == [0.0]


def test_stream_prints_the_same_with_a_server_and_without(
    record: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--provider", "cpu", "stream", str(record), "--fs", str(FS)]
    assert command(arguments) == 0
    here = capsys.readouterr().out
    assert command([*arguments, "--url", url]) == 0
    assert capsys.readouterr().out == here
    assert len(here.splitlines()) > 8


def test_stream_reads_a_line_feed(
    record: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import os

    command(["--provider", "cpu", "stream", str(record), "--fs", str(FS)])
    expected = capsys.readouterr().out
    device = tmp_path / "ttyECG"
    os.mkfifo(device)

    def feed() -> None:
        with device.open("w") as line:
            line.writelines(f"{1000 * float(f'{v:.5f}'):.2f}\r\n" for v in SIGNAL)

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert command(["stream", str(device), "--fs", str(FS), "--units", "uV", "--url", url]) == 0
    feeder.join()
    assert capsys.readouterr().out == expected


def test_stream_goes_on_after_a_bad_line_and_names_it(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    ecg = [f"{value:.3f}" for value in SIGNAL]
    printed = []
    for word in (ecg[199], "oops"):  # a missing sample is held
        lines = [*ecg[:200], word, *ecg[201:]]
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
        assert command(["stream", "-", "--fs", "360", "--url", url]) == 0
        printed.append(capsys.readouterr())
    assert printed[0].out == printed[1].out != ""
    assert printed[0].err == ""
    assert "line 201 of standard input is 'oops'" in printed[1].err


def test_client_sends_a_record_window_by_window(
    record: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["client", str(record), "--fs", str(FS), "--url", url, "--count", "8"]) == 0
    out = capsys.readouterr().out
    assert "8 one-second windows, 0 failures" in out
    assert "p99" in out


def test_an_absent_server_is_waited_for_once(
    record: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(record), "--fs", str(FS), "--url", f"http://127.0.0.1:{free_port()}"]
    assert command(["client", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "does not answer" in err
    assert len(err.splitlines()) == 1
    assert clock[0] <= 60


def test_windows_answered_before_the_server_ended_are_reported(
    record: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(FINE, answers(400, {"detail": "no."}), FINE, hangs_up) as url:
        assert command(["client", str(record), "--fs", str(FS), "--url", url]) == 1
    out = capsys.readouterr().out
    assert "4 of 10 one-second windows, 2 failures" in out
    assert "does not answer" in out
    assert "labels: N 2" in out
    assert clock[0] <= 60


@pytest.mark.parametrize("fs", ["nan", "inf", "1e18"])
def test_a_rate_that_cannot_be_simulated_is_refused(
    fs: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["client", "--fs", fs, "--url", url]) == 2
    assert "expected a sampling rate from 100 to 1000 Hz" in capsys.readouterr().err


def test_stream_reports_an_absent_server(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "stream",
        str(record),
        "--fs",
        "360",
        "--patience",
        "0",
        "--url",
        f"http://127.0.0.1:{free_port()}",
    ]
    assert command(arguments) == 2
    assert "does not answer" in capsys.readouterr().err
