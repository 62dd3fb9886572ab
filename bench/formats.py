"""The same recording from every format: the samples beside another program's, and the beats.

    python -m bench.formats [--record mitdb/208] [--python .venv-other/bin/python]

Each file is written as `bench.sample_files` does and read by our reader and by another program,
where there is one. The beats of both are compared, time and label. ishneholterlib and ecgdatakit
need an environment of their own, which --python names; without it these rows are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.sample_files import WRITERS, Recording, recording
from runtime import Detector
from runtime.records import read
from training.download import data_folder

RESULTS = Path(__file__).parent / "results" / "formats"
SECONDS = 300
Samples = NDArray[np.float64]

ISHNE = """
import sys, numpy as np
from ishneholterlib import Holter
holter = Holter(sys.argv[1]); holter.load_data()
assert holter.is_valid()
np.save(sys.argv[2], holter.lead[0].data)
"""
KIT = """
import sys, numpy as np
from ecgdatakit import FileParser
found = FileParser().parse(sys.argv[1])
lead = (found[0] if isinstance(found, list) else found).leads[0]
lead = lead.to_physical() if lead.is_raw else lead
np.save(sys.argv[2], np.asarray(lead.samples, float) * (1e-3 if lead.units == "uV" else 1))
"""


def by_csv(path: Path) -> Samples:
    return np.asarray(np.genfromtxt(path, delimiter=",", skip_header=1)[:, 1])


def by_npy(path: Path) -> Samples:
    return np.asarray(np.load(path)["II"])


def by_npz(path: Path) -> Samples:
    return np.asarray(np.load(path)["signal"][:, 0])


def by_json(path: Path) -> Samples:
    return np.array(json.loads(path.read_text())["II"])


def by_parquet(path: Path) -> Samples:
    import pyarrow.parquet as pq

    return np.asarray(pq.read_table(path).column("II (mV)").to_numpy())


def by_matlab(path: Path) -> Samples:
    from scipy.io import loadmat

    return np.asarray(loadmat(path, simplify_cells=True)["ecg"]["signal"][0])


def by_wfdb(path: Path) -> Samples:
    import wfdb

    return np.asarray(wfdb.rdrecord(str(path.with_suffix(""))).p_signal[:, 0])


def by_pyedflib(path: Path) -> Samples:
    import pyedflib

    with pyedflib.EdfReader(str(path)) as file:
        return np.asarray(file.readSignal(0))


def by_pydicom(path: Path) -> Samples:
    import pydicom

    return np.asarray(pydicom.dcmread(path).waveform_array(0)[:, 0] / 1000)


def elsewhere(python: str, program: str, path: Path) -> Samples:
    """Return what a program of another environment saves."""
    out = path.with_name("other.npy")
    command = [python, "-W", "ignore", "-c", program, str(path), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return np.asarray(np.load(out))


OTHERS: dict[str, tuple[str, Callable[[Path], Samples]]] = {
    "CSV": ("numpy.genfromtxt", by_csv),
    "JSON": ("json", by_json),
    "NumPy, .npy": ("numpy", by_npy),
    "NumPy, .npz": ("numpy", by_npz),
    "Parquet": ("pyarrow", by_parquet),
    "MATLAB": ("scipy.io", by_matlab),
    "PhysioNet challenge, .mat": ("wfdb", by_wfdb),
    "WFDB": ("wfdb", by_wfdb),
    "EDF": ("pyedflib", by_pyedflib),
    "BDF": ("pyedflib", by_pyedflib),
    "DICOM": ("pydicom", by_pydicom),
}
ELSEWHERE = {
    "ISHNE": ("ishneholterlib", ISHNE),
    "aECG": ("ecgdatakit", KIT),
}


def measure(
    name: str, made: Recording, detector: Detector, python: str | None, folder: Path
) -> tuple[str, float, int, int]:
    """Read a file with our reader and the other program.

    Returns
    -------
    the other program, the largest difference of the samples in uV, the beats that both have, and
    all beats
    """
    path = WRITERS[name](folder, made)
    ours = read(path)
    other, theirs = "its writer's samples", made.leads["II"]
    if name in OTHERS:
        other, theirs = OTHERS[name][0], OTHERS[name][1](path)
    elif name in ELSEWHERE and python:
        other, theirs = ELSEWHERE[name][0], elsewhere(python, ELSEWHERE[name][1], path)
    elif name == "Contec":  # which is written at 800 Hz
        times = np.arange(len(ours.signal)) / 800
        theirs = np.interp(times, np.arange(len(theirs)) / made.fs, theirs)
    size = min(len(ours.signal), len(theirs))
    difference = float(np.abs(ours.signal[:size] - theirs[:size]).max()) * 1000
    found = [_beats(detector, signal[:size], ours.fs) for signal in (ours.signal, theirs)]
    return other, difference, len(found[0] & found[1]), len(found[0] | found[1])


def _beats(detector: Detector, signal: Samples, fs: float) -> set[tuple[float, str]]:
    result: Any = detector.predict(signal, fs, events=True)
    return {(round(beat.time, 3), beat.label) for beat in result.beats}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", default="mitdb/208", help="in the folder of recordings")
    parser.add_argument("--python", help="with ishneholterlib and ecgdatakit")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    data = data_folder()
    made = recording() if data is None else recording(source=data / args.record, seconds=SECONDS)
    what = "the sample" if data is None else f"the first {SECONDS} s of {args.record}"
    detector = Detector.load(provider="cpu")
    lines = [
        "# One recording in every format",
        "",
        f"`python -m bench.formats` on {what}: written as `bench.sample_files` does, read by ours "
        "and by another program. Beats are equal if time (to 1 ms) and label are.",
        "",
        "| format | beside | samples differ by, uV | beats equal |",
        "|---|---|---|---|",
    ]
    for name in WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            other, difference, equal, beats = measure(
                name, made, detector, args.python, Path(folder)
            )
        lines.append(f"| {name} | {other} | {difference:.4f} | {equal} of {beats} |")
        print(lines[-1], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
