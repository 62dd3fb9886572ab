"""Raw ECG in, labelled beats out: ONNX Runtime and numpy, no torch.

Installed it is the package ``ekg``, in a checkout or an unpacked bundle ``runtime``.

>>> from ekg import Detector  # doctest: +SKIP
>>> Detector.load().predict(window, fs=360).label  # doctest: +SKIP
'V'
"""

import sys

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
from .detector import Detector, predict
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
from .findings import Beat, Event, Quality, Result
from .model.contract import BeatPolicy
from .rhythm import RhythmPolicy
from .stream import Stream

__all__ = [
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
    "RecordError",
    "Result",
    "RhythmPolicy",
    "Stream",
    "TokenError",
    "predict",
]
