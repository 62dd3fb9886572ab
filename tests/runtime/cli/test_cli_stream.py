"""``stream``: feeds on standard input, samples that are missing, the page."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.simulate import simulate

Run = Callable[..., tuple[int, str, str]]


def test_stream_prints_beats_of_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join(f"{v:.5f}" for v in simulate(10, seed=2).signal)
    monkeypatch.setattr("sys.stdin", io.StringIO(lines + "\n\n"))
    status, out, _ = run("stream", "-", "--fs", 360)
    assert status == 0
    assert len(out.splitlines()) >= 10


def test_stream_without_a_number_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\nlead off\n"))
    status, _, err = run("stream", "-", "--fs", 360)
    assert status == 2
    assert "standard input has no line that is a number, such as 'lead off'" in err
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n" * 4000))
    assert run("stream", "-", "--fs", 360)[0] == 2


@pytest.mark.parametrize("line", ["!", "-0.14-0.12", "0.1.2", "lead off", "\ufffd\ufffd0.2"])
def test_stream_goes_on_after_a_line_that_is_no_number(
    line: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{v:.5f}" for v in simulate(10, seed=2).signal]
    printed = []
    for at in (lines[999], line):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*lines[:1000], at, *lines[1001:]])))
        printed.append(run("stream", "-", "--fs", 360))
    assert printed[0][:2] == printed[1][:2]
    assert "warning: line 1001 of standard input is" in printed[1][2]


@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("AD8232 ready\nECG [uv]\n", lambda i, v: f"{1000 * v:.2f}"),
        ("time,acc_x,ECG (uV)\n", lambda i, v: f"{i / 360:.3f},0.5,{1000 * v:.2f}"),
        ("time;ECG\n", lambda i, v: f"10:00:00;{v:.5f}"),
        ("\ufeff", lambda i, v: f"{v:.5f}"),
    ],
)
def test_stream_reads_the_ecg_under_a_header(
    head: str, form: Callable[[int, float], str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = simulate(10, seed=2).signal
    printed = []
    for text in (
        "".join(f"{v:.5f}\n" for v in signal),
        head + "".join(form(i, v) + "\n" for i, v in enumerate(signal)),
    ):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        printed.append(run("stream", "-", "--fs", 360))
    assert printed[0] == printed[1]
    assert printed[0][0] == 0


def test_stream_refuses_columns_without_names(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("0.1,0.2\n" * 99))
    status, _, err = run("stream", "-", "--fs", 360)
    assert status == 2
    assert "line 1 of standard input is '0.1,0.2', 2 values; expected one number a line" in err


@pytest.mark.parametrize(("factor", "likely"), [(300, "uV"), (0.001, "V")])
def test_stream_refuses_numbers_that_are_not_millivolts(
    factor: float, likely: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = simulate(10, seed=2).signal
    text = "".join(f"{factor * v:.6f}\n" for v in signal)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    status, _, err = run("stream", "-", "--fs", 360)
    assert status == 2
    assert "cannot be an ECG in mV: they span" in err
    assert f"likely {likely}, or --units mV" in err
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    status, out, _ = run("stream", "-", "--fs", 360, "--units", likely)
    assert status == 0
    assert len(out.splitlines()) >= 10


def test_stream_takes_what_is_no_number_as_missing_and_warns_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [f"{v:.5f}" for v in simulate(10, seed=2).signal]
    gaps = whole.copy()
    for at, word in ((0, "nan"), (1000, "inf"), (1001, "--"), (1002, "-999")):
        gaps[at] = word
    printed = []
    for lines in (gaps, whole):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
        printed.append(run("stream", "-", "--fs", 360))
    labels = [[line.split()[:3:2] for line in out.splitlines()] for _, out, _ in printed]
    assert labels[0] == labels[1]
    assert printed[0][0] == 0
    assert printed[0][2].splitlines() == [
        "warning: line 1 of standard input is 'nan'; such a sample is missing."
    ]


def test_stream_says_that_a_value_is_beyond_any_ecg(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(["0.1"] * 400 + ["1001"])))
    status, _, err = run("stream", "-", "--fs", 360)
    assert status == 0
    assert "is '1001', beyond ±500 mV (are the units right?); such a sample is missing" in err


def test_stream_says_that_the_patient_is_simulated(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, object] = {}
    pytest.importorskip("flask")
    monkeypatch.setattr("runtime.server.feed.show", lambda *_, **given: shown.update(given) or 0)
    monkeypatch.setattr("runtime.cli.source.simulate", lambda _, fs: simulate(10, fs=fs))
    for arguments in ((), ("--page", 0)):
        status, _, err = run("stream", *arguments)
        assert status == 0
        assert err.startswith("this is a simulated patient")
    assert shown["name"] == "Simulated patient"


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize("fs", [5, "nan", "inf", "1e18"])
@pytest.mark.parametrize("target", [("--page", 0), ("--url", "http://127.0.0.1:9"), ()])
def test_a_feed_of_an_impossible_rate_is_not_read(
    fs: object, target: tuple[object, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no number\n"))
    status, out, err = run(
        "stream", "-", "--fs", fs, *target, *(("--patience", 0) if "--url" in target else ())
    )
    assert (status, out) == (2, "")
    assert "expected a sampling rate from 100 to 1000 Hz" in err


@pytest.mark.usefixtures("nothing_is_served")
def test_a_record_of_an_impossible_rate_gets_no_page(csv_record: Path, run: Run) -> None:
    status, _, err = run("stream", csv_record, "--fs", 50, "--page", 0)
    assert status == 2
    assert "fs is 50 Hz" in err


@pytest.mark.usefixtures("nothing_is_served")
def test_the_page_without_flask_says_how_to_install_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.packages.is_installed", lambda package: False)
    status, _, err = run("stream", "--page", 0)
    assert status == 2
    assert err.startswith("error: flask is needed to serve the page and not installed; run `")
