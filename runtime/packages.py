"""The packages this one uses: which ones it needs, what the others add, how to install them.

The standard library is all that is imported here, so that a missing package can be reported.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .errors import MissingPackageError

ROOT = Path(__file__).resolve().parent.parent  # of a checkout or a bundle
# Extra -> the file that names its packages in a checkout or a bundle.
REQUIREMENTS: dict[str | None, str] = {
    "": "requirements-runtime.txt",
    "server": "requirements-runtime.txt",
    "cuda": "requirements-runtime-cuda.txt",
    "scale": "requirements-scale.txt",
}


class Package(NamedTuple):
    """A package of others.

    Attributes
    ----------
    name : on PyPI
    module : as it is imported
    purpose : in a few words
    extra : of this package that brings it; '' if it always comes, None if no extra brings it
    """

    name: str
    module: str
    purpose: str
    extra: str | None


NEEDED = (
    Package("numpy", "numpy", "arrays", ""),
    Package("onnxruntime", "onnxruntime", "runs the model", ""),
    Package("tqdm", "tqdm", "progress bars", ""),
)
FLASK = Package("flask", "flask", "serve, demo, stream --page", "server")
GUNICORN = Package(
    "gunicorn", "gunicorn", "serve, a process for each core; not on Windows", "server"
)
LOOP = (
    Package("uvicorn-worker", "uvicorn_worker", "serve, gunicorn's workers", "server"),
    Package("httptools", "httptools", "serve, reads HTTP", "server"),
    Package("a2wsgi", "a2wsgi", "serve, carries requests to flask", "server"),
)
WAITRESS = Package(
    "waitress", "waitress", "serve from one process, where gunicorn does not run", None
)
OPTIONAL = (
    FLASK,
    GUNICORN,
    *LOOP,
    WAITRESS,
    Package("orjson", "orjson", "reads a request's JSON faster", "server"),
    Package("wfdb", "wfdb", "reads WFDB records, writes annotations", "files"),
    Package("edfio", "edfio", "reads EDF files", "files"),
    Package("pyarrow", "pyarrow", "reads and writes Parquet files", "formats"),
    Package("pydicom", "pydicom", "reads DICOM files", "formats"),
    Package("scipy", "scipy", "reads MATLAB files", "formats"),
    Package("ecgdatakit", "ecgdatakit", "reads SCP-ECG, and Kardia's JSON", "formats"),
    Package("fsspec", "fsspec", "reads URLs; s3:// needs s3fs, too", "remote"),
    Package("requests", "requests", "downloads from PhysioNet", "remote"),
    Package("bleak", "bleak", "streams from straps over Bluetooth", "live"),
    Package("pyserial", "serial", "streams from serial ports", "live"),
    Package("jinja2", "jinja2", "lays out reports", "report"),
    Package(
        "cupy-cuda13x",
        "cupy",
        "very many streams on an NVIDIA GPU, in an environment of its own",
        "cuda",
    ),
    Package("onnx", "onnx", "gives CuPy's kernel its weights", "cuda"),
)


def is_installed(package: Package) -> bool:
    """Return whether the package can be imported, without importing it."""
    try:
        return find_spec(package.module) is not None
    except (ImportError, ValueError):  # hidden, or half imported
        return False


def holders() -> Mapping[str, list[str]]:
    """Return module -> the installed packages that hold it; looked up once, which takes long."""
    return _holders(tuple(sys.path))


@lru_cache(maxsize=1)
def _holders(_: tuple[str, ...]) -> Mapping[str, list[str]]:
    from importlib.metadata import packages_distributions  # a tenth of start-up

    return packages_distributions()


def versions(packages: Sequence[Package]) -> dict[Package, str]:
    """Return each package's version, '' if it is not installed.

    It is looked for by its module: CuPy has a name for each version of CUDA.
    """
    from importlib.metadata import version  # a tenth of start-up

    held = holders()
    return {
        package: version(held[package.module][0])
        if is_installed(package) and package.module in held
        else ""
        for package in packages
    }


def require(packages: Sequence[Package], purpose: str) -> None:
    """Refuse to go on without the packages.

    Parameters
    ----------
    packages : all needed together
    purpose : what for: 'to serve'

    Raises
    ------
    MissingPackageError
        Names the packages that are missing and the command that installs them.
    """
    if sentence := why_not(packages, purpose):
        raise MissingPackageError(sentence)


def why_not(packages: Sequence[Package], purpose: str) -> str:
    """Return the sentence of `require`, '' if all the packages are installed."""
    absent = [package for package in packages if not is_installed(package)]
    if not absent:
        return ""
    *names, last = (package.name for package in absent)
    subject = f"{', '.join(names)} and {last} are" if names else f"{last} is"
    return f"{subject} needed {purpose} and not installed; run `{install_command(absent[0])}`."


def install_command(package: Package) -> str:
    """Return the command line that installs a package for this interpreter.

    A package that the requirements name comes with all of them, in the versions they allow.
    """
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"{python} -m pip install {_target(package)}"


def _target(package: Package) -> str:
    if not (ROOT / REQUIREMENTS[""]).is_file():
        return package.name if package.extra is None else f'"ekg[{package.extra or "server"}]"'
    if package.extra not in REQUIREMENTS:
        return package.name
    path = ROOT / REQUIREMENTS[package.extra]
    if path.parent == Path.cwd():
        return f"-r {path.name}"
    return f'-r "{path}"' if " " in str(path) else f"-r {path}"
