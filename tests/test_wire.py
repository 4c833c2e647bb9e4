"""Server-sent events as they really come: odd framing, any border between two reads, no border at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcli.errors import ProviderError
from llmcli.models.http.sse import BODY, DONE, Event, events, status_error

TORTURE = (
    b"\xef\xbb\xbf: comment\r\n\r\nretry: 1000\r\n\r\nid: 7\n\n"
    b'data:{"a": 1}\r\n\r\nevent: ping\n\n: again\n\n'
    b'event: named\ndata: {"b":\ndata: "\xe2\x80\xa8\xf0\x9f\x98\x80"}\n\n'
    b'unknown: x\rdata: {"c": 3}\r\rdata: \n\ndata: {"d": 4}'
)
TOLD: list[Event] = [
    ("message", {"a": 1}),
    ("named", {"b": "\u2028😀"}),
    ("message", {"c": 3}),
    ("message", {"d": 4}),
]


def decode(*pieces: bytes, content_type: str = "text/event-stream") -> Iterator[Event]:
    request = httpx2.Request("POST", "http://127.0.0.1/")
    response = httpx2.Response(200, headers={"content-type": content_type}, content=iter(pieces), request=request)
    return events("x:y", response)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_odd_framing_in_pieces(size: int) -> None:
    pieces = [TORTURE[start : start + size] for start in range(0, len(TORTURE), size)]
    assert list(decode(*pieces)) == TOLD


@given(st.sets(st.integers(1, len(TORTURE) - 1)))
def test_odd_framing_cut_anywhere(borders: set[int]) -> None:
    edges = sorted({0, len(TORTURE), *borders})
    assert list(decode(*(TORTURE[a:b] for a, b in pairwise(edges)))) == TOLD


@pytest.mark.parametrize("label", ["", "text/plain; charset=latin-1", "application/json", "text/event-stream"])
def test_the_content_type_decides_nothing(label: str) -> None:
    assert list(decode('data: {"a": "é"}\n\n'.encode(), content_type=label)) == [("message", {"a": "é"})]
    assert list(decode('  {"a": "é"}'.encode(), content_type=label)) == [(BODY, {"a": "é"})]


def test_nothing_after_done_is_read() -> None:
    assert list(decode(b'data: {"a": 1}\n\ndata: [DONE]\n\ndata: nonsense\n\n')) == [("message", {"a": 1}), (DONE, {})]


def test_an_event_cut_in_the_middle_ends_the_stream_and_one_in_the_middle_is_an_error() -> None:
    assert list(decode(b'data: {"a": 1}\n\ndata: {"b": ')) == [("message", {"a": 1})]
    with pytest.raises(ProviderError, match="not JSON"):
        list(decode(b'data: {"b": \n\ndata: {"a": 1}\n\n'))


def test_an_event_of_ten_megabytes() -> None:
    text = "x" * 10_000_000
    assert list(decode(b"data: " + json.dumps({"a": text}).encode() + b"\n\n")) == [("message", {"a": text})]


def test_deep_nesting_is_no_crash() -> None:
    with pytest.raises(ProviderError):
        list(decode(b"[" * 200_000))


def retry_after(value: str) -> float | None:
    response = httpx2.Response(429, headers={"retry-after": value}, content=b"{}")
    return status_error("x:y", response, response.content, None).retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("1.5", 1.5), ("-3", None), ("soon", None), ("inf", None), ("nan", None), ("", None)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    in_a_day = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
    seconds = retry_after(in_a_day)
    assert seconds is not None
    assert 80_000 < seconds <= 86_400
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") is None
