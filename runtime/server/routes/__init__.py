"""The routes, one file a group: every module of this folder is served.

A module has ``routes(site)``, which returns a Flask blueprint of views over the `Site`, and may
have ``PATHS``, the OpenAPI path items of its routes that ``openapi.json`` does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol, cast

from flask import Blueprint

from ..site import Site


class RouteModule(Protocol):
    """A module of this folder, as `modules` gives it."""

    routes: Callable[[Site], Blueprint]


def modules() -> list[RouteModule]:
    """Return the modules of this folder, by name."""
    return [
        cast(RouteModule, import_module(f"{__name__}.{found.name}"))
        for found in sorted(iter_modules(__path__), key=lambda found: found.name)
    ]


def paths() -> dict[str, Mapping[str, Any]]:
    """Return the OpenAPI path items that modules bring."""
    return {
        path: item for module in modules() for path, item in getattr(module, "PATHS", {}).items()
    }
