"""The proxies of deploy/ as they are, but for ports and certificates, before a real server."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from serving import FS, ROOT, SIGNAL, Server, free_port, run

HOST = "ekg.example.org"
TRUSTING = ssl.create_default_context()
TRUSTING.check_hostname, TRUSTING.verify_mode = False, ssl.CERT_NONE
RAW = {"Content-Type": "application/octet-stream", "Host": HOST}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not (shutil.which("nginx") or shutil.which("caddy")):
        pytest.skip("neither nginx nor caddy on the PATH")
    with run(tmp_path_factory.mktemp("behind"), EKG_ALLOW_HOST=HOST) as started:
        yield started


@contextmanager
def started(command: list[str], port: int, folder: Path) -> Iterator[str]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                ask(f"https://127.0.0.1:{port}/health/live")
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.05)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def ask(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urlopen(Request(url, body, RAW), timeout=20, context=TRUSTING) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def announced(url: str, size: int) -> int:
    """The answer to a body of that size before any of it comes, which the client would lose."""
    parts = urlsplit(url)
    link = HTTPSConnection(parts.hostname or "", parts.port, context=TRUSTING, timeout=20)
    link.putrequest("POST", f"/predict?fs={FS}", skip_host=True)
    for name, value in {**RAW, "Content-Length": str(size)}.items():
        link.putheader(name, value)
    link.endheaders()
    with closing(link):
        return link.getresponse().status


def check(proxy: str, server: Server) -> None:
    """Answers are the server's own, of /predict and of a whole stream, and so are refusals."""
    window = SIGNAL[: 4 * FS].astype("<f4").tobytes()
    status, text = ask(f"{proxy}/predict?fs={FS}", window)
    direct = json.loads(ask(f"{server.url}/predict?fs={FS}", window)[1])
    assert status == 200
    assert json.loads(text) | {"latency_ms": 0} == direct | {"latency_ms": 0}
    assert json.loads(ask(f"{proxy}/predict?fs=7", window)[1])["status"] == 400
    assert ask(f"{proxy}/")[0] == 200


def test_nginx(behind: Server, tmp_path: Path) -> None:
    nginx, openssl = shutil.which("nginx"), shutil.which("openssl")
    if not (nginx and openssl):
        pytest.skip("no nginx, or no openssl, on the PATH")
    port = free_port()
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}"),
            *("-keyout", "tls.key", "-out", "tls.crt"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    site = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for old, new in (
        ("127.0.0.1:8000", f"127.0.0.1:{behind.port}"),
        ("8443", f"127.0.0.1:{port}"),
        ("/etc/ekg", str(tmp_path)),
    ):
        assert old in site
        site = site.replace(old, new)
    (tmp_path / "site.conf").write_text(site, encoding="utf-8")
    folders = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; worker_processes 1;\n"
        f"events {{}}\nhttp {{ access_log off;\n{folders}include {tmp_path}/site.conf; }}\n"
    )
    command = [nginx, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    with started(command, port, tmp_path) as proxy:
        check(proxy, behind)
        assert announced(proxy, 17 << 20) == 413
        assert ask(f"{proxy}/metrics")[0] == 200  # from this machine
        codes = [ask(f"{proxy}/health/live")[0] for _ in range(300)]
        assert {200, 429} >= set(codes)


def test_caddy(behind: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caddy = shutil.which("caddy")
    if not caddy:
        pytest.skip("no caddy on the PATH")
    port = free_port()
    site = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    head = f"https://127.0.0.1:{port}, https://{HOST}:{port} {{\n\ttls internal"
    for old, new in ((f"{HOST} {{", head), ("127.0.0.1:8000", f"127.0.0.1:{behind.port}")):
        assert old in site
        site = site.replace(old, new)
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    (tmp_path / "Caddyfile").write_text(options + site, encoding="utf-8")
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with started([caddy, "run", "--config", "Caddyfile"], port, tmp_path) as proxy:
        check(proxy, behind)
        assert ask(f"{proxy}/metrics")[0] == 403
