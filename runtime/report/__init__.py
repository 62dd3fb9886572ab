"""A record as a report that a person reads: its numbers, its pictures and the page around them."""

from .pages import PAPERS, Layout, write
from .pdf import find_browser
from .study import Study, flaws_of_seconds, study_of
from .words import languages

__all__ = [
    "PAPERS",
    "Layout",
    "Study",
    "find_browser",
    "flaws_of_seconds",
    "languages",
    "study_of",
    "write",
]
