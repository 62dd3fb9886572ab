"""The Core ML package: its saved program, run here, answers as torch does.

On macOS Core ML runs it; elsewhere NumPy does, operation by operation.
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export import __main__ as exporting
from export.graphs import ExportError
from runtime.model.contract import Contract
from tests.export.conftest import Exported
from training.recordings import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def coreml() -> Any:
    """The module, whose coremltools takes seconds to import; Linux on ARM has no wheel of that."""
    return pytest.importorskip(
        "export.coreml", reason="coremltools is not installed", exc_type=ImportError
    )


@pytest.fixture(scope="module")
def tolerance(coreml: Any) -> float:
    return coreml.PREDICT_TOLERANCE if platform.system() == "Darwin" else 1e-5


@pytest.fixture(scope="module")
def package(coreml: Any, small: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coreml.write(small.net, small.described, tmp_path_factory.mktemp("coreml"))


def test_the_package_equals_torch_second_by_second(
    coreml: Any, tolerance: float, package: Path, small: Exported, signals: NDArray[np.float32]
) -> None:
    assert coreml.prove(package, small.net, signals) <= tolerance


def test_the_carry_is_plain_input_and_output(coreml: Any, package: Path, small: Exported) -> None:
    description = coreml.specification(package).description
    shapes = {
        each.name: list(each.type.multiArrayType.shape)
        for each in (*description.input, *description.output)
    }
    size = small.net.carry_size
    assert shapes == {
        "ecg": [1, 360],
        "carry": [1, size],
        "probabilities": [1, 20, 6],
        "carry_out": [1, size],
    }
    float32 = coreml.ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    assert all(
        each.type.multiArrayType.dataType == float32
        for each in (*description.input, *description.output)
    )


def test_the_package_computes_in_single_precision(coreml: Any, package: Path) -> None:
    program = coreml.specification(package).mlProgram.functions["main"]
    operations = next(iter(program.block_specializations.values())).operations
    assert "cast" not in {operation.type for operation in operations}


def test_half_precision_is_measured_and_farther_off(
    coreml: Any, small: Exported, signals: NDArray[np.float32]
) -> None:
    assert 1e-5 < coreml.half_difference(small.net, small.described, signals) < 0.1


def test_the_package_holds_contract_and_descriptions(coreml: Any, package: Path) -> None:
    description = coreml.specification(package).description
    metadata = dict(description.metadata.userDefined)
    contract = Contract.read(metadata, coreml.NAME)
    assert (contract.fs, contract.hop, contract.simulated) == (360, 18, True)
    assert all(each.shortDescription for each in (*description.input, *description.output))
    assert "Not a medical device" in description.metadata.shortDescription


def test_the_same_network_gives_the_same_bytes(
    coreml: Any, package: Path, small: Exported, tmp_path: Path
) -> None:
    again = coreml.write(small.net, small.described, tmp_path)
    coreml.ct.utils.load_spec(str(again))  # which writes Manifest.json anew
    assert {str(p.relative_to(package)) for p in package.rglob("*") if p.is_file()} == set(
        coreml.INSIDE
    )
    for name in coreml.INSIDE:
        assert (package / name).read_bytes() == (again / name).read_bytes(), name


def test_a_package_that_answers_differently_is_refused(
    coreml: Any, package: Path, small: Exported, signals: NDArray[np.float32], tmp_path: Path
) -> None:
    spoilt = shutil.copytree(package, tmp_path / coreml.NAME)
    weights = spoilt / "Data/com.apple.CoreML/weights/weight.bin"
    body = bytearray(weights.read_bytes())
    body[-4:] = np.float32(3.0).tobytes()  # the last bias of the head
    weights.write_bytes(bytes(body))
    with pytest.raises(ExportError, match=r"ekg\.mlpackage differs from torch"):
        coreml.prove(spoilt, small.net, signals)


@pytest.mark.skipif(platform.system() == "Darwin", reason="Core ML itself runs the package here")
def test_an_operation_that_the_check_does_not_know_is_named(
    coreml: Any,
    package: Path,
    small: Exported,
    signals: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(coreml.OPERATIONS, "softmax")
    with pytest.raises(ExportError, match=r"'softmax'.*add it to OPERATIONS"):
        coreml.prove(package, small.net, signals)


def test_the_committed_package_answers_as_the_committed_graph(
    coreml: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command for users of a Mac: `python -m export.coreml`."""
    assert coreml.main([]) == 0
    said = capsys.readouterr().out
    assert said.endswith("right\n")
    assert "differs from the golden answer by" in said


def test_the_committed_package_on_real_signal(coreml: Any, tolerance: float, data: Path) -> None:
    from runtime import Detector

    record = load("mitdb", "203", data)
    signal = record.signal[0, : 60 * 360] - record.signal[0, 0]
    detector = Detector.load(ROOT / "artifacts", provider="cpu")
    start = np.zeros((1, detector.contract.carry_size), dtype=np.float32)
    expected, _ = detector.session.run(signal[None], start)
    answer = coreml.Package(ROOT / "artifacts" / coreml.NAME).label(signal)
    np.testing.assert_allclose(answer, expected[0], atol=tolerance)


def test_an_altered_package_is_refused(
    coreml: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(ROOT / "artifacts", tmp_path / "artifacts")
    (folder / coreml.FILES[1]).write_bytes(b"altered")
    assert coreml.main(["--artifacts", str(folder)]) == 1
    assert "SHA-256 differs" in capsys.readouterr().err


def test_without_coremltools_the_package_is_left_out_with_a_sentence(
    tmp_path: Path,
    small: Exported,
    signals: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "export.coreml", None)
    monkeypatch.delattr("export.coreml", raising=False)
    assert exporting.write_core_ml(small.net, small.described, tmp_path, {}, signals) == {}
    assert "The Core ML package is left out" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
