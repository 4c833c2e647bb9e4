"""A key that a provider echoes, at every offset around each truncation and in every field: no part of it is shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from llmcli.cli.ask import ask
from llmcli.console import Console
from llmcli.secrets import shortened
from tests.fake_provider import Answer, FakeProvider, chat_chunk, sse

KEY = "sk-proj-A7xQ2mZ9bT4kW8vR1nY6cL3d"
CUTS = (40, 80, 200, 800, 64 * 1024)
"""Lengths at which a text of a provider is cut."""
_OFFSETS = (-36, -31, -25, -17, -9, -8, -7, -1, 0, 3)


def as_json(body: object, status: int, **headers: str) -> Answer:
    return Answer((json.dumps(body).encode(),), status, "application/json", headers)


def stream(*chunks: Mapping[str, Any], **more: Any) -> Answer:
    return Answer((sse(*chunks),), **more)


FIELDS: dict[str, Callable[[str], Answer]] = {
    "error message": lambda text: as_json({"error": {"message": text}}, 400),
    "error code": lambda text: as_json({"error": {"message": "no", "code": text}}, 400),
    "error type, rate limited": lambda text: as_json({"error": {"message": text, "type": text}}, 429),
    "detail": lambda text: as_json({"detail": [{"loc": [text], "msg": text}]}, 422),
    "error page": lambda text: Answer((f"<title>{text}</title>".encode(),), 502, "text/html"),
    "page with 200": lambda text: Answer((f"<title>{text}</title>".encode(),), 200, "text/html"),
    "text as error": lambda text: Answer((text.encode(),), 500, "text/plain"),
    "error inside the stream": lambda text: stream({"error": {"message": text, "code": text}}),
    "error after text": lambda text: stream(chat_chunk({"content": "x"}), {"error": {"message": text}}),
    "finish reason": lambda text: stream(chat_chunk({"content": "x"}), chat_chunk(finish=text)),
    "model": lambda text: stream(chat_chunk({"content": "x"}, model=text), chat_chunk(finish="stop", model=text)),
    "request id": lambda text: as_json({"error": {"message": "no"}}, 400, **{"x-request-id": text[:9000]}),
    "location": lambda text: as_json({}, 302, location="http://127.0.0.1/" + text[:9000].replace(" ", "/")),
    "encoding": lambda text: Answer((b"x",), headers={"content-encoding": text[:9000]}),
    "usage": lambda text: stream(chat_chunk({"content": "x"}, finish="stop"), {"choices": [], "usage": {text: text}}),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("form", ["json", "ndjson", "text"])
def test_no_part_of_a_key_is_shown(
    field: str,
    form: str,
    openai: FakeProvider,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(sys, "stdin", None)
    parts = [KEY[at : at + 8].encode() for at in range(len(KEY) - 7)]
    for cut in CUTS:
        for offset in _OFFSETS:
            for filler in ("word ", "x"):
                before = (filler * (cut // len(filler) + 1))[: max(0, cut + offset)]
                openai.answers = [FIELDS[field](f"{before} {KEY}")]
                code = ask({"prompt": ["hi"], "model": "openai-chat:m", "format": form, "verbose": True}, Console())
                out, err = capfdbinary.readouterr()
                shown = [part for part in parts if part in out + err]
                assert not shown, (cut, offset, code, out[-300:], err[-300:])


@pytest.mark.parametrize(
    ("text", "most", "found"),
    [
        ("one two", 7, "one two"),
        ("one two three", 9, "one two "),
        ("one two three", 7, "one two"),
        ("one two three", 8, "one two "),
        ("onetwothree", 6, ""),
        ("", 0, ""),
    ],
)
def test_text_is_not_cut_inside_a_word(text: str, most: int, found: str) -> None:
    assert shortened(text, most) == found
