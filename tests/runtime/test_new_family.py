"""A new rhythm event is one new file and one name in a list; everything else follows."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runtime import Detector, InputError, RhythmPolicy
from runtime.beats import F
from runtime.detector import load_rhythm
from runtime.errors import StaleTokenError
from runtime.findings import CLASSES
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts
from runtime.rhythm import kinds, rules, schema, sections
from runtime.rhythm.events import FAMILIES
from runtime.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
NEW_FILE = '''
"""A run of fusion beats."""

from dataclasses import dataclass

from runtime.beats import F
from runtime.rhythm.events.family import Family, Kind
from runtime.rhythm.policy import Section
from runtime.rhythm.state import Moment, Whole, saved

FUSION_RUN = "fusion_run"


@dataclass(frozen=True)
class FusionLimits(Section):
    """``fusion_beats`` : F beats in a row."""

    section = "fusion"
    about = "fusion"
    bounds = {"fusion_beats": (2, 100)}

    fusion_beats: int = 4


@dataclass
class FusionState:
    """F beats in a row, and the first one's sample."""

    count: int = saved(Whole(0, 1 << 24), 0)
    start: int = saved(Moment(), 0)


class Fusion(Family):
    """F beats in a row."""

    name = "fusion"
    kinds = (Kind(FUSION_RUN, 65, "(FUS"),)
    Limits = FusionLimits
    State = FusionState

    @classmethod
    def rules(cls, policy):
        return {FUSION_RUN: f"{policy.of(FusionLimits).fusion_beats} or more F beats in a row"}

    def on_beat(self, beat, interval, history, signal):
        if beat.label != F:
            self.close(history.seen)
            self.state = FusionState()
            return
        self.state.start = self.state.start or beat.sample
        self.state.count += 1
        self.confirm(beat.score)
        if self.state.count == self.limits.fusion_beats:
            self.ledger.begin(FUSION_RUN, self.state.start, beat.score)
'''


@pytest.fixture
def new_file(tmp_path: Path) -> Path:
    """The folder that holds the new file."""
    (tmp_path / "fusion.py").write_text(NEW_FILE)
    return tmp_path


@pytest.fixture
def registered(new_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The new family is in the list as long as the test runs."""
    monkeypatch.syspath_prepend(str(new_file))
    monkeypatch.delitem(sys.modules, "fusion", raising=False)
    FAMILIES.append(importlib.import_module("fusion").Fusion)
    yield
    FAMILIES.pop()


def only_fusion(detector: Detector) -> Detector:
    """The detector, its network's every beat an F, with the families that are registered now."""
    own = Detector(detector.session, detector.contract, detector.digest, load_rhythm())
    weights = tuple(1.0 if label == F else 1e-12 for label in range(len(CLASSES)))
    policy = replace(detector.contract.policy, class_weights=weights)
    return own.with_network(detector.session.run, replace(detector.contract, policy=policy))


def test_its_kind_rule_and_limits_are_known(registered: None) -> None:
    names = [kind.name for kind in kinds()]
    assert (
        names.index("atrial_fibrillation")
        < names.index("fusion_run")
        < names.index("supraventricular_run")
    )
    assert list(rules(RhythmPolicy())) == names
    assert rules(RhythmPolicy())["fusion_run"] == "4 or more F beats in a row"
    assert "fusion" in [section.section for section in sections()]
    assert RhythmPolicy(fusion_beats=7).fusion_beats == 7
    with pytest.raises(InputError, match="fusion_beats of fusion is 1; expected"):
        RhythmPolicy(fusion_beats=1)


def test_a_stream_reports_it_however_cut_and_saved(detector: Detector, registered: None) -> None:
    own, signal = only_fusion(detector), simulate(30, seed=1, ectopic=0.0).signal
    whole = own.stream(events=True)
    beats = whole.push(signal) + whole.finish()
    begun, ended = whole.events()
    assert {beat.label for beat in beats} == {"F"}
    assert (begun.kind, begun.end, begun.rule) == ("fusion_run", None, "4 or more F beats in a row")
    assert (ended.start, ended.end) == (beats[0].time, pytest.approx(30.0))
    assert own.predict(signal, events=True).events == [ended]  # type: ignore[union-attr]
    stream, found = own.stream(events=True), []
    for at in range(0, len(signal), 127):
        stream.push(signal[at : at + 127])
        found += stream.events()
        stream = own.resume(stream.save())
    assert stream.tracker is not None
    assert stream.tracker.current == "fusion_run"
    stream.finish()
    assert [(e.kind, e.start, e.end) for e in [*found, *stream.events()]] == [
        (e.kind, e.start, e.end) for e in (begun, ended)
    ]


def test_its_limits_may_be_replaced(detector: Detector, registered: None) -> None:
    own, signal = only_fusion(detector), simulate(30, seed=1, ectopic=0.0).signal
    own.rhythm_policy = own.rhythm_policy.replace(fusion_beats=90)
    assert own.predict(signal, events=True).events == []  # type: ignore[union-attr]


def test_older_tokens_become_stale(detector: Detector, request: pytest.FixtureRequest) -> None:
    stream = detector.stream(events=True)
    stream.push(simulate(10, seed=1).signal)
    token, before = stream.save(), schema().fingerprint
    detector.resume(token)
    request.getfixturevalue("registered")
    assert schema().fingerprint != before
    own = Detector(detector.session, detector.contract, detector.digest, load_rhythm())
    with pytest.raises(StaleTokenError, match="another rhythm model or policy"):
        own.resume(token)


def test_the_shipped_artifacts_still_load(registered: None) -> None:
    """Its limits have defaults of their own; where they have none, rhythm.json must give them."""
    own = Detector.load(DEFAULT_ARTIFACTS, provider="cpu")
    assert own.rhythm_policy.fusion_beats == 4
    assert load_rhythm(Artifacts(DEFAULT_ARTIFACTS)).policy == RhythmPolicy()


def test_the_served_openapi_lists_it(registered: None) -> None:
    pytest.importorskip("flask", reason="no flask (pip install flask)")
    from runtime.server.schemas import shared

    schemas = shared()
    assert "fusion_run" in schemas["Event"]["properties"]["kind"]["enum"]
    assert "fusion_run" in schemas["Rhythm"]["enum"]


def in_own_process(new_file: Path, program: str) -> str:
    """The output of a program in which the family is registered before anything is imported.

    Tables of annotations and reports are made from the registry when they are imported.
    """
    lines = (
        "from runtime.rhythm.events import FAMILIES",
        "from fusion import Fusion",
        "FAMILIES.append(Fusion)",
        program,
    )
    path = os.pathsep.join([str(new_file), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        check=True,
        cwd=new_file,
    ).stdout


def test_annotations_and_reports_know_it(new_file: Path) -> None:
    codes, names, title = json.loads(
        in_own_process(
            new_file,
            "import json; from runtime.records.outputs.wfdb_annotations import RHYTHM_CODES\n"
            "from runtime.report.words import KINDS, Words\n"
            "print(json.dumps([RHYTHM_CODES, list(KINDS), Words('de').kind('fusion_run')]))",
        )
    )
    assert codes["fusion_run"] == "(FUS"
    assert list(codes).index("fusion_run") == list(codes).index("atrial_fibrillation") + 1
    assert "fusion_run" in names
    assert title == "Fusion run"


def test_annotations_are_written_with_its_code(new_file: Path) -> None:
    wfdb = pytest.importorskip("wfdb", reason="no wfdb (pip install wfdb)")
    in_own_process(
        new_file,
        "import numpy; from runtime import Annotation, Event, Record\n"
        "record = Record('rec', 'II', 360.0, numpy.zeros(3600), 0.0)\n"
        "event = Event('fusion_run', 1.0, 2.0, 0.9, '')\n"
        "Annotation(record, [], [event], None).to_wfdb()",
    )
    marks = wfdb.rdann(str(new_file / "rec"), "ekg")
    assert [note.rstrip("\0") for note in marks.aux_note] == ["(FUS", "(N"]
