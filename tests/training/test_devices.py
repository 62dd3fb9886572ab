"""Devices: the one asked for, or a sentence."""

from __future__ import annotations

import pytest
import torch

from training.devices import DeviceError, fast_bfloat16, pick_device


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ({"avx2": True, "avx512_bf16": False}, False),
        ({"avx2": True, "amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({}, False),
    ],
)
def test_bfloat16_is_used_only_on_processors_that_have_it(
    capabilities: dict[str, bool], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert fast_bfloat16(torch.device("cpu")) is fast


def test_a_missing_device_is_refused() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match=r"--device cuda: .* finds no such device"):
            pick_device("cuda")
    assert pick_device("cpu").type == "cpu"
