"""A study as one page of HTML, with its pictures and a table of its events beside it.

Made to stay small for a day of signal: the overview is binned, strips are a few of each kind and
the table of events is cut; ``events.csv`` holds all of them. Pictures need ``matplotlib``.
"""

from __future__ import annotations

import base64
import csv
import html
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ..findings import CLASSES
from ..records import writing
from . import plots
from .excerpts import Excerpt, choose_excerpts
from .study import RATE_INTERVALS, Study, trend_of
from .words import CLASS_NAMES, EXTREMES, FLAW_NAMES, KINDS, clock, length, title

MAX_TABLE_ROWS = 300
# What `write` calls the pictures.
PICTURES = re.compile(rf"overview\.png|({'|'.join((*KINDS, *EXTREMES, *CLASSES))})-[\d.]+\.png")
NOTICE = (
    "Not a medical device. A network's opinion on one lead, without clinical validation: not "
    "for diagnosis, not for treatment, not for alarms."
)


def write(
    folder: Path,
    study: Study,
    *,
    each: int,
    progress: Callable[[Sequence[Excerpt]], Iterable[Excerpt]] = iter,
) -> Path:
    """Write ``folder/NAME.html`` and, into ``folder/NAME-report``, its pictures and events.

    The page holds its pictures itself: it can be sent alone.

    Parameters
    ----------
    each : strips of a kind, at most
    progress : is called with what is drawn and passes it on, one by one

    Returns
    -------
    the page's path

    Raises
    ------
    RecordError
        The file system refuses something; names the path.
    """
    name = study.record.name
    pictures = folder / f"{name}-report"
    path = folder / f"{name}.html"
    with writing(pictures):
        for old in pictures.glob("*.png"):  # of an earlier report, and nothing else
            if PICTURES.fullmatch(old.name):
                old.unlink()
        chosen = choose_excerpts(study, each)
        _write_events(pictures / "events.csv", study, chosen)
        plots.save(plots.overview(study, trend_of(study)), pictures / "overview.png")
        for excerpt in progress(chosen):
            plots.save(plots.strip(study, excerpt), pictures / excerpt.file)
        path.write_text(page(study, chosen, pictures), encoding="utf-8")
    return path


def _write_events(path: Path, study: Study, chosen: Sequence[Excerpt]) -> None:
    files = {(excerpt.kind, excerpt.start): excerpt.file for excerpt in chosen}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("kind", "start", "end", "confidence", "rule", "strip"))
        writer.writerows(
            (
                e.kind,
                f"{e.start:.3f}",
                f"{e.end:.3f}",
                f"{e.confidence:.4f}",
                e.rule,
                files.get((e.kind, e.start), ""),
            )
            for e in study.events
        )


def page(study: Study, chosen: Sequence[Excerpt], pictures: Path) -> str:
    """Return the whole page as HTML, with the pictures, read from their folder, inside."""
    record, name = study.record, html.escape(study.record.name)
    parts = [
        f"<header><h1>ECG report: {name}</h1>"
        f"<p class=notice role=note>{NOTICE}</p>{_facts(study)}</header><main>",
        "<section><h2>Overview</h2><div class=wide>",
        _picture(
            pictures / "overview.png",
            f"Heart rate, anomalies, rhythm events and signal quality "
            f"of {record.name} over {clock(study.seconds)}",
        ),
        "</div></section>",
        "<div class=two>",
        _beats_table(study),
        _quality_table(study),
        "</div>",
        _kinds_table(study, chosen),
    ]
    for kind in dict.fromkeys(excerpt.kind for excerpt in chosen):
        of_kind = [excerpt for excerpt in chosen if excerpt.kind == kind]
        parts.append(f"<section id={kind}><h2>{title(kind)}</h2>")
        parts += [
            f"<figure>{_picture(pictures / e.file, f'{e.caption}, at {clock(e.start, 1)}')}"
            "</figure>"
            for e in of_kind
        ]
        parts.append("</section>")
    parts += [_events_table(study), _reading(study)]
    return (
        f"<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        f"<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>ECG report: {name}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + f"\n</main><footer><p>{NOTICE}</p></footer>\n</body></html>\n"
    )


def _facts(study: Study) -> str:
    record, (moments, rates) = study.record, study.rates
    missing = float(study.missing.mean())
    count, anomalies = len(study.beats), int((study.labels > 0).sum())
    facts = [
        ("Lead", record.lead),
        ("Length", clock(study.seconds)),
        ("Rate", f"{record.fs:g} Hz"),
        (
            "Beats",
            f"{count:,}"
            + (f", {anomalies:,} not normal ({anomalies / count:.1%})" if count else ""),
        ),
    ]
    if len(rates):
        slow, fast = int(rates.argmin()), int(rates.argmax())
        facts.append(
            (
                "Heart rate",
                f"{np.median(rates):.0f}/min (median); {rates[slow]:.0f} at "
                f"{clock(moments[slow])} to {rates[fast]:.0f} at {clock(moments[fast])}",
            )
        )
    doubtful = float(study.doubtful.mean()) if len(study.flaws) else 0.0
    facts += [
        ("Rhythm events", f"{len(study.events):,}"),
        (
            "Signal",
            f"{1 - doubtful:.1%} reliable" + (f"; {missing:.2%} missing" if missing else ""),
        ),
    ]
    return (
        "<dl>"
        + "".join(f"<div><dt>{key}</dt><dd>{html.escape(value)}</dd></div>" for key, value in facts)
        + "</dl>"
    )


def _beats_table(study: Study) -> str:
    counts = np.bincount(study.labels, minlength=len(CLASSES))
    whole, hours = max(1, len(study.beats)), study.seconds / 3600
    return _table(
        "Beats by class",
        ("Class", "Name", "Beats", "Share", "An hour"),
        [
            (
                f"<b class={label}>{label}</b>",
                CLASS_NAMES[label],
                f"{count:,}",
                f"{count / whole:.1%}",
                f"{count / hours:,.0f}",
            )
            for label, count in zip(CLASSES, counts, strict=True)
        ],
    )


def _quality_table(study: Study) -> str:
    rows = []
    for flaw, name in FLAW_NAMES.items():
        bad = study.flaws & int(flaw) != 0
        if bad.any():
            ends = np.flatnonzero(np.diff(np.concatenate([[0], bad.astype(np.int8), [0]])))
            rows.append(
                (
                    name,
                    f"{bad.sum():,} s",
                    f"{bad.mean():.1%}",
                    f"{int((ends[1::2] - ends[::2]).max())} s",
                )
            )
    return _table(
        "Signal quality",
        ("Found", "In all", "Share", "Longest"),
        rows or [("Nothing wrong", "", "", "")],
    )


def _kinds_table(study: Study, chosen: Sequence[Excerpt]) -> str:
    rows = []
    for kind in KINDS:
        events = [event for event in study.events if event.kind == kind]
        if events:
            lengths = [(event.end or event.start) - event.start for event in events]
            drawn = sum(excerpt.kind == kind for excerpt in chosen)
            rows.append(
                (
                    f"<a href=#{kind}>{title(kind)}</a>" if drawn else title(kind),
                    f"{len(events):,}",
                    length(sum(lengths)),
                    length(max(lengths)),
                    clock(min(event.start for event in events)),
                    str(drawn),
                )
            )
    return _table(
        "Rhythm events by kind",
        ("Kind", "Events", "In all", "Longest", "First at", "Drawn"),
        rows or [("None found", *[""] * 5)],
    )


def _events_table(study: Study) -> str:
    listed = sorted(study.events, key=lambda event: KINDS.index(event.kind))[:MAX_TABLE_ROWS]
    rows = [
        (
            clock(e.start, 1),
            title(e.kind),
            length((e.end or e.start) - e.start),
            f"{e.confidence:.2f}",
            html.escape(e.rule),
        )
        for e in sorted(listed, key=lambda event: event.start)
    ]
    left_out = len(study.events) - len(listed)
    note = (
        f"<p>The {MAX_TABLE_ROWS} gravest; {left_out:,} of the milder kinds are in "
        "<code>events.csv</code> only.</p>"
        if left_out
        else ""
    )
    return _table(
        "All rhythm events" if not left_out else "Rhythm events",
        ("Start", "Event", "Length", "Confidence", "Rule"),
        rows or [("None found", *[""] * 4)],
        note,
    )


def _reading(study: Study) -> str:
    return (
        "<section><h2>How to read it</h2><p>Strips are 25 mm/s and 10 mm/mV: a small square is "
        "0.04 s and 0.1 mV; printed at full size it is a millimetre. The signal is as recorded, "
        "unfiltered. Each beat is marked with its letter over its R peak, those that are not "
        "normal have a band; a red bar on the paper's lower edge is the event; in grey seconds "
        "beats are doubtful. Heart rate is the median of "
        f"{RATE_INTERVALS} intervals; the trend shows its median and, pale, its 10th to 90th "
        "percentile. Confidence is the mean score of the event's beats, or its model's "
        f"probability.</p><p>Made by {html.escape(study.made_by)}.</p></section>"
    )


def _table(
    heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = ""
) -> str:
    head = "".join(f"<th scope=col>{name}</th>" for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<section><h2>{heading}</h2>{note}<div class=wide><table><thead><tr>{head}</tr>"
        f"</thead><tbody>{body}</tbody></table></div></section>"
    )


def _picture(path: Path, words: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(words)}">'


STYLE = """
:root{color-scheme:light;--line:#d8dfe4;--quiet:#55636f;--alarm:#b3261e}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px 20px;max-width:1340px;background:#fff;color:#17212b;
 font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
h1{font-size:26px;margin:0 0 8px}h2{font-size:18px;margin:30px 0 10px}
.notice{margin:0 0 16px;padding:8px 12px;background:#fff2d6;color:#7a4b00;border-radius:6px;
 font-weight:600}
dl{display:flex;flex-wrap:wrap;gap:10px 34px;margin:0}dt{font-size:12px;color:var(--quiet)}
dd{margin:0;font-weight:600}
.two{display:flex;flex-wrap:wrap;gap:0 48px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 18px 4px 0;border-bottom:1px solid var(--line);
 vertical-align:top}
th{font-size:12px;color:var(--quiet);font-weight:600}
figure{margin:0 0 14px}img{display:block;max-width:100%;height:auto}
figure img{width:262mm}
b.S{color:#8f5200}b.V{color:#b3261e}b.F{color:#7b2f9e}b.Q{color:#0a5cad}a{color:#0b6b63}
footer{margin-top:34px;border-top:1px solid var(--line);color:var(--quiet);font-size:13px}
@media(max-width:860px){figure,.wide{overflow-x:auto}figure img,.wide img{max-width:none}}
@media print{@page{size:A4 landscape;margin:12mm}body{padding:0;max-width:none}
 figure,tr{break-inside:avoid}h2{break-after:avoid}}
"""
