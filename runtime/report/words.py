"""The words of a report in the reader's language, and numbers and times as it writes them.

A language is a file in ``languages/``; ``en.toml`` has every key and says which names may stand in
a sentence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..findings import Event, Flaw
from ..rhythm import kinds
from ..rhythm.events.atrial import AF
from ..rhythm.events.rates import BRADYCARDIA, TACHYCARDIA
from ..rhythm.events.silence import ASYSTOLE, PAUSE
from ..rhythm.events.ventricular import VF, expit

__all__ = [
    "AF",
    "ASYSTOLE",
    "BRADYCARDIA",
    "FLAW_NAMES",
    "KINDS",
    "PAUSE",
    "TACHYCARDIA",
    "VF",
    "Words",
    "elapsed",
    "languages",
]

FOLDER = Path(__file__).resolve().parent / "languages"
KINDS = {kind.name: kind for kind in kinds()}  # from the gravest to the mildest
FLAW_NAMES = {
    Flaw.MISSING: "missing",
    Flaw.FAST: "fast",
    Flaw.FLAT: "flat",
    Flaw.RAILED: "railed",
    Flaw.CLIPPED: "clipped",
    Flaw.BASELINE: "baseline",
    Flaw.NOISE: "noise",
    Flaw.POWERLINE: "powerline",
}


def languages() -> list[str]:
    """Return the languages that there are files of, English first."""
    return sorted(
        (file.stem for file in FOLDER.glob("*.toml")), key=lambda name: (name != "en", name)
    )


@lru_cache(maxsize=8)
def _read(language: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


class Words:
    """The words of one language; ``words["beats"]``, ``words("sentence", name=value)``.

    Parameters
    ----------
    language : one of `languages`
    start : when the record began, if that is known

    Raises
    ------
    InputError
        There is no such language.
    """

    def __init__(self, language: str, start: datetime | None = None):
        if language not in languages():
            raise InputError(
                f"there are no words in {language!r}; expected one of {', '.join(languages())}."
            )
        self.language, self.start = language, start
        self._words = _read(language)
        self._point, self._group = self._words["numbers"]["point"], self._words["numbers"]["group"]

    def __getitem__(self, key: str) -> str:
        return self._words["labels"][key]  # type: ignore[no-any-return]

    def __call__(self, key: str, **values: object) -> str:
        """Return a sentence with its values put in."""
        return self._words["sentences"][key].format(**values)  # type: ignore[no-any-return]

    def kind(self, kind: str) -> str:
        """Return the name of a kind of event, of time that is left out, or of an extreme.

        A kind that a language has no word for yet keeps its own title.
        """
        return self._words["kinds"].get(kind) or KINDS[kind].title

    def beats(self, label: str) -> str:
        """Return the name of a class of beats."""
        return self._words["classes"][label]  # type: ignore[no-any-return]

    def flaw(self, name: str) -> str:
        """Return the name of a flaw of the signal."""
        return self._words["flaws"][name]  # type: ignore[no-any-return]

    def rule(self, event: Event, limits: Mapping[str, Any]) -> str:
        """Return the rule that an event met; in English it is the event's own."""
        rule = self._words.get("rules", {}).get(event.kind)
        if rule is None or not limits:
            return event.rule
        numbers = {name: self.plain(value) for name, value in limits.items()}
        for name in ("vf_on", "af_on"):
            numbers[f"{name}_percent"] = f"{100 * expit(limits[name]):.0f}"
        return rule.format(**numbers)  # type: ignore[no-any-return]

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with so many digits after the point."""
        text = f"{value:,.{digits}f}".translate(str.maketrans({",": self._group, ".": self._point}))
        return text.replace("-", "\N{MINUS SIGN}")

    def plain(self, value: float) -> str:
        """Return a number with as many digits as it has."""
        return f"{value:g}".replace(".", self._point)

    def percent(self, share: float, digits: int = 1) -> str:
        """Return a share as percent."""
        return self.number(100 * share, digits) + self._words["numbers"]["percent"]

    def length(self, seconds: float) -> str:
        """Return a duration: 12.3 s, from a minute on 0:01:02."""
        return f"{self.number(seconds, 1)} s" if seconds < 60 else elapsed(seconds)

    def moment(self, seconds: float, digits: int = 0) -> str:
        """Return a moment: the time of day if that is known, else the time from the start."""
        if self.start is None:
            return elapsed(seconds, digits).replace(".", self._point)
        unit = 10**digits
        at = self.start + timedelta(seconds=round(seconds * unit) / unit)
        text = f"{at:%H:%M:%S}"
        if digits:
            text += f"{self._point}{at.microsecond * unit // 1_000_000:0{digits}d}"
        days = at.toordinal() - self.start.toordinal()
        return f"{self('day', number=days + 1)} {text}" if days else text

    def tick(self, seconds: float, step: float) -> str:
        """Return a moment on an axis whose marks are so many seconds apart."""
        if self.start is None or step < 60:
            return self.moment(seconds)
        return f"{self.start + timedelta(seconds=round(seconds)):%H:%M}"

    def date(self) -> str:
        """Return when the record began; empty if that is not known."""
        if self.start is None:
            return ""
        if self.start.year == 1:  # the file gives no date
            return f"{self.start:%H:%M:%S}"
        return self.start.strftime(self._words["numbers"]["date"]) + f", {self.start:%H:%M:%S}"


def elapsed(seconds: float, digits: int = 0) -> str:
    """Return s as hours, minutes and seconds: 1:02:03, with so many digits after the point."""
    unit = 10**digits
    whole, part = divmod(round(seconds * unit), unit)
    text = f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{text}.{part:0{digits}d}" if digits else text
