"""/predict and /stream: their answers, and the state that travels with the client."""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from http_client import FS, MAX_TOKEN, SIGNAL, push, refusal
from werkzeug.test import TestResponse

from runtime import Detector
from runtime.findings import FLAT_LINE
from runtime.server.wire import RAW
from runtime.simulate import simulate


class TestPredict:
    def test_json_and_raw_answer_what_the_detector_finds(
        self, http: FlaskClient, detector: Detector
    ) -> None:
        found = detector.predict(SIGNAL, FS, events=True)
        expected = found.to_dict()  # type: ignore[union-attr]
        as_json = http.post("/predict", json={"signal": SIGNAL.tolist(), "fs": FS}).get_json()
        as_raw = http.post(
            f"/predict?fs={FS}", data=SIGNAL.astype("<f4").tobytes(), content_type=RAW
        ).get_json()
        assert {k: as_json[k] for k in expected} == expected
        assert {k: as_raw[k] for k in expected} == expected
        assert as_json["provider"] == "cpu"
        assert as_json["latency_ms"] > 0

    def test_a_batch_answers_as_single_requests(self, http: FlaskClient) -> None:
        rows = [SIGNAL[i * FS : (i + 2) * FS].tolist() for i in range(4)]
        together = http.post("/predict", json={"signal": rows, "fs": FS}).get_json()["results"]
        for row, found in zip(rows, together, strict=True):
            alone = http.post("/predict", json={"signal": row, "fs": FS}).get_json()
            assert found == {key: alone[key] for key in found}

    def test_null_nan_and_sentinels_are_missing(self, http: FlaskClient) -> None:
        clean = http.post("/predict", json={"signal": SIGNAL.tolist(), "fs": FS}).get_json()
        answers = []
        for value in (None, -999, float("nan"), 10**400):
            signal: list[Any] = SIGNAL.tolist()
            signal[1000:1003] = [value] * 3
            answer = http.post(
                "/predict",
                data=json.dumps({"signal": signal, "fs": FS}),
                content_type="application/json",
            ).get_json()
            answers.append({key: answer[key] for key in ("beats", "events", "quality")})
        raw = SIGNAL.astype("<f4")
        raw[1000:1003] = np.nan
        answer = http.post(f"/predict?fs={FS}", data=raw.tobytes(), content_type=RAW).get_json()
        answers.append({key: answer[key] for key in ("beats", "events", "quality")})
        for one in answers:
            assert one == answers[0]
            assert [beat["label"] for beat in one["beats"]] == [
                beat["label"] for beat in clean["beats"]
            ]
            assert one["quality"]["missing"] == pytest.approx(3 / len(SIGNAL), abs=1e-4)

    def test_units_are_converted(self, http: FlaskClient) -> None:
        in_uv = {"signal": (SIGNAL * 1000).tolist(), "fs": FS, "units": "uV"}
        in_mv = {"signal": SIGNAL.tolist(), "fs": FS}
        assert (
            http.post("/predict", json=in_uv).get_json()["beats"]
            == http.post("/predict", json=in_mv).get_json()["beats"]
        )

    def test_a_flat_signal_is_said(self, http: FlaskClient) -> None:
        good = http.post("/predict", json={"signal": SIGNAL.tolist(), "fs": FS}).get_json()
        flat = http.post("/predict", json={"signal": [0.0] * 3600, "fs": FS}).get_json()
        assert "notes" not in good
        assert flat["notes"] == [FLAT_LINE]


class TestStream:
    def test_a_lead_that_falls_off_is_said_and_a_good_one_says_nothing(
        self, http: FlaskClient
    ) -> None:
        signal = simulate(30, seed=2, ectopic=0.0).signal.tolist()
        signal[15 * FS : 21 * FS] = [signal[15 * FS] + 0.001 * (i % 2) for i in range(6 * FS)]
        carry, notes = None, []
        for at in range(0, len(signal), 90):
            answer = http.post(
                "/stream", json={"signal": signal[at : at + 90], "fs": FS, "carry": carry}
            ).get_json()
            carry = answer["carry"]
            notes.append(tuple(answer.get("notes", ())))
        flat = [at / 4 for at, said in enumerate(notes) if said == (FLAT_LINE,)]
        assert 15 < min(flat) < max(flat) < 26
        assert len(flat) > 12
        assert not any(notes[: 15 * 4])

    def test_a_gap_is_no_pause_and_is_said(self, http: FlaskClient) -> None:
        signal: list[Any] = simulate(30, seed=2, ectopic=0.0).signal.tolist()
        signal[12 * FS : 14 * FS] = [None] * (2 * FS)
        carry, events, missing = None, [], []
        for at in range(0, len(signal), FS):
            answer = push(http, signal=signal[at : at + FS], fs=FS, carry=carry)
            carry = answer["carry"]
            events += answer["events"]
            missing.append(answer["quality"]["missing"])
        assert [event["kind"] for event in events if event["kind"] in ("pause", "asystole")] == []
        assert missing == [0] * 12 + [1, 1] + [0] * 16

    def test_any_cut_gives_the_beats_of_the_whole(
        self, http: FlaskClient, detector: Detector
    ) -> None:
        chance, at, carry, beats = random.Random(1), 0, None, []
        while at < len(SIGNAL):
            size = chance.choice((0, 1, 17, 90, 400))
            raw, chunk = chance.random() < 0.5, SIGNAL[at : at + size]
            if raw:  # the token comes first in the body, decoded
                token = base64.b64decode(carry or "")
                answer = http.post(
                    f"/stream?fs={FS}&carry_bytes={len(token)}",
                    data=token + chunk.astype("<f4").tobytes(),
                    content_type=RAW,
                ).get_json()
            else:
                answer = push(http, signal=chunk.tolist(), fs=FS, carry=carry)
            carry, at = answer["carry"], at + size
            beats += answer["beats"]
        last = push(http, signal=[], carry=carry, end=True)
        assert last["carry"] is None
        assert last["decided"] == pytest.approx(len(SIGNAL) / FS, abs=1e-3)
        expected = detector.predict(SIGNAL, FS).to_dict()["beats"]  # type: ignore[union-attr]
        assert [b["label"] for b in beats + last["beats"]] == [b["label"] for b in expected]
        assert [b["time"] for b in beats + last["beats"]] == [b["time"] for b in expected]

    def test_batch_composition_does_not_change_results(self, http: FlaskClient) -> None:
        rates = [360, 250, 128]
        signals = [simulate(8, fs=fs, seed=fs).signal for fs in rates]
        carries: list[Any] = [None] * 3
        together: list[list[Any]] = [[], [], []]
        for second in range(8):
            chunks = [
                s[second * fs : (second + 1) * fs].tolist()
                for s, fs in zip(signals, rates, strict=True)
            ]
            answers = push(http, signal=chunks, fs=rates, carry=carries, end=[second == 7] * 3)[
                "results"
            ]
            carries = [answer["carry"] for answer in answers]
            for beats, answer in zip(together, answers, strict=True):
                beats += answer["beats"]
        for signal, fs, beats in zip(signals, rates, together, strict=True):
            alone = push(http, signal=signal.tolist(), fs=fs, end=True)["beats"]
            assert [(b["time"], b["label"]) for b in beats] == [
                (b["time"], b["label"]) for b in alone
            ]
            assert len(beats) > 5

    @pytest.mark.parametrize("fs", [100, 250, 360, 359.9, 1000])
    def test_tokens_have_a_bounded_size(self, http: FlaskClient, fs: float) -> None:
        carry, sizes = None, []
        for piece in np.array_split(simulate(6, fs=fs).signal, 50):
            carry = push(http, signal=piece.tolist(), fs=fs, carry=carry)["carry"]
            sizes.append(len(carry))
        assert max(sizes) <= MAX_TOKEN

    def test_a_refused_batch_takes_nothing(self, http: FlaskClient) -> None:
        answer = http.post("/stream", json={"signal": [[0.1] * 9, [True]], "fs": FS})
        assert "numbers only" in refusal(answer, 400)
        answer = http.post("/stream", json={"signal": [[[0.1] * 9]], "fs": FS})
        assert "three dimensions" in refusal(answer, 400)
        answer = http.post("/stream", json={"signal": [[0.1], [0.1]], "fs": [FS, 5]})
        assert refusal(answer, 400).startswith("patient 1 of the batch: fs is 5 Hz")


class TestTokens:
    def give(self, http: FlaskClient, token: bytes, **fields: Any) -> TestResponse:
        carry = base64.b64encode(token).decode()
        return http.post("/stream", json={"signal": [0.0] * 90, "carry": carry} | fields)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda t: t[:-1],
            lambda t: t[: len(t) // 2],
            lambda t: b"",
            lambda t: t + b"\0",
            lambda t: b"XXXX" + t[4:],
            lambda t: t[:50] + bytes([t[50] ^ 1]) + t[51:],
            lambda t: b"\x80\x04" + t,
        ],
    )
    def test_a_damaged_token_is_a_400(
        self, http: FlaskClient, token: bytes, damage: Callable[[bytes], bytes]
    ) -> None:
        assert "token" in refusal(self.give(http, damage(token)), 400)

    @pytest.mark.parametrize("carry", ["*", "é", "AAA", 7, True, {}, ["x"]])
    def test_a_carry_that_is_no_token_is_a_400(self, http: FlaskClient, carry: object) -> None:
        answer = http.post("/stream", json={"signal": [0.0], "fs": FS, "carry": carry})
        assert "'carry'" in refusal(answer, 400)

    @pytest.mark.parametrize("at", [4, 6])  # the format's version, the model's hash
    def test_a_token_of_another_model_or_version_is_a_409(
        self, http: FlaskClient, token: bytes, at: int
    ) -> None:
        foreign = bytearray(token)
        foreign[at] ^= 1
        foreign[-4:] = zlib.crc32(foreign[:-4]).to_bytes(4, "little")
        assert "another model or version" in refusal(self.give(http, bytes(foreign)), 409)

    def test_a_token_of_another_rate_is_a_409(self, http: FlaskClient, token: bytes) -> None:
        assert "keeps its rate" in refusal(self.give(http, token, fs=250), 409)

    def test_a_forged_token_never_fails_the_server(self, http: FlaskClient, token: bytes) -> None:
        chance = random.Random(0)
        for _ in range(300):
            forged = bytearray(token)
            for _ in range(chance.choice((1, 2, 10))):
                if chance.random() < 0.5:
                    forged[chance.randrange(6, 110)] = chance.randrange(256)
                else:
                    place = 106 + 4 * chance.randrange((len(forged) - 110) // 4)
                    forged[place : place + 4] = struct.pack(
                        "<f", chance.choice((float("nan"), float("inf"), 1e38, -1e9, 0.0, -1.0))
                    )
            forged[-4:] = zlib.crc32(forged[:-4]).to_bytes(4, "little")
            answer = self.give(http, bytes(forged), end=chance.random() < 0.5)
            assert answer.status_code in (200, 400, 409), answer.get_data()
            if answer.status_code == 200:  # and what is answered is JSON, not NaN
                json.loads(answer.get_data(), parse_constant=pytest.fail)
