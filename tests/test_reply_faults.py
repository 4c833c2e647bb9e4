"""How a reply is read where a server departs from its API: what counts as a call, as an end, as text."""

from __future__ import annotations

import os
from contextlib import closing, nullcontext
from typing import Any

import pytest

from llmcli.budget import Budget
from llmcli.conversation import Conversation
from llmcli.errors import LlmcliError, UsageLimitExceeded
from llmcli.messages import ModelResponse, ModelSettings, Notice, StreamEvent, TextDelta
from llmcli.models import build_model
from llmcli.providers.prices import cost_of
from llmcli.usage import Usage, UsageLimits
from tests.fake_provider import Answer, FakeProvider, chat_chunk, chat_reply, named_sse, sse
from tests.wire import environment


def ask(
    prefix: str,
    answer: Answer | bytes,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    error: type[LlmcliError] | None = None,
    limits: Budget | None = None,
    **settings: Any,
) -> tuple[ModelResponse, list[StreamEvent]]:
    for name, value in environment(prefix, provider.url).items():
        monkeypatch.setenv(name, value)
    provider.answers = [answer if isinstance(answer, Answer) else Answer((answer,))]
    model = build_model(f"{prefix}:wire-1", environ=os.environ)
    conversation = Conversation(model, settings=ModelSettings(retries=0, **settings), limits=limits)
    events: list[StreamEvent] = []
    expected = pytest.raises(error) if error else nullcontext()
    with expected, closing(conversation.send("hi")) as arriving:
        events.extend(arriving)
    response = conversation.messages[-1]
    assert isinstance(response, ModelResponse)
    return response, events


def test_a_reply_without_a_model_name_is_kept_when_it_breaks_off(provider: Any, monkeypatch: Any) -> None:
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "half"},
    ]
    response, _ = ask("openai-responses", named_sse(*events), provider, monkeypatch)
    assert (response.text, response.finish_reason) == ("half", "incomplete")
    assert response.served_by == "openai:wire-1"


@pytest.mark.parametrize("prefix", ["anthropic", "openai-chat"])
def test_a_reply_without_its_start_event_has_begun_with_its_first_text(
    prefix: str, provider: Any, monkeypatch: Any
) -> None:
    anthropic = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half"}}
    chat = {"choices": [{"delta": {"content": "half"}}]}
    content = named_sse(anthropic) if prefix == "anthropic" else sse(chat, end=None)
    response, _ = ask(prefix, content, provider, monkeypatch)
    assert (response.text, response.finish_reason) == ("half", "incomplete")


def test_items_that_came_with_deltas_are_not_read_again_at_the_end(provider: Any, monkeypatch: Any) -> None:
    thought = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]}
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "look", "arguments": "{}"}
    said = {"type": "message", "content": [{"type": "output_text", "text": "only at the end"}]}
    events: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**thought, "summary": []}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "hm"},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
        {"type": "response.output_item.added", "output_index": 1, "item": call},
        {"type": "response.output_item.done", "output_index": 1, "item": call},
        {"type": "response.completed", "response": {"status": "completed", "output": [thought, call, said]}},
    ]
    response, _ = ask("openai-responses", named_sse(*events), provider, monkeypatch)
    assert (response.thinking, response.text, response.tool_names) == ("hm", "only at the end", ["look"])


def test_an_unclosed_think_block_is_the_answer_of_a_whole_reply(provider: Any, monkeypatch: Any) -> None:
    response, events = ask("openai-chat", chat_reply("<think>The ", "answer."), provider, monkeypatch)
    assert response.text == "The answer."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == response.text


@pytest.mark.parametrize("more_id", [None, "c1"])
def test_a_tool_name_repeated_for_its_index_is_one_call(more_id: str | None, provider: Any, monkeypatch: Any) -> None:
    pieces = [{"name": "look", "arguments": '{"a"'}, {"name": "look", "arguments": ": 1}"}]
    ids = ["c1", more_id]
    calls = [{"tool_calls": [{"index": 0, "id": name, "function": one}]} for one, name in zip(pieces, ids, strict=True)]
    content = sse(*map(chat_chunk, calls), chat_chunk(finish="tool_calls"))
    response, _ = ask("openai-chat", content, provider, monkeypatch)
    assert [(one.tool_name, one.args) for one in response.tool_calls] == [("look", '{"a": 1}')]


def test_whole_calls_with_one_index_and_their_own_ids_are_two_calls(provider: Any, monkeypatch: Any) -> None:
    calls = [
        {"tool_calls": [{"index": 0, "id": name, "function": {"name": "look", "arguments": "{}"}}]}
        for name in ("c1", "c2")
    ]
    content = sse(*map(chat_chunk, calls), chat_chunk(finish="tool_calls"))
    response, _ = ask("openai-chat", content, provider, monkeypatch)
    assert [one.tool_call_id for one in response.tool_calls] == ["c1", "c2"]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "tool_search_call", "execution": "client"},
        {"type": "mcp_approval_request", "name": "x"},
        {"type": "computer_call"},
        {"type": "local_shell_call"},
        {"type": "apply_patch_call"},
    ],
)
def test_items_that_wait_for_the_client_are_tool_calls(item: dict[str, Any], provider: Any, monkeypatch: Any) -> None:
    response = {"status": "completed", "output": [item]}
    content = named_sse({"type": "response.completed", "response": response})
    assert ask("openai-responses", content, provider, monkeypatch)[0].finish_reason == "tool_call"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["length", "stop"], "length"),
        (["content_filter", "stop"], "content_filter"),
        (["error", "stop"], "error"),
        (["stop", "length"], "length"),
        (["content_filter", "length"], "content_filter"),
    ],
)
def test_the_worst_finish_reason_wins(words: list[str], reason: str, provider: Any, monkeypatch: Any) -> None:
    content = sse(chat_chunk({"content": "x"}), *(chat_chunk(finish=word) for word in words))
    assert ask("openai-chat", content, provider, monkeypatch)[0].finish_reason == reason


def test_a_reply_with_only_other_choices_is_incomplete(provider: Any, monkeypatch: Any) -> None:
    choice = {"index": 1, "delta": {"content": "x"}, "finish_reason": "stop"}
    response, _ = ask("openai-chat", sse({"choices": [choice]}), provider, monkeypatch)
    assert (response.text, response.finish_reason) == ("", "incomplete")


def test_counts_of_gemini_that_make_up_their_own_total_replace_all_before(provider: Any, monkeypatch: Any) -> None:
    first = {"promptTokenCount": 10, "toolUsePromptTokenCount": 90, "candidatesTokenCount": 1, "totalTokenCount": 101}
    second = {"promptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 25}
    parts = {"content": {"parts": [{"text": "x"}]}}
    chunks = [
        {"candidates": [parts], "usageMetadata": first},
        {"candidates": [{**parts, "finishReason": "STOP"}], "usageMetadata": second},
    ]
    usage = ask("google-gla", sse(*chunks, end=None), provider, monkeypatch)[0].usage
    assert (usage.request_tokens, usage.response_tokens, usage.total_tokens) == (20, 5, 25)


def test_a_small_token_limit_stops_soon(provider: Any, monkeypatch: Any) -> None:
    limits = Budget(UsageLimits(response_tokens_limit=5))
    content = chat_reply(*["word "] * 200)
    response, _ = ask("openai-chat", content, provider, monkeypatch, UsageLimitExceeded, limits)
    assert response.finish_reason == "limit"
    assert len(response.text) <= 60


def test_a_reply_of_exactly_max_tokens_gets_a_note(provider: Any, monkeypatch: Any) -> None:
    content = chat_reply("x", usage={"prompt_tokens": 1, "completion_tokens": 7})
    _, events = ask("openai-chat", content, provider, monkeypatch, max_tokens=7)
    assert any(isinstance(event, Notice) and "probably cut" in event.text for event in events)
    _, events = ask("openai-chat", content, provider, monkeypatch, max_tokens=8)
    assert not any(isinstance(event, Notice) for event in events)


def test_an_image_in_a_reply_is_a_note_and_no_whole_reply_without_text(provider: Any, monkeypatch: Any) -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    candidate = {"content": {"parts": [part]}, "finishReason": "STOP"}
    response, events = ask("google-gla", sse({"candidates": [candidate]}, end=None), provider, monkeypatch)
    assert response.finish_reason == "incomplete"
    assert any(isinstance(event, Notice) and "image/png" in event.text for event in events)


def test_a_refusal_says_so(provider: Any, monkeypatch: Any) -> None:
    content = sse(chat_chunk({"refusal": "I will not."}), chat_chunk(finish="stop"))
    response, _ = ask("openai-chat", content, provider, monkeypatch)
    assert (response.finish_reason, response.finish_word, response.text) == (
        *("content_filter", "refusal"),
        "I will not.",
    )


@pytest.mark.parametrize(
    ("model", "usage", "more"),
    [
        (
            "cohere:command-a-03-2025",
            Usage(1, 1000, 1000, 2000, {"billed_input_tokens": 10, "billed_output_tokens": 10}),
            0.01,
        ),
        ("anthropic:claude-opus-4-1", Usage(1, 10, 10, 20, {"web_search_requests": 3}), None),
        ("google-gla:gemini-2.5-flash", Usage(1, 1000, 10, 1010, {"audio_input_tokens": 1000}), None),
    ],
)
def test_what_is_billed_apart_is_priced_apart(model: str, usage: Usage, more: float | None) -> None:
    plain = cost_of(model, Usage(1, usage.request_tokens, usage.response_tokens, usage.total_tokens))
    priced = cost_of(model, usage)
    assert plain is not None
    assert priced is not None
    if more:
        assert priced == pytest.approx(plain * more)
    else:
        assert priced > plain


def test_a_search_of_unknown_price_makes_the_cost_unknown() -> None:
    assert cost_of("google-gla:gemini-2.5-flash", Usage(1, 10, 10, 20, {"web_search_requests": 1})) is None
