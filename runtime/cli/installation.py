"""Reports what is installed, which providers really run the model, and remedies for the rest."""

from __future__ import annotations

import ctypes
import platform
import re
import statistics
import time
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from textwrap import wrap

import numpy as np
import onnxruntime

from ..detector import Detector
from ..errors import EkgError
from ..model import providers
from ..model.artifacts import Artifacts
from ..model.embedded import BEATS, WHOLE, GoldenEkg
from ..model.session import thread_plan, usable_cores
from ..packages import NEEDED, OPTIONAL, holders, install_command, versions

# Packages whose versions have to fit together.
SHOWN = re.compile(
    "|".join(
        [
            *(package.name for package in NEEDED),
            "onnxruntime.*",
            "coremltools",
            "cupy.*",
            "nvidia-(cudnn|cublas|cuda-runtime).*",
        ]
    )
)

LINE_LENGTH = 100


def report(artifacts: Path) -> int:
    """Print it all; gives 0 if the model runs on at least the CPU and nothing clashes, else 1."""
    packages = installed()
    cores = usable_cores()
    print(f"Python {platform.python_version()} on {platform.platform()}, {platform.machine()}")
    print(
        f"threads: {cores} cores may be used (affinity and quota); "
        f"{thread_plan(1, cores)} for each session, not spinning"
    )
    print("packages: " + ", ".join(f"{name} {version}" for name, version in packages.items()))
    cuda = providers.built_for_cuda()
    print(
        f"ONNX Runtime {onnxruntime.__version__}, "
        f"{f'built for CUDA {cuda}' if cuda else 'built without CUDA'}; compiled in: "
        f"{', '.join(providers.compiled_in())}"
    )
    if cuda:
        print(f"NVIDIA driver: {driver()}")
    print("\n".join(["optional packages:", *optional_packages()]))
    problems = clashes(packages, wheels(), cuda)
    healthy = check_providers(artifacts)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if healthy and not problems:
        print("no problems")
    return 0 if healthy and not problems else 1


def installed() -> dict[str, str]:
    """Return name -> version of the installed packages that have to fit together."""
    found = {(dist.metadata["Name"] or "").lower(): dist.version for dist in distributions()}
    return {name: found[name] for name in sorted(found) if SHOWN.fullmatch(name)}


def optional_packages() -> list[str]:
    """Return lines with the optional packages that are installed, and one for each that is not.

    That gives its purpose, and how to install it.
    """
    found = versions(OPTIONAL)
    present = ", ".join(
        f"{package.module} {version}" for package, version in found.items() if version
    )
    return [
        *wrap(present, LINE_LENGTH, initial_indent="  ", subsequent_indent="  "),
        *(
            f"  {package.module:11s} not installed  {package.purpose}: {install_command(package)}"
            for package, version in found.items()
            if not version
        ),
    ]


def wheels() -> list[str]:
    """Return the packages that hold the module `onnxruntime`; more than one is a fault."""
    return sorted(set(holders().get("onnxruntime", [])))


def clashes(packages: Mapping[str, str], wheels: list[str], cuda: str) -> list[str]:
    """Return a sentence for each pair of packages that cannot work together, with its remedy.

    Parameters
    ----------
    packages : name -> version
    wheels : the packages that hold ONNX Runtime
    cuda : version that ONNX Runtime was built for, '' for none
    """
    found = []
    if len(wheels) > 1:
        found.append(
            f"{' and '.join(wheels)} are both installed and overwrite each other's files; "
            f"run `pip uninstall -y {' '.join(wheels)}`, then install the one you need."
        )
    cupys = [name for name in packages if re.fullmatch(r"cupy(-cuda\d+x)?", name)]
    if len(cupys) > 1:
        found.append(
            f"{' and '.join(cupys)} are both installed and overwrite each other's files; "
            f"run `pip uninstall -y {' '.join(cupys)}`, then install the one you need."
        )
    major = cuda.split(".")[0]
    for name in cupys:
        built = re.sub(r"\D", "", name)
        if cuda and built and built != major:
            found.append(
                f"{name} is built for CUDA {built} and ONNX Runtime for CUDA {cuda}, one "
                f"process cannot hold both; run `pip uninstall -y {name}` and "
                f"`pip install cupy-cuda{major}x`."
            )
    return found


def driver() -> str:
    """Describe NVIDIA's driver in words."""
    try:
        library = ctypes.CDLL("libcuda.so.1" if platform.system() == "Linux" else "nvcuda.dll")
    except OSError as error:
        return f"not found ({error}); install it, it comes with no Python package"
    version, count = ctypes.c_int(), ctypes.c_int()
    if status := library.cuInit(0):
        return f"does not start (cuInit gave {status}; 100 means that it sees no GPU)"
    library.cuDriverGetVersion(ctypes.byref(version))
    library.cuDeviceGetCount(ctypes.byref(count))
    highest = version.value // 1000, version.value % 1000 // 10
    text = f"runs CUDA up to {highest[0]}.{highest[1]}, {count.value} GPU(s)"
    cuda = providers.built_for_cuda()
    if highest[0] < int(cuda.split(".")[0]):
        text += f"; too old for CUDA {cuda}, update it"
    return text


def check_providers(artifacts: Path) -> bool:
    """Try every provider on the model and print the results; gives True if the CPU runs it."""
    try:
        files = Artifacts(artifacts)
        for name in files.files:
            files.path(name)
    except EkgError as error:
        print(f"model: {error}")
        return False
    print(f"model: {artifacts}, {len(files.files)} files as exported")
    running = {}
    for name in providers.ONNX_NAMES:
        try:
            running[name] = detector = Detector.load(artifacts, provider=name)
        except EkgError as error:
            print(f"  {name:7s} no: {error}")
        else:
            nodes = (
                ", ".join(
                    f"{count} nodes on {where}"
                    for where, count in detector.session.placement.items()
                )
                or "placement unknown"
            )
            print(
                f"  {name:7s} runs {providers.graph(name)}: {nodes}; golden answer right; "
                f"{_milliseconds(detector):.2f} ms for a second of signal"
            )
    embedded = check_embedded(files)
    if "cuda" in running:
        check_cuda_nets(artifacts)
    if running:
        contract = next(iter(running.values())).contract
        print(
            f"  'auto' takes {'cuda' if 'cuda' in running else 'cpu'}; "
            f"trained on: {contract.trained_on}"
        )
    return "cpu" in running and embedded


def check_embedded(files: Artifacts) -> bool:
    """Try the graphs that give beats and print the result; gives True if they are right."""
    try:
        GoldenEkg.read(files).check(files)
    except EkgError as error:
        print(f"  beats:  no: {error}")
        return False
    print(f"  {BEATS} and {WHOLE}, for other languages: golden beats right")
    return True


def check_cuda_nets(artifacts: Path) -> None:
    """Try all networks that keep signal and carry on the GPU, and print the results."""
    from ..model.cuda import GRAPHS, CudaNet  # for a GPU only

    for name in GRAPHS:
        try:
            CudaNet.load(artifacts, way=name)
        except (EkgError, ImportError, RuntimeError) as error:  # CuPy's own among them
            print(f"  cuda, many streams, {name}: no: {error}")
        else:
            print(f"  cuda, many streams, {name}: runs {GRAPHS[name]}; golden answer right")


def _milliseconds(detector: Detector, runs: int = 30) -> float:
    """Return the median time of one second of one signal, ms; a first look, no benchmark."""
    contract = detector.contract
    carry = np.zeros((1, contract.carry_size), dtype=np.float32)
    ecg = np.zeros((1, contract.fs), dtype=np.float32)
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        detector.session.run(ecg, carry)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
