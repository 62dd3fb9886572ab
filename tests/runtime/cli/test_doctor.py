"""The doctor: what it reports here and on machines with a fault, and the remedies it names."""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path

import onnxruntime
import pytest

from runtime.cli import installation
from runtime.cli.main import main
from runtime.model import providers

ARTIFACTS = Path(__file__).resolve().parents[3] / "artifacts"
IDLE = "AzureExecutionProvider"  # of the plain Linux wheel; runs no node of ours


def install(folder: Path, name: str, version: str, module: str) -> None:
    """Write what pip writes about a package it installs."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "top_level.txt").write_text(module + "\n")
    (info / "RECORD").write_text(f"{module}/__init__.py,,\n")


@pytest.fixture
def broken_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime-gpu for CUDA 13 with a driver but without cuDNN and cuBLAS."""
    if IDLE not in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime has no {IDLE} to stand in for a CUDA that does not load")
    listed = onnxruntime.get_available_providers()
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *listed]
    )
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    compiled_in = providers.compiled_in()
    monkeypatch.setattr(providers, "compiled_in", lambda: compiled_in)
    monkeypatch.setitem(providers.ONNX_NAMES, "cuda", IDLE)
    monkeypatch.setattr(providers, "options", lambda name, sha: {})
    monkeypatch.setattr(ctypes, "CDLL", Loader(missing=("libcudnn.so.9", "libcublas.so.13")))


class Loader:
    """Stands in for the dynamic loader and NVIDIA's driver."""

    def __init__(self, *, missing: tuple[str, ...] = (), status: int = 0, cuda: int = 13000):
        self.missing, self.status, self.cuda = missing, status, cuda

    def __call__(self, name: str) -> Loader:
        if name in self.missing:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return self

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.status

    def cuDriverGetVersion(self, version: object) -> int:  # noqa: N802
        version._obj.value = self.cuda  # type: ignore[attr-defined]
        return 0

    def cuDeviceGetCount(self, count: object) -> int:  # noqa: N802
        count._obj.value = 1  # type: ignore[attr-defined]
        return 0


def test_report_of_a_machine_without_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    said = capsys.readouterr().out
    assert f"ONNX Runtime {onnxruntime.__version__}" in said
    assert "cpu     runs ekg_fused.onnx: " in said
    assert "golden answer right" in said
    assert "1 for each session, not spinning" in said
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert "cuda    no: provider 'cuda' is not in the installed ONNX Runtime" in said
        assert "'auto' takes cpu" in said
    assert len(said.splitlines()) <= 24  # a terminal's screen
    assert status == (1 if "PROBLEM" in said else 0)


def test_optional_packages_are_listed_with_purpose_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, "cupy-cuda12x", "13.6.0", "cupy")
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("wfdb", "waitress"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    main(["doctor"])
    rows = dict(
        line.strip().split(maxsplit=1)
        for line in capsys.readouterr().out.partition("optional packages:\n")[2].splitlines()[:12]
    )
    assert list(rows) == [
        "flask",
        "gunicorn",
        "uvicorn_worker",
        "httptools",
        "a2wsgi",
        "waitress",
        "orjson",
        "wfdb",
        "edfio",
        "matplotlib",
        "cupy",
        "onnx",
    ]
    assert rows["cupy"].startswith("13.6.0         very many streams")
    assert rows["wfdb"] == (
        "not installed  reads WFDB records, writes annotations: "
        f"{sys.executable} -m pip install wfdb"
    )
    assert rows["waitress"].endswith(f": {sys.executable} -m pip install waitress")


def test_two_wheels_of_onnxruntime_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        install(tmp_path, name, "1.27.1", "onnxruntime")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "onnxruntime-gpu 1.27.1" in said
    assert "PROBLEM: onnxruntime and onnxruntime-gpu are both installed" in said
    assert "`pip uninstall -y onnxruntime onnxruntime-gpu`" in said


@pytest.mark.usefixtures("broken_cuda")
def test_missing_cuda_libraries_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0  # the CPU runs, and nothing clashes
    said = capsys.readouterr().out
    assert "built for CUDA 13.0; compiled in: cpu, cuda" in said
    assert "NVIDIA driver: runs CUDA up to 13.0, 1 GPU(s)" in said
    assert "cuda    no: provider 'cuda' does not start" in said
    assert "and libraries are missing: " in said
    assert "libcudnn.so.9: cannot open" in said
    assert "libcublas.so.13: cannot open" in said
    assert "pip install -r requirements-runtime-cuda.txt" in said
    assert "'auto' takes cpu" in said


@pytest.mark.usefixtures("broken_cuda")
def test_a_missing_driver_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", Loader(missing=("libcuda.so.1",)))
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "NVIDIA driver: not found (libcuda.so.1: cannot open" in said
    assert "install NVIDIA's driver" in said


@pytest.mark.usefixtures("broken_cuda")
def test_cupy_for_another_cuda_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, "cupy-cuda12x", "13.6.0", "cupy")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "PROBLEM: cupy-cuda12x is built for CUDA 12 and ONNX Runtime for CUDA 13.0" in said
    assert "`pip install cupy-cuda13x`" in said


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        (Loader(status=100), "does not start (cuInit gave 100; 100 means that it sees no GPU)"),
        (Loader(cuda=12080), "runs CUDA up to 12.8, 1 GPU(s); too old for CUDA 13.0, update it"),
        (Loader(cuda=13010), "runs CUDA up to 13.1, 1 GPU(s)"),
    ],
)
def test_driver_is_described(monkeypatch: pytest.MonkeyPatch, loader: Loader, said: str) -> None:
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr(ctypes, "CDLL", loader)
    assert installation.driver() == said


@pytest.mark.parametrize(
    ("packages", "wheels", "cuda", "said"),
    [
        ({"cupy-cuda13x": "14.0"}, ["onnxruntime-gpu"], "13.0", []),
        ({"cupy-cuda12x": "13.6"}, ["onnxruntime-gpu"], "12.8", []),
        ({"cupy-cuda12x": "13.6"}, ["onnxruntime"], "", []),
        ({"cupy": "14.0"}, ["onnxruntime-gpu"], "13.0", []),  # built here, for what is here
        ({"cupy-cuda13x": "14.0"}, ["onnxruntime-gpu"], "12.8", ["cupy-cuda12x"]),
        (
            {"cupy-cuda12x": "13.6", "cupy-cuda13x": "14.0"},
            ["onnxruntime-gpu"],
            "13.0",
            ["cupy-cuda12x and cupy-cuda13x are both installed", "built for CUDA 12"],
        ),
        ({}, ["onnxruntime", "onnxruntime-silicon"], "", ["onnxruntime and onnxruntime-silicon"]),
    ],
)
def test_clashes(packages: dict[str, str], wheels: list[str], cuda: str, said: list[str]) -> None:
    found = installation.clashes(packages, wheels, cuda)
    assert len(found) == len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))


def test_a_gpu_without_cupy_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    installation.check_cuda_nets(ARTIFACTS)
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in said] == [
        f"  cuda, many streams, {name}" for name in ("fused", "cupy", "kernels")
    ]
    assert all("needs CuPy: run `pip install" in line for line in said)


def test_an_altered_model_file_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(ARTIFACTS, tmp_path / "artifacts")
    (folder / "ekg_cnn.onnx").write_bytes(b"altered")
    assert main(["--artifacts", str(folder), "doctor"]) == 1
    assert "ekg_cnn.onnx is not the file that was exported" in capsys.readouterr().out
