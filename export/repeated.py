"""Loops whose number of steps depends on what is in the signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import helper

from export.values import Value


def repeat(
    step: Callable[..., tuple[Value, Mapping[str, Value], Mapping[str, Value]]],
    states: Mapping[str, Value],
    outputs: Mapping[str, Any],
    *,
    axes: int,
) -> tuple[dict[str, Value], dict[str, Value]]:
    """Go on as long as a condition holds, once at least.

    Parameters
    ----------
    step : takes the states by name; gives the condition, one bool, the states after it and outputs
    outputs : name -> type of its elements
    axes : of every state, and of a step's every output

    Returns
    -------
    the last states, and the outputs, [steps, ...]
    """
    build = next(iter(states.values())).build
    kinds = {name: np.dtype(kind) for name, kind in outputs.items()}

    def body(names: list[str]) -> tuple[str, list[str], list[str]]:
        given = {
            key: Value(build, name, one.dtype)
            for name, (key, one) in zip(names, states.items(), strict=True)
        }
        goes_on, after, found = step(**given)
        assert all(after[name].dtype == one.dtype for name, one in states.items())
        assert all(found[name].dtype == kind for name, kind in kinds.items())
        return (
            goes_on.name,
            [after[name].name for name in states],
            [found[name].name for name in kinds],
        )

    last, found = build.loop(
        body,
        [(one.name, one.kind) for one in states.values()],
        [helper.np_dtype_to_tensor_dtype(kind) for kind in kinds.values()],
        axes=axes,
    )
    return (
        {
            name: Value(build, one, states[name].dtype)
            for one, name in zip(last, states, strict=True)
        },
        {name: Value(build, one, kinds[name]) for one, name in zip(found, kinds, strict=True)},
    )
