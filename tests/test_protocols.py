"""The contract of every protocol and of every row of the table; a new one is held to it by its files in tests/wire/.

Each protocol's folder says the same reply in the protocol's own words: `stop.sse` and its variants, `whole.json`,
and bodies of failing statuses, written by hand from the vendor's documentation.
"""

from __future__ import annotations

import os
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcli.conversation import Conversation
from llmcli.errors import AuthenticationError, NetworkError, OverloadedError, ProviderError
from llmcli.messages import ModelResponse, ModelSettings
from llmcli.models import PROTOCOLS, Model, build_model
from llmcli.providers import PROVIDERS
from tests.fake_provider import FakeProvider, split

WIRE = Path(__file__).parent / "wire"
SPOKEN = [protocol for protocol in PROTOCOLS if protocol != "test"]
ROWS = [row.name for row in PROVIDERS.values() if not row.offline]
TEXT, THINKING, KEY = "Größe 😀 and\nmore.", "Let me see.", "sk-test-0123456789"


def model_of(name: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Model:
    row = PROVIDERS[name]
    monkeypatch.setenv(row.address_variable, provider.url)
    monkeypatch.setenv(row.key_env[0], KEY)
    return build_model(f"{name}:wire-1", environ=os.environ)


@pytest.fixture(params=SPOKEN)
def model(request: pytest.FixtureRequest, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Model:
    row = next(row for row in PROVIDERS.values() if row.protocol == request.param)
    return model_of(row.name, provider, monkeypatch)


def wire(model: Model, file: str) -> bytes:
    return (WIRE / PROVIDERS[model.id.partition(":")[0]].protocol / file).read_bytes()


def reply_of(model: Model, *, timeout: float = 30) -> ModelResponse:
    conversation = Conversation(model, settings=ModelSettings(timeout=timeout))
    try:
        with closing(conversation.send("hi")) as events:
            list(events)
    finally:
        response = conversation.messages[-1]
    assert isinstance(response, ModelResponse)
    return response


def kept(model: Model, error: type[ProviderError], *, timeout: float = 30) -> ModelResponse:
    """The partial reply of a conversation that fails with `error`."""
    conversation = Conversation(model, settings=ModelSettings(timeout=timeout))
    with pytest.raises(error), closing(conversation.send("hi")) as events:
        list(events)
    response = conversation.messages[-1]
    assert isinstance(response, ModelResponse)
    assert response.finish_reason == "error"
    return response


@pytest.mark.parametrize("file", ["stop.sse", "whole.json"])
def test_text_thinking_usage_and_name(model: Model, provider: FakeProvider, file: str) -> None:
    provider.answer(wire(model, file))
    response = reply_of(model)
    assert (response.text, response.thinking, response.finish_reason) == (TEXT, THINKING, "stop")
    assert (response.served_by, response.model_name) == (model.id, "wire-1-2026")
    usage = response.usage
    assert (usage.requests, usage.request_tokens, usage.response_tokens, usage.total_tokens) == (1, 20, 9, 29)
    assert usage.details is not None
    assert (usage.details["cached_tokens"], usage.details["reasoning_tokens"]) == (5, 4)


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_call"])
def test_finish_reasons(model: Model, provider: FakeProvider, reason: str) -> None:
    provider.answer(wire(model, f"{reason}.sse"))
    response = reply_of(model)
    assert (response.finish_reason, response.text) == (reason, TEXT)
    assert response.tool_names == (["get_weather"] if reason == "tool_call" else [])


@given(st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_split_anywhere(model: Model, provider: FakeProvider, data: st.DataObject) -> None:
    content = wire(model, "stop.sse")
    borders = sorted(data.draw(st.sets(st.integers(1, len(content) - 1), max_size=40)))
    edges = [0, *borders, len(content)]
    provider.answers = []
    provider.answer(*(content[a:b] for a, b in pairwise(edges)))
    response = reply_of(model)
    assert (response.text, response.thinking, response.finish_reason) == (TEXT, THINKING, "stop")


def test_one_byte_at_a_time(model: Model, provider: FakeProvider) -> None:
    provider.answer(*split(wire(model, "stop.sse"), 1))
    assert reply_of(model).text == TEXT


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (429, OverloadedError)])
def test_failing_statuses(model: Model, provider: FakeProvider, status: int, error: type[ProviderError]) -> None:
    provider.answer(wire(model, f"{status}.json"), status=status, content_type="application/json")
    response = kept(model, error)
    assert response.usage.requests == 0
    assert len(provider.requests) == 1


def test_an_error_inside_the_stream_keeps_what_arrived(model: Model, provider: FakeProvider) -> None:
    provider.answer(wire(model, "instream_error.sse"))
    assert kept(model, OverloadedError).text == TEXT


def test_a_cut_keeps_what_arrived(model: Model, provider: FakeProvider) -> None:
    provider.answer(wire(model, "no_finish.sse"), cut=True)
    assert kept(model, NetworkError).text == TEXT


def test_a_clean_end_without_a_finish_is_incomplete(model: Model, provider: FakeProvider) -> None:
    provider.answer(wire(model, "no_finish.sse"))
    response = reply_of(model)
    assert (response.finish_reason, response.text) == ("incomplete", TEXT)


def test_a_stall_ends_by_the_timeout(model: Model, provider: FakeProvider) -> None:
    provider.answer(wire(model, "no_finish.sse"), stall=True)
    assert kept(model, NetworkError, timeout=0.2).text == TEXT


@pytest.mark.parametrize("content", [b"", b"<html><title>Sign in</title></html>", b'{"ok": true}'])
def test_an_answer_that_is_no_reply(model: Model, provider: FakeProvider, content: bytes) -> None:
    provider.answer(content)
    assert kept(model, ProviderError).text == ""


def test_a_server_that_hangs_up(model: Model, provider: FakeProvider) -> None:
    provider.answer(drop=True)
    assert kept(model, NetworkError).usage.requests == 0


def test_a_history_is_sent_back_in_order(model: Model, provider: FakeProvider) -> None:
    provider.answer(wire(model, "stop.sse"))
    conversation = Conversation(model, system="be brief")
    for prompt in ("one", "two"):
        list(conversation.send(prompt))
    sent = [turn for turn in provider.requests[-1].body["messages"] if turn["role"] != "system"]
    assert sent == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": TEXT},
        {"role": "user", "content": "two"},
    ]
    assert "be brief" in provider.requests[-1].content.decode()
    assert conversation.usage.total_tokens == 58


@pytest.mark.parametrize("name", ROWS)
def test_every_row_answers(name: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(name, provider, monkeypatch)
    provider.answer(wire(model, "stop.sse"))
    response = reply_of(model)
    assert (response.text, response.served_by) == (TEXT, f"{name}:wire-1")
    request = provider.requests[-1]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("llmcli/")
    assert request.path == {"openai": "/chat/completions", "anthropic": "/v1/messages"}[PROVIDERS[name].protocol]
