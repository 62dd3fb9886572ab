"""JSON of numbers: lists, lists by name, objects for each sample, and what is none of these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import RecordError
from runtime.records import read

FS = 360


@pytest.fixture
def ecg(signal: np.ndarray) -> np.ndarray:
    return np.round(signal.astype(np.float64)[: 10 * FS], 4)


def written(folder: Path, content: Any, name: str = "x.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def forms(ecg: np.ndarray) -> dict[str, Any]:
    values, times = ecg.tolist(), np.arange(len(ecg)) / FS
    rows = [{"time": round(t, 6), "ecg": v} for t, v in zip(times.tolist(), values, strict=True)]
    resp = np.sin(times).round(3).tolist()
    return {
        "object": {"fs": FS, "unit": "mV", "ecg": values},
        "microvolts": {"sampling_rate": FS, "units": "uV", "ecg": (ecg * 1000).tolist()},
        "nested": {"device": {"name": "x", "rate": 1}, "data": {"fs": FS, "ECG": values}},
        "rows": rows,
        "lines": "\n".join(json.dumps(row) for row in rows),
        "cut line": "\n".join([*(json.dumps(row) for row in rows), '{"time": 10.0, "e']),
        "leads": {"fs": FS, "leads": ["RESP", "II"], "x": np.stack([resp, values], 1).tolist()},
        "a rate in words": {"fs": f"{FS} Hz", "ecg": values},
        "strings": {"fs": FS, "ecg": [str(value) for value in values]},
        "units by name": {"fs": FS, "units": {"ecg": "uV"}, "ecg": (ecg * 1000).tolist()},
        "objects of one name": {"fs": FS, "resp": {"data": resp}, "ecg": {"data": values}},
        "the other first": {"fs": FS, "ecg": {"data": values}, "resp": {"data": resp}},
        "units of their own": {
            "fs": FS,
            "ecg": {"unit": "uV", "samples": (ecg * 1000).tolist()},
            "temp": {"unit": "degC", "samples": resp},
        },
        "leads with labels": {
            "fs": FS, "leads": [{"name": "RESP", "data": resp}, {"name": "II", "data": values}],
        },
        "samples": {"samples": rows},
        "clock": [
            {"time": f"2024-01-05T10:00:{t:09.6f}Z", "ecg": v}
            for t, v in zip(times.tolist(), values, strict=True)
        ],
        "pretty": json.dumps({"fs": FS, "ecg": values}, indent=1),
    }  # fmt: skip


@pytest.mark.parametrize("form", forms(np.zeros(2)))
def test_numbers_are_read_with_their_rate_unit_and_lead(
    tmp_path: Path, ecg: np.ndarray, form: str
) -> None:
    record = read(written(tmp_path, forms(ecg)[form]))
    assert record.fs == pytest.approx(FS, rel=1e-4)
    assert record.lead in ("ecg", "ECG", "II")
    np.testing.assert_allclose(record.signal, ecg, atol=1e-9)


def test_a_list_needs_a_rate_and_null_is_missing(tmp_path: Path, ecg: np.ndarray) -> None:
    values = ecg.tolist()
    values[100:110] = [None] * 10
    path = written(tmp_path, values, "list.txt")  # the content says what it is
    record = read(path, fs=FS)
    assert np.flatnonzero(np.isnan(record.signal)).tolist() == list(range(100, 110))
    with pytest.raises(RecordError, match=r"does not say its rate; give --fs"):
        read(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"fs": 360, "ecg": [0.1, 0.2', "is no JSON from line 1 on; expected a whole file"),
        ('{"fs": 360, "name": "x"}', "holds no array of numbers"),
        ('{"fs": 360, "ecg": [true, false]}', "holds no array of numbers"),
        ('{"fs": 0, "ecg": [0.1, 0.2]}', "its rate 'fs' is 0 Hz"),
        ('{"a": [[1, 2], [3]]}', "holds no array of numbers"),
        ('{"a":' * 100_000, "is no JSON"),
        ('{"x": {"fs": 50, "ecg": [1, 2]}, "y": {"fs": 250, "II": [1, 2]}}', "'fs' several times"),
        ('{"fs": 9, "x": {"y": {"ecg": [1, 2]}}, "z": {"ecg": [3, 4]}}', "'ecg' several times"),
        ('{"fs": "fast", "ecg": [0.1, 0.2]}', "its rate 'fs' is fast Hz"),
    ],
)
def test_other_json_is_refused_in_a_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(RecordError, match=sentence) as caught:
        read(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_table_below_a_line_of_json_is_a_table(tmp_path: Path, ecg: np.ndarray) -> None:
    path = written(tmp_path, "\n".join(['{"device": "x"}', "ecg", *map(str, ecg.tolist())]))
    np.testing.assert_array_equal(read(path, fs=FS).signal, ecg)
