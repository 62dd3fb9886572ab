"""The page of evidence: tables, intervals drawn, calibration, every recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.evidence.cases import NEVER, PERSON, RHYTHM, TRAINED
from training.evidence.figures import SECTIONS

TEMPLATES = Path(__file__).parent
MARKS = {NEVER: "", PERSON: "p", TRAINED: "t", RHYTHM: "f"}  # beside a recording's name
DRAWN = (
    "QRS sensitivity",
    "QRS positive predictivity",
    "VEB sensitivity",
    "VEB positive predictivity",
    "SVEB sensitivity",
    "SVEB positive predictivity",
    "AF duration sensitivity",
    "AF duration positive predictivity",
    "VF duration sensitivity",
    "VF duration specificity",
)  # with their intervals


def page(evidence: Mapping[str, Any]) -> str:
    """One page of HTML, needing nothing beside it, of what `figures.summarise` gave."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "count": count}
    return environment.get_template("page.html").render(
        evidence=evidence,
        sections={title: [figure.name for figure in of] for title, of in SECTIONS.items()},
        forms={figure.name: figure.form for of in SECTIONS.values() for figure in of},
        marks=MARKS,
        drawn=DRAWN,
        unseen=NEVER,
    )


def number(value: float | None, decimals: int = 1) -> str:
    """A figure, or a dash where it is not defined.

    >>> number(97.25), number(math.nan)
    ('97.2', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{decimals}f}"


def count(value: float) -> str:
    """A count with thin groups of thousands; of seconds to a tenth."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
