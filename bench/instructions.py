"""Instructions of a second of one patient's signal: ``python -m bench.instructions``.

Counted by callgrind, so the figures do not depend on how busy or fast the machine is. Writes
``bench/results/instructions/``: ``instructions.json`` and ``README.md``. docs/devices.md reckons
from them what a small board needs.

Needs Debian's packages valgrind and gcc. valgrind knows AVX2 and no AVX-512, so what is counted is
what a processor with AVX2 would run.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.environments import ROOT, keep_bytecode, runtime_python
from bench.measure import unwind_on_sigterm

OUT = ROOT / "bench" / "results" / "instructions"
MODELS = {"fp32": "ekg_fused.onnx", "INT8": "ekg_fused_int8.onnx"}
CHUNKS_S = (1, 5, 10)
KINDS = ("network alone", "rhythm followed")
FS, WARM_UP_S, COUNTED_S = 360, 30, 60
# valgrind's requests are instructions, so they need a compiler.
REQUESTS = """\
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void end(const char *what) { CALLGRIND_DUMP_STATS_AT(what); CALLGRIND_STOP_INSTRUMENTATION; }
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)  # model and library: in valgrind
    args = parser.parse_args(arguments)
    if args.work:
        push(*args.work)
        return
    for program in ("valgrind", "gcc"):
        if shutil.which(program) is None:
            parser.error(f"{program} is not installed; run `apt-get install valgrind gcc`.")
    unwind_on_sigterm()
    keep_bytecode()
    with tempfile.TemporaryDirectory() as folder:
        counts = {name: count(file, Path(folder) / name) for name, file in MODELS.items()}
    results = {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in ("onnxruntime", "numpy")},
        "python": sys.version.split()[0],
        "instructions_per_second": counts,
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "instructions.json").write_text(json.dumps(results, indent=1) + "\n")
    (OUT / "README.md").write_text(table(results))
    print(table(results))


def count(model: str, folder: Path) -> dict[str, dict[str, float]]:
    """Instructions of a second of signal with a model: kind -> length of a chunk in s -> number."""
    folder.mkdir(parents=True)
    library = folder / "requests.so"
    compiler = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(library)]
    subprocess.run(compiler, input=REQUESTS, text=True, check=True)
    command = [
        *("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"),
        *(f"--callgrind-out-file={folder}/counted", runtime_python()),
        *("-m", "bench.instructions", "--work", model, str(library)),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    found: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
    for dump in folder.glob("counted.*"):
        text = dump.read_text(errors="replace")
        what = re.search(r"^desc: Trigger: Client Request: (.+)/(\d+)$", text, re.MULTILINE)
        total = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
        if what and total:
            found[what[1]][what[2]] = int(total[1]) / COUNTED_S
    return found


def push(model: str, library: str) -> None:
    """In valgrind: push signal in chunks of each length, and mark what is to be counted."""
    from runtime import Detector
    from runtime.simulate import simulate

    requests = ctypes.CDLL(library)
    detector = Detector.load(ROOT / "artifacts", provider="cpu", model=model)
    signal = simulate(WARM_UP_S + COUNTED_S, fs=FS, seed=5).signal
    for kind in KINDS:
        for length in CHUNKS_S:
            stream = detector.stream(FS, events=kind == KINDS[1])
            for at in range(0, len(signal), length * FS):
                if at == WARM_UP_S * FS:
                    requests.begin()
                stream.push(signal[at : at + length * FS])
                stream.events()
            requests.end(f"{kind}/{length}".encode())


def table(results: dict[str, Any]) -> str:
    """The counts as Markdown, millions."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        "# Instructions of a second of one patient's signal, millions",
        "",
        f"{results['when']}, x86-64 with AVX2 as callgrind emulates it, one thread, Python "
        f"{results['python']}, {versions}: `Stream.push` of {COUNTED_S} simulated seconds at "
        f"{FS} Hz after {WARM_UP_S}. Written by `python -m bench.instructions`.",
        "",
        "| | " + " | ".join(f"chunks of {length} s" for length in CHUNKS_S) + " |",
        "|---|" + "---|" * len(CHUNKS_S),
    ]
    for name, kinds in results["instructions_per_second"].items():
        for kind, counts in kinds.items():
            cells = [f"{counts[str(length)] / 1e6:.2f}" for length in CHUNKS_S]
            lines.append(f"| {name}, {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
