"""The list of packages, which pyproject.toml cannot find under another name than their folder's.

And the innermost loops in C, which are optional: without a compiler, or with ``EKG_COMPILED=0``,
the package installs without them. `python setup.py build_ext --inplace` builds them in a checkout.
"""

import os
import sys

from setuptools import Extension, find_namespace_packages, setup

# Folders of data count, so that setuptools takes their files.
INSIDE = {
    "ekg": find_namespace_packages("runtime", exclude=["*__pycache__*"]),
    "ekg.scale": find_namespace_packages("scale", exclude=["*__pycache__*"]),
}
PACKAGES = [
    name for outer, inner in INSIDE.items() for name in (outer, *(f"{outer}.{i}" for i in inner))
]
# One binary for all Pythons. No step is contracted, so that processors differ in nothing. Loops are
# vectorised, single statements are not: GCC 12 then leaves out roundings to float.
FLAGS = ["-O3", "-ffp-contract=off", "-fopenmp-simd", "-fno-tree-slp-vectorize"]
FLAGS = [] if sys.platform == "win32" else FLAGS
LOOPS = [
    Extension(
        f"ekg.{name}",
        [f"runtime/{name.replace('.', '/')}.c"],
        depends=[f"runtime/signal/{name}.h" for name in ("loops", "beat", "artefact", "judge")],
        extra_compile_args=FLAGS,
        py_limited_api=True,
        optional=True,
    )
    for name in (
        "signal.compiled",
        "signal.windows",
        "signal.beats",
        "signal.intervals",
        "signal.ordinary",
        "records.parsed",
    )
]
COMPILED = os.environ.get("EKG_COMPILED") != "0"

setup(
    packages=[*PACKAGES, "ekg.kernels", "ekg.artifacts"],
    ext_modules=LOOPS if COMPILED else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if COMPILED else {},
)
