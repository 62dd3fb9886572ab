"""The detector's package, by the name it has here: `ekg` once installed, `runtime` in a checkout.

The rest of this folder imports it from this file, so that the two names stand in one place.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING or not str(__package__).startswith("ekg."):
    from runtime import (
        Beat,
        Detector,
        EkgError,
        Event,
        InputError,
        ModelError,
        RecordError,
        Stream,
        TokenError,
    )
    from runtime import __version__ as version
    from runtime.cli import common, feed, main
    from runtime.findings import CLASSES, Record
    from runtime.packages import Package, require
    from runtime.records import Annotation, name_of, need, read
    from runtime.records.outputs import WRITERS
    from runtime.records.registry import extensions, find
    from runtime.rhythm import closed
    from runtime.simulate import simulate
else:
    from ekg import (
        Beat,
        Detector,
        EkgError,
        Event,
        InputError,
        ModelError,
        RecordError,
        Stream,
        TokenError,
    )
    from ekg import __version__ as version
    from ekg.cli import common, feed, main
    from ekg.findings import CLASSES, Record
    from ekg.packages import Package, require
    from ekg.records import Annotation, name_of, need, read
    from ekg.records.outputs import WRITERS
    from ekg.records.registry import extensions, find
    from ekg.rhythm import closed
    from ekg.simulate import simulate

__all__ = [
    "CLASSES",
    "WRITERS",
    "Annotation",
    "Beat",
    "Detector",
    "EkgError",
    "Event",
    "InputError",
    "ModelError",
    "Package",
    "Record",
    "RecordError",
    "Stream",
    "TokenError",
    "closed",
    "common",
    "extensions",
    "feed",
    "find",
    "main",
    "name_of",
    "need",
    "read",
    "require",
    "simulate",
    "version",
]
