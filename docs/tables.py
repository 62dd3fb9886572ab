"""Tables of docs/ that the code knows: events, rules, limits, codes, the plan of docs/scale.md.

``python -m docs.tables`` writes them between their comment markers; a test holds them equal.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runtime import Detector
from runtime.records.outputs import codes
from runtime.rhythm import RhythmPolicy, kinds, rules, sections
from runtime.signal.policy import QualityPolicy
from scale import plan

FOLDER = Path(__file__).resolve().parent
PAGES = {
    "rhythm.md": ("events", "limits", "quality"),
    "python.md": ("codes",),
    "scale.md": ("plan",),
}
_MARKED = r"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)"
_LIMIT = re.compile(r"^(?:``)?(\w+(?:, \w+)*)(?:``)? : (.*(?:\n .*)*)", re.MULTILINE)


def main() -> None:
    """Write the tables into their pages."""
    for name, tables in PAGES.items():
        path = FOLDER / name
        path.write_text(written(path.read_text(encoding="utf-8"), tables), encoding="utf-8")


def written(page: str, tables: Sequence[str]) -> str:
    """Return the page with its tables as the code has them; raises ValueError without a marker."""
    shipped = Detector.load(provider="cpu")
    for name in tables:
        marked = re.search(_MARKED.format(name=name), page, re.DOTALL)
        if marked is None:
            raise ValueError(f"the page has no markers of the table {name!r}.")
        page = f"{page[: marked.end(1)]}\n{_TABLES[name](shipped)}\n{page[marked.start(2) :]}"
    return page


def events(policy: RhythmPolicy) -> str:
    """Return every kind of event, from the gravest to the mildest, with its rule."""
    words = rules(policy)
    rows = "".join(
        f"| `{kind.name}` | {f'`{kind.wfdb}`' if kind.wfdb else 'a comment'} "
        f"| {words[kind.name]} |\n"
        for kind in kinds()
    )
    return f"| event | in WFDB annotations | rule, with the shipped limits |\n|---|---|---|\n{rows}"


def limits(policy: RhythmPolicy) -> str:
    """Return the limits of the rhythm, a table a section."""
    values, parts = policy.to_dict(), []
    for section in sections():
        about, table = _described(section, values[section.section] or {})
        parts.append(f"`{section.section}`{f': {about}' if about else ''}\n\n{table}")
    return "\n".join(parts)


def quality(policy: QualityPolicy) -> str:
    """Return the limits of the signal's quality."""
    return _described(type(policy), asdict(policy))[1]


def coded() -> str:
    """Return the codes of every class of beat and kind of event."""
    rows = "".join(
        f"| {'beat' if name in codes.BEATS else 'event'} `{name}` | {_coded(row.mdc)} "
        f"| {_coded(row.snomed)} |\n"
        for name, row in (codes.BEATS | codes.EVENTS).items()
    )
    return f"| finding | MDC | SNOMED CT |\n|---|---|---|\n{rows}"


def planned() -> str:
    """Return what 100,000 live patients and as many Holter days need, from the committed trials."""
    costs, size, prices = plan.measured(plan.RESULTS), plan.Size(), plan.Prices()
    live = plan.table(
        f"{size.patients:,} live patients (250 Hz)", "$ a month", plan.live(costs, size, prices)
    )
    days = plan.table(f"{size.days:,} Holter days", "$", plan.archive(costs, size, prices))
    return f"{live}\n\n{days}\n"


def _coded(code: codes.Code | None) -> str:
    return f"{code.value} {code.meaning}" if code else "none"


def _described(section: type, values: Mapping[str, Any]) -> tuple[str, str]:
    """The introduction of a section's docstring, and a table of the limits it explains."""
    text = inspect.getdoc(section) or ""
    about = text.partition("\n\nAttributes")[0]
    about = "" if _LIMIT.match(about) else " ".join(about.split())
    rows = ""
    for match in _LIMIT.finditer(text):
        names = match[1].split(", ")
        meaning = re.sub(r" \(`\.\w+`\)", "", " ".join(match[2].split())).replace("``", "`")
        rows += (
            f"| {', '.join(f'`{name}`' for name in names)} "
            f"| {', '.join(_value(values[name]) for name in names)} | {meaning} |\n"
        )
    named = {name for match in _LIMIT.finditer(text) for name in match[1].split(", ")}
    if named != set(values):
        raise ValueError(f"{section.__name__} does not explain {sorted(named ^ set(values))}.")
    return about.replace("``", "`"), f"| limit | shipped | meaning |\n|---|---|---|\n{rows}"


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


_TABLES: dict[str, Callable[[Detector], str]] = {
    "events": lambda shipped: events(shipped.rhythm_policy),
    "limits": lambda shipped: limits(shipped.rhythm_policy),
    "quality": lambda shipped: quality(shipped.quality_policy),
    "codes": lambda shipped: coded(),
    "plan": lambda shipped: planned(),
}


if __name__ == "__main__":
    main()
