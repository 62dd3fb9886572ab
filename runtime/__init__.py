"""Raw ECG in, labelled beats out: ONNX Runtime and numpy, no torch.

>>> from runtime import Detector                                            # doctest: +SKIP
>>> Detector.load("artifacts").predict(window, fs=360).label                # doctest: +SKIP
'V'
"""

from runtime.beats import Beat, BeatPolicy
from runtime.errors import (
    EkgError,
    InputError,
    MissingPackageError,
    ModelError,
    ModelFileError,
    ProviderError,
    RecordError,
    TokenError,
)
from runtime.inference import Detector, Result, predict
from runtime.quality import Quality
from runtime.rhythm import Event, RhythmPolicy
from runtime.stream import Stream

__all__ = [
    "Beat", "BeatPolicy", "Detector", "EkgError", "Event", "InputError", "MissingPackageError",
    "ModelError", "ModelFileError", "ProviderError", "Quality", "RecordError", "Result",
    "RhythmPolicy", "Stream", "TokenError", "predict",
]
