"""Errors of training: one sentence that says what was wrong and what to do."""

from __future__ import annotations


class DataError(Exception):
    """Recordings are missing or damaged; the message says which and what to do."""
