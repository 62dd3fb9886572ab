"""The README: every command in it runs, and its figures are those that were measured."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.records.sample import reference_beats

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
MAKE, INSTALL, RECORDS, PROGRAM, SERVER = range(5)


def code(block: int, language: str, first: str) -> str:
    """The block's text; its language and first word are as expected."""
    assert BLOCKS[block][0] == language
    assert BLOCKS[block][1].startswith(first)
    return BLOCKS[block][1]


@pytest.fixture(scope="module")
def port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The commands of an environment in which the package is installed."""
    site = tmp_path_factory.mktemp("site")
    (site / "ekg").symlink_to(ROOT / "runtime", target_is_directory=True)
    commands = tmp_path_factory.mktemp("bin")
    for name, arguments in (("python", ""), ("python3", ""), ("ekg", " -m ekg")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        (commands / name).chmod(0o755)
    return os.environ | {"PYTHONPATH": str(site), "PATH": f"{commands}:{os.environ['PATH']}"}


def shell(script: str, environment: dict[str, str], folder: Path) -> str:
    """What a script prints; each of its lines has to succeed."""
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def recipe(target: str) -> list[str]:
    """The command of a make target, with this Python in place of the one it sets up."""
    if not shutil.which("make"):
        pytest.skip("no make")
    # `make test` runs this test too, and hands its own flags and level on.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    lines = subprocess.run(
        ["make", "-n", *target.split()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    python, *arguments = lines[-1].split()
    assert python == ".venv-runtime/bin/python"
    return [sys.executable, *arguments]


def test_every_block_is_run_here() -> None:
    assert [language for language, _ in BLOCKS] == ["sh", "sh", "sh", "python", "sh"]


def test_make_demo_plays_the_sample() -> None:
    pytest.importorskip("flask", reason="serving needs flask")
    assert "\nmake serve " in code(MAKE, "sh", "make demo ")
    out = subprocess.run(
        [*recipe("demo"), "--seconds", "3", "--pace", "fast"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "real ECG" in out
    assert "found 4 N, 1 V; the reference has 4 N, 1 V" in out


def test_make_serve_serves(port: str) -> None:
    pytest.importorskip("flask", reason="serving needs flask")
    server = subprocess.Popen(
        recipe(f"serve PORT={port}"),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"EKG_DRAIN": "0"},
    )
    try:
        answer, until = None, time.monotonic() + 60
        while answer is None and time.monotonic() < until and server.poll() is None:
            with (
                suppress(OSError),
                urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/health/ready", timeout=10
                ) as response,
            ):
                answer = json.load(response)
            time.sleep(0.05)
        assert answer is not None
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_the_extras_exist_and_the_doctor_runs(environment: dict[str, str], tmp_path: Path) -> None:
    """What pip installs is tested by the wheel's tests."""
    create, install, doctor = code(INSTALL, "sh", "python3 -m venv ").splitlines()
    shell(create, environment, tmp_path)
    extras = re.fullmatch(r"pip install '\.\[([\w,]+)\]'", install)
    assert extras
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras[1].split(",")) <= project["optional-dependencies"].keys()
    assert "golden answer" in shell(doctor, environment, tmp_path)


def test_the_first_answer(environment: dict[str, str], tmp_path: Path) -> None:
    for package in ("wfdb", "jinja2"):
        pytest.importorskip(package, reason=f"no {package} (pip install {package})")
    out = shell(code(RECORDS, "sh", "ekg predict sample"), environment, tmp_path)
    answer, annotated, reported, *beats = out.splitlines()
    assert json.loads(answer)["label"] == "V"
    assert annotated.endswith("sample.ekg: lead MLII, 39 N, 2 S, 11 V, 1 rhythm events")
    assert "52 beats" in reported
    assert len(beats) == 52
    for made in ("annotations/sample.ekg", "annotations/sample.ekg.csv", "reports/sample.html"):
        assert (tmp_path / made).stat().st_size


def test_the_program_runs(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(code(PROGRAM, "python", "import ekg"))
    out = shell("python -W error program.py", environment, tmp_path)
    assert out.startswith(
        "Annotation('sample', lead MLII, 30.175 s: 39 N, 2 S, 11 V; 1 events) 103"
    )
    assert "kind='couplet'" in out


def test_the_server_answers_and_stops(
    port: str, environment: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("flask", reason="serving needs flask")
    if not shutil.which("curl"):
        pytest.skip("no curl")
    script = code(SERVER, "sh", "ekg serve ")
    assert script.count("8000") == 3
    out = shell(
        script.replace("8000", port) + "wait $! || true\n",
        environment | {"EKG_DRAIN": "0"},
        tmp_path,
    )
    answer = json.loads(out[out.index("{") : out.rindex("}") + 1])
    assert [beat["label"] for beat in answer["beats"]] == [
        label for moment, label in reference_beats() if moment < 5
    ]
    assert "0 failures" in out


def test_the_readme_is_a_screen_and_a_half() -> None:
    assert len(README.splitlines()) <= 95
    assert "**It is no medical device**" in README
    assert "Python 3.11 to 3.13" in README


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_times_and_sizes_of_environments_are_those_of_the_makefile(page: str) -> None:
    promised = re.findall(
        r"about\s+(\w+\s+minutes?)\s+and\s+([\d.]+\s+[GM]B)",
        (ROOT / page).read_text(encoding="utf-8"),
    )
    assert promised
    said = re.sub(r'"?\s*(?:&& )?\\?\s*@?echo "', " ", (ROOT / "Makefile").read_text())
    for minutes, size in promised:
        assert f"{minutes} and {size}".replace("\n", " ") in said


@pytest.mark.parametrize("page", ["README.md", "docs/accuracy.md"])
@pytest.mark.parametrize(
    ("row", "section"),
    [(r"\*\*this model\*\*[^|]*", "whole records"), ("its network alone", "rhythm not followed")],
)
def test_the_figures_are_those_measured(page: str, row: str, section: str) -> None:
    found = re.search(
        rf"^\| {row} \| (.*) \|$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found
    figures = [float(figure) for figure in re.findall(r"\d+\.\d+", found[1])]
    measured = json.loads((ROOT / "artifacts/metrics.json").read_text())[section]
    names = (
        "QRS Se",
        "QRS +P",
        "VEB Se",
        "VEB +P",
        "VEB F1",
        "SVEB Se",
        "SVEB +P",
        "SVEB F1",
        "accuracy",
    )
    assert figures[:-1] == [
        round(100 * measured[name], 2 if "QRS" in name else 1) for name in names
    ]
    assert figures[-1] == 1000 * measured["time error, median absolute"]
