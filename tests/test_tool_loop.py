"""The tool loop on the wire: two calls at once with signed reasoning, a result and an error, and what is sent back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from llmcli.conversation import Conversation
from llmcli.errors import UsageLimitExceeded
from llmcli.history import dump_messages, load_messages
from llmcli.messages import (
    ModelRequest,
    ModelResponse,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolReturnPart,
    UserPromptPart,
)
from llmcli.models import Model, build_model
from tests.fake_provider import Answer, FakeProvider, aws_frames, chat_chunk, named_sse, split, sse
from tests.wire import AWS, SPOKEN, environment, wire

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@dataclass
class Outcome:
    content: str
    is_error: bool = False
    files: tuple[Any, ...] = ()


@dataclass
class Weather:
    name: str = "weather"
    description: str = "The weather."
    parameters: Mapping[str, Any] = field(default_factory=lambda: SCHEMA)
    act: Callable[[Mapping[str, Any]], Outcome] = lambda args: (
        Outcome(f"sunny in {args['city']}") if args["city"] == "Paris" else Outcome("no such city", is_error=True)
    )

    def run(self, args: Mapping[str, Any]) -> Outcome:
        return self.act(args)


def _chat(*deltas: dict[str, Any]) -> bytes:
    return sse(*map(chat_chunk, deltas), chat_chunk(finish="tool_calls"))


def _two_calls(protocol: str) -> Answer:
    """The first reply: reasoning that goes back, then two calls whose arguments come in pieces."""
    if protocol == "openai":
        first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"ci'}}
        second = {"index": 1, "id": "c2", "type": "function", "function": {"name": "weather", "arguments": ""}}
        return Answer(
            (
                _chat(
                    {"role": "assistant", "reasoning_content": "Let me "},
                    {"reasoning_content": "look."},
                    {"tool_calls": [first]},
                    {"tool_calls": [{"index": 0, "function": {"name": "weather", "arguments": 'ty": "Paris"}'}}]},
                    {"tool_calls": [second]},
                    {"tool_calls": [{"index": 1, "function": {"arguments": '{"city": "Oz"}'}}]},
                ),
            )
        )
    if protocol == "openai-responses":
        reasoning = {"type": "reasoning", "id": "rs", "encrypted_content": "enc", "summary": []}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {"model": "m"}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**reasoning, "encrypted_content": ""}},
            {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "Let me look."},
            {"type": "response.output_item.done", "output_index": 0, "item": reasoning},
        ]
        for at, (name, pieces) in enumerate((("c1", ['{"city": ', '"Paris"}']), ("c2", ['{"city": "Oz"}'])), 1):
            item = {"type": "function_call", "id": f"f{at}", "call_id": name, "name": "weather", "arguments": ""}
            events.append({"type": "response.output_item.added", "output_index": at, "item": item})
            events += (
                {"type": "response.function_call_arguments.delta", "output_index": at, "delta": piece}
                for piece in pieces
            )
            whole = {**item, "arguments": "".join(pieces)}
            events.append({"type": "response.output_item.done", "output_index": at, "item": whole})
        events.append({"type": "response.completed", "response": {"status": "completed", "output": []}})
        return Answer((named_sse(*events),))
    if protocol == "anthropic":
        blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
            (
                {"type": "thinking", "thinking": "", "signature": ""},
                [
                    {"type": "thinking_delta", "thinking": "Let me look."},
                    {"type": "signature_delta", "signature": "sig"},
                ],
            ),
            ({"type": "redacted_thinking", "data": "enc"}, []),
            (
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
                [
                    {"type": "input_json_delta", "partial_json": '{"city": '},
                    {"type": "input_json_delta", "partial_json": '"Paris"}'},
                ],
            ),
            (
                {"type": "tool_use", "id": "c2", "name": "weather", "input": {}},
                [{"type": "input_json_delta", "partial_json": '{"city": "Oz"}'}],
            ),
        ]
        events = [{"type": "message_start", "message": {"model": "m", "content": []}}]
        for at, (block, deltas) in enumerate(blocks):
            events.append({"type": "content_block_start", "index": at, "content_block": block})
            events += ({"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas)
            events.append({"type": "content_block_stop", "index": at})
        events += [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}]
        return Answer((named_sse(*events),))
    if protocol == "gemini":
        parts: list[dict[str, Any]] = [
            {"text": "Let me look.", "thought": True},
            {"functionCall": {"name": "weather", "args": {"city": "Paris"}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "weather", "args": {"city": "Oz"}, "id": "g2"}},
        ]
        chunks: list[dict[str, Any]] = [
            {"candidates": [{"content": {"role": "model", "parts": [part]}}]} for part in parts
        ]
        chunks[-1]["candidates"][0]["finishReason"] = "STOP"
        return Answer((sse(*chunks, end=None),))
    if protocol == "bedrock":
        frames: list[tuple[str, object]] = [
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Let me look."}}}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "sig"}}}),
            ("contentBlockStop", {"contentBlockIndex": 0}),
        ]
        for at, (name, pieces) in enumerate((("c1", ['{"city": ', '"Paris"}']), ("c2", ['{"city": "Oz"}'])), 1):
            start = {"toolUse": {"toolUseId": name, "name": "weather"}}
            frames.append(("contentBlockStart", {"contentBlockIndex": at, "start": start}))
            frames += (
                ("contentBlockDelta", {"contentBlockIndex": at, "delta": {"toolUse": {"input": piece}}})
                for piece in pieces
            )
            frames.append(("contentBlockStop", {"contentBlockIndex": at}))
        frames.append(("messageStop", {"stopReason": "tool_use"}))
        return Answer((aws_frames(*frames),), content_type=AWS)
    events = [{"type": "message-start"}]
    events.append({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "Let me look."}}})
    for at, (name, pieces) in enumerate((("c1", ['{"city": ', '"Paris"}']), ("c2", ['{"city": "Oz"}']))):
        call = {"id": name, "type": "function", "function": {"name": "weather", "arguments": ""}}
        events.append({"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": call}}})
        for piece in pieces:
            more = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
            events.append({"type": "tool-call-delta", "index": at, "delta": more})
        events.append({"type": "tool-call-end", "index": at})
    events.append({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}})
    return Answer((named_sse(*events),))


PARIS, OZ = '{"city": "Paris"}', '{"city": "Oz"}'
_OPENAI_CALLS = [
    {"id": name, "type": "function", "function": {"name": "weather", "arguments": args}}
    for name, args in (("c1", PARIS), ("c2", OZ))
]
_OPENAI_RESULTS = [
    {"role": "tool", "tool_call_id": "c1", "content": "sunny in Paris"},
    {"role": "tool", "tool_call_id": "c2", "content": "no such city"},
]
_FUNCTION = {"name": "weather", "description": "The weather.", "parameters": SCHEMA}
HELLO = {"role": "user", "content": "hi"}
# What the vendors' documentation demands of the second request: the name of the field, its content, and the tools.
SENT_BACK: dict[str, tuple[str, list[Any], Any]] = {
    "openai": (
        "messages",
        [
            HELLO,
            {"role": "assistant", "content": None, "tool_calls": _OPENAI_CALLS, "reasoning_content": "Let me look."},
            *_OPENAI_RESULTS,
        ],
        [{"type": "function", "function": _FUNCTION}],
    ),
    "openai-responses": (
        "input",
        [
            HELLO,
            {
                "type": "reasoning",
                "id": "rs",
                "encrypted_content": "enc",
                "summary": [{"type": "summary_text", "text": "Let me look."}],
            },
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": PARIS},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": OZ},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny in Paris"},
            {"type": "function_call_output", "call_id": "c2", "output": "no such city"},
        ],
        [{"type": "function", **_FUNCTION, "strict": False}],
    ),
    "anthropic": (
        "messages",
        [
            HELLO,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Let me look.", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "enc"},
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}},
                    {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Oz"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "sunny in Paris"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "no such city", "is_error": True},
                ],
            },
        ],
        [{"name": "weather", "description": "The weather.", "input_schema": SCHEMA}],
    ),
    "gemini": (
        "contents",
        [
            {"role": "user", "parts": [{"text": "hi"}]},
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "weather", "args": {"city": "Paris"}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "weather", "args": {"city": "Oz"}, "id": "g2"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "weather", "response": {"return_value": "sunny in Paris"}}},
                    {"functionResponse": {"id": "g2", "name": "weather", "response": {"error": "no such city"}}},
                ],
            },
        ],
        [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "The weather.", "parametersJsonSchema": SCHEMA}
                ]
            }
        ],
    ),
    "bedrock": (
        "messages",
        [
            {"role": "user", "content": [{"text": "hi"}]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Let me look.", "signature": "sig"}}},
                    {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Paris"}}},
                    {"toolUse": {"toolUseId": "c2", "name": "weather", "input": {"city": "Oz"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "c1",
                            "content": [{"text": "sunny in Paris"}],
                            "status": "success",
                        }
                    },
                    {"toolResult": {"toolUseId": "c2", "content": [{"text": "no such city"}], "status": "error"}},
                ],
            },
        ],
        None,
    ),
    "cohere": (
        "messages",
        [
            HELLO,
            {"role": "assistant", "tool_plan": "Let me look.", "tool_calls": _OPENAI_CALLS},
            *_OPENAI_RESULTS,
        ],
        [{"type": "function", "function": _FUNCTION}],
    ),
}


def model_of(protocol: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Model:
    # The vendor's own reasoning goes back to the vendor: a row that has no other address than its own.
    prefix = {"openai": "deepseek", "openai-responses": "xai"}.get(protocol, SPOKEN[protocol])
    for name, value in environment(prefix, provider.url).items():
        monkeypatch.setenv(name, value)
    return build_model(f"{prefix}:wire-1", environ=os.environ)


@pytest.fixture(params=SPOKEN)
def protocol(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def model(protocol: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Model:
    return model_of(protocol, provider, monkeypatch)


def events_of(conversation: Conversation, prompt: str = "hi") -> list[StreamEvent]:
    with closing(conversation.send(prompt)) as events:
        return list(events)


@pytest.mark.parametrize("size", [None, 29], ids=["whole", "pieces"])
def test_two_calls_with_reasoning_are_answered_as_the_vendor_demands(
    protocol: str, model: Model, provider: FakeProvider, size: int | None
) -> None:
    first = _two_calls(protocol)
    if size:
        first = Answer(tuple(split(b"".join(first.pieces), size)), content_type=first.content_type)
    provider.answers = [first, wire(protocol, "stop")]
    conversation = Conversation(model, tools=[Weather()])
    events = events_of(conversation)
    calls = [event.part for event in events if isinstance(event, ToolCall)]
    results = [event for event in events if isinstance(event, ToolResult)]
    assert [call.tool_name for call in calls] == ["weather", "weather"]
    assert [(one.part.content, one.part.is_error, one.decision) for one in results] == [
        ("sunny in Paris", False, "allowed"),
        ("no such city", True, "allowed"),
    ]
    name, content, tools = SENT_BACK[protocol]
    body = provider.requests[1].body
    assert body[name] == content
    offered = [{"toolSpec": {"name": "weather", "description": "The weather.", "inputSchema": {"json": SCHEMA}}}]
    assert body.get("tools") == tools
    assert protocol != "bedrock" or body["toolConfig"] == {"tools": offered}
    assert conversation.usage.requests == 2
    last = conversation.messages[-1]
    assert isinstance(last, ModelResponse)
    assert last.finish_reason == "stop"
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == last.text
    written = dump_messages(conversation.messages)
    assert load_messages(written) == conversation.messages


def test_ctrl_c_in_a_tool_leaves_a_history_that_goes_on(protocol: str, model: Model, provider: FakeProvider) -> None:
    def stop(args: Mapping[str, Any]) -> Outcome:
        if args["city"] == "Oz":
            raise KeyboardInterrupt
        return Outcome("sunny in Paris")

    provider.answers = [_two_calls(protocol), wire(protocol, "stop")]
    conversation = Conversation(model, tools=[Weather(act=stop)])
    with pytest.raises(KeyboardInterrupt):
        events_of(conversation)
    [*_, answered] = conversation.messages
    results = [part for part in answered.parts if isinstance(part, ToolReturnPart)]
    assert [(one.is_error, "cancelled" in one.content) for one in results] == [(False, False), (True, True)]
    events_of(conversation, "and now?")
    name, content, _ = SENT_BACK[protocol]
    sent = provider.requests[1].body[name]
    before = len(content) - (2 if protocol in ("openai", "openai-responses", "cohere") else 1)
    assert sent[:before] == content[:before]
    assert "cancelled" in str(sent[before:])
    assert "and now?" in str(sent[-1])


def test_a_reply_closed_before_its_tools_ran_goes_on(protocol: str, model: Model, provider: FakeProvider) -> None:
    provider.answers = [_two_calls(protocol), wire(protocol, "stop")]
    conversation = Conversation(model, tools=[Weather()])
    with closing(conversation.send("hi")) as events:
        for event in events:
            if isinstance(event, ToolCall):
                break
    events_of(conversation, "and now?")
    sent = str(provider.requests[1].body)
    assert "cancelled" in sent
    assert "and now?" in sent


def test_more_steps_than_allowed_are_a_limit(model: Model, protocol: str, provider: FakeProvider) -> None:
    provider.answers = [_two_calls(protocol), _two_calls(protocol), wire(protocol, "stop")]
    conversation = Conversation(model, tools=[Weather()], max_steps=2)
    with pytest.raises(UsageLimitExceeded, match="max_steps of 2"):
        events_of(conversation)
    replies = [one for one in conversation.messages if isinstance(one, ModelResponse)]
    assert [one.finish_reason for one in replies] == ["tool_call", "limit"]
    assert len(provider.requests) == 2
    events_of(conversation, "go on")
    assert len(provider.requests) == 3


def test_reasoning_is_not_sent_to_another_vendor(
    protocol: str, model: Model, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.answers = [_two_calls(protocol), wire(protocol, "stop")]
    conversation = Conversation(model, tools=[Weather()])
    events_of(conversation)
    for other in SPOKEN:
        if other != protocol:
            conversation.model = model_of(other, provider, monkeypatch)
            provider.answers = [wire(other, "stop")]
            events_of(conversation, "once more")
            sent = str(provider.requests[-1].body)
            assert "Let me look." not in sent
            assert "'enc'" not in sent
            assert "'sig'" not in sent


def test_a_call_without_the_history_of_tools_is_accepted_by_vendors_that_want_definitions(
    protocol: str, model: Model, provider: FakeProvider
) -> None:
    provider.answers = [_two_calls(protocol), wire(protocol, "stop"), wire(protocol, "stop")]
    conversation = Conversation(model, tools=[Weather()])
    events_of(conversation)
    conversation.tools = ()
    events_of(conversation, "without tools")
    body = provider.requests[2].body
    if protocol == "anthropic":
        assert body["tools"] == [{"name": "weather", "input_schema": {"type": "object"}}]
        assert body["tool_choice"] == {"type": "none"}
    elif protocol == "bedrock":
        assert [one["toolSpec"]["name"] for one in body["toolConfig"]["tools"]] == ["weather"]
    else:
        assert "tools" not in body


def test_taking_back_removes_the_prompt_and_all_its_steps(model: Model, protocol: str, provider: FakeProvider) -> None:
    provider.answers = [_two_calls(protocol), wire(protocol, "stop")]
    conversation = Conversation(model, tools=[Weather()])
    events_of(conversation)
    taken = conversation.take_back()
    assert len(taken) == 4
    assert isinstance(taken[0], ModelRequest)
    assert isinstance(taken[0].parts[0], UserPromptPart)
    assert conversation.messages == []


@pytest.mark.parametrize(
    ("decision", "args"), [("denied", None), ("unasked", None), ("no", None), ("yes", {"city": "Paris"})]
)
def test_a_decision_is_told_to_the_model_and_in_the_events(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, decision: str, args: dict[str, Any] | None
) -> None:
    @dataclass
    class Said:
        decision: Any
        args: Mapping[str, Any] | None
        reason: str = "The call was declined."

    provider.answers = [_two_calls("openai"), wire("openai", "stop")]
    conversation = Conversation(
        model_of("openai", provider, monkeypatch), tools=[Weather()], approve=lambda tool, given: Said(decision, args)
    )
    results = [event for event in events_of(conversation) if isinstance(event, ToolResult)]
    assert [one.decision for one in results] == [decision] * 2
    told = provider.requests[1].body["messages"][-1]["content"]
    assert told == ("sunny in Paris" if args else "The call was declined.")
