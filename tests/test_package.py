"""The wheel, installed where nothing else is: what it brings, and that its commands work.

Each Python that the project is for and that starts here as ``python3.NN`` gets an environment; of
others than this one, as a trial.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime import __version__
from runtime.simulate import simulate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    "runtime": "ekg",
    "kernels": "ekg/kernels",
    "artifacts": "ekg/artifacts",
    "scale": "ekg/scale",
}
FS = 360
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"


def output(*command: object, folder: Path) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run(
        [*map(str, command)], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def interpreter(version: str) -> str | None:
    """A Python of this version that starts; a name on the path alone may be a shim of nothing."""
    path = sys.executable if version == OWN else shutil.which(f"python{version}")
    if path is None:
        return None
    started = subprocess.run([path, "-c", "import venv"], capture_output=True, check=False)
    return path if started.returncode == 0 else None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: what a build before has left must not get into it."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for folder in SOURCES:
        shutil.copytree(ROOT / folder, source / folder)
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    output(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        built,
        source,
        folder=source,
    )
    return next(built.glob("*.whl"))


class Environment:
    """A virtual environment with nothing but the wheel's base, and an empty folder to work in."""

    def __init__(self, python: str, wheel: Path, folder: Path):
        self.python, self.ekg = folder / "venv/bin/python", folder / "venv/bin/ekg"
        self.wheel, self.empty = wheel, folder / "empty"
        self.empty.mkdir()
        output(python, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
        self.install("")

    def install(self, extras: str) -> None:
        self.pip("install", "--quiet", "--no-compile", f"{self.wheel}{extras}")

    def pip(self, *command: str) -> str:
        """This environment's pip; one of the other's own would take seconds to set up."""
        own = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python)
        return output(*own, *command, folder=self.empty)

    def run(self, *command: object) -> str:
        return output(*command, folder=self.empty)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(version, marks=[pytest.mark.trial] if version != OWN else [])
        for version in ("3.11", "3.12", "3.13")
    ],
)
def base(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    """The wheel without extras; its ten thousand files do not outlast the tests of it."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"no python{request.param} starts here")
    folder = tmp_path_factory.mktemp("python")
    yield Environment(python, wheel, folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def installed(base: Environment) -> Environment:
    """The wheel with what serving and recordings need. Tests of `base` come before."""
    base.install("[server,files]")
    return base


def test_the_wheel_holds_all_of_the_sources_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        held = {name for name in packed.namelist() if ".dist-info/" not in name}
    built = [name for name in held if name.endswith(".so")]
    assert len(built) == (6 if shutil.which("cc") else 0)  # the loops in C
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, inside in SOURCES.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"
    }
    assert {name for name in held if not name.endswith(".so")} == expected


def test_a_detector_needs_no_web_server_and_no_progress_bar(base: Environment) -> None:
    listed = {
        line.split("==")[0].split(" @")[0].lower() for line in base.pip("freeze").splitlines()
    }
    assert not listed & {"flask", "gunicorn", "orjson", "wfdb", "matplotlib"}
    program = (
        "import sys, ekg; from ekg.simulate import simulate;"
        "print(ekg.__version__, len(ekg.Detector.load().predict(simulate(10).signal).beats),"
        "'flask' in sys.modules, 'tqdm' in sys.modules)"
    )
    version, beats, *loaded = base.run(base.python, "-W", "error", "-c", program).split()
    assert version == __version__
    assert int(beats) >= 8
    assert loaded == ["False", "False"]


def test_what_cuda_needs_is_said_without_files_of_the_checkout(base: Environment) -> None:
    said = base.run(
        base.python,
        "-c",
        """
import ekg
from ekg.model.cuda import CudaNet, choose_ways
print(*choose_ways(4))
for load in (lambda: ekg.Detector.load(provider="cuda"), CudaNet.load):
    try:
        load()
    except ekg.EkgError as error:
        print(error)
""",
    )
    assert said.startswith("cupy fused\n")  # so the kernels are found; onnx is not there
    assert "`pip install 'onnxruntime-gpu[cuda,cudnn]'` in an environment without" in said
    assert "this needs CuPy: run `pip install 'ekg[cuda]'`" in said


def test_mypy_sees_the_types(base: Environment) -> None:
    pytest.importorskip("mypy")
    user = base.empty.parent / "user.py"
    user.write_text("""\
import ekg

detector = ekg.Detector.load(provider="cpu")
stream: ekg.Stream = detector.stream(fs=250)
labels: list[str] = [beat.label for beat in stream.push([0.0] * 250)]
score: int = detector.provider
""")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--python-executable",
            str(base.python),
            str(user),
        ],
        cwd=user.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(complaints) == 1, done.stdout + done.stderr
    assert complaints[0].startswith("user.py:6: error: ")
    assert '"str"' in complaints[0]
    assert '"int"' in complaints[0]


@pytest.mark.parametrize(("first", "second"), [("ekg", "runtime"), ("runtime", "ekg")])
def test_one_of_its_two_names_in_a_process(base: Environment, first: str, second: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {first}, {second}"
    done = subprocess.run(
        [base.python, "-c", program], cwd=base.empty, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: `{second}` and `{first}` are the same package and {first} is already "
        "imported; use one of the two names in a program."
    )


def test_another_projects_package_of_that_name_is_none_of_ours(base: Environment) -> None:
    (base.empty / "runtime.py").write_text("")
    try:
        base.run(base.python, "-c", "import runtime, ekg")
    finally:
        (base.empty / "runtime.py").unlink()


def test_doctor_finds_no_problem(installed: Environment) -> None:
    assert "no problems" in installed.run(installed.ekg, "doctor")
    assert "no problems" in installed.run(installed.python, "-m", "ekg", "doctor")


def test_annotate_writes_the_beats_of_a_csv_file(installed: Environment, tmp_path: Path) -> None:
    record = tmp_path / "short.csv"
    signal_mv = simulate(20, fs=FS, seed=3).signal
    record.write_text(
        "time,MLII\n" + "".join(f"{i / FS:.6f},{mv:.4f}\n" for i, mv in enumerate(signal_mv))
    )
    printed = installed.run(installed.ekg, "annotate", record, "--out", "found", "--csv")
    assert "MLII" in printed
    beats = (installed.empty / "found" / "short.ekg.csv").read_text().splitlines()
    assert len(beats) > 15
    assert (installed.empty / "found" / "short.ekg").stat().st_size > 0


@contextmanager
def served(environment: Environment) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [str(environment.ekg), "serve", "--port", str(port), "--workers", "1"],
        cwd=environment.empty,
        env=os.environ | {"EKG_DRAIN": "0.5"},
        text=True,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/health/ready").close()
                break
            except OSError:
                assert process.poll() is None, "the server ended before it was ready"
                time.sleep(0.1)
        yield process, url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_serve_answers_predict_and_drains(installed: Environment) -> None:
    with served(installed) as (process, url):
        body = simulate(10, fs=FS, seed=3).signal.astype("<f4").tobytes()
        request = urllib.request.Request(
            f"{url}/predict?fs={FS}", body, {"Content-Type": "application/octet-stream"}
        )
        with urllib.request.urlopen(request) as answer:
            found = json.loads(answer.read())
        assert len(found["beats"]) >= 8
        with urllib.request.urlopen(url) as page:
            assert b"<title>" in page.read()
        process.terminate()
        assert process.wait(20) == 0
