"""``serve`` and ``demo``: what is refused before anything is served, and which server serves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runtime import Detector, MissingPackageError
from runtime.cli import serve
from runtime.cli.main import main
from runtime.client import Client
from runtime.findings import Record
from runtime.simulate import simulate

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., tuple[int, str, str]]
flask = pytest.importorskip("flask", reason="serving needs flask")


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("EKG_LOG", "loud", "EKG_LOG is 'loud'; expected one of debug, info, warning, error."),
        ("EKG_WORKERS", "two", "EKG_WORKERS is 'two'; expected a whole number from 0 on."),
        *(
            ("EKG_DRAIN", value, f"EKG_DRAIN is '{value}'; expected seconds, 0 to 3600.")
            for value in ("abc", "", "nan", "-1", "1e9")
        ),
    ],
)
def test_serve_names_a_setting_that_is_wrong(
    name: str, value: str, sentence: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert run("serve", "--port", 0) == (2, "", f"error: {sentence}\n")


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize("token", ["s3 cret", "s3cret€", "\n"])
def test_a_token_that_no_header_carries_is_refused_unquoted(
    command: str, token: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EKG_TOKEN", token)
    status, out, err = run(command, *(("--port", 0) if command == "serve" else ()))
    assert (status, out) == (2, "")
    assert err.startswith("error: the bearer token ")
    assert len(err.splitlines()) == 1
    assert "s3" not in err


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize(
    "arguments",
    [
        *(("--seconds", value) for value in ("nan", "inf", "1e18", "0", "-1")),
        ("--seed", "-1", "--simulated"),
        ("--seed", "2"),
    ],
)
def test_the_demo_refuses_before_it_serves(arguments: tuple[str, ...], run: Run) -> None:
    status, out, err = run("demo", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {arguments[0]} is ")


@pytest.mark.skipif(sys.platform == "darwin", reason="coreml is there")
@pytest.mark.parametrize(
    ("environment", "arguments", "served"),
    [
        ("cpu", (), "cpu"),
        ("coreml", ("--provider", "cpu"), "cpu"),
        ("coreml", (), None),  # refused, never replaced
        ("cpu", ("--provider", "coreml"), None),
    ],
)
def test_workers_run_on_the_provider_of_the_environment_unless_another_is_named(
    environment: str,
    arguments: tuple[str, ...],
    served: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[str] = []

    def become(_program: str, _arguments: list[str], settings: dict[str, str]) -> None:
        given.append(settings["EKG_PROVIDER"])
        sys.exit(0)  # this process is gone

    monkeypatch.setattr("os.execve", become)
    monkeypatch.setattr("os.write", lambda *_: 0)
    monkeypatch.setenv("EKG_PROVIDER", environment)
    if served:
        with pytest.raises(SystemExit, match="0"):
            main(["serve", "--port", "0", *arguments])
        assert given == [served]
    else:
        assert main(["serve", "--port", "0", *arguments]) == 2
        assert given == []
        assert "provider 'coreml'" in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_is_served")
@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_in_use_is_refused(command: str, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, out, err = run(command, "--port", port)
    assert (status, out) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port}" in err


def demo(*arguments: str, stdout: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "runtime", "demo", "--provider", "cpu", *arguments],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background have SIGINT ignored, and a child would inherit it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


FIRST = (
    r"The monitor page is at http://127\.0\.0\.1:\d+ \(provider cpu\)\.\n"
    r"Here are 4 s of real ECG \(MIT-BIH record 233 from 17:47\) as fast as the server "
    r"answers:\n\n"
)


def test_the_demo_begins_with_whole_sentences_in_a_pipe() -> None:
    out, err = demo("--seconds", "4", "--pace", "fast").communicate(timeout=60)
    assert err == ""
    assert re.match(FIRST + r" +\d\.\d{3} s  N  ", out)
    assert out.endswith("\n\nfound 5 N, 2 V; the reference has 5 N, 2 V\n")


def test_the_demo_plays_the_sample_over_and_over_and_counts_it_each_time() -> None:
    out, _ = demo("--seconds", "60.35", "--pace", "fast").communicate(timeout=60)
    assert "MIT-BIH record 233 from 17:47, the same half minute over and over) as fast" in out
    assert out.endswith("\n\nfound 78 N, 4 S, 22 V; the reference has 78 N, 4 S, 22 V\n")


def test_the_demo_plays_a_simulated_patient_if_asked() -> None:
    out, _ = demo("--seconds", "4", "--pace", "fast", "--simulated", "--seed", "3").communicate(
        timeout=60
    )
    assert "Here are 4 s of a simulated patient as fast" in out
    assert re.search(r"\n\nfound 3 N, 1 V; the reference has 3 N, 1 V\n$", out)


def test_the_demo_begins_with_whole_sentences_on_a_terminal() -> None:
    pty = pytest.importorskip("pty")
    terminal, end = pty.openpty()
    process = demo("--seconds", "4", "--pace", "fast", stdout=end)
    os.close(end)
    out = b""
    try:
        while b"until Ctrl-C" not in out:
            out += os.read(terminal, 1 << 16)
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # at its end; it waits if nobody takes what it writes
            while os.read(terminal, 1 << 16):
                pass
        process.communicate(timeout=60)
        os.close(terminal)
    assert re.match(FIRST, out.decode().replace("\r\n", "\n"))
    assert process.returncode == 0


def test_the_demo_at_real_pace_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.cli.source.time.sleep", lambda seconds: None)
    signal = simulate(3, seed=1).signal.astype(np.float64)
    monkeypatch.setattr(
        "runtime.cli.demo.demo_signal",
        lambda seconds, seed: (Record("a cut of a record", "MLII", 360.0, signal, 0.0), Counter()),
    )
    status, out, _ = run("demo", "--seconds", 3)
    assert status == 0
    assert "\nHere are 3 s of a cut of a record at real pace:\n" in out
    assert re.search(r"\n\nfound \d N\n$", out)  # nobody has counted them


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Pretend that these packages alone are installed."""
    for module in ("runtime.packages", "runtime.cli.serve"):
        monkeypatch.setattr(f"{module}.is_installed", lambda package: package.name in names)


@pytest.mark.parametrize(
    ("posix", "packages", "program"),
    [
        (True, ("flask", "gunicorn", "waitress"), "gunicorn"),
        (True, ("flask", "gunicorn"), "gunicorn"),
        (True, ("flask", "waitress"), "waitress"),
        (False, ("flask", "gunicorn", "waitress"), "waitress"),
    ],
)
def test_gunicorn_serves_if_it_can_run_else_waitress(
    posix: bool, packages: tuple[str, ...], program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, *packages)
    assert serve.server_program(posix=posix) == program


@pytest.mark.parametrize(
    ("posix", "packages", "sentence"),
    [
        (
            True,
            (),
            r"flask is needed to serve and not installed; run `\S+ -m pip install -r "
            r"\S*requirements-runtime\.txt`\.",
        ),
        (
            True,
            ("flask",),
            r"gunicorn is needed to serve and not installed; run `\S+ -m pip install "
            r"-r \S*requirements-runtime\.txt`\.",
        ),
        (
            False,
            ("flask", "gunicorn"),
            r"gunicorn does not run on this system and waitress, which "
            r"does, is not installed; run `\S+ -m pip install waitress`\.",
        ),
    ],
)
def test_without_a_server_serve_says_what_to_install(
    posix: bool, packages: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, *packages)
    with pytest.raises(MissingPackageError) as raised:
        serve.server_program(posix=posix)
    assert re.fullmatch(sentence, str(raised.value))


def test_serve_with_waitress_serves_the_application_from_one_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Waitress is replaced by one that asks the application itself."""
    answers: list[Any] = []

    def ask(app: Any, *, host: str, port: int, **settings: Any) -> None:
        assert (host, port) == ("127.0.0.1", given)
        assert settings["threads"] > 32  # more than admission lets compute
        answers.append(
            app.test_client()
            .post(
                "/predict?fs=360",
                data=simulate(5).signal.tobytes(),
                content_type="application/octet-stream",
            )
            .get_json()
        )

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        given = probe.getsockname()[1]
    monkeypatch.setitem(sys.modules, "waitress", SimpleNamespace(serve=ask))
    monkeypatch.setattr("runtime.cli.serve.server_program", lambda: "waitress")
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    assert main(["--provider", "cpu", "serve", "--port", str(given)]) == 0
    out, err = capfd.readouterr()
    assert out == (
        f"serving on http://127.0.0.1:{given} from one process, with waitress (Ctrl-C stops)\n"
    )
    assert json.loads(err.splitlines()[0])["workers"] == 1
    assert len(answers[0]["beats"]) >= 4


@pytest.mark.usefixtures("nothing_is_served")
def test_waitress_refuses_more_than_one_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.cli.serve.server_program", lambda: "waitress")
    status, out, err = run("serve", "--port", 0, "--workers", 2)
    assert (status, out) == (2, "")
    assert "2 workers are wanted; waitress serves from one process, so expected 1" in err


@pytest.mark.skipif(find_spec("waitress") is None, reason="waitress is not installed")
def test_waitress_answers_predict(detector: Detector) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = (
        "from runtime.cli import serve; from runtime.cli.main import main; import sys; "
        "serve.server_program = lambda: 'waitress'; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "serve", "--provider", "cpu", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        signal = simulate(10, seed=3).signal
        with Client(f"http://127.0.0.1:{port}", patience=30) as client:
            answer = client.predict(signal, 360)
            last = list(client.stream(np.array_split(signal, 4), 360))[-1]
        found = detector.predict(signal, 360)
        assert [beat["label"] for beat in answer["beats"]] == [beat.label for beat in found.beats]  # type: ignore[union-attr]
        assert last["carry"] is None
        time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "with waitress" in out
    requests = [json.loads(line) for line in err.splitlines()][1:]
    assert {(line["event"], line["status"]) for line in requests} == {("request", 200)}
