"""The server's beginning: what it refuses to start with."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from serving import ROOT, RUNTIME, Server, alter, free_port


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EKG_WORKERS", "two"),
        ("EKG_WORKERS", "-3"),
        ("EKG_DRAIN", "abc"),
        ("EKG_DRAIN", "nan"),
        ("EKG_DRAIN", "-1"),
        ("EKG_LOG", "loud"),
    ],
)
def test_gunicorn_itself_names_a_setting_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"{name} is '{value}'; expected "):
        runpy.run_path(str(ROOT / "runtime" / "server" / "gunicorn_conf.py"))


class TestRefusesToStart:
    """One sentence, exit status 2, and nothing served."""

    def refusal(self, *arguments: object, **streams: IO[bytes]) -> str:
        done = subprocess.run(
            [*RUNTIME, *map(str, arguments)],
            cwd=ROOT,
            timeout=60,
            text=True,
            check=False,
            stdout=streams.get("stdout", subprocess.PIPE),
            stderr=streams.get("stderr", subprocess.PIPE),
        )
        said = (done.stderr or "") + (done.stdout or "")
        assert done.returncode == 2, said
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) <= 2
        return said

    def test_a_port_in_use(self, server: Server) -> None:
        assert f"cannot listen on 127.0.0.1:{server.port}" in self.refusal(
            "serve", "--port", server.port
        )

    @pytest.mark.parametrize("file", ["ekg_fused.onnx", "golden.npz"])
    def test_an_altered_artifact(self, tmp_path: Path, file: str) -> None:
        folder = tmp_path / "artifacts"
        shutil.copytree(ROOT / "artifacts", folder)
        alter(folder / file)
        said = self.refusal("--artifacts", folder, "serve", "--port", free_port())
        assert f"{file} is not the file that was exported" in said

    def test_no_artifacts(self, tmp_path: Path) -> None:
        assert "manifest.json does not exist" in self.refusal(
            "--artifacts", tmp_path, "serve", "--port", free_port()
        )

    def test_a_missing_provider(self) -> None:
        import onnxruntime

        absent = "coreml" if sys.platform != "darwin" else "cuda"
        if {"coreml": "CoreMLExecutionProvider", "cuda": "CUDAExecutionProvider"}[
            absent
        ] in onnxruntime.get_available_providers():
            pytest.skip(f"this ONNX Runtime contains {absent}")
        assert f"provider '{absent}'" in self.refusal(
            "--provider", absent, "serve", "--port", free_port()
        )

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    def test_a_full_disk_for_its_log(self, stream: str) -> None:
        with open("/dev/full", "wb") as full:
            said = self.refusal(
                "--provider", "cpu", "serve", "--port", free_port(), **{stream: full}
            )
        assert "cannot be written (No space left on device)" in said
