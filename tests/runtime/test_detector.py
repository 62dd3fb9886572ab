"""The detector on windows and records, its policies, and the one-line form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime import Detector, InputError, ProviderError, Result, RhythmPolicy, predict
from runtime.findings import Flaw
from runtime.simulate import simulate


def one(result: Result | list[Result]) -> Result:
    assert isinstance(result, Result)
    return result


def test_simulated_beats_are_found_where_they_are(detector: Detector) -> None:
    made = simulate(120, seed=1)
    beats = one(detector.predict(made.signal)).beats
    inner = [t for t in made.times if t < 119.5]
    nearest = [min(abs(beat.time - t) for beat in beats) for t in inner]
    assert np.mean(np.array(nearest) < 0.02) > 0.97
    assert len(beats) <= 1.03 * len(made.times)


def test_result_says_what_the_beats_say(detector: Detector) -> None:
    result = one(detector.predict(simulate(60, seed=2, ectopic=0.3).signal))
    anomalies = [beat for beat in result.beats if beat.label != "N"]
    assert result.anomaly
    assert result.label in {beat.label for beat in anomalies}
    assert 0.5 < result.score <= 1
    assert sum(result.probabilities.values()) == pytest.approx(1)
    assert all(beat.score == pytest.approx(max(beat.probabilities)) for beat in result.beats)


def test_a_flat_line_has_no_anomaly_but_bad_quality(detector: Detector) -> None:
    result = one(detector.predict(np.zeros(720)))
    assert (result.label, result.anomaly, result.beats) == ("none", False, [])
    assert not result.quality.ok
    assert result.quality.flat == 1


@pytest.fixture(scope="module")
def pause() -> np.ndarray:
    """Normal beats and six seconds without any."""
    ecg = simulate(20, seed=1, ectopic=0.0).signal
    ecg[8 * 360 : 14 * 360] = ecg[8 * 360] + 0.02 * np.sin(np.arange(6 * 360) / 30)
    return ecg


def test_a_rhythm_event_is_an_anomaly_if_every_beat_is_normal(
    detector: Detector, pause: np.ndarray
) -> None:
    blind, seen = (one(detector.predict(pause, events=events)) for events in (False, True))
    assert (blind.label, blind.anomaly) == ("N", False)
    assert "asystole" in {event.kind for event in seen.events}
    assert (seen.label, seen.anomaly) == ("N", True)
    assert seen.score == max(event.confidence for event in seen.events)


def test_a_batch_is_each_alone(detector: Detector) -> None:
    rows = np.stack([simulate(3, seed=i).signal for i in range(7)])
    results = detector.predict(rows)
    assert isinstance(results, list)
    for row, result in zip(rows, results, strict=True):
        alone = one(detector.predict(row))
        assert [(b.time, b.label) for b in result.beats] == [(b.time, b.label) for b in alone.beats]


@pytest.mark.parametrize(
    ("signal", "sentence"),
    [
        ([], "0 samples"),
        ([0.1], "1 samples"),
        (np.zeros(359), "expected at least 1 s"),
        (np.zeros((0, 360)), "0 rows"),
        (np.zeros((2, 2, 360)), "3 dimensions"),
        (3.0, "0 dimensions"),
        ("ecg", "not made of numbers"),
        (None, "not made of numbers"),
        ({"a": 1}, "not made of numbers"),
        (1e4 + np.arange(720.0), "most of the signal is beyond what a heart can make.*units right"),
        ([np.zeros(720), 1e4 + np.arange(720.0)], r"sample 0 \(10000 mV in row 1\)"),
    ],
)
def test_bad_input_gets_one_sentence(detector: Detector, signal: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        detector.predict(signal)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value).lower()


def test_an_empty_batch_is_refused_for_being_empty(detector: Detector) -> None:
    with pytest.raises(InputError, match=r"0 rows; expected \[batch, samples\]") as caught:
        detector.predict(np.zeros((0, 360)), 5)
    assert "Hz" not in str(caught.value)


@pytest.mark.parametrize("fs", [np.uint8(120), np.uint8(250), np.float16(250), np.int64(360)])
def test_a_rate_of_any_of_numpys_types_is_a_rate(detector: Detector, fs: np.number) -> None:
    signal = simulate(1.2, fs=int(fs), seed=2).signal
    assert detector.predict(signal, fs) == detector.predict(signal, int(fs))  # type: ignore[arg-type]


@pytest.mark.parametrize("fs", [333.3333, 977.3, 128.4])
def test_a_second_in_whole_samples_is_a_second(detector: Detector, fs: float) -> None:
    assert one(detector.predict(np.zeros(round(fs)), fs)).label == "none"
    with pytest.raises(InputError, match="expected at least 1 s"):
        detector.predict(np.zeros(int(fs) - 1), fs)


@pytest.mark.parametrize("units", ["mv", "adu", "", None, 3])
def test_unknown_units_are_named(detector: Detector, units: object) -> None:
    with pytest.raises(InputError, match=r"units .* are unknown; expected one of mV"):
        detector.predict(np.zeros(360), units=units)  # type: ignore[arg-type]


def test_ten_million_samples_are_no_trouble(detector: Detector) -> None:
    minute = simulate(60, seed=3).signal
    result = one(detector.predict(np.resize(minute, 10_000_000)))
    assert len(result.beats) > 30_000


def test_the_one_line_form_loads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    window = simulate(2, seed=4).signal
    first = predict(window, backend="cpu")
    monkeypatch.setattr(Detector, "load", None)
    assert predict(window, backend="cpu") == first


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ProviderError, match="unknown; expected one of auto, cpu"):
        predict(np.zeros(360), backend="tpu")


@pytest.fixture
def own(detector: Detector) -> Detector:
    """A detector whose policies a test may replace."""
    return detector.with_network(detector.session.run, detector.contract)


def kinds_of(detector: Detector, ecg: np.ndarray) -> set[str]:
    return {event.kind for event in one(detector.predict(ecg, events=True)).events}


def test_a_replaced_rhythm_policy_takes_effect(
    own: Detector, detector: Detector, pause: np.ndarray
) -> None:
    shipped = own.rhythm_policy
    assert shipped == RhythmPolicy()
    assert kinds_of(own, pause) == {"asystole"}
    own.rhythm_policy = shipped.replace(asystole_s=20.0, asystole_vf_s=20.0)
    assert "asystole" not in kinds_of(own, pause)
    assert "pause" in kinds_of(own, pause)
    stream = own.stream(events=True)
    stream.push(pause)
    assert "asystole" not in {event.kind for event in stream.events()}
    assert "for 20 s" in next(
        event.rule
        for event in one(
            own.predict(
                np.concatenate([pause[: 14 * 360], *[pause[8 * 360 : 14 * 360]] * 3]), events=True
            )
        ).events
        if event.kind == "asystole"
    )
    assert kinds_of(detector, pause) == {"asystole"}  # of another detector nothing changes
    own.rhythm_policy = shipped
    assert kinds_of(own, pause) == {"asystole"}


def test_a_replaced_quality_policy_takes_effect(
    own: Detector, detector: Detector, pause: np.ndarray
) -> None:
    shipped, swing = own.quality_policy, float(np.ptp(pause[9 * 360 : 13 * 360]))
    assert one(own.predict(pause)).quality.flat == own.assess(pause, 360).flat == 0
    own.quality_policy = replace(shipped, flat_mv=2 * swing)
    assert one(own.predict(pause)).quality.flat == own.assess(pause, 360).flat == 0.3
    assert detector.assess(pause, 360).flat == 0
    # What cannot be read is no silence, and a stream says so while it lasts.
    assert kinds_of(own, pause) == set()
    stream = own.stream(events=True)
    stream.push(pause[: 13 * 360])
    assert stream.tracker is not None
    assert stream.tracker.current == "unreadable"
    assert stream.tracker.flaws & Flaw.FLAT
    own.quality_policy = shipped
    assert kinds_of(own, pause) == {"asystole"}


def test_a_stream_keeps_the_policy_it_began_with(own: Detector, pause: np.ndarray) -> None:
    before = own.stream(events=True)
    own.rhythm_policy = own.rhythm_policy.replace(asystole_s=20.0, asystole_vf_s=20.0)
    after = own.stream(events=True)
    own.push([before, after], [pause, pause])
    assert [
        "asystole" in {event.kind for event in stream.events()} for stream in (before, after)
    ] == [True, False]


def windows_around(data: Path, name: str, symbol: str, count: int) -> tuple[np.ndarray, float]:
    """Seconds of a record with a beat of this symbol in the middle, [count, samples]."""
    wfdb = pytest.importorskip("wfdb")

    from runtime.records import read

    recording, marks = read(data / "mitdb" / name), wfdb.rdann(str(data / "mitdb" / name), "atr")
    half = round(recording.fs / 2)
    middles = [s for s, kind in zip(marks.sample, marks.symbol, strict=True) if kind == symbol]
    return np.stack(
        [recording.signal[m - half : m + half] for m in middles[1 : count + 1]]
    ), recording.fs


def test_a_second_around_a_real_beat_is_labelled_without_context(
    detector: Detector, data: Path
) -> None:
    """Ventricular beats of record 208 and normal ones of record 100."""
    for name, symbol, least in (("208", "V", 0.85), ("100", "N", 0.95)):
        rows, fs = windows_around(data, name, symbol, 200)
        results = detector.predict(rows, fs)
        assert isinstance(results, list)
        right = [r.label == symbol and r.anomaly == (symbol != "N") for r in results]
        assert np.mean(right) > least


def test_real_fibrillation_and_a_normal_record(data: Path, detector: Detector) -> None:
    from runtime.records import read

    if not (data / "cudb").is_dir():
        pytest.skip("cudb is not among the recordings at hand")
    record = read(data / "cudb" / "cu01", start_s=150, seconds=120)  # a design patient
    found = [
        e
        for e in one(detector.predict(record.signal, record.fs, events=True)).events
        if e.kind == "ventricular_fibrillation"
    ]
    assert [round(e.start) for e in found] == [pytest.approx(64, abs=6)]
    record = read(data / "mitdb" / "101", seconds=120)
    assert one(detector.predict(record.signal, record.fs, events=True)).events == []
