"""The table of packages: what is missing, and the command that installs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from runtime import MissingPackageError, packages
from runtime.packages import FLASK, NEEDED, OPTIONAL, WAITRESS, Package, install_command

ROOT = Path(__file__).resolve().parents[2]
ABSENT = Package("no-such-package", "no_such_package", "nothing", None)
CUPY = next(package for package in OPTIONAL if package.module == "cupy")
WFDB = next(package for package in OPTIONAL if package.name == "wfdb")


def test_a_missing_package_is_named_with_its_purpose_and_command() -> None:
    with pytest.raises(MissingPackageError) as raised:
        packages.require([NEEDED[0], ABSENT], "to test")
    assert str(raised.value) == (
        "no-such-package is needed to test and not installed; run "
        f"`{sys.executable} -m pip install no-such-package`."
    )
    packages.require(NEEDED, "to test")


@pytest.mark.parametrize(
    ("package", "target"),
    [
        (NEEDED[0], "-r requirements-runtime.txt"),
        (FLASK, "-r requirements-runtime.txt"),
        (CUPY, "-r requirements-runtime-cuda.txt"),
        (WFDB, "wfdb"),
        (WAITRESS, "waitress"),
    ],
)
def test_commands_of_a_checkout(
    package: Package, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert install_command(package) == f"{sys.executable} -m pip install {target}"


def test_elsewhere_the_requirements_are_named_by_their_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    spaced = tmp_path / "my ekg"
    spaced.mkdir()
    (spaced / "requirements-runtime.txt").touch()
    monkeypatch.setattr(packages, "ROOT", spaced)
    monkeypatch.setattr(sys, "executable", "/my python/bin/python")
    assert install_command(FLASK) == (
        f'"/my python/bin/python" -m pip install -r "{spaced}/requirements-runtime.txt"'
    )


@pytest.mark.parametrize(
    ("package", "target"),
    [
        (NEEDED[0], '"ekg[server]"'),
        (FLASK, '"ekg[server]"'),
        (CUPY, '"ekg[cuda]"'),
        (WFDB, '"ekg[files]"'),
        (WAITRESS, "waitress"),
    ],
)
def test_commands_of_the_installed_package(
    package: Package, target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    assert install_command(package) == f"{sys.executable} -m pip install {target}"


def test_versions_are_found_by_module() -> None:
    found = packages.versions([NEEDED[0], ABSENT])
    assert re.match(r"\d+\.\d+", found[NEEDED[0]])
    assert found[ABSENT] == ""


def test_requirements_hold_what_the_table_says_they_bring() -> None:
    for package in (*NEEDED, *OPTIONAL):
        if package.extra in packages.REQUIREMENTS:
            text = (ROOT / packages.REQUIREMENTS[package.extra]).read_text()
            assert re.search(rf"^{package.name}\b", text, re.MULTILINE), package.name
