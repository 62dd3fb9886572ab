"""The routes, one file a group: every module of this folder is served.

A module has ``routes(site)``, which returns a Flask blueprint of views over the `Site`, and may
have ``SCHEMAS``, by name, that its descriptions for `..openapi` refer to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

from flask import Blueprint

from ..schemas import Schema
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


def schemas() -> Iterator[dict[str, Schema]]:
    """Return the schemas that modules bring."""
    return (getattr(module, "SCHEMAS", {}) for module in modules())
