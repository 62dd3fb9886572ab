"""Old public names, read for one release with a warning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def warn_renamed(old: str, new: str, *, above: int = 0) -> None:
    """Warn that a name is now another; the caller's caller is named as the place.

    Parameters
    ----------
    above : calls further up than that, to the user's own
    """
    warnings.warn(
        f"{old} is now {new}; the old name goes with the next release.",
        DeprecationWarning,
        stacklevel=3 + above,
    )


def renamed_fields(**names: str) -> Callable[[type[T]], type[T]]:
    """Let a dataclass take and give its fields by their old names too.

    Parameters
    ----------
    names : old name -> new name
    """

    def decorate(cls: type[T]) -> type[T]:
        init: Callable[..., None] = cls.__init__

        @functools.wraps(init)
        def taking_old(self: T, *args: Any, **given: Any) -> None:
            for old in names.keys() & given.keys():
                warn_renamed(f"{cls.__name__}({old}=...)", names[old])
                given[names[old]] = given.pop(old)
            init(self, *args, **given)

        cls.__init__ = taking_old  # type: ignore[assignment, method-assign]
        for old, new in names.items():
            setattr(cls, old, renamed_attribute(cls.__name__, old, new))
        return cls

    return decorate


def renamed_attribute(owner: str, old: str, new: str, *, settable: bool = False) -> property:
    """A property that gives, and takes if ``settable``, the attribute of another name."""

    def get(self: Any) -> Any:
        warn_renamed(f"{owner}.{old}", new)
        return getattr(self, new)

    def put(self: Any, value: Any) -> None:
        warn_renamed(f"{owner}.{old}", new)
        setattr(self, new, value)

    return property(get, put if settable else None)
