"""Evidence in EC57's form: runs, episodes, figures with intervals, calibration, the page."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.findings import Record
from training.databases import DS1, DS2
from training.ec57 import Annotations
from training.evidence.__main__ import main
from training.evidence.cases import NEVER, PERSON, TRAINED, Case, Named, listed, read_case
from training.evidence.figures import ALL, Figure, calibration, group_of, summarise
from training.evidence.measure import BINS, Measured, measure
from training.evidence.page import page
from training.evidence.runs import Rhythm, compare_runs
from training.results import as_json, from_json


def rhythm(letters: str, *, fibrillation: tuple[tuple[float, float], ...] = ()) -> Rhythm:
    """A beat a second; V is ectopic."""
    return Rhythm(
        np.arange(len(letters), dtype=np.float64),
        np.array([letter == "V" for letter in letters], dtype=bool),
        fibrillation,
    )


def compared(there: Rhythm, ours: Rhythm, start_s: float = 0.0) -> dict[str, int]:
    return compare_runs(there, ours, start_s=start_s, within_s=0.15)


def test_a_run_is_found_by_one_as_long():
    counts = compared(rhythm("NVVNNVVVNVVVVVVVN"), rhythm("NVVNNVVNNVVVVVVVN"))
    assert (counts["couplet, there"], counts["couplet, there and met"]) == (1, 1)
    assert (counts["short run, there"], counts["short run, there and met"]) == (1, 0)
    assert (counts["long run, there"], counts["long run, there and met"]) == (1, 1)
    # What is left of the short run is reported as a couplet, which the reference's run bears out.
    assert (counts["couplet, reported"], counts["couplet, reported and met"]) == (2, 2)


def test_two_short_runs_are_no_long_one():
    counts = compared(rhythm("NVVVVVVN"), rhythm("NVVVNVVN"))
    assert counts["long run, there and met"] == 0
    assert counts["short run, reported and met"] == 1


def test_fibrillation_is_a_long_run():
    there = rhythm("NNN", fibrillation=((5.0, 20.0),))
    assert compared(there, rhythm("NNNNNN" + "V" * 8))["long run, there and met"] == 1
    assert compared(there, rhythm("N" * 20))["long run, there and met"] == 0


def test_runs_before_the_start_are_left_out():
    assert compared(rhythm("VVNVV"), rhythm("VVNVV"), start_s=2.0)["couplet, there"] == 1


@given(st.text(alphabet="NV", min_size=1, max_size=60))
def test_an_annotator_agrees_with_itself(letters):
    counts = compared(rhythm(letters), rhythm(letters))
    for name, count in counts.items():
        if name.endswith("and met"):
            assert count == counts[name.removesuffix(" and met")]


@given(st.text(alphabet="NV", min_size=1, max_size=60))
def test_runs_hold_every_ectopic_beat_once(letters):
    found = Rhythm(np.arange(float(len(letters))), np.array([c == "V" for c in letters])).runs()
    assert [length for _, _, length in found] == [
        min(len(run), 6) for run in letters.replace("N", " ").split()
    ]


def measured(patient: str, right: int, of: int, *, seen: str = NEVER) -> Measured:
    """Counts that are all alike."""
    sums = {"seconds": 3600.0}
    for figure in ALL:
        sums |= {figure.part: float(right), figure.whole: float(of)}
    case = Case(
        Named("DS2", "mitdb", patient, 0, seen),
        Record(patient, "MLII", 360.0, np.zeros(360), 0.0),
        f"mitdb/{patient}",
        60,
        "F",
        Annotations(np.zeros(0, dtype=np.int64), ()),
        (),
    )
    scores = np.zeros((BINS, 3))
    scores[9] = [of, right, 0.95 * of]
    return Measured(case, sums, scores, scores / 2, 70.0, 0.0)


def test_gross_and_average_are_ec57s_two_summaries():
    figure = group_of([measured("1", 10, 10), measured("2", 0, 90)])["figures"]["VEB sensitivity"]
    assert figure["gross"] == pytest.approx(10.0)
    assert figure["average"] == pytest.approx(50.0)
    assert figure["low"] <= figure["gross"] <= figure["high"]


def test_an_interval_is_drawn_by_patient_and_not_by_recording():
    one = group_of([measured("1", 10, 10), measured("1", 0, 10)])
    assert one["patients"] == 1
    assert math.isnan(one["figures"]["VEB sensitivity"]["low"])
    alike = group_of([measured(str(i), 9, 10) for i in range(5)])["figures"]["VEB sensitivity"]
    assert (alike["low"], alike["high"]) == (pytest.approx(90.0), pytest.approx(90.0))


def test_a_figure_of_nothing_is_not_defined():
    figure = group_of([measured("1", 0, 0)])["figures"]["VEB sensitivity"]
    assert math.isnan(figure["gross"])
    assert math.isnan(figure["average"])


def test_errors_are_roots_of_mean_squares():
    assert Figure("error", "part", "whole", "rms", "ms").of(32.0, 2.0) == 4.0


def test_calibration_says_how_far_scores_are_from_the_share_right():
    found = calibration([measured("1", 80, 100).scores])
    assert found["error"] == pytest.approx(0.15)
    assert found["bins"][9]["right"] == pytest.approx(0.8)
    assert math.isnan(found["bins"][0]["right"])


def test_the_page_marks_what_was_trained_on():
    evidence = {
        "model": "ab" * 16,
        **summarise([measured("1", 9, 10), measured("2", 8, 10, seen=TRAINED)]),
    }
    again = from_json(as_json(evidence))
    assert page(again) == page(evidence)
    text = page(evidence)
    assert 'mitdb/2 <mark title="trained on">t</mark>' in text
    assert "mitdb/1 <mark" not in text
    assert "It is no medical device" in text
    assert "nan" not in text.lower().replace("sinan", "")


class TestRecordings:
    """With the recordings at hand."""

    def test_every_recording_says_whether_it_was_trained_on(self, data):
        named = {one.title: one for one in listed(data) if one.lead == 0}
        assert all(named[f"mitdb/{name}"].seen == TRAINED for name in DS1)
        assert {named[f"mitdb/{name}"].seen for name in DS2} == {NEVER, PERSON}
        assert named["mitdb/202"].seen == PERSON
        assert named["mitdb/104"].seen == NEVER
        assert named["mitdb/102"].seen == TRAINED

    def test_the_patient_is_read_from_the_header(self, data):
        case = read_case(Named("DS1", "mitdb", "201", 0, TRAINED), data)
        assert (case.age, case.sex, case.patient) == (68, "M", "mitdb/201")
        other = read_case(Named("DS2", "mitdb", "202", 1, PERSON), data)
        assert other.patient == case.patient
        assert other.record.lead == "V1"

    def test_a_perfect_annotator_is_perfect(self, data):
        class Perfect:
            """Gives the reference back."""

            def annotate(self, record):
                annotation = real.annotate(record)
                beats = [
                    type(annotation.beats[0])(sample / record.fs, label, 1.0, (1.0, 0, 0, 0, 0))
                    for sample, label in zip(*self.marks, strict=True)
                ]
                return type(annotation)(record, beats, [], real.assess)

        from training.recordings import AAMI

        case = read_case(Named("DS1", "mitdb", "208", 0, TRAINED), data)
        real = Detector.load(DEFAULT_ARTIFACTS, provider="cpu")
        marks = [(s, AAMI[m]) for s, m, _ in case.reference.marks() if m in AAMI]
        perfect = Perfect()
        perfect.marks = list(zip(*marks, strict=True))
        found = measure(perfect, case)
        for figure in ALL:
            part, whole = found.sums[figure.part], found.sums[figure.whole]
            if figure.form == "rms":
                assert part == 0
                assert whole > 0
            elif figure.name != "VEB false positive rate":
                assert part == whole, figure.name
        assert found.sums["VEB false positive rate, right"] == 0
        assert found.sums["VE couplet, there"] > 0

    def test_the_command_names_the_groups_there_are(self, data, tmp_path, capsys):
        with pytest.raises(SystemExit):
            main(["--groups", "nothing", "--out", str(tmp_path)])
        assert "DS2" in capsys.readouterr().err
