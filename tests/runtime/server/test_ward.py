"""What the central page asks for: signal by number, findings each once, rates that go blank."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from runtime.detector import Detector
from runtime.server import ward as wards
from runtime.server.central import CHUNK_S, Played, play
from runtime.server.ward import HOLD_S, Ward, ward_application
from runtime.simulate import simulate

FS = 100.0


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wards, "WAIT_S", 0.0)


def ramp(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.float32)


def signal_of(news: dict[str, Any], name: str = "p") -> tuple[int, np.ndarray]:
    part = news["signal"][name]
    return part["first"], np.frombuffer(base64.b64decode(part["mv"]), "<f4")


def with_beats(ward: Ward, times: list[float]) -> dict[str, Any]:
    ward.take_signal("p", FS, 0, ramp(0, 10))
    for at in times:
        ward.take_beat("p", FS, at, "N")
    return ward.news(None, {})["patients"]["p"]


class TestSignal:
    def test_it_is_given_from_the_asked_sample_on(self) -> None:
        ward = Ward("w")
        for at in range(0, 500, 50):
            ward.take_signal("p", FS, at, ramp(at, 50))
        first, samples = signal_of(ward.news(None, {"p": (0, 120)}))
        assert first == 120
        np.testing.assert_array_equal(samples, ramp(120, 380))

    def test_what_came_before_is_left_out_and_a_gap_is_missing(self) -> None:
        ward = Ward("w")
        for at, count in ((0, 50), (30, 50), (100, 20)):
            ward.take_signal("p", FS, at, ramp(at, count))
        first, samples = signal_of(ward.news(None, {"p": (0, 0)}))
        assert first == 0
        assert np.isnan(samples[80:100]).all()
        np.testing.assert_array_equal(
            np.delete(samples, slice(80, 100)), [*ramp(0, 80), *ramp(100, 20)]
        )

    def test_only_the_last_seconds_are_held(self) -> None:
        ward = Ward("w")
        for at in range(0, 10_000, 100):
            ward.take_signal("p", FS, at, ramp(at, 100))
        first, samples = signal_of(ward.news(None, {"p": (0, 0)}))
        assert first + len(samples) == 10_000
        assert HOLD_S * FS <= len(samples) <= HOLD_S * FS + 100

    def test_a_later_recording_counts_anew(self) -> None:
        ward = Ward("w")
        ward.take_signal("p", FS, 500, ramp(500, 50), recording=1)
        ward.take_signal("p", FS, 0, ramp(0, 50), recording=2)
        assert signal_of(ward.news(None, {"p": (1, 550)}))[0] == 0
        ward.take_beat("p", FS, 5.4, "V", recording=1)  # late, of the one before
        state = ward.news(None, {})["patients"]["p"]
        assert (state["recording"], state["rate"]) == (2, None)


class TestFindings:
    def test_each_is_given_once(self) -> None:
        ward = Ward("w")
        ward.take_beat("p", FS, 1.0, "N")
        known = ward.news(None, {})
        assert known["findings"] == []
        assert not known["lost"]
        ward.take_beat("p", FS, 1.8, "V")
        ward.take_event("p", FS, "couplet", 1.0, 1.8)
        new = ward.news(known["seq"], {})
        assert [one["seq"] for one in new["findings"]] == [2, 3]
        assert not new["lost"]
        assert ward.news(new["seq"], {})["findings"] == []

    def test_those_that_are_gone_are_said_to_be_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wards, "HELD_FINDINGS", 3)
        ward = Ward("w")
        for at in range(10):
            ward.take_beat("p", FS, at, "N")
        assert ward.news(6, {})["lost"]
        assert not ward.news(7, {})["lost"]
        assert ward.news(11, {})["lost"]  # of another process

    def test_events_last_until_their_end(self) -> None:
        ward = Ward("w")
        ward.take_event("p", FS, "asystole", 3.0, None)
        assert ward.news(None, {})["patients"]["p"]["events"] == {"asystole": 3.0}
        ward.take_event("p", FS, "asystole", 3.0, 9.0)
        assert ward.news(None, {})["patients"]["p"]["events"] == {}


class TestRate:
    def test_it_is_the_mean_over_the_last_intervals(self) -> None:
        assert with_beats(Ward("w"), [0.75 * i for i in range(12)])["rate"] == 80

    def test_it_is_blank_when_it_is_old_or_nothing_beats(self) -> None:
        ward = Ward("w")
        with_beats(ward, [1, 2, 3, 4])
        ward.follow("p", decided=4 + wards.STALE_S + 1)
        assert ward.news(None, {})["patients"]["p"]["rate"] is None
        ward = Ward("w")
        with_beats(ward, [1, 2, 3, 4])
        ward.take_event("p", FS, "asystole", 4, None)
        assert ward.news(None, {})["patients"]["p"]["rate"] is None

    def test_a_silent_patient_has_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ward = Ward("w")
        with_beats(ward, [1, 2, 3, 4])
        monkeypatch.setattr(wards, "SILENT_S", -1.0)
        state = ward.news(None, {})["patients"]["p"]
        assert (state["silent"], state["rate"]) == (True, None)


class TestRoutes:
    @pytest.fixture
    def client(self) -> FlaskClient:
        ward = Ward("w")
        ward.take_beat("p", FS, 1.0, "N")
        return ward_application(ward).test_client()

    def test_the_page_is_served_with_its_policy(self, client: FlaskClient) -> None:
        with client.get("/", follow_redirects=True) as page:
            assert "EKG central station" in page.get_data(as_text=True)
            assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        assert client.get("/static/kinds.js").mimetype == "text/javascript"

    def test_news_are_given(self, client: FlaskClient) -> None:
        answer = client.post("/central/news", json={"since": None, "signal": {}})
        assert answer.get_json()["patients"]["p"]["fs"] == FS

    @pytest.mark.parametrize(
        "body",
        [
            None,
            [],
            {"since": 1},
            {"since": -1, "signal": {}},
            {"since": "1", "signal": {}},
            {"since": 1, "signal": {"p": [0]}},
            {"since": 1, "signal": {"p": [0, 1.5]}},
            {"since": 1, "signal": {"p": 3}},
            {"since": 1, "signal": [1]},
        ],
    )
    def test_other_questions_are_refused(self, client: FlaskClient, body: Any) -> None:
        answer = client.post("/central/news", json=body)
        assert answer.status_code == 400
        assert "expected" in answer.get_json()["detail"]


def test_what_is_played_gives_the_beats_of_annotate(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.server.central.time.sleep", lambda s: None)
    made = [simulate(20 + 5 * i, fs=200 + 50 * i, seed=i, ectopic=0.2) for i in range(3)]
    recordings = [Played(f"p{i}", one.fs, one.signal) for i, one in enumerate(made)]
    ward = Ward("w")
    ward.take_beat("p0", 1, 0, "N")  # a finding from which on all are new
    play(detector, recordings, ward)
    news = ward.news(1, {one.name: (0, 0) for one in recordings})
    for one in recordings:
        beats = [
            (finding["time"], finding["label"])
            for finding in news["findings"]
            if finding["kind"] == "beat" and finding["patient"] == one.name
        ]
        stream = detector.stream(one.fs, events=True)
        expected = stream.push(one.signal) + stream.finish()
        assert beats == [(round(beat.time, 4), beat.label) for beat in expected]
        assert news["patients"][one.name]["ended"]
        first, samples = signal_of(news, one.name)
        np.testing.assert_array_equal(samples, one.signal[first:].astype(np.float32))
        assert CHUNK_S * one.fs <= len(samples)
