"""Raw ECG in, labelled beats out: ONNX Runtime and numpy, no torch.

>>> from runtime import Detector                                            # doctest: +SKIP
>>> Detector.load("artifacts").predict(window, fs=360).label                # doctest: +SKIP
'V'
"""

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
    "Beat", "BeatPolicy", "Detector", "EkgError", "Event", "InputError", "MissingPackageError",
    "ModelError", "ModelFileError", "ProviderError", "Quality", "RecordError", "Result",
    "RhythmPolicy", "Stream", "TokenError", "predict",
]
