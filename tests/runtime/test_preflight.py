"""Python's version and the needed packages are checked before anything else is imported."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from runtime import packages, preflight

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 9), (3, 13, 1)])
def test_supported_versions(version: tuple[int, ...]) -> None:
    assert preflight.python_problem(version) == ""


@pytest.mark.parametrize(
    ("version", "name"), [((3, 10, 13), "3.10.13"), ((2, 7, 18), "2.7.18"), ((3, 14, 0), "3.14.0")]
)
def test_other_versions(version: tuple[int, ...], name: str) -> None:
    assert preflight.python_problem(version) == (
        f"ekg needs Python 3.11 to 3.13, this is {name} ({sys.executable})."
    )


def test_the_package_states_the_same_oldest_version() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    bounds = dict(re.findall(r"(>=|<)\s*3\.(\d+)", stated))
    assert int(bounds[">="]) == preflight.OLDEST[1]
    assert int(bounds.get("<", preflight.NEWEST[1] + 1)) == preflight.NEWEST[1] + 1


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "preflight.py"])
def test_an_old_python_can_read_what_comes_before_the_check(name: str) -> None:
    ast.parse((ROOT / "runtime" / name).read_text(), feature_version=(3, 7))


@pytest.fixture(scope="module")
def old_python() -> str:
    """Python 3.10, where there is one: on the path or beside this one, as pyenv puts it."""
    beside = Path(sys.base_prefix).parent.glob("*3.10*/bin/python3.10")
    for path in filter(None, [shutil.which("python3.10"), *map(str, beside)]):
        if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    pytest.skip("no Python 3.10 is at hand")


def test_an_old_python_gets_one_sentence(old_python: str) -> None:
    def call(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [old_python, "-B", *arguments], cwd=ROOT, capture_output=True, text=True
        )
        return done.returncode, done.stderr

    sentence = r"error: ekg needs Python 3\.11 to 3\.13, this is 3\.\d+\.\d+ \(\S+\)\."
    for module in ("runtime", "runtime.client"):
        status, err = call("-m", module, "doctor")
        assert status == 2
        assert re.fullmatch(sentence + "\n", err)
    status, err = call("runtime/preflight.py")
    assert status == 2
    assert re.fullmatch(sentence + r" Name another one: `make demo PYTHON=python3\.13`\.\n", err)
    status, err = call("-c", "import runtime")
    assert status == 1
    assert err.splitlines()[-1].startswith("ImportError: ekg needs Python 3.11 to 3.13")


def test_make_refuses_an_old_python_before_it_makes_an_environment(
    old_python: str, tmp_path: Path
) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make")
    (tmp_path / "runtime").mkdir()
    for name in ("Makefile", "requirements-runtime.txt", "runtime/preflight.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [make, "demo", f"PYTHON={old_python}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ekg needs Python 3.11 to 3.13, this is 3.")
    assert not list(tmp_path.glob(".venv*"))


def missing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(packages, "is_installed", lambda package: package.name not in names)


def test_a_complete_installation_has_no_problem() -> None:
    assert preflight.problem() == ""


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    missing(monkeypatch, "onnxruntime", "tqdm", "flask")
    assert preflight.problem() == (
        "onnxruntime and tqdm are needed for everything here and not installed; run "
        f"`{sys.executable} -m pip install -r requirements-runtime.txt`."
    )


def test_a_newer_python_is_refused_only_if_packages_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "NEWEST", (3, 10))
    monkeypatch.setattr(preflight, "OLDEST", (3, 9))
    assert preflight.problem() == ""
    missing(monkeypatch, "numpy")
    assert preflight.problem().startswith("ekg needs Python 3.9 to 3.10, this is 3.")


def test_a_command_ends_and_an_import_raises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "OLDEST", (9, 0))
    with pytest.raises(ImportError, match=r"ekg needs Python 9\.0 to"):
        preflight.check()
    monkeypatch.setattr(sys, "argv", ["-m", "doctor"])
    with pytest.raises(SystemExit) as ended:
        preflight.check()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: ekg needs Python 9.0 to ")
