"""The bundle on 64-bit Arm, emulated: ``python -m bench.arm64 --folder DIR``.

Makes a Debian for arm64 in DIR, unpacks the bundle there with the wheels of its requirements, and
runs ``doctor``, ``predict`` and ``annotate`` under user-mode emulation. Writes
``bench/results/arm64/log.txt``; exit status 1 unless the answers are those of this machine.
Emulation shows that the wheels work and answer right; its times mean nothing.

Needs Debian's packages mmdebstrap and qemu-user-static, and ``make bundle``.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.environments import ROOT

RELEASE, PYTHON = "bookworm", "3.11"  # and the Python of this Debian
QEMU = "qemu-aarch64-static"
PROCESSOR = "cortex-a72"  # of the Raspberry Pi 4
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 17)] + ["manylinux2014_aarch64"]
BUNDLE = ROOT / "dist" / "ekg-runtime.tar.gz"
LOG = ROOT / "bench" / "results" / "arm64" / "log.txt"
# User-mode emulation shows a program the host's /proc, and ONNX Runtime does not survive reading
# that of another architecture; a file in the root comes before the host's.
CPUINFO = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
WHEELS = """\
from importlib.metadata import distributions
for one in sorted(distributions(path=[{folder!r}]), key=lambda one: one.name.lower()):
    tags = [line[5:] for line in one.read_text('WHEEL').splitlines() if line.startswith('Tag: ')]
    print(one.name, one.version, tags[-1])
"""
SAMPLE = "sample"
COMMANDS = (
    ("predict", SAMPLE),
    ("annotate", SAMPLE, "--to", "csv", "--out", "out"),
)
RESULTS = ("sample.ekg.beats.csv", "sample.ekg.events.csv")
TOLERANCE = 1e-3  # of a number in an answer


class ArmError(Exception):
    """The emulated machine cannot be made, or a command fails on it; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0: the answers are those of this machine, 1: they are not, 2: no answers."""
    parser = argparse.ArgumentParser(prog="python -m bench.arm64", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="for the machine; about 250 MB")
    args = parser.parse_args(arguments)
    folder = args.folder.resolve()
    try:
        machine = make(folder / "debian")
        log, same = trial(machine, folder)
    except ArmError as error:
        parser.exit(2, f"{error}\n")
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text(log)
    print(log)
    return 0 if same else 1


class Machine:
    """A Debian for arm64 in a folder; its programs run here, emulated."""

    def __init__(self, root: Path):
        self.root, self.packages, self.bundle = root, root / "opt/packages", root / "opt/ekg"

    def python(self, *arguments: str) -> str:
        """What the machine's Python prints, without names of this machine."""
        found = run(
            [QEMU, "-cpu", PROCESSOR, f"{self.root}/usr/bin/python{PYTHON}", *arguments],
            self.bundle,
            QEMU_LD_PREFIX=str(self.root),
            PYTHONPATH=str(self.packages),
        )
        return re.sub(r"Linux-\S+?-aarch64\S*", "Linux", found.replace(str(self.root), ""))


def make(root: Path) -> Machine:
    """Make the machine, as far as it is not there, and install the bundle.

    Raises
    ------
    ArmError
        A program or the bundle is missing, or a package cannot be had.
    """
    for program in ("mmdebstrap", QEMU):
        if shutil.which(program) is None:
            raise ArmError(
                f"{program} is not installed; run `apt-get install mmdebstrap qemu-user-static`."
            )
    if not BUNDLE.is_file():
        raise ArmError(f"{BUNDLE.relative_to(ROOT)} does not exist; run `make bundle`.")
    machine = Machine(root)
    if not (root / f"usr/bin/python{PYTHON}").exists():
        # Unpacked only: to configure packages, programs of arm64 would have to start others.
        run(
            [
                *("mmdebstrap", "--quiet", "--architectures=arm64", "--variant=extract"),
                *("--include=python3,libstdc++6", RELEASE, str(root)),
            ],
            root.parent,
        )
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text("".join(CPUINFO.format(core=core) for core in range(4)))
    shutil.rmtree(machine.bundle, ignore_errors=True)
    with tarfile.open(BUNDLE) as packed:
        packed.extractall(machine.bundle, filter="data")
    if not machine.packages.is_dir():
        run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            + [f"--platform={platform}" for platform in PLATFORMS]
            + ["--python-version", PYTHON, "--only-binary=:all:", "--no-compile"]
            + ["--target", str(machine.packages), "-r", "requirements-runtime.txt"],
            machine.bundle,
        )
    return machine


def trial(machine: Machine, folder: Path) -> tuple[str, bool]:
    """Use the bundle there and this checkout here: the log, and True if the answers agree."""
    here = folder / "here"
    here.mkdir(exist_ok=True)
    parts = [
        f"Debian {RELEASE}, arm64, under user-mode emulation of a {PROCESSOR}; times mean nothing.",
        machine.python("-c", WHEELS.format(folder=str(machine.packages))),
    ]
    for command in (("doctor",), *COMMANDS):
        printed = machine.python("-m", "runtime", *command)
        parts.append(f"$ python -m runtime {' '.join(command)}\n{printed[:4000]}")
        if command[0] == "predict":
            there = json.loads(printed)
    answer = json.loads(run([sys.executable, "-m", "runtime", *COMMANDS[0]], here, PYTHONPATH=ROOT))
    run([sys.executable, "-m", "runtime", *COMMANDS[1]], here, PYTHONPATH=ROOT)
    verdicts = {
        "the answer of predict": agree(there, answer),
        **{
            name: agree(table(machine.bundle / "out" / name), table(here / "out" / name))
            for name in RESULTS
        },
    }
    here_too = f"on {os.uname().machine}, numbers to {TOLERANCE:g}"
    parts += [f"{what}: {'as' if same else 'NOT as'} {here_too}" for what, same in verdicts.items()]
    return "\n\n".join(part.strip() for part in parts) + "\n", all(verdicts.values())


def agree(one: Any, other: Any) -> bool:
    """True if two answers hold the same words, and numbers that are nearly the same."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=0.0, abs_tol=TOLERANCE)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(agree(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    return bool(one == other)


def table(path: Path) -> list[list[Any]]:
    """A CSV file's rows, its numbers as numbers."""
    with path.open(newline="") as file:
        return [[_number(cell) for cell in row] for row in csv.reader(file)]


def run(command: Sequence[str], folder: Path, **environment: str | Path) -> str:
    """What a command prints.

    Raises
    ------
    ArmError
        It fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {name: str(value) for name, value in environment.items()}
    done = subprocess.run(
        command, cwd=folder, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ArmError(f"{Path(command[0]).name} ended with status {done.returncode}: {last}")
    return done.stdout


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


if __name__ == "__main__":
    sys.exit(main())
