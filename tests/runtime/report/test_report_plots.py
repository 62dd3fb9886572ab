"""Pictures of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.findings import Event
from runtime.report import Study, plots
from runtime.report.excerpts import STRIP_S, choose_excerpts

pytest.importorskip("matplotlib", reason="no matplotlib (pip install matplotlib)")


def test_names_that_look_like_formulas_are_drawn_as_they_are(
    tmp_path: Path, make_study: Callable[..., Study], beat: Callable, minute: np.ndarray
) -> None:
    made = make_study(
        60,
        [beat(t) for t in np.arange(0.5, 60)],
        [Event("pause", 8.0, 10.5, 0.9, "$x_1$")],
        signal=minute,
    )
    made = replace(made, record=replace(made.record, lead=r"a$\frac{$b", name="$1$"))
    plots.save(plots.strip(made, choose_excerpts(made, 1)[0]), tmp_path / "strip.png")
    assert (tmp_path / "strip.png").read_bytes()[:4] == b"\x89PNG"


def test_strip_is_to_scale_and_holds_its_event(
    make_study: Callable[..., Study], beat: Callable, minute: np.ndarray
) -> None:
    beats = [beat(t, "V" if t == 20.5 else "N") for t in np.arange(0.5, 60)]
    made = make_study(60, beats, [Event("pause", 20.5, 23.0, 0.9, "a rule")], signal=minute)
    pause = {excerpt.kind: excerpt for excerpt in choose_excerpts(made, 1)}["pause"]
    assert pause.strip_start <= 20.5
    assert pause.strip_start + STRIP_S >= 23.0
    figure = plots.strip(made, pause)
    (axes,) = figure.axes
    (x, y), (right, up) = axes.transData.transform([(21.0, 0.0), (22.0, 1.0)])
    millimetre = figure.dpi / 25.4
    assert (right - x, up - y) == pytest.approx((25 * millimetre, 10 * millimetre), rel=1e-3)
    letters = [text.get_text() for text in axes.texts if len(text.get_text()) == 1]
    assert sorted(letters) == ["N"] * 9 + ["V"]
    drawn = axes.lines[0].get_xydata()  # type: ignore[attr-defined]
    np.testing.assert_allclose(drawn[:, 1], minute[(drawn[:, 0] * 360).round().astype(int)])
