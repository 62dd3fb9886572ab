"""A live signal for the page, without the page."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.server.feed import Feed, sane


def test_the_feed_answers_by_sample_number() -> None:
    feed = Feed(100, "x")
    feed.append(np.arange(5, dtype=np.float32))
    feed.append(np.arange(5, 9, dtype=np.float32))
    assert feed.since(3)[0] == 3
    np.testing.assert_array_equal(feed.since(3)[1], np.arange(3, 9))
    feed.end()
    assert feed.since(8)[2]
    for beyond in (9, 100):
        first, samples, ended = feed.since(beyond)
        assert (first, len(samples), ended) == (9, 0, True)


def test_impossible_samples_are_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    chunks = [np.array([np.nan, 1.0, 2e6]), np.array([]), np.array([np.inf, 3e305, 1e6, -4.0])]
    found = list(sane(chunks, 0.001))
    expected: list[list[float]] = [[np.nan, 0.001, np.nan], [], [np.nan, np.nan, np.nan, -0.004]]
    for piece, values in zip(found, expected, strict=True):
        np.testing.assert_allclose(piece, values)
    assert list(map(len, sane([[1e308]], 1000.0))) == [1]
    assert capsys.readouterr().err.count("beyond ±500 mV") == 2  # once for each signal
