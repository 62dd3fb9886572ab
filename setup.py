"""The list of packages, which pyproject.toml cannot find under another name than their folder's."""

from setuptools import find_namespace_packages, setup

# Folders of data count, so that setuptools takes their files.
INSIDE = {
    "ekg": find_namespace_packages("runtime", exclude=["*__pycache__*"]),
    "ekg.scale": find_namespace_packages("scale", exclude=["*__pycache__*"]),
}
PACKAGES = [
    name for outer, inner in INSIDE.items() for name in (outer, *(f"{outer}.{i}" for i in inner))
]

setup(packages=[*PACKAGES, "ekg.kernels", "ekg.artifacts"])
