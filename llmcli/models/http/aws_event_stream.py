"""Decode frames of application/vnd.amazon.eventstream (docs.aws.amazon.com, Transcribe, event stream encoding).

botocore reads the headers, which hardly ever change; the rest of its parser takes half the time of a reply.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, cast
from zlib import crc32

from botocore.eventstream import EventStreamHeaderParser

__all__ = ["Frame", "frames"]

Frame = tuple[Mapping[str, Any], bytes]
"""Headers and payload."""

_PRELUDE = struct.Struct("!III")  # length of all, length of the headers, checksum of the two
_FRAME = 16  # bytes of a frame with neither headers nor payload
_MOST_HEADERS, _MOST = 128 * 1024, 24 * 1024 * 1024  # as botocore has it


def frames(chunks: Iterable[bytes]) -> Iterator[Frame]:
    """Split bytes that were cut anywhere into frames; one that never becomes whole is left out.

    Raises ValueError and botocore's ParserError for what is no frame, or came damaged.
    """
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        begin = 0
        while len(rest) - begin >= _PRELUDE.size:
            size, headers, checksum = _PRELUDE.unpack_from(rest, begin)
            _check(rest[begin : begin + 8], checksum)
            if headers > _MOST_HEADERS or not _FRAME + headers <= size <= _FRAME + headers + _MOST:
                raise ValueError(f"a length of {size} bytes, {headers} of them headers")
            end = begin + size
            if len(rest) < end:
                break
            frame = bytes(rest[begin:end])
            begin = end
            _check(frame[:-4], int.from_bytes(frame[-4:], "big"))
            payload = _PRELUDE.size + headers
            yield _headers(frame[_PRELUDE.size : payload]), frame[payload:-4]
        del rest[:begin]


def _check(content: bytes | bytearray, checksum: int) -> None:
    if crc32(content) != checksum:
        raise ValueError("a wrong checksum")


@lru_cache(maxsize=64)
def _headers(block: bytes) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], EventStreamHeaderParser().parse(block))
