"""Raw ECG in, labelled beats out: ONNX Runtime and numpy, no torch.

Installed it is the package ``ekg``, in a checkout or an unpacked bundle ``runtime``.

>>> from ekg import Detector  # doctest: +SKIP
>>> Detector.load().predict(window, fs=360).label  # doctest: +SKIP
'V'
"""

import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_OTHER_NAME = "runtime" if __name__ == "ekg" else "ekg"
# Two copies would have two `EkgError`, and `except` would catch the wrong one. Another project's
# package of that name has none.
if hasattr(sys.modules.get(_OTHER_NAME), "EkgError"):
    raise ImportError(
        f"`{__name__}` and `{_OTHER_NAME}` are the same package and {_OTHER_NAME} is "
        f"already imported; use one of the two names in a program."
    )

from . import preflight  # noqa: F401  # first: it checks Python and packages
from .detector import Detector, RhythmPolicy, Stream, predict
from .errors import (
    EkgError,
    InputError,
    MissingPackageError,
    ModelError,
    ModelFileError,
    ProviderError,
    RecordError,
    TokenError,
)
from .findings import Beat, Event, Quality, Record, Result
from .model.contract import BeatPolicy

if TYPE_CHECKING:
    from .records import Annotation, read

__all__ = [
    "Annotation",
    "Beat",
    "BeatPolicy",
    "Detector",
    "EkgError",
    "Event",
    "InputError",
    "MissingPackageError",
    "ModelError",
    "ModelFileError",
    "ProviderError",
    "Quality",
    "Record",
    "RecordError",
    "Result",
    "RhythmPolicy",
    "Stream",
    "TokenError",
    "predict",
    "read",
]


def __getattr__(name: str) -> Any:
    """Load what reads and writes files when it is first asked for."""
    if name in ("Annotation", "read"):
        from . import records

        return getattr(records, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
