"""EC57 comparison against cases counted by hand."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import ec57
from training.ec57 import Annotations, Ratio

FS = 360
WINDOW = 54  # 150 ms

Marks = Sequence[tuple[int, str] | tuple[int, str, int]]  # sample, symbol and maybe subtype


def compare(reference: Marks, test: Marks, **options: Any) -> ec57.Comparison:
    options = {"start_s": 0.0, "record_samples": 10_000} | options
    there, found = (
        Annotations(*zip(*marks, strict=True)) if marks else Annotations([], "")
        for marks in (reference, test)
    )
    return ec57.compare(there, found, FS, **options)


def counted(result: ec57.Comparison) -> dict[str, int]:
    """Cells that are not zero, named as EC57 names them: Nv is N called v."""
    return {
        ec57.LABELS[i] + ec57.LABELS[j].lower(): int(result.counts[i, j])
        for i, j in zip(*np.nonzero(result.counts), strict=True)
    }


def qrs(result: ec57.Comparison) -> tuple[Ratio, Ratio]:
    figures = result.statistics
    return figures["QRS sensitivity"], figures["QRS positive predictivity"]


BEATS = [(300 * k, "NNVNANFNN/"[k % 10]) for k in range(1, 31)]


def test_equal_annotations_match_perfectly() -> None:
    result = compare(BEATS, BEATS)
    assert counted(result) == {"Nn": 18, "Ss": 3, "Vv": 3, "Ff": 3, "Qq": 3}
    assert [ratio.percent for ratio in qrs(result)] == [100.0, 100.0]
    assert result.rr_error_ms == 0.0


@pytest.mark.parametrize("sign", [-1, 1])
def test_match_window_includes_its_edge(sign: int) -> None:
    near = compare(BEATS, [(time + sign * WINDOW, symbol) for time, symbol in BEATS])
    far = compare(BEATS, [(time + sign * (WINDOW + 1), symbol) for time, symbol in BEATS])
    assert qrs(near) == (Ratio(30, 30), Ratio(30, 30))
    assert qrs(far) == (Ratio(0, 30), Ratio(0, 30))


def test_no_test_beats() -> None:
    result = compare(BEATS, [])
    assert result.counts[:5, 5].sum() == result.counts.sum() == 30
    assert qrs(result) == (Ratio(0, 30), Ratio(0, 0))
    assert np.isnan(Ratio(0, 0).percent)
    assert np.isnan(result.rr_error_ms)


def test_no_reference_beats() -> None:
    result = compare([], BEATS)
    assert result.counts[5, :5].sum() == result.counts.sum() == 30
    assert qrs(result) == (Ratio(0, 0), Ratio(0, 30))


def test_nearer_of_two_test_beats_is_the_partner() -> None:
    reference = [(1000, "N"), (2000, "N")]
    for test in ([(960, "V"), (1010, "N"), (2000, "N")], [(990, "N"), (1030, "V"), (2000, "N")]):
        assert counted(compare(reference, test)) == {"Nn": 2, "Ov": 1}


def test_equally_near_beat_is_given_up_for_its_nearer_partner() -> None:
    """The example of bxb's documentation: both pairs are found, at a window of 37 samples."""
    reference = [(96, "N"), (160, "N")]
    test = [(128, "N"), (185, "N")]
    assert counted(compare(reference, test, window_s=37 / FS)) == {"Nn": 2}


def test_two_beats_at_one_sample() -> None:
    """Of equal times bxb takes the reference's next beat: its own first is let go."""
    twice = [(400, "V"), (400, "N"), (800, "N")]
    once = [(400, "N"), (800, "N")]
    assert counted(compare(twice, once)) == {"Nn": 2, "Vo": 1}
    assert counted(compare(once, twice)) == {"Nv": 1, "Nn": 1, "On": 1}


def test_a_beat_at_the_first_sample_counts_but_begins_no_interval() -> None:
    beats = [(0, "N"), (300, "V"), (600, "N")]
    result = compare(beats, beats)
    assert counted(result) == {"Nn": 2, "Vv": 1}
    assert result.rr_errors == 1


def test_learning_period_is_left_out() -> None:
    """From sample 3600 on; its first beat may be matched by a test beat before it."""
    reference = [(3000, "N"), (3610, "V"), (4000, "N")]
    test = [(3000, "V"), (3590, "V"), (4000, "N")]
    assert counted(compare(reference, test, start_s=10.0)) == {"Vv": 1, "Nn": 1}
    passed_over = [(3000, "V"), (3605, "N"), (4000, "N")]
    assert counted(compare([(3590, "N"), (4000, "N")], passed_over, start_s=10.0)) == {"Nn": 1}


def test_comparison_stops_at_the_given_time() -> None:
    assert compare(BEATS, BEATS, stop_s=10.0).counts.sum() == 12
    with pytest.raises(ValueError, match="before it starts"):
        compare(BEATS, BEATS, start_s=20.0, stop_s=10.0)


def test_first_annotator_to_end_can_stop_the_comparison() -> None:
    result = compare(BEATS, BEATS[:4], stop_s=0.0)
    assert qrs(result)[0] == Ratio(4, 4)


def test_escape_beats_are_supraventricular() -> None:
    beats = [(400, "e"), (800, "j"), (1200, "N")]
    assert counted(compare(beats, beats)) == {"Ss": 2, "Nn": 1}
    assert counted(compare(beats, beats).without_sveb()) == {"Nn": 3}


def test_fusion_and_unknown_called_v_do_not_lower_veb_predictivity() -> None:
    reference = [(400, "V"), (800, "F"), (1200, "/"), (1600, "N")]
    test = [(time, "V") for time, _ in reference]
    result = compare(reference, test)
    assert result.statistics["VEB positive predictivity"] == Ratio(1, 2)
    assert result.statistics["VEB false positive rate"] == Ratio(1, 1)


def test_extra_beats_in_fibrillation_of_the_reference_are_not_counted() -> None:
    reference = [(400, "N"), (1000, "["), (1500, "!"), (2000, "]"), (2500, "N")]
    test = [(400, "N"), (1200, "V"), (1500, "N"), (1900, "V"), (2200, "V"), (2500, "N")]
    assert counted(compare(reference, test)) == {"Nn": 2, "Ov": 1}


def test_test_beats_in_its_own_fibrillation_are_missed_beats() -> None:
    reference = [(400, "N"), (1200, "V"), (1500, "N"), (2500, "N")]
    test = [(400, "N"), (1000, "["), (1200, "V"), (1500, "N"), (2000, "]"), (2500, "N")]
    assert counted(compare(reference, test)) == {"Nn": 2, "Vo": 1, "No": 1}


def test_flutter_wave_outside_fibrillation_is_an_event_but_no_beat() -> None:
    result = compare([(400, "N"), (800, "!")], [(400, "!"), (800, "V")])
    assert counted(result) == {"No": 1, "Ov": 1}


def test_intervals_across_fibrillation_have_no_rr_error() -> None:
    reference = [(400, "N"), (800, "N"), (1000, "["), (2000, "]"), (2500, "N"), (2900, "N")]
    test = [(400, "N"), (818, "N"), (2500, "N"), (2918, "N")]
    result = compare(reference, test)
    assert result.rr_errors == 2
    assert result.rr_error_ms == pytest.approx(50.0)


@pytest.mark.parametrize("resume", [(4000, "~", 0), None], ids=["resumed", "to the end"])
def test_beats_missed_in_shutdown(resume: tuple[int, str, int] | None) -> None:
    test = [(400, "N", 0), (2000, "~", 0x30), *([resume] if resume else [])]
    result = compare([(400, "N"), (3000, "N"), (3500, "V")], test, record_samples=6000)
    assert counted(result) == {"Nn": 1, "Nx": 1, "Vx": 1}
    assert result.shutdown_s == (6 if resume else 11)
    assert result.missed_in_shutdown["Beats"] == Ratio(2, 3)
    assert result.missed_in_shutdown["V"] == Ratio(1, 1)


def test_beats_found_in_shutdown_of_the_reference() -> None:
    reference = [(400, "N", 0), (2000, "~", -1), (4000, "~", 0), (5000, "N", 0)]
    result = compare(reference, [(400, "N"), (3000, "V"), (5000, "N")])
    assert counted(result) == {"Nn": 2, "Xv": 1}


def test_lone_shutdown_mark_fills_the_gap_between_its_neighbours() -> None:
    test = [(400, "N", 0), (1500, "~", 0x30), (2000, "N", 0)]
    result = compare([(400, "N"), (1000, "N"), (2000, "N")], test)
    assert counted(result) == {"Nn": 2, "Nx": 1}
    assert result.shutdown_s == round((2000 - 400 - 2 * WINDOW) / FS)


def test_arrays_must_fit() -> None:
    nothing = Annotations([], "")
    with pytest.raises(ValueError, match="one symbol and subtype for each sample"):
        ec57.compare(Annotations([1, 2], "N"), nothing, FS)
    with pytest.raises(ValueError, match="must be integers"):
        ec57.compare(Annotations([0.5], "N"), nothing, FS)
    with pytest.raises(ValueError, match="fs must be positive"):
        ec57.compare(nothing, nothing, 0.0)


def test_gross_sums_counts_and_average_takes_means() -> None:
    clean = compare([(400, "V"), (800, "N")], [(400, "V"), (800, "N")])
    poor = compare([(400, "N"), (800, "N")], [(400, "N"), (1400, "V")])
    summary = ec57.summarise([clean, poor])
    assert summary.gross["QRS sensitivity"] == Ratio(3, 4)
    assert summary.average["QRS sensitivity"] == 75.0
    assert summary.gross["VEB positive predictivity"] == Ratio(1, 2)
    assert summary.average["VEB positive predictivity"] == 50.0
    assert summary.average["VEB sensitivity"] == 100.0, "undefined in the second record"


def test_sumstats_forgives_fusion_called_s_where_bxb_does_not() -> None:
    result = compare([(400, "A"), (800, "F")], [(400, "A"), (800, "A")])
    assert result.statistics["SVEB positive predictivity"] == Ratio(1, 2)
    assert ec57.summarise([result]).gross["SVEB positive predictivity"] == Ratio(1, 1)


@given(*[st.lists(st.integers(1, 4000), unique=True, max_size=40).map(sorted)] * 2)
def test_every_beat_is_counted_once(reference: list[int], test: list[int]) -> None:
    result = compare([(t, "N") for t in reference], [(t, "V") for t in test])
    assert result.counts[:5].sum() == len(reference)
    assert result.counts[:, :5].sum() == len(test)


def test_example_in_the_documentation() -> None:
    assert doctest.testmod(ec57).failed == 0
