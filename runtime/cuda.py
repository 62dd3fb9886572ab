"""The old place of `ekg.model.cuda`, for one release."""

from __future__ import annotations

import warnings
from typing import Any

warnings.warn(
    f"{__name__} is now {__package__}.model.cuda; the old name goes with the next release.",
    DeprecationWarning,
    stacklevel=2,
)


def __getattr__(name: str) -> Any:
    from .model import cuda

    return getattr(cuda, name)
