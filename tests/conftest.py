"""What every test may use: the committed model, the recordings where they are at hand."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import onnxruntime
import pytest

from runtime import Detector

ROOT = Path(__file__).resolve().parent.parent

# Deterministic, and no example counts as slow on a shared machine.
hypothesis.settings.register_profile("ekg", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile("ekg")


def pytest_report_header() -> str:
    from training.download import data_folder

    providers = ", ".join(onnxruntime.get_available_providers())
    data = "at hand" if data_folder() else "absent: tests of real records skip"
    return f"onnxruntime {onnxruntime.__version__} ({providers}); recordings {data}"


@pytest.fixture(scope="session")
def detector() -> Detector:
    """The committed model on the CPU."""
    return Detector.load(ROOT / "artifacts", provider="cpu")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with mitdb/ and the others; the test is skipped where there is none."""
    from training.download import data_folder

    folder = data_folder()
    if folder is None:
        pytest.skip("no recordings at hand (set EKG_DATA to the folder that holds mitdb/)")
    return folder
