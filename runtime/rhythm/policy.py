"""The limits of the rhythm's rules, by section; the values ship in ``artifacts/rhythm.json``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from ..deprecation import warn_renamed
from ..errors import InputError
from ..signal.policy import require_bounds

T = TypeVar("T", bound="Section")
# Names of the release before -> today's.
_RENAMED = {
    "slow": "bradycardia_bpm",
    "slow_beats": "bradycardia_beats",
    "fast": "tachycardia_bpm",
    "fast_beats": "tachycardia_beats",
    "hysteresis": "hysteresis_bpm",
    "vt_rate": "vt_bpm",
    "least_confidence": "min_confidence",
    "af_least_s": "af_min_s",
    "af_sure": "af_min_atrial",
    "af_without_s": "af_suppresses_s",
    "vf_change": "vf_transition",
    "vf_doubt": "vf_prior",
    "vf_least_s": "vf_min_s",
    "morphology": "template",
    "sinus": "rr_baseline",
}


class Section:
    """The limits of one family of rules: a frozen dataclass of numbers.

    Attributes
    ----------
    section : its name in ``artifacts/rhythm.json``
    about : its subject, for error messages
    bounds : name -> lowest and highest value that a stream can use
    """

    section: ClassVar[str]
    about: ClassVar[str]
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {}

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            low, high = self.bounds.get(field.name, (-math.inf, math.inf))
            whole = isinstance(value, int) and not isinstance(value, bool)
            if field.type == "int" and not (whole and low <= value <= high):
                raise InputError(
                    f"{field.name} of {self.about} is {value!r}; expected a whole "
                    f"number from {low:g} to {high:g}."
                )
            if value != value:
                raise InputError(f"{field.name} of {self.about} is NaN; expected a number.")
        require_bounds(self, self.about, self.bounds)


class RhythmPolicy:
    """Everything that makes an event, and that decides on a label in the light of the rhythm.

    ``RhythmPolicy(pause_s=3.0)`` is the shipped policy with one limit changed;
    ``policy.replace(pause_s=3.0)`` changes one of this policy. A limit is read by its name,
    ``policy.pause_s``, or by its section, ``policy.of(SilenceLimits).pause_s``. Two sections may
    be left out: with ``template=None`` the patient's usual QRS complex decides nothing, with
    ``rr_baseline=None`` the usual interval does not.

    Raises
    ------
    InputError
        There is no such limit, or no stream could use its value.
    """

    def __init__(self, **changes: Any):
        from ..model.artifacts import DEFAULT_ARTIFACTS, Artifacts

        shipped = Artifacts(DEFAULT_ARTIFACTS).json("rhythm.json")["policy"]
        policy = RhythmPolicy.from_dict(shipped)._changed(changes)
        self._sections: dict[str, Section | None] = policy._sections

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, Any] | None]) -> RhythmPolicy:
        """The policy of these sections, as ``artifacts/rhythm.json`` has them."""
        from . import sections

        known = {one.section: one for one in sections()}
        if unknown := values.keys() - known.keys():
            raise InputError(
                f"there is no section {sorted(unknown)[0]!r} of a rhythm policy; "
                f"expected {', '.join(known)}."
            )
        parts: dict[str, Section | None] = {}
        for name, section in known.items():
            given = values.get(name, {})
            try:
                parts[name] = None if given is None else section(**given)
            except TypeError as error:
                raise InputError(
                    f"section {name!r} of a rhythm policy does not have the limits "
                    f"that are expected ({error})."
                ) from error
        return cls._of(parts)

    @classmethod
    def _of(cls, sections: dict[str, Section | None]) -> RhythmPolicy:
        policy = cls.__new__(cls)
        policy._sections = sections
        return policy

    def of(self, section: type[T]) -> T:
        """The limits of one section."""
        found = self._sections[section.section]
        assert isinstance(found, section)
        return found

    def has(self, section: type[Section]) -> bool:
        """True if the section is not left out."""
        return self._sections[section.section] is not None

    def replace(self, **changes: Any) -> RhythmPolicy:
        """The same policy with these limits changed, by their names."""
        return self._changed(changes)

    def _changed(self, changes: Mapping[str, Any]) -> RhythmPolicy:
        """`replace`, for its callers alone: an old name's warning points at theirs."""
        parts = dict(self._sections)
        for given, value in changes.items():
            name = given
            if given in _RENAMED:
                name = _RENAMED[given]
                warn_renamed(f"the rhythm's limit {given!r}", repr(name), above=1)
            if name in parts and (value is None or isinstance(value, Section)):
                parts[name] = value
                continue
            owner = next(
                (key for key, part in parts.items() if part is not None and name in _names(part)),
                None,
            )
            if owner is None:
                raise InputError(
                    f"there is no limit {name!r} of the rhythm; expected one of "
                    f"{', '.join(sorted(self._all_names()))}."
                )
            parts[owner] = dataclasses.replace(parts[owner], **{name: value})  # type: ignore[type-var]
        return RhythmPolicy._of(parts)

    def to_dict(self) -> dict[str, dict[str, Any] | None]:
        """The sections as JSON has them."""
        return {
            name: None if part is None else dataclasses.asdict(part)  # type: ignore[call-overload]
            for name, part in self._sections.items()
        }

    @property
    def limits(self) -> dict[str, Any]:
        """All limits by their names."""
        return {
            name: value
            for part in self.to_dict().values()
            if part is not None
            for name, value in part.items()
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in _RENAMED:
            warn_renamed(f"the rhythm's limit {name!r}", repr(_RENAMED[name]))
            name = _RENAMED[name]
        if name in self._sections:
            return self._sections[name]
        for part in self._sections.values():
            if part is not None and name in _names(part):
                return getattr(part, name)
        raise AttributeError(
            f"there is no limit {name!r} of the rhythm; expected one of "
            f"{', '.join(sorted(self._all_names()))}."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RhythmPolicy) and self._sections == other._sections

    def __hash__(self) -> int:
        return hash(tuple(self._sections.items()))

    def __repr__(self) -> str:
        parts = (f"{name}={part!r}" for name, part in self._sections.items())
        return f"RhythmPolicy({', '.join(parts)})"

    def _all_names(self) -> Iterable[str]:
        return (
            name for part in self._sections.values() if part is not None for name in _names(part)
        )


def _names(part: Section) -> set[str]:
    return {field.name for field in dataclasses.fields(part)}  # type: ignore[arg-type]
