"""Tokens: the whole state on the wire; damaged, forged and foreign ones are refused."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from runtime import Detector, RhythmPolicy, TokenError
from runtime.detector import load_rhythm
from runtime.errors import StaleTokenError
from runtime.model.artifacts import DEFAULT_ARTIFACTS, Artifacts
from runtime.rhythm import closed
from runtime.simulate import simulate


@pytest.fixture(scope="module")
def token(detector: Detector) -> bytes:
    """Of a stream whose rhythm is not followed."""
    stream = detector.stream(1000)
    stream.push(simulate(12.345, fs=1000, seed=9).signal)
    return stream.save()


@pytest.fixture(scope="module")
def rhythm_token(detector: Detector) -> bytes:
    """Of a stream whose rhythm is followed."""
    stream = detector.stream(250, events=True)
    stream.push(simulate(23.45, fs=250, seed=9, heart_rate=130).signal)
    return stream.save()


def own(detector: Detector, **changes: object) -> Detector:
    """The same network with another rhythm model."""
    return Detector(
        detector.session, detector.contract, detector.digest, replace(load_rhythm(), **changes)
    )


def test_a_token_fits_on_the_wire(token: bytes, rhythm_token: bytes) -> None:
    """In base64 it has to fit a request's query."""
    assert len(base64.b64encode(token)) <= 32_000
    assert len(base64.b64encode(rhythm_token)) < 32 << 10


def test_every_damaged_token_is_refused(
    detector: Detector, token: bytes, rhythm_token: bytes
) -> None:
    rng = np.random.default_rng(0)
    for whole in (token, rhythm_token):
        for place in [*range(160), *rng.integers(0, len(whole), 400).tolist(), len(whole) - 1]:
            flipped = bytearray(whole)
            flipped[place] ^= int(rng.integers(1, 256))
            for damaged in (bytes(flipped), whole[:place], whole[:place] + b"x" + whole[place:]):
                with pytest.raises(TokenError, match="damaged or cut off"):
                    detector.resume(damaged)


@pytest.mark.parametrize("bad", [None, 7, "", [1, 2], {}, np.zeros(4)])
def test_only_bytes_are_a_token(detector: Detector, bad: object) -> None:
    with pytest.raises(TokenError, match="expected the bytes"):
        detector.resume(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_of_the_token_will_do(detector: Detector, token: bytes, kind: Callable) -> None:
    assert detector.resume(kind(token)).save() == token


def test_another_networks_token_is_stale(
    detector: Detector, token: bytes, rhythm_token: bytes
) -> None:
    other = detector.with_network(detector.session.run, detector.contract, b"\x00" * 32)
    for one in (token, rhythm_token):
        with pytest.raises(StaleTokenError, match=r"another model or version; .* new stream\.$"):
            other.resume(one)


def test_another_rhythm_policy_or_file_makes_a_token_stale(
    detector: Detector, rhythm_token: bytes
) -> None:
    others = [
        own(detector, policy=RhythmPolicy(pause_s=2.5)),
        own(detector, policy=RhythmPolicy(template=None)),
        own(detector, policy=RhythmPolicy(af_suppresses_s=False)),
        own(detector, quality=replace(detector.quality_policy, flat_mv=0.02)),
        own(detector, digest=b"\x01" * 32),
        detector.with_network(
            detector.session.run,
            replace(
                detector.contract,
                policy=replace(detector.contract.policy, class_weights=(1.0, 1.0, 2.0, 1.0, 1.0)),
            ),
        ),
    ]
    for other in others:
        with pytest.raises(StaleTokenError) as caught:
            other.resume(rhythm_token)
        assert str(caught.value) == (
            "the stream's token was saved under another rhythm model or policy; give the last 30 s "
            "of signal with it, or start a new stream."
        )
    names = {other.stream(events=True).save()[14:22] for other in [detector, *others]}
    assert len(names) == len(others) + 1


def test_the_same_rhythm_resumes_a_token(detector: Detector, rhythm_token: bytes) -> None:
    for other in (
        Detector.load(DEFAULT_ARTIFACTS, provider="cpu"),
        own(detector, policy=RhythmPolicy()),
    ):
        assert other.resume(rhythm_token).save() == rhythm_token


def test_a_policy_that_is_changed_and_changed_back_resumes_a_token(
    detector: Detector, rhythm_token: bytes
) -> None:
    other = own(detector)
    rhythm, quality = other.rhythm_policy, other.quality_policy
    other.rhythm_policy = rhythm.replace(pause_s=2.5)
    other.quality_policy = replace(quality, flat_mv=0.02)
    with pytest.raises(StaleTokenError):
        other.resume(rhythm_token)
    other.rhythm_policy, other.quality_policy = rhythm, quality
    assert other.resume(rhythm_token).save() == rhythm_token


def test_a_token_without_rhythm_resumes_under_any_policy(detector: Detector, token: bytes) -> None:
    other = own(detector, policy=RhythmPolicy(pause_s=2.5), digest=b"\x01" * 32)
    stream = other.resume(token)
    assert stream.tracker is None
    assert stream.save() == token


def forged(token: bytes, place: int, value: bytes) -> bytes:
    """The token with other bytes at a place, and a checksum that fits."""
    body = (token[:place] + value + token[place + len(value) :])[: len(token) - 4]
    return body + zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (22, struct.pack("<I", 0)),
        (26, struct.pack("<I", 0)),
        (26, struct.pack("<I", 7)),
        (30, struct.pack("<Q", 2**63)),
        (30, struct.pack("<Q", 2**40)),
        (30, struct.pack("<Q", 1)),
        (38, struct.pack("<Q", 2**63)),
        *((46 + 8 * i, struct.pack("<d", value)) for i in range(4) for value in (1e4, -2, np.nan)),
        (78, struct.pack("<d", float("nan"))),
        (86, struct.pack("<d", 1e4)),
        *((78 + 8 * i, struct.pack("<d", 1e13)) for i in range(9)),
        *((150 + 4 * i, struct.pack("<I", n)) for i in range(7) for n in (7, 2**32 - 1)),
        (-8, struct.pack("<f", float("nan"))),
        (-8, struct.pack("<f", 1e20)),
    ],
)
def test_a_forged_token_with_a_right_checksum_does_no_harm(
    detector: Detector, token: bytes, rhythm_token: bytes, place: int, value: bytes
) -> None:
    """The checksum is no signature; lengths and numbers are checked as well."""
    for one in (token, rhythm_token):
        assert forged(one, 0, one[:4]) == one
        with pytest.raises(TokenError):
            detector.resume(forged(one, place % len(one), value))


def test_a_token_with_a_rhythm_must_name_it(
    detector: Detector, token: bytes, rhythm_token: bytes
) -> None:
    name = rhythm_token[14:22]
    assert token[14:22] == bytes(8)
    for one, other in ((token, name), (rhythm_token, bytes(8))):
        with pytest.raises(TokenError, match="damaged"):
            detector.resume(forged(one, 14, other))


def test_a_stream_saved_in_every_event_gives_the_golden_answer(detector: Detector) -> None:
    """Every third of a second of a recording in which nearly every kind of event lasts."""
    golden = Artifacts(DEFAULT_ARTIFACTS).golden_rhythm("ekg_fused.onnx")
    stream, beats, events, lasting = detector.stream(events=True), [], [], set()
    for at in range(0, len(golden.microvolts), 127):
        beats += stream.push(golden.microvolts[at : at + 127], units="uV")
        events += stream.events()
        saved = stream.save()
        stream = detector.resume(saved)
        assert stream.save() == saved
        assert stream.tracker is not None
        lasting.add(stream.tracker.current)
    beats += stream.finish()
    events += stream.events()
    assert [(round(beat.time * 360), "NSVFQ".index(beat.label)) for beat in beats] == [
        (sample, label) for sample, label, _ in golden.beats
    ]
    found = closed(events)
    assert [(e.kind, e.start, e.end) for e in found] == [
        (kind, start, end) for kind, start, end, _ in golden.events
    ]
    assert np.allclose([e.confidence for e in found], [c for *_, c in golden.events], atol=1e-3)
    assert lasting >= {
        "regular",
        "ventricular_fibrillation",
        "atrial_fibrillation",
        "bigeminy",
        "ventricular_tachycardia",
        "supraventricular_run",
        "tachycardia",
    }
