"""Choice of one of ONNX Runtime's execution providers, of its graph and of its options.

Nothing is loaded or built here.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from ..errors import ProviderError

ONNX_NAMES = {
    "cpu": "CPUExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cuda": "CUDAExecutionProvider",
}
# Apple's GPU is 'mps' to torch users; ONNX Runtime reaches it through Core ML.
SYNONYMS = {"mps": "coreml"}
NAMES = ("auto", *ONNX_NAMES, *SYNONYMS)

# A checkout and a bundle have a list of what CUDA needs, an installed wheel has not.
_LIST = "requirements-runtime-cuda.txt"
_IS_LISTED = (Path(__file__).resolve().parents[2] / _LIST).is_file()
INSTALL_CUDA = (
    f"pip install -r {_LIST}" if _IS_LISTED else ("pip install 'onnxruntime-gpu[cuda,cudnn]'")
)
INSTALL_KERNELS = f"pip install -r {_LIST}" if _IS_LISTED else "pip install 'ekg[cuda]'"

REMEDIES = {
    "cpu": "install onnxruntime 1.16.3 or later",
    "cuda": f"it needs Linux or Windows with an NVIDIA GPU and `{INSTALL_CUDA}` in an environment "
    "without the plain onnxruntime (the two break each other)",
    "coreml": "it needs macOS 12 or later, where the plain `pip install onnxruntime` (or "
    "onnxruntime-silicon) contains it",
}


def compiled_in() -> list[str]:
    """Short names of the providers in the installed ONNX Runtime; being listed is not running."""
    listed = onnxruntime.get_available_providers()
    return [name for name, onnx_name in ONNX_NAMES.items() if onnx_name in listed]


def choose(name: str, available: Sequence[str] | None = None) -> list[str]:
    """Short names of the providers to try for the requested one, in order.

    ``auto`` is CUDA if it is compiled in, then the CPU; any other name is that provider
    alone, because a silent fall-back to the CPU is the fault users complain about most.

    Raises
    ------
    ProviderError
        The name is unknown, or the installed ONNX Runtime lacks the provider.
    """
    available = compiled_in() if available is None else available
    if name not in NAMES:
        raise ProviderError(f"provider {name!r} is unknown; expected one of {', '.join(NAMES)}.")
    name = SYNONYMS.get(name, name)
    if name == "auto":
        return [candidate for candidate in ("cuda", "cpu") if candidate in available]
    if name not in available:
        raise ProviderError(
            f"provider {name!r} is not in the installed ONNX Runtime "
            f"{onnxruntime.__version__} on {platform.system()} (it has "
            f"{', '.join(available)}); {REMEDIES[name]}."
        )
    return [name]


def graph(name: str) -> str:
    """The model file for a provider: Core ML compiles fixed shapes only, the others take any."""
    return "ekg_fused_static.onnx" if name == "coreml" else "ekg_fused.onnx"


def options(name: str, model_sha256: str) -> dict[str, str]:
    """Options that a provider gets beside the graph.

    Parameters
    ----------
    name : cpu, coreml or cuda
    model_sha256 : of the model file, in hexadecimal
    """
    if name == "cuda":
        return {
            # The default, an exhaustive search, stalls the first call of every new shape.
            "cudnn_conv_algo_search": "HEURISTIC",
            # The default doubles the arena whenever it grows.
            "arena_extend_strategy": "kSameAsRequested",
            # TensorFloat-32 keeps 10 bits of a sample; on CUDA the answer is the CPU's.
            "use_tf32": "0",
        }
    if name == "coreml" and release() >= (1, 22):  # older ones know these options by other names
        return {
            "ModelFormat": "MLProgram",  # the older format computes in half precision
            "RequireStaticInputShapes": "1",
            "ModelCacheDirectory": str(cache_folder(model_sha256)),
        }
    return {}


def cache_folder(model_sha256: str) -> Path:
    """Folder in which Core ML keeps a compiled model, named by the model's content.

    So a new model is compiled anew.

    ``EKG_CACHE`` names another place than the user's caches.
    """
    root = os.environ.get("EKG_CACHE")
    return (Path(root) if root else Path.home() / "Library" / "Caches" / "ekg") / model_sha256[:16]


def built_for_cuda() -> str:
    """The CUDA version that the installed ONNX Runtime was built for, '' for none."""
    return getattr(onnxruntime, "cuda_version", None) or ""


def release() -> tuple[int, int]:
    """The installed ONNX Runtime's (major, minor)."""
    major, minor = onnxruntime.__version__.split(".")[:2]
    return int(major), int(minor)
