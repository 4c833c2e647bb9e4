"""Everything that a provider and the way to it can do wrong, and how the command must end: the table, and its page.

`python -m tests.faults` writes docs/faults.md; `test_faults.py` runs every row for every protocol.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.fake_provider import Answer, aws_frames
from tests.wire import SPOKEN, TEXT, wire

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
HTML = b"<html><head><title>Bad gateway</title></head><body><h1>502</h1></body></html>"


@dataclass(frozen=True)
class Fault:
    """What goes wrong (`answer` for a protocol; None: connection refused), and how the command ends.

    `code` and `kind` are those of the exit and of the error (None: no error), `others` the same for the protocols where
    they differ; `text` is what must be on stdout; `again` says whether it is worth another try.
    """

    name: str
    answer: Callable[[str], Answer] | None
    code: int
    kind: str | None
    text: str = ""
    again: bool = False
    others: Mapping[str, tuple[int, str | None]] = field(default_factory=dict)

    def expected(self, protocol: str) -> tuple[int, str | None]:
        """The exit code and the kind of the error."""
        return self.others.get(protocol, (self.code, self.kind))


def _status(status: int, body: object = None, **headers: str) -> Callable[[str], Answer]:
    content = json.dumps(body or {"error": {"message": f"no {status}"}, "message": f"no {status}"}).encode()
    return lambda protocol: Answer((content,), status, "application/json", headers)


def _plain(content: bytes, content_type: str = "text/html", status: int = 200) -> Callable[[str], Answer]:
    return lambda protocol: Answer((content,), status, content_type)


def _stop(**changes: Any) -> Callable[[str], Answer]:
    """The whole reply, sent with changes."""
    return lambda protocol: replace(wire(protocol, "stop"), **changes)


def _half(**changes: Any) -> Callable[[str], Answer]:
    """All the text, but no finish, sent with changes."""
    return lambda protocol: replace(wire(protocol, "no_finish"), **changes)


def _before(protocol: str, sse: bytes, frame: bytes, name: str = "stop") -> Answer:
    answer = wire(protocol, name)
    return replace(answer, pieces=((frame if protocol == "bedrock" else sse), *answer.pieces))


def _behind(sse: bytes, frame: bytes) -> Callable[[str], Answer]:
    """All the text, then these bytes."""

    def answer(protocol: str) -> Answer:
        half = wire(protocol, "no_finish")
        return replace(half, pieces=(*half.pieces, frame if protocol == "bedrock" else sse))

    return answer


def _one_byte_at_a_time(protocol: str) -> Answer:
    answer = wire(protocol, "stop")
    return replace(answer, pieces=[bytes([byte]) for byte in b"".join(answer.pieces)])


_LONG = b"x" * 10_000_000
_BROKEN_FRAME = bytearray(aws_frames(("contentBlockDelta", {"delta": {"text": "?"}})))
_BROKEN_FRAME[-1] ^= 0xFF  # its checksum

FAULTS = (
    Fault("connection refused", None, 6, "network"),
    Fault("closed before the headers", lambda protocol: Answer(drop=True), 6, "network", again=True),
    Fault("reset before the headers", lambda protocol: Answer(drop=True, reset=True), 6, "network", again=True),
    Fault("silent before the headers", lambda protocol: Answer(drop=True, stall=True), 6, "timeout"),
    Fault("400", _status(400), 4, "refused"),
    Fault("401", _status(401), 3, "authentication"),
    Fault("402", _status(402), 4, "refused"),
    Fault("403", _status(403), 3, "authentication"),
    Fault("404", _status(404), 4, "not_found"),
    Fault("408", _status(408), 5, "overloaded", again=True),
    Fault("413", _status(413), 4, "context_length"),
    Fault("429", _status(429), 5, "rate_limit", again=True),
    Fault("429, Retry-After: 1", _status(429, **{"retry-after": "1"}), 5, "rate_limit", again=True),
    Fault("429, Retry-After: 10^20", _status(429, **{"retry-after": "1" + "0" * 20}), 5, "rate_limit"),
    Fault("500", _status(500), 5, "overloaded", again=True),
    Fault("502, a web page", _plain(HTML, status=502), 5, "overloaded", again=True),
    Fault("503", _status(503), 5, "overloaded", again=True),
    Fault("529", _status(529), 5, "overloaded", again=True),
    Fault("a redirect", _status(302, location="http://127.0.0.1:9/elsewhere"), 4, "no_reply"),
    Fault("200, a web page", _plain(HTML), 4, "no_reply"),
    Fault("200, a web page as an event stream", _plain(HTML, "text/event-stream"), 4, "no_reply"),
    Fault("200, nothing", _plain(b"", "text/event-stream"), 4, "no_reply"),
    Fault("200, blank lines", _plain(b"\n\n\n", "text/event-stream"), 4, "no_reply"),
    Fault("200, comments only", _plain(b": ping\n\n: ping\n\n", "text/event-stream"), 4, "no_reply"),
    Fault(
        "200, an error as JSON",
        _plain(b'{"error": {"message": "boom", "type": "server_error", "code": 500}}', "application/json"),
        5,
        "overloaded",
        again=True,
    ),
    Fault("200, JSON of no known shape", _plain(b'{"hello": 1}', "application/json"), 4, "no_reply"),
    Fault(
        "an error inside the stream",
        lambda protocol: wire(protocol, "instream_error"),
        5,
        "overloaded",
        TEXT,
        others={"cohere": (6, "stream"), "bedrock": (5, "rate_limit")},  # Cohere tells neither code nor type
    ),
    Fault(
        "an event that is no JSON", _behind(b"data: {broken\n\ndata: {}\n\n", bytes(_BROKEN_FRAME)), 6, "stream", TEXT
    ),
    Fault("cut after the text", _half(cut=True), 6, "network", TEXT),
    Fault("silent after the text", _half(stall=True), 6, "timeout", TEXT),
    Fault("ended without a finish", _half(), 7, "incomplete", TEXT),
    Fault("cut by a token limit", lambda protocol: wire(protocol, "length"), 7, "incomplete", TEXT),
    Fault("a content filter", lambda protocol: wire(protocol, "content_filter"), 7, "incomplete", TEXT),
    Fault("a tool call", lambda protocol: wire(protocol, "tool_call"), 7, "incomplete", TEXT),
    Fault("a body that is no gzip", _stop(headers={"content-encoding": "gzip"}), 6, "network", again=True),
    Fault("one byte at a time", _one_byte_at_a_time, 0, None, TEXT),
    Fault("the wrong content type", _stop(content_type="text/plain"), 0, None, TEXT),
    Fault("no content type", _stop(content_type=""), 0, None, TEXT),
    Fault("the wrong charset", _stop(content_type="text/event-stream; charset=iso-8859-1"), 0, None, TEXT),
    Fault("no length, no chunks, closed at the end", _stop(chunked=False), 0, None, TEXT),
    Fault(
        "a line of 10 MB",
        lambda protocol: _before(protocol, b": " + _LONG + b"\n\n", aws_frames(("unknown", {"p": _LONG.decode()}))),
        0,
        None,
        TEXT,
    ),
)


def page() -> str:
    """The table as a page: a row a fault, a column a protocol, in each cell the exit code and the kind of the error."""
    lines = [
        "# What can go wrong, and how llmcli ends",
        "",
        "A row is what the provider does, or the network; a cell is the exit code and, in the JSON object, the kind of",
        "the error. `↻` marks what is tried again first. What had arrived is on stdout in every case. The page is",
        "written by `python -m tests.faults` from the table that the tests run.",
        "",
        f"| | {' | '.join(SPOKEN)} |",
        f"|---|{'---|' * len(SPOKEN)}",
    ]
    for fault in FAULTS:
        cells = [f"{code} {kind or 'whole'}" for code, kind in map(fault.expected, SPOKEN)]
        lines.append(f"| {fault.name}{' ↻' if fault.again else ''} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
