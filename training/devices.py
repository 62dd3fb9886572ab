"""The processor to train on."""

from __future__ import annotations

import torch


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA, else MPS, else CPU; a device named must be there."""
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = next(candidate for candidate in ("cuda", "mps", "cpu") if there[candidate])
    if not there[name]:
        raise DeviceError(
            f"--device {name}: torch {torch.__version__} finds no such device "
            f"here; there is {', '.join(n for n, ok in there.items() if ok)}."
        )
    return torch.device(name)


class DeviceError(Exception):
    """The device named is not there."""


def fast_bfloat16(device: torch.device) -> bool:
    """True if bfloat16 is fast: processors without it are 8 times slower than in float32."""
    if device.type == "cpu":
        return any(there for name, there in torch.cpu.get_capabilities().items() if "bf16" in name)
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def one_thread() -> None:
    """Keep torch on one thread: layers this small gain nothing from more, and if another program
    has a core, threads that wait for each other take five to twenty times as long."""
    torch.set_num_threads(1)
