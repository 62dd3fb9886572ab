"""A report on paper, laid out by Chromium: nothing is cut off, and strips are to scale."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.findings import Event
from runtime.report import Layout, Study, write

pytestmark = [pytest.mark.slow, pytest.mark.needs("jinja2", "playwright")]
PX_MM = 96 / 25.4
MARGIN_MM = 10
PAPERS_MM = {
    "A4": (210, 297),
    "A4-landscape": (297, 210),
    "Letter": (215.9, 279.4),
    "Letter-landscape": (279.4, 215.9),
}
# Of what is drawn or tabled: how far its right edge is beyond the paper's, and its size.
MEASURE = """() => [...document.querySelectorAll("svg, table, h2, p, figcaption")].map(e => {
  const box = e.getBoundingClientRect();
  return {what: e.getAttribute("class") || e.tagName, right: box.right, width: box.width,
          height: box.height, scale: e.tagName === "svg" && e.getScreenCTM().a};
})"""


@pytest.fixture(scope="module")
def page_file(
    make_study: Callable[..., Study],
    beat: Callable,
    minute: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A report with everything in it."""
    signal = np.tile(minute, 30)
    beats = [beat(t, "V" if t % 9 < 1 else "N") for t in np.arange(0.5, 1800)]
    events = [Event("pause", t, t + 2.5, 0.9, "") for t in np.arange(20.0, 1800, 30)]
    events += [Event("atrial_fibrillation", 1100.0, 1300.0, 0.9, "")]
    study = make_study(
        1800,
        beats,
        events,
        signal=signal,
        start=datetime(2026, 2, 3, 21, 45),
        header=("a long line " * 20,),
    )
    layout = Layout(disclosure=True, language="de")
    return write(tmp_path_factory.mktemp("printed"), study, layout)


@pytest.mark.parametrize("paper", PAPERS_MM)
def test_nothing_is_cut_off_and_strips_are_to_scale(
    browser: Any, page_file: Path, paper: str
) -> None:
    width, height = PAPERS_MM[paper]
    page = browser.new_page(
        viewport={"width": int((width - 2 * MARGIN_MM) * PX_MM), "height": int(height * PX_MM)}
    )
    page.emulate_media(media="print")
    page.goto(page_file.as_uri())
    inside = (width - 2 * MARGIN_MM) * PX_MM + 1
    measured = page.evaluate(MEASURE)
    assert {one["what"] for one in measured} >= {"paper", "plot", "figures", "TABLE"} - {"TABLE"}
    for one in measured:
        assert one["right"] <= inside, one
        if one["what"] == "paper":  # a unit of a strip is a millimetre
            assert one["scale"] == pytest.approx(PX_MM, rel=1e-3)
        assert one["height"] <= (height - 27) * PX_MM or "figures" in one["what"], one
    page.close()


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_on_a_screen_the_page_does_not_scroll_sideways(
    browser: Any, page_file: Path, size: tuple[int, int]
) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(page_file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.close()
