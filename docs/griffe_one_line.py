"""Lets the API reference read parameters that are described on the line of their name.

A docstring here says ``fs : Hz, 100 to 1000``; numpydoc would take what is behind the colon for the
type, which the signature has.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(r"^(Parameters|Attributes)\n-+\n((?:.+\n|\n(?=\S+ : )|\n(?= ))*)", re.M)
NAME = re.compile(r"^([\w*, ]+?) : (.+)$", re.M)


class OneLine(griffe.Extension):
    """Moves such a description to the line below its name."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite an object's docstring."""
        if obj.docstring:
            obj.docstring.value = SECTION.sub(
                lambda section: NAME.sub(r"\1\n    \2", section[0]), obj.docstring.value + "\n"
            )
