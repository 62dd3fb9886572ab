"""Chunks as bytes: what goes in comes out, and what is no chunk is refused."""

from __future__ import annotations

import struct
import zlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from runtime import InputError
from scale.chunk import Chunk, pack, unpack

SIGNAL = np.array([0.0, -1.25, np.nan, 0.5, 20.0], np.float32)


def same(a: Chunk, b: Chunk) -> bool:
    return (a.fs, a.recording, a.first, a.last) == (b.fs, b.recording, b.first, b.last)


@hypothesis.given(
    st.lists(st.floats(-50, 50, width=32) | st.just(float("nan")), max_size=50),
    st.floats(100, 1000),
    st.integers(0, 2**63),
    st.integers(0, 2**40 - 51),
    st.booleans(),
)
def test_a_chunk_comes_back(
    samples: list[float], fs: float, recording: int, first: int, last: bool
) -> None:
    chunk = Chunk(fs, recording, first, np.array(samples, np.float32), last)
    back = unpack(pack(chunk))
    assert same(back, chunk)
    assert back.end == first + len(samples)
    np.testing.assert_array_equal(back.samples, chunk.samples)


def test_int16_is_half_the_size_and_keeps_missing_samples() -> None:
    chunk = Chunk(250.0, 7, 100, SIGNAL)
    data = pack(chunk, step_mv=0.005)
    assert len(data) == 40 + 2 * len(SIGNAL) + 4
    np.testing.assert_allclose(unpack(data).samples, SIGNAL, atol=0.0025)


def test_a_device_may_state_its_own_sentinel() -> None:
    """As a program in C would write it, field by field."""
    body = b"EKGc" + struct.pack("<BBhdQQIf", 1, 1, -999, 200.0, 5, 0, 3, 0.001)
    body += struct.pack("<3h", 1000, -999, -1000)
    chunk = unpack(body + zlib.crc32(body).to_bytes(4, "little"))
    np.testing.assert_allclose(chunk.samples, [1.0, np.nan, -1.0])
    assert (chunk.fs, chunk.recording, chunk.last) == (200.0, 5, False)


def test_what_int16_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"does not fit into int16 of 0\.0001 mV"):
        pack(Chunk(250.0, 7, 0, SIGNAL), step_mv=1e-4)


@hypothesis.given(st.data())
def test_damage_is_found(data: st.DataObject) -> None:
    whole = pack(Chunk(250.0, 7, 0, SIGNAL))
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InputError):
        unpack(bytes(changed))
    with pytest.raises(InputError):
        unpack(whole[:at])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (struct.Struct("<B"), (4, 2)),
        (struct.Struct("<B"), (5, 2)),
        (struct.Struct("<d"), (8, float("nan"))),
        (struct.Struct("<d"), (8, 0.0)),
        (struct.Struct("<Q"), (24, 1 << 41)),
        (struct.Struct("<I"), (32, 6)),
        (struct.Struct("<f"), (36, float("inf"))),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(
    place: struct.Struct, value: tuple[int, float]
) -> None:
    body = bytearray(pack(Chunk(250.0, 7, 0, SIGNAL))[:-4])
    place.pack_into(body, value[0], value[1])
    with pytest.raises(InputError, match="expected"):
        unpack(bytes(body) + zlib.crc32(body).to_bytes(4, "little"))
