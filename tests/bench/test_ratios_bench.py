"""Ratios to the graph: what is measured is warm, ends, and is told beside its bar."""

from __future__ import annotations

from bench import ratios
from bench.ratios import Figure
from runtime import Detector


def test_a_figure_is_judged_by_its_bar() -> None:
    most, least = Figure("a", 2.1, 2.0, 1.5), Figure("b", 0.61, 0.6, 0.8, at_most=False)
    assert most.row().endswith("| no |")
    assert least.row().endswith("| yes |")
    assert "| b | 0.61 | 0.6 | 0.8 | yes |" in ratios.table([most, least])


def test_streams_and_the_graph_go_on(detector: Detector) -> None:
    for call in (ratios.graph(detector, 2), ratios.push(detector, 2, events=True)):
        call()
        call()


def test_time_is_that_of_the_processor() -> None:
    assert 0 <= ratios.median_ms(lambda: None) < 1


def test_a_crowd_is_compared_with_the_cheapest() -> None:
    figure = ratios.crowds(1, (1, 8))
    assert "8 patients" in figure.what
    assert 0 < figure.value <= 2  # one of eight shares the graph's call
