"""Recorded requests with tool results, made again: what is sent back equals what the recording's client sent.

The recorded messages are read by `_history`, which shares nothing with the product. Compared are the fields that
matter: calls with id, name and arguments, results with id and error mark, and signed or encrypted reasoning. The
recordings lie outside the repository; without them these tests are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmcli.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelSettings,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from llmcli.models import build_model
from llmcli.usage import Usage

RECORDED = Path(__file__).parents[2] / "shared" / "recorded"
PREFIX = {
    "openai-chat": "openai-chat",
    "openai-responses": "openai-responses",
    "anthropic-messages": "anthropic",
    "gemini": "google-gla",
    "cohere-v2": "cohere",
    "bedrock-converse": "bedrock",
    "bedrock-converse-stream": "bedrock",
}
MARKS = ('"tool_result"', '"role": "tool"', "function_call_output", '"functionResponse"', '"toolResult"')


def _exchanges() -> list[Any]:
    found = []
    for path in sorted(RECORDED.glob("*/*.json")) if RECORDED.exists() else ():
        exchange = json.loads(path.read_text())
        body = exchange.get("request_body")
        text = body if isinstance(body, str) else json.dumps(body)
        if exchange.get("api") in PREFIX and any(mark in text for mark in (*MARKS, '"role":"tool"')):
            found.append(pytest.param(exchange, id=f"{path.parent.name}/{path.stem}"))
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="no recordings: ../shared is missing"))]


def _items(api: str, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The history of a request as (kind, fields that matter), in order."""
    if api in ("openai-chat", "cohere-v2"):
        for one in body["messages"]:
            for call in one.get("tool_calls") or ():
                function = call["function"]
                yield "call", (call["id"], function["name"], json.loads(function["arguments"] or "{}"))
            if one["role"] == "tool":
                yield "result", (one["tool_call_id"], None)
    elif api == "openai-responses":
        for one in body["input"] if isinstance(body["input"], list) else ():
            if one.get("type") == "function_call":
                yield "call", (one["call_id"], one["name"], json.loads(one["arguments"] or "{}"))
            elif one.get("type") == "function_call_output":
                yield "result", (one["call_id"], None)
            elif one.get("type") == "reasoning" and one.get("encrypted_content"):
                yield "signed", (one.get("id"), one["encrypted_content"])
    elif api == "anthropic-messages":
        for block in _blocks(body["messages"]):
            if block["type"] == "tool_use":
                yield "call", (block["id"], block["name"], block["input"])
            elif block["type"] == "tool_result":
                yield "result", (block["tool_use_id"], bool(block.get("is_error")))
            elif block["type"] == "thinking":
                yield "signed", (block["thinking"], block["signature"])
            elif block["type"] == "redacted_thinking":
                yield "signed", ("", block["data"])
    elif api == "gemini":
        for content in body["contents"]:
            for part in content["parts"]:
                if call := part.get("functionCall") or part.get("function_call"):
                    signature = part.get("thoughtSignature") or part.get("thought_signature")
                    yield "call", (None, call["name"], call.get("args") or {})
                    if signature:
                        yield "signed", ("", signature.translate({45: "+", 95: "/"}))
                elif answer := part.get("functionResponse") or part.get("function_response"):
                    yield "result", (answer["name"], None)
    else:
        for block in _blocks(body["messages"]):
            if "toolUse" in block:
                yield "call", (block["toolUse"]["toolUseId"], block["toolUse"]["name"], block["toolUse"]["input"])
            elif "toolResult" in block:
                yield "result", (block["toolResult"]["toolUseId"], block["toolResult"].get("status") == "error")
            elif told := block.get("reasoningContent"):
                inner = told.get("reasoningText") or {}
                signature = inner.get("signature") or told.get("redactedContent")
                if signature:
                    yield "signed", (inner.get("text", ""), signature)


def _blocks(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in messages:
        yield from one["content"] if isinstance(one["content"], list) else ()


def _history(items: list[tuple[str, Any]], api: str, vendor: str) -> list[ModelMessage]:
    """The same history in our parts; a call begins a reply, a result a request."""
    found: list[ModelMessage] = [ModelRequest((UserPromptPart("hi"),))]
    names: dict[Any, str] = {}
    for kind, fields in items:
        if kind == "result":
            name, failed = fields
            part = ToolReturnPart(names.get(name, name), "x", None if api == "gemini" else name, bool(failed))
            if isinstance(found[-1], ModelRequest):
                found[-1] = ModelRequest((*found[-1].parts, part))
            else:
                found.append(ModelRequest((part,)))
            continue
        if isinstance(found[-1], ModelRequest):
            found.append(ModelResponse((), "tool_call", Usage(1)))
        last = found[-1]
        assert isinstance(last, ModelResponse)
        if kind == "call":
            name, tool, args = fields
            names[name] = tool
            call = ToolCallPart(tool, args, name, provider_name=vendor)
            found[-1] = ModelResponse((*last.parts, call), "tool_call", Usage(1))
        elif api == "gemini":
            signed = last.parts[-1]
            assert isinstance(signed, ToolCallPart)
            signed.provider_details = {"thought_signature": fields[1]}
        else:
            name, signature = fields
            text, id_ = ("", name) if api == "openai-responses" else (name, None)
            redacted = "redacted_thinking" if not text and api != "openai-responses" else id_
            thought = ThinkingPart(text, redacted, signature, vendor)
            found[-1] = ModelResponse((*last.parts, thought), "tool_call", Usage(1))
    if isinstance(found[-1], ModelResponse):
        found[-1] = ModelResponse((*found[-1].parts, TextPart("x")), "tool_call", Usage(1))
    return found


@pytest.mark.parametrize("exchange", _exchanges())
def test_calls_results_and_signatures_go_back_as_recorded(exchange: dict[str, Any]) -> None:
    api = exchange["api"]
    body = exchange["request_body"]
    recorded = list(_items(api, json.loads(body) if isinstance(body, str) else body))
    calls = {fields[0] if api != "gemini" else fields[1] for kind, fields in recorded if kind == "call"}
    results = [fields[0] for kind, fields in recorded if kind == "result"]
    if not set(results) <= calls or len(results) != sum(kind == "call" for kind, _ in recorded):
        pytest.skip("the recorded history is cut: results and calls do not match")
    environ = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "CO_API_KEY": "k", "GEMINI_API_KEY": "k"}
    model = build_model(
        f"{PREFIX[api]}:any", environ=environ | {"AWS_REGION": "us-east-1", "AWS_BEARER_TOKEN_BEDROCK": "k"}
    )
    history = _history(recorded, api, model.id.partition(":")[0])
    sent = list(_items(api, json.loads(model.preview(history, ModelSettings()).body)))
    assert sorted(map(repr, sent)) == sorted(map(repr, recorded))
    assert [fields for kind, fields in sent if kind == "call"] == [
        fields for kind, fields in recorded if kind == "call"
    ]
