"""Read the body of a response within bounds of size and time, whatever its server sends."""

import time
import zlib
from collections.abc import Iterator

import httpx2

from llmcli.secrets import shortened

ERROR_BODY = 1024 * 1024
"""Bytes of an error body, or of a web page, that are read; the rest is left."""
DOCUMENT = 64 * 1024 * 1024
"""Bytes of a JSON document or of one event; more is an error."""
_PIECE = 64 * 1024  # bytes that are decompressed at once


def decoded(response: httpx2.Response) -> Iterator[bytes]:
    """The body in pieces, decompressed little by little: a small body may stand for gigabytes.

    Raises httpx2.DecodingError for a damaged body, or an encoding that was not offered.
    """
    named = response.headers.get("content-encoding", "").strip()
    coding = named.lower()
    if coding in ("", "identity"):
        yield from response.iter_raw()
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise httpx2.DecodingError(f"the encoding {shortened(named, 40)!r} was not offered", request=response.request)
    decoder = zlib.decompressobj(47 if "gzip" in coding else 15)
    try:
        for chunk in response.iter_raw():
            if coding == "deflate" and chunk[:1] and chunk[0] & 0x0F != 8 and not decoder.unused_data:
                decoder, coding = zlib.decompressobj(-15), "raw"  # some servers leave the zlib header out
            coding = "raw" if coding == "deflate" else coding
            while chunk:
                if piece := decoder.decompress(chunk, _PIECE):
                    yield piece
                chunk = decoder.unconsumed_tail
        if rest := decoder.flush():
            yield rest
    except zlib.error as error:
        raise httpx2.DecodingError(str(error), request=response.request) from error


def read(response: httpx2.Response, most: int, seconds: float) -> tuple[bytes, bool]:
    """The body up to `most` bytes, read for at most `seconds` in all; and whether that was the whole of it."""
    end = time.monotonic() + seconds
    found = bytearray()
    for piece in decoded(response):
        found += piece
        if len(found) > most:
            return bytes(found[:most]), False
        if time.monotonic() >= end:
            return bytes(found), False
    return bytes(found), True


def read_whole(response: httpx2.Response, most: int, seconds: float) -> bytes:
    """The whole body. Raises httpx2.ReadTimeout after `seconds`, and httpx2.ReadError for more than `most` bytes."""
    content, whole = read(response, most, seconds)
    if whole:
        return content
    if len(content) == most:
        raise httpx2.ReadError(f"an answer of more than {most / 1024 / 1024:g} MiB", request=response.request)
    raise httpx2.ReadTimeout("the answer took too long", request=response.request)
