"""The list of packages, which pyproject.toml cannot find under another name than their folder's."""

from setuptools import find_namespace_packages, setup

# Folders of data count, so that setuptools takes their files.
INSIDE = find_namespace_packages("runtime", exclude=["*__pycache__*"])

setup(packages=["ekg", *(f"ekg.{name}" for name in INSIDE), "ekg.kernels", "ekg.artifacts"])
