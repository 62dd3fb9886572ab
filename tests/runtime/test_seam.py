"""A new model under live streams: they go on, and no beat is lost or given twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from client_servers import serving
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Beat, Detector, InputError
from runtime.client import Client, Lasting, Recent, StaleError
from runtime.detector import load_rhythm
from runtime.engine.seam import RECENT_S, SAME_BEAT_S, Seam
from runtime.errors import StaleTokenError
from runtime.findings import Event
from runtime.model.contract import BeatPolicy
from runtime.server.app import create_app
from runtime.simulate import simulate

FS = 250
SIGNAL = simulate(75, fs=FS, seed=4, heart_rate=90).signal
NOISY = SIGNAL + np.random.default_rng(0).normal(0, 0.12, len(SIGNAL))  # models differ here


def successor(detector: Detector, policy: BeatPolicy | None = None, weaker: float = 1) -> Detector:
    """Another model: its beats are these, or those of other frames, decided at another time."""

    def run(signal: Any, carry: Any) -> Any:
        probabilities, after = detector.session.run(signal, carry)
        beat = probabilities[:, :, 1:] * np.float32(weaker)
        return np.concatenate([1 - beat.sum(axis=2, keepdims=True), beat], axis=2), after

    contract = replace(detector.contract, policy=policy or detector.contract.policy)
    return detector.with_network(run, contract, bytes(32))


@pytest.fixture(scope="module")
def others(detector: Detector) -> list[Detector]:
    policy = detector.contract.policy
    return [
        successor(detector),
        successor(detector, replace(policy, min_frames_between=2)),  # decides earlier
        successor(detector, replace(policy, min_frames_between=6)),  # and later
        successor(detector, replace(policy, threshold=0.6), weaker=0.8),
    ]


def times(beats: list[Beat]) -> list[float]:
    return [round(beat.time, 4) for beat in beats]


def same_beats(beats: list[Beat], expected: list[float]) -> None:
    assert len(beats) == len(expected)
    assert times(beats) == pytest.approx(expected, abs=0.01)


def check_seam(old: list[float], new: list[float], given: list[float], decided: float) -> None:
    """What was given is the old model's to the seam and the new one's from there.

    Parameters
    ----------
    old : s, what the old model gave
    new : s, all beats of the new one
    given : s, what came out in all
    decided : s, of the old one at the seam
    """
    assert given[: len(old)] == old
    from_new = given[len(old) :]
    assert set(from_new) <= set(new)
    # Away from the seam: all of the new one's, and none from before.
    assert [t for t in from_new if t >= decided + SAME_BEAT_S] == [
        t for t in new if t >= decided + SAME_BEAT_S
    ]
    assert all(t >= decided - SAME_BEAT_S for t in from_new)
    # At the seam: no beat twice, none of the new one's lost.
    assert all(abs(a - b) > SAME_BEAT_S for a in old for b in from_new)
    near = [t for t in new if abs(t - decided) < SAME_BEAT_S]
    assert all(any(abs(t - one) <= SAME_BEAT_S for one in given) for t in near)


@settings(max_examples=25, deadline=None)
@given(
    model=st.integers(0, 3),
    cut=st.integers(10 * FS, 60 * FS),
    recent_s=st.floats(2, 45),
    noisy=st.booleans(),
    saved_at=st.integers(0, 3 * FS),
)
def test_the_seam_loses_and_doubles_no_beat(
    detector: Detector,
    others: list[Detector],
    model: int,
    cut: int,
    recent_s: float,
    noisy: bool,
    saved_at: int,
) -> None:
    signal, other = (NOISY if noisy else SIGNAL)[: cut + 12 * FS], others[model]
    first = detector.stream(FS, events=True)
    old = first.push(signal[:cut])
    recent = signal[max(0, cut - round(recent_s * FS)) : cut]
    stream = other.resume(first.save(), recent=recent)
    assert stream.seconds == pytest.approx(cut / FS)
    assert stream.decided >= first.decided
    # Saved and resumed under the new model, near the seam or later, it goes on the same.
    got = stream.push(signal[cut : cut + saved_at])
    stream = other.resume(stream.save())
    got += stream.push(signal[cut + saved_at :]) + stream.finish()

    undisturbed, origin = other.stream(FS, events=True), (cut - len(recent)) / FS
    all_new = undisturbed.push(recent) + undisturbed.push(signal[cut:]) + undisturbed.finish()
    new = {round(beat.time + origin, 4): beat.label for beat in all_new}
    check_seam(times(old), [*new], times(old + got), first.decided)
    assert all(beat.label == new[round(beat.time, 4)] for beat in got)


def test_the_same_network_under_another_name_gives_the_whole_recordings_beats(
    detector: Detector, others: list[Detector]
) -> None:
    """Thirty seconds are more than the network remembers; its frames lie elsewhere in them."""
    whole = detector.stream(FS)
    expected = times(whole.push(SIGNAL) + whole.finish())
    for cut in range(40 * FS, 41 * FS, 7):
        stream = detector.stream(FS)
        beats = stream.push(SIGNAL[:cut])
        recent = SIGNAL[cut - round(RECENT_S * FS) : cut]
        stream = others[0].resume(stream.save(), recent=recent)
        same_beats(beats + stream.push(SIGNAL[cut:]) + stream.finish(), expected)


def test_a_second_change_goes_on_too(detector: Detector, others: list[Detector]) -> None:
    whole = detector.stream(FS)
    expected = times(whole.push(SIGNAL) + whole.finish())
    stream, beats = detector.stream(FS), []
    for at in range(0, len(SIGNAL), 9 * FS):
        if at:
            model = others[0] if at // (9 * FS) % 2 else detector
            stream = model.resume(stream.save(), recent=SIGNAL[max(0, at - 30 * FS) : at])
        beats += stream.push(SIGNAL[at : at + 9 * FS])
    same_beats(beats + stream.finish(), expected)


def test_of_its_own_model_the_token_is_enough(detector: Detector) -> None:
    stream = detector.stream(FS)
    stream.push(SIGNAL[: 20 * FS])
    again = detector.resume(stream.save(), recent="not looked at")
    assert again.save() == stream.save()


def test_a_new_rhythm_goes_on_too(detector: Detector) -> None:
    rhythm = replace(load_rhythm(), policy=load_rhythm().policy.replace(pause_s=4.0))
    other = Detector(detector.session, detector.contract, detector.digest, rhythm)
    stream = detector.stream(FS, events=True)
    beats = stream.push(SIGNAL[: 40 * FS])
    with pytest.raises(StaleTokenError, match="give the last 30 s of signal with it") as stale:
        other.resume(stream.save())
    assert stale.value.recent_s == RECENT_S
    resumed = other.resume(stream.save(), recent=SIGNAL[10 * FS : 40 * FS])
    beats += resumed.push(SIGNAL[40 * FS :])
    rr = np.diff(times(beats))
    assert rr.min() > 0.4
    assert rr.max() < 1.2
    assert resumed.tracker is not None
    assert resumed.tracker.heart_rate == pytest.approx(90, abs=8)


def test_recent_signal_that_does_not_fit_is_refused(
    detector: Detector, others: list[Detector]
) -> None:
    stream = detector.stream(FS)
    stream.push(SIGNAL[: 2 * FS])
    with pytest.raises(InputError, match="has 501 samples, but the stream had taken 500"):
        others[0].resume(stream.save(), recent=SIGNAL[:501])
    with pytest.raises(InputError, match="expected"):
        others[0].resume(stream.save(), recent=SIGNAL[:100], units="furlong")


def test_events_that_last_are_given_again(detector: Detector, others: list[Detector]) -> None:
    fast = simulate(60, fs=FS, seed=4, heart_rate=130).signal
    first = detector.stream(FS, events=True)
    first.push(fast[: 50 * FS])
    began = [one for one in first.events() if one.kind == "tachycardia"][-1]
    assert began.end is None
    second = others[0].resume(first.save(), recent=fast[20 * FS : 50 * FS])
    again, *_ = [one for one in second.events() if one.kind == "tachycardia"]
    assert again.end is None
    assert 20 <= again.start < 50
    second.push(fast[50 * FS :])
    second.finish()
    over = [one for one in second.events() if one.kind == "tachycardia"]
    assert over[0].start == again.start
    assert over[-1].end == pytest.approx(60, abs=1)


def test_only_events_that_last_at_the_seam_are_kept() -> None:
    def event(start: float, end: float | None) -> Event:
        return Event("pause", start, end, 1.0, "rule")

    events = [event(1, None), event(1, 3), event(5, 9), event(8, None)]
    assert Seam(0, 6.0).lasting(events) == [event(5, 9), event(8, None)]


# Over HTTP


@contextmanager
def replaced(detector: Detector, other: Detector) -> Iterator[tuple[str, Callable[[], None]]]:
    """A server's URL, and what puts another model into it."""
    app, later = create_app(detector), create_app(other)
    before = app.wsgi_app
    with serving(app) as port:
        yield f"http://127.0.0.1:{port}", lambda: setattr(app, "wsgi_app", later.wsgi_app)
    app.wsgi_app = before  # type: ignore[method-assign]


@pytest.mark.parametrize("model", range(4))
def test_the_client_goes_on_under_a_new_model(
    detector: Detector, others: list[Detector], model: int
) -> None:
    chunks = [NOISY[at : at + 97] for at in range(0, len(NOISY), 97)]
    change = 171
    cut = change * 97
    with replaced(detector, others[model]) as (url, replace_model), Client(url) as client:
        answers = []
        for i, answer in enumerate(client.stream(iter(chunks), FS)):
            answers.append(answer)
            if i + 1 == change:
                replace_model()
        with pytest.raises(StaleError, match="409"):
            client.push(chunks[0], FS, answers[0]["carry"])
    old, new = (
        [beat["time"] for answer in part for beat in answer["beats"]]
        for part in (answers[:change], answers[change:])
    )
    undisturbed, origin = others[model].stream(FS, events=True), cut / FS - RECENT_S
    # As float32, as the client sends it.
    recent = NOISY[cut - round(RECENT_S * FS) :].astype(np.float32)
    found = undisturbed.push(recent) + undisturbed.finish()
    all_new = [round(beat.time + origin, 4) for beat in found]
    check_seam(old, all_new, old + new, answers[change - 1]["decided"])
    assert answers[-1]["seconds"] == pytest.approx(len(NOISY) / FS)


def test_json_takes_recent_signal_for_each_patient(
    detector: Detector, others: list[Detector]
) -> None:
    old, new = create_app(detector).test_client(), create_app(others[0]).test_client()
    rows = [SIGNAL[: 5 * FS].tolist(), SIGNAL[: 6 * FS].tolist()]
    first = old.post("/stream", json={"signal": rows, "fs": FS}).get_json()["results"]
    request = {"signal": [[], []], "carry": [one["carry"] for one in first]}
    stale = new.post("/stream", json=request)
    assert stale.status_code == 409
    assert stale.get_json()["recent_s"] == RECENT_S
    assert stale.get_json()["detail"].startswith("patient 0 of the batch: ")
    answer = new.post("/stream", json=request | {"recent": rows})
    assert [one["seconds"] for one in answer.get_json()["results"]] == [5.0, 6.0]
    for recent in (rows[:1], [1, 2], [rows[0], "x"], [rows[0], [None, "x"]]):
        assert new.post("/stream", json=request | {"recent": recent}).status_code == 400
    alone = {"signal": [0.0], "fs": FS, "recent": [0.0]}
    assert "without 'carry'" in new.post("/stream", json=alone).get_json()["detail"]


def test_recent_keeps_half_a_minute() -> None:
    recent = Recent(100)
    for _ in range(50):
        recent.append(np.arange(130))
    assert len(recent.last(60)) == 3000
    assert recent.last(60)[-1] == 129
    assert len(recent.last(0.5)) == 50


def test_an_event_that_lasts_keeps_its_start_or_ends() -> None:
    def event(kind: str, start: float, end: float | None) -> dict[str, Any]:
        return {"kind": kind, "start": start, "end": end}

    lasting = Lasting()
    lasting.follow({"events": [event("af", 3.0, None), event("pause", 4.0, None)]})
    lasting.follow({"events": [event("pause", 4.0, 6.0), event("vt", 7.0, None)]})
    answer = {"decided": 50.0, "events": [event("af", 20.0, None)]}
    lasting.change(answer)
    lasting.follow(answer)
    assert answer["events"] == [event("vt", 7.0, 50.0), event("af", 3.0, None)]
    answer = {"decided": 60.0, "events": [event("af", 20.0, 58.0)]}
    lasting.follow(answer)
    assert answer["events"] == [event("af", 3.0, 58.0)]
