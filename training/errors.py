"""Errors of training: one sentence that says what was wrong and what to do."""

from __future__ import annotations


class DataError(Exception):
    """Recordings, a checkpoint or a folder cannot be used; the message says which and why."""
