"""`--web` and sources: the request asks the vendor to search, and the pages that the reply cites are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, sse

KEY = "key-of-gemini-0123456789"


@pytest.fixture
def gemini(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    monkeypatch.setenv("LLMCLI_GOOGLE_GLA_BASE_URL", provider.url)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("LLMCLI_MODEL", "gemini:gemini-3.8-flash")
    pages = (("a", "A\x1b[2J"), ("b", ""))
    chunks = [{"web": {"uri": f"https://example.org/{name}", "title": title}} for name, title in pages]
    candidate: dict[str, Any] = {"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    candidate["groundingMetadata"] = {"groundingChunks": [*chunks, chunks[0]]}
    provider.answer(sse({"candidates": [candidate]}, end=None))
    return provider


def test_web_asks_the_vendor_to_search(gemini: FakeProvider) -> None:
    assert llmcli("hi", "--web").code == 0
    assert gemini.requests[0].body["tools"] == [{"googleSearch": {}}]


def test_sources_are_on_stderr_and_in_json(gemini: FakeProvider) -> None:
    result = llmcli("hi")
    assert result.stdout == b"hi\n"
    assert "[1] A[2J https://example.org/a\n[2] https://example.org/b\n" in result.stderr
    assert [source["url"] for source in llmcli("hi", "--json").json["sources"]] == [
        "https://example.org/a",
        "https://example.org/b",
    ]
    lines = [json.loads(line) for line in llmcli("hi", "--format", "ndjson").stdout.splitlines()]
    assert [line["url"] for line in lines if line["type"] == "source"][:1] == ["https://example.org/a"]


def test_web_is_refused_where_the_vendor_has_no_search() -> None:
    result = llmcli("hi", "--web", "-m", "cohere:x", env={"CO_API_KEY": "key-of-cohere-0123456789"})
    assert result.code == 2
    assert "web" in result.stderr
