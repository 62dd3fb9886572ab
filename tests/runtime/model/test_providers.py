"""The choice of a provider, its graph and its options, on machines that are not this one."""

from __future__ import annotations

import platform
from pathlib import Path

import onnxruntime
import pytest

from runtime import ProviderError
from runtime.model import providers

LINUX = ["AzureExecutionProvider", "CPUExecutionProvider"]
MAC = ["CoreMLExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]
NVIDIA = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def be(system: str, listed: list[str], version: str = "1.32.0") -> None:
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
        monkeypatch.setattr(onnxruntime, "__version__", version)

    return be


@pytest.mark.parametrize(
    ("system", "listed", "requested", "expected"),
    [
        ("Linux", LINUX, "auto", ["cpu"]),
        ("Linux", LINUX, "cpu", ["cpu"]),
        ("Darwin", MAC, "auto", ["cpu"]),  # Core ML when asked for; it is not always the faster one
        ("Darwin", MAC, "coreml", ["coreml"]),
        ("Darwin", MAC, "mps", ["coreml"]),
        ("Linux", NVIDIA, "auto", ["cuda", "cpu"]),
        ("Windows", NVIDIA, "cuda", ["cuda"]),
        ("Linux", NVIDIA, "cpu", ["cpu"]),
    ],
)
def test_providers_are_tried_in_order(  # type: ignore[no-untyped-def]
    machine, system: str, listed: list[str], requested: str, expected: list[str]
) -> None:
    machine(system, listed)
    assert providers.choose(requested) == expected


@pytest.mark.parametrize(
    ("system", "listed", "requested", "message"),
    [
        (
            "Linux",
            LINUX,
            "cuda",
            r"'cuda' is not in .* on Linux \(it has cpu\).*"
            r"requirements-runtime-cuda.txt.*break each other",
        ),
        (
            "Linux",
            NVIDIA,
            "coreml",
            r"'coreml' is not in .* on Linux \(it has cpu, cuda\).*macOS 12",
        ),
        ("Linux", LINUX, "mps", r"'coreml' is not in"),
        ("Darwin", MAC, "cuda", r"'cuda' is not in .* on Darwin \(it has cpu, coreml\)"),
        (
            "Linux",
            LINUX,
            "tpu",
            r"'tpu' is unknown; expected one of auto, cpu, coreml, cuda, mps\.",
        ),
    ],
)
def test_unusable_providers_are_refused_with_a_remedy(  # type: ignore[no-untyped-def]
    machine, system: str, listed: list[str], requested: str, message: str
) -> None:
    machine(system, listed)
    with pytest.raises(ProviderError, match=message):
        providers.choose(requested)


def test_core_ml_gets_the_static_graph_and_others_the_free_one() -> None:
    assert {name: providers.graph(name) for name in providers.ONNX_NAMES} == {
        "cpu": "ekg_fused.onnx",
        "coreml": "ekg_fused_static.onnx",
        "cuda": "ekg_fused.onnx",
    }


def test_core_ml_compiles_a_program_into_a_folder_of_the_models_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EKG_CACHE", "/caches")
    first, second = (providers.options("coreml", letter * 64) for letter in "ab")
    assert first == {
        "ModelFormat": "MLProgram",
        "RequireStaticInputShapes": "1",
        "ModelCacheDirectory": str(Path("/caches") / ("a" * 16)),
    }
    assert second["ModelCacheDirectory"] != first["ModelCacheDirectory"]


def test_the_cache_is_the_users_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EKG_CACHE", raising=False)
    assert providers.cache_folder("ab" * 32).is_relative_to(Path.home() / "Library" / "Caches")


def test_an_old_onnxruntime_gets_no_options_that_it_does_not_know(machine) -> None:  # type: ignore[no-untyped-def]
    machine("Darwin", MAC, "1.16.3")
    assert providers.options("coreml", "ab" * 32) == {}


def test_cuda_searches_quickly_and_computes_as_the_cpu_does() -> None:
    options = providers.options("cuda", "ab" * 32)
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options["use_tf32"] == "0"


def test_the_cpu_needs_no_options() -> None:
    assert providers.options("cpu", "ab" * 32) == {}
