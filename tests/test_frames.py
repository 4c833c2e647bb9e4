"""Frames of AWS: split as botocore splits them, wherever the bytes are cut, and what came damaged is refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given
from hypothesis import strategies as st

from llmcli.models.http.aws_event_stream import frames

NAMES = st.text(min_size=1, max_size=20)
BLOCKS = st.dictionaries(NAMES, st.text(max_size=40) | st.booleans() | st.integers(-(2**63), 2**63 - 1), max_size=4)
FRAMES = st.lists(st.tuples(BLOCKS, st.binary(max_size=300)), max_size=5)


def header(name: str, value: str | bool | int) -> bytes:
    key = struct.pack("!B", len(name.encode())) + name.encode()
    if isinstance(value, bool):
        return key + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        return key + struct.pack("!Bq", 5, value)
    return key + struct.pack("!BH", 7, len(value.encode())) + value.encode()


def framed(headers: bytes, payload: bytes, *, size: int | None = None) -> bytes:
    prelude = struct.pack("!II", 16 + len(headers) + len(payload) if size is None else size, len(headers))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


def by_botocore(content: bytes) -> Iterator[tuple[dict[str, object], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(content)
    for message in buffer:
        yield message.headers, message.payload


@given(wanted=FRAMES, cuts=st.lists(st.integers(0, 2000)), missing=st.integers(0, 20))
def test_frames_cut_anywhere_equal_those_of_botocore(
    wanted: list[tuple[dict[str, str | bool | int], bytes]], cuts: list[int], missing: int
) -> None:
    content = b"".join(framed(b"".join(map(header, block, block.values())), payload) for block, payload in wanted)
    content = content[: len(content) - missing]
    borders = [0, *sorted(cut for cut in cuts if cut < len(content)), len(content)]
    pieces = [content[start:end] for start, end in pairwise(borders)]
    assert list(frames(pieces)) == list(by_botocore(content))


@given(at=st.integers(0), bit=st.integers(0, 7))
def test_a_single_wrong_bit_is_noticed(at: int, bit: int) -> None:
    content = bytearray(framed(header(":event-type", "contentBlockDelta"), b'{"delta": {"text": "word"}}'))
    content[at % len(content)] ^= 1 << bit
    with pytest.raises(ValueError, match="checksum"):
        list(frames([bytes(content)]))
    with pytest.raises(ParserError):
        list(by_botocore(bytes(content)))


@pytest.mark.parametrize("size", [0, 15, 16, 16 + 3 + 24 * 1024 * 1024 + 1])
def test_a_length_that_cannot_be_is_refused_before_it_is_waited_for(size: int) -> None:
    with pytest.raises(ValueError, match=f"length of {size} bytes"):
        list(frames([framed(header("a", True) + b"", b"", size=size)]))


def test_a_frame_of_many_pieces_costs_no_more_than_its_length() -> None:
    content = framed(b"", bytes(8 * 1024 * 1024))
    pieces = [content[start : start + 1024] for start in range(0, len(content), 1024)]
    assert [len(payload) for _, payload in frames(pieces)] == [8 * 1024 * 1024]
