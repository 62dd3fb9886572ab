"""POST /read: files are read as `ekg.read` does, and nothing but them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from runtime import Detector, Record, RecordError
from runtime.records import read
from runtime.server import bodies
from runtime.server.frame import GONE
from runtime.simulate import simulate

SIGNAL = simulate(5, fs=250, seed=5).signal.astype(float)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def table(signal: np.ndarray = SIGNAL, name: str = "ECG (mV)") -> bytes:
    rows = (f"{i / 250:.3f},{value:.4f}\n" for i, value in enumerate(signal))
    return (f"time,{name}\n" + "".join(rows)).encode()


def send(client: FlaskClient, files: Sequence[tuple[str, bytes]], query: str = "") -> TestResponse:
    form = {"file": [(io.BytesIO(content), name) for name, content in files]}
    return client.post(f"/read?{query}", data=form)


def lead_of(answer: TestResponse) -> tuple[dict[str, Any], np.ndarray]:
    assert answer.status_code == 200, answer.get_data()
    length = int(answer.headers["X-EKG-Head"])
    content = answer.get_data()
    return json.loads(content[:length]), np.frombuffer(content[length:], "<f8")


def answers_of(answer: TestResponse) -> list[dict[str, Any]]:
    """The lines behind the samples."""
    length = int(answer.headers["X-EKG-Head"])
    content = answer.get_data()
    lines = content[length + 8 * json.loads(content[:length])["samples"] :]
    return [json.loads(line) for line in lines.splitlines()]


def detail(answer: TestResponse) -> str:
    assert answer.status_code in (400, 413), answer.status_code
    return str(answer.get_json()["detail"])


def test_a_table_is_read_to_the_last_bit(client: FlaskClient, tmp_path: Path) -> None:
    signal = SIGNAL.copy()
    signal[100:120] = np.nan
    content = table(signal).replace(b"nan", b"")
    (tmp_path / "x.csv").write_bytes(content)
    expected = read(tmp_path / "x.csv")
    head, samples = lead_of(send(client, [("x.csv", content)]))
    np.testing.assert_array_equal(samples, expected.signal)
    assert head == {
        "name": "x",
        "lead": "ECG",
        "leads": ["ECG"],
        "fs": 250.0,
        "start": None,
        "notes": list(expected.notes),
        "samples": len(SIGNAL),
    }


def test_a_wfdb_record_of_two_files_is_read_and_a_lead_by_name(
    client: FlaskClient, tmp_path: Path
) -> None:
    wfdb = pytest.importorskip("wfdb")
    wfdb.wrsamp(
        "rec",
        fs=250,
        units=["mV", "mV"],
        sig_name=["V1", "MLII"],
        fmt=["212"] * 2,
        p_signal=np.stack([-SIGNAL, SIGNAL], axis=1),
        write_dir=str(tmp_path),
    )
    files = [(path.name, path.read_bytes()) for path in tmp_path.iterdir()]
    for query, lead in (("", "MLII"), ("lead=V1", "V1")):
        head, samples = lead_of(send(client, files, query))
        assert (head["lead"], head["leads"]) == (lead, ["V1", "MLII"])
        np.testing.assert_array_equal(samples, read(tmp_path / "rec", lead=lead).signal)


@pytest.mark.parametrize(
    ("content", "query", "stated"),
    [
        (table(1000 * SIGNAL, "ECG"), "", {}),
        (table(), "fs=100", {"fs": 100.0}),
        (table(), "lead=V9", {"lead": "V9"}),
        (b"1\n2\n", "", {}),
        (b"", "", {}),
    ],
)
def test_refusals_are_the_sentences_of_read(
    client: FlaskClient, tmp_path: Path, content: bytes, query: str, stated: dict[str, Any]
) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(RecordError) as refused:
        read(tmp_path / "x.csv", **stated)
    sentence = detail(send(client, [("x.csv", content)], query))
    assert sentence == str(refused.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    "line",
    ["/etc/passwd 16 200/mV 16 0 0 0 0 II", "../x.dat 16 200/mV 16 0 0 0 0 II", "a\\b 16 200/mV"],
)
def test_a_header_that_names_files_elsewhere_is_refused(client: FlaskClient, line: str) -> None:
    header = f"x 1 250 100\n{line}\n".encode()
    answer = send(client, [("x.hea", header), ("x.dat", bytes(200))])
    assert "expected files that lie beside it" in detail(answer)


def test_a_file_is_kept_from_leaving_its_folder(client: FlaskClient) -> None:
    head, _ = lead_of(send(client, [("../../../tmp/x.csv", table())]))
    assert head["name"] == "x"
    for name in ("..", ".hidden", "a/.."):
        assert "expected a name" in detail(send(client, [(name, table())]))


def test_what_is_no_recording_is_refused_in_a_sentence(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no file in the request" in detail(client.post("/read", data={"x": "1"}))
    assert "there is no file" in detail(client.post("/read", data=b"raw"))
    two = [("a.csv", table()), ("b.csv", table())]
    assert "there are 2 files (a.csv, b.csv); expected one" in detail(send(client, two))
    assert "expected each once" in detail(send(client, [two[0], two[0]]))
    assert "expected lead, fs, units or answers" in detail(send(client, two[:1], "gain=2"))
    assert "expected a number of Hz" in detail(send(client, two[:1], "fs=fast"))
    assert "is packed" in detail(send(client, [("a.csv.gz", b"\x1f\x8b\x08\x00" + bytes(20))]))
    monkeypatch.setattr("runtime.server.routes.recording.MAX_FILES", 1000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bytes(2000))
    assert "unpacks to more than" in detail(send(client, [("a.zip", packed.getvalue())]))


def test_a_request_that_is_too_large_is_refused_before_it_is_read(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.server.app.MAX_FILES", 1000)
    assert send(client, [("a.csv", table())]).status_code == 413
    assert bodies.MAX_FILES > bodies.MAX_BODY


def test_nothing_is_left_on_the_disk(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lead_of(send(client, [("x.csv", table())]))
    detail(send(client, [("x.csv", b"nothing")]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fs", [250.0, 128.003, 2000.0])
def test_answers_are_what_annotate_finds(
    client: FlaskClient, detector: Detector, fs: float
) -> None:
    signal = simulate(40, fs=1000, seed=5, ectopic=0.3).signal.astype(float)
    content = io.BytesIO()
    np.savez(content, signal=signal[: int(10 * fs)], fs=fs, units=["mV"], leads=["II"])
    recording = Record("x", "II", fs, signal[: int(10 * fs)], 0.0)
    expected = detector.annotate(recording)
    answers = answers_of(send(client, [("x.npz", content.getvalue())], "answers=true"))
    assert [beat for one in answers for beat in one["beats"]] == [
        beat.to_dict() for beat in expected.beats
    ]
    ended = {(e["kind"], e["start"]): e for one in answers for e in one["events"]}
    assert list(ended.values()) == [event.to_dict() for event in expected.events]
    assert [one["samples"] for one in answers] == [
        *(round(at * fs) for at in (4, 8)),
        len(recording.signal),
    ]
    assert [one["carry"] is None for one in answers] == [False, False, True]
    assert all(one["provider"] == "cpu" and one["latency_ms"] > 0 for one in answers)


def test_a_stream_goes_on_from_any_answer(client: FlaskClient) -> None:
    signal = simulate(20, fs=250, seed=6, ectopic=0.3).signal.astype(float)
    answers = answers_of(send(client, [("x.csv", table(signal))], "answers=true"))
    assert len(answers) == 5
    for i, one in enumerate(answers[:-1]):
        rest = np.round(signal[one["samples"] :], 4).tolist()
        body = {"signal": rest, "carry": one["carry"], "end": True}
        left = client.post("/stream", json=body).get_json()
        assert left["beats"] == [beat for other in answers[i + 1 :] for beat in other["beats"]]


def test_no_answer_is_made_for_who_has_left(client: FlaskClient) -> None:
    form = {"file": (io.BytesIO(table()), "x.csv")}
    scope = {GONE: lambda: True}
    answer = client.post("/read?answers=true", data=form, environ_overrides={"asgi.scope": scope})
    assert answers_of(answer) == []


def test_answers_are_asked_for_in_words_that_are_known(client: FlaskClient) -> None:
    assert "expected true or false" in detail(send(client, [("x.csv", table())], "answers=yes"))
    assert answers_of(send(client, [("x.csv", table())], "answers=false")) == []
