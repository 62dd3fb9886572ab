"""A record as a page that a person reads: its numbers, its pictures and the page around them."""

from .pages import write
from .study import Study, flaws_of_seconds

__all__ = ["Study", "flaws_of_seconds", "write"]
