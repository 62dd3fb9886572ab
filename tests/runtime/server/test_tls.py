"""TLS by settings: the server speaks it, takes a new certificate at a reload, refuses a bad one."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from serving import FS, ROOT, RUNTIME, SIGNAL, free_port, linux, run

from runtime.client import Client
from runtime.errors import InputError
from runtime.server.gate import check_tls

openssl = shutil.which("openssl")
pytestmark = [linux, pytest.mark.skipif(openssl is None, reason="openssl makes the certificates")]


def certify(folder: Path, *, name: str = "one", password: str = "") -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that vouches for itself, and its key."""
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2"
    command += f" -subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
    secret = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *secret, *files], check=True, capture_output=True)
    return certificate, key


def test_a_stream_over_tls_and_a_new_certificate_at_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certify(tmp_path / "tls")
    new = certify(tmp_path / "new", name="two")
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + new[0].read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(both))  # as a client's operator says whom to trust
    files = {"EKG_TLS_CERT": str(certificate), "EKG_TLS_KEY": str(key)}
    with run(tmp_path, trusted=both, EKG_DRAIN="0", **files) as server:

        def name() -> str:
            context = ssl.create_default_context(cafile=both)
            with (
                socket.create_connection(("127.0.0.1", server.port), 10) as link,
                context.wrap_socket(link, server_hostname="127.0.0.1") as secure,
            ):
                assert secure.version() in ("TLSv1.2", "TLSv1.3")
                subject = (secure.getpeercert() or {})["subject"]
                return str(dict(pair for field in subject for pair in field)["commonName"])  # type: ignore[misc, arg-type]

        with Client(server.url, patience=5) as client:
            assert client.predict(SIGNAL, FS)["beats"]
            assert [answer["beats"] for answer in client.stream([SIGNAL[:720], SIGNAL[720:]], FS)]
        with socket.create_connection(("127.0.0.1", server.port), 10) as link:
            link.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")  # without TLS: nothing
            assert not link.recv(1 << 12).startswith(b"HTTP")
        assert name() == "one"
        key.write_text("no key")
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: "TLS certificate" in server.text("/health/ready"))
        assert name() == "one"
        shutil.copy(new[1], key)
        shutil.copy(new[0], certificate)
        old = server.workers()
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: not set(server.workers()) & set(old))
        assert name() == "two"


@pytest.mark.slow
def test_who_connects_and_speaks_no_tls_is_cut_off(tmp_path: Path) -> None:
    certificate, key = certify(tmp_path / "tls")
    files = {"EKG_TLS_CERT": str(certificate), "EKG_TLS_KEY": str(key)}
    with run(tmp_path, trusted=certificate, EKG_DRAIN="0", **files) as server:
        links = [socket.create_connection(("127.0.0.1", server.port), 15) for _ in range(50)]
        started = time.monotonic()
        assert "live" in server.text("/health/live")
        for link in links:
            assert link.recv(1) == b""
            link.close()
        assert 8 < time.monotonic() - started < 14


def test_files_that_cannot_be_used_get_a_sentence(tmp_path: Path) -> None:
    certificate, key = certify(tmp_path / "tls")
    other = certify(tmp_path / "other")
    locked = certify(tmp_path / "locked", password="secret")
    check_tls("", "")
    check_tls(str(certificate), str(key))
    one = tmp_path / "one.pem"
    one.write_bytes(certificate.read_bytes() + key.read_bytes())
    check_tls(str(one), "")
    for given in (
        (str(certificate), ""),
        (str(certificate), str(other[1])),
        (str(key), str(certificate)),
        (str(tmp_path / "nothing"), ""),
        (str(certificate), str(tmp_path / "nothing")),
        ("", str(key)),
        tuple(map(str, locked)),
    ):
        with pytest.raises(InputError, match=r"expected .*\.$"):
            check_tls(*given)


def test_serve_refuses_a_bad_certificate_before_it_listens(tmp_path: Path) -> None:
    certificate, _ = certify(tmp_path / "tls")
    done = subprocess.run(
        [*RUNTIME, "serve", "--port", str(free_port()), "--tls-cert", str(certificate)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "TLS certificate" in done.stderr
