"""The contract of every protocol and of every row of the table; a new one is held to it by its files in tests/wire/.

Each protocol's folder says the same reply in the protocol's own words: `stop.sse` and its variants, `whole.json`,
and bodies of failing statuses, written by hand from the vendor's documentation.
"""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcli.conversation import Conversation
from llmcli.errors import AuthenticationError, NetworkError, OverloadedError, ProviderError
from llmcli.messages import ModelRequest, ModelResponse, ModelSettings, UserPromptPart
from llmcli.models import Model, build_model
from llmcli.providers.table import PROVIDERS
from tests.fake_provider import FakeProvider, split
from tests.wire import KEY, SPOKEN, TEXT, THINKING, environment, wire

ROWS = [row.name for row in PROVIDERS.values() if (row.home_protocol or row.protocol) in SPOKEN]


def model_of(prefix: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Model:
    for name, value in environment(prefix, provider.url).items():
        monkeypatch.setenv(name, value)
    return build_model(f"{prefix}:wire-1", environ=os.environ)


@pytest.fixture(params=SPOKEN)
def protocol(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def model(protocol: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Model:
    return model_of(SPOKEN[protocol], provider, monkeypatch)


def reply_of(model: Model, *, timeout: float = 30) -> ModelResponse:
    conversation = Conversation(model, settings=ModelSettings(timeout=timeout))
    try:
        with closing(conversation.send("hi")) as events:
            list(events)
    finally:
        response = conversation.messages[-1]
    assert isinstance(response, ModelResponse)
    return response


def kept(model: Model, error: type[ProviderError], *, timeout: float = 30) -> ModelResponse | None:
    """The partial reply of a conversation that fails with `error`; None where nobody had begun to answer."""
    conversation = Conversation(model, settings=ModelSettings(timeout=timeout, retries=0))
    with pytest.raises(error), closing(conversation.send("hi")) as events:
        list(events)
    if not conversation.messages:
        return None
    response = conversation.messages[-1]
    assert isinstance(response, ModelResponse)
    assert response.finish_reason == "error"
    return response


def text_kept(model: Model, error: type[ProviderError], *, timeout: float = 30) -> str:
    response = kept(model, error, timeout=timeout)
    return response.text if response else ""


@pytest.mark.parametrize("name", ["stop", "whole.json"])
def test_text_thinking_usage_and_name(model: Model, protocol: str, provider: FakeProvider, name: str) -> None:
    provider.answers = [wire(protocol, name)]
    response = reply_of(model)
    assert (response.text, response.thinking, response.finish_reason) == (TEXT, THINKING, "stop")
    tells_name = protocol not in ("cohere", "bedrock")
    assert (response.served_by, response.model_name) == (model.id, "wire-1-2026" if tells_name else None)
    usage = response.usage
    assert (usage.requests, usage.request_tokens, usage.response_tokens, usage.total_tokens) == (1, 20, 9, 29)
    assert usage.details is not None
    assert usage.details["cached_tokens"] == 5
    assert usage.details.get("reasoning_tokens") == (None if protocol == "bedrock" else 4)


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_call"])
def test_finish_reasons(model: Model, protocol: str, provider: FakeProvider, reason: str) -> None:
    provider.answers = [wire(protocol, reason)]
    response = reply_of(model)
    assert (response.finish_reason, response.text) == (reason, TEXT)
    assert response.tool_names == (["get_weather"] if reason == "tool_call" else [])


@given(st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_split_anywhere(model: Model, protocol: str, provider: FakeProvider, data: st.DataObject) -> None:
    answer = wire(protocol, "stop")
    content = answer.pieces[0]
    borders = sorted(data.draw(st.sets(st.integers(1, len(content) - 1), max_size=40)))
    edges = [0, *borders, len(content)]
    provider.answers = [replace(answer, pieces=[content[a:b] for a, b in pairwise(edges)])]
    response = reply_of(model)
    assert (response.text, response.thinking, response.finish_reason) == (TEXT, THINKING, "stop")


def test_one_byte_at_a_time(model: Model, protocol: str, provider: FakeProvider) -> None:
    answer = wire(protocol, "stop")
    provider.answers = [replace(answer, pieces=split(answer.pieces[0], 1))]
    assert reply_of(model).text == TEXT


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (429, OverloadedError)])
def test_failing_statuses(
    model: Model, protocol: str, provider: FakeProvider, status: int, error: type[ProviderError]
) -> None:
    provider.answers = [replace(wire(protocol, f"{status}.json"), status=status)]
    assert kept(model, error) is None
    assert len(provider.requests) == 1


def test_an_error_inside_the_stream_keeps_what_arrived(model: Model, protocol: str, provider: FakeProvider) -> None:
    provider.answers = [wire(protocol, "instream_error")]
    # Cohere's has neither code nor type
    assert text_kept(model, NetworkError if protocol == "cohere" else OverloadedError) == TEXT


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_broken_connection_keeps_what_arrived(
    model: Model, protocol: str, provider: FakeProvider, fault: str
) -> None:
    provider.answers = [replace(wire(protocol, "no_finish"), cut=True, reset=fault == "reset")]
    assert text_kept(model, NetworkError) in (TEXT, "")  # a reset may overtake what was sent before it


def test_a_cut_keeps_what_arrived(model: Model, protocol: str, provider: FakeProvider) -> None:
    provider.answers = [replace(wire(protocol, "no_finish"), cut=True)]
    assert text_kept(model, NetworkError) == TEXT


def test_a_clean_end_without_a_finish_is_incomplete(model: Model, protocol: str, provider: FakeProvider) -> None:
    provider.answers = [wire(protocol, "no_finish")]
    response = reply_of(model)
    assert (response.finish_reason, response.text) == ("incomplete", TEXT)


def test_a_stall_ends_by_the_timeout(model: Model, protocol: str, provider: FakeProvider) -> None:
    provider.answers = [replace(wire(protocol, "no_finish"), stall=True)]
    assert text_kept(model, NetworkError, timeout=0.2) == TEXT


@pytest.mark.parametrize("content", [b"", b"<html><title>Sign in</title></html>", b'{"ok": true}', b"[]", b'"x"'])
def test_an_answer_that_is_no_reply(model: Model, provider: FakeProvider, content: bytes) -> None:
    provider.answer(content)
    assert text_kept(model, ProviderError) == ""


def test_a_server_that_hangs_up(model: Model, provider: FakeProvider) -> None:
    provider.answer(drop=True)
    assert kept(model, NetworkError) is None


def test_a_history_is_sent_back_in_order(model: Model, protocol: str, provider: FakeProvider) -> None:
    provider.answers = [wire(protocol, "stop")]
    conversation = Conversation(model, system="be brief")
    for prompt in ("one", "two"):
        list(conversation.send(prompt))
    body = provider.requests[-1].content.decode()
    places = [body.index(json.dumps(text, ensure_ascii=False)) for text in ("one", TEXT, "two")]
    assert places == sorted(places)
    assert body.count('"be brief"') == 1
    assert conversation.usage.total_tokens == 58


def test_a_preview_masks_the_key_and_sends_nothing(model: Model, provider: FakeProvider) -> None:
    request = model.preview([ModelRequest((UserPromptPart("hi"),))], ModelSettings())
    assert request.url.startswith(provider.url)
    assert KEY not in repr(request)
    assert "***" in request.headers.values()
    assert provider.requests == []


PATHS = {
    "openai": "/chat/completions",
    "openai-responses": "/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/wire-1:streamGenerateContent?alt=sse",
    "cohere": "/v2/chat",
    "bedrock": "/model/wire-1/converse-stream",
    "azure": "/openai/deployments/wire-1/chat/completions?api-version=v1",
}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_answers(name: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(name, provider, monkeypatch)
    protocol = PROVIDERS[name].protocol
    provider.answers = [wire(protocol, "stop")]
    response = reply_of(model)
    assert (response.text, response.served_by) == (TEXT, f"{name}:wire-1")
    request = provider.requests[-1]
    header = {"azure": "api-key", "google-gla": "x-goog-api-key"}.get(name, "authorization")
    assert request.headers[header] == (KEY if header != "authorization" else f"Bearer {KEY}")
    assert request.headers["user-agent"].startswith("llmcli/")
    assert request.path == PATHS[name if name in PATHS else protocol]
