"""GET /static/kinds.js: the kinds of rhythm events, as the monitor page imports them."""

from __future__ import annotations

import json

from flask import Blueprint, Response

from ...rhythm import kinds
from ...rhythm.events.silence import ASYSTOLE
from ...rhythm.events.ventricular import VF
from ..site import Site


def routes(site: Site) -> Blueprint:
    """Return the module that the page's own scripts import."""
    blueprint = Blueprint("kinds", __name__)

    @blueprint.get("/static/kinds.js")
    def kinds_module() -> Response:
        return Response(kinds_script(), content_type="text/javascript; charset=utf-8")

    return blueprint


def kinds_script() -> str:
    """Return a JavaScript module with the registry of events: name, title, class, gravity, code.

    Of kinds with `noBeats` no beat, interval or rate counts.
    """
    table = {
        kind.name: {
            "title": kind.title,
            "critical": kind.critical,
            "madeOf": kind.made_of,
            "wfdb": kind.wfdb,
            "noBeats": kind.name in (ASYSTOLE, VF),
        }
        for kind in kinds()
    }
    return f"export const KINDS = {json.dumps(table, indent=2)};\n"
