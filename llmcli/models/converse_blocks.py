"""The blocks of Bedrock's Converse API: read those of a reply, and make those of a request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmcli.messages import (
    ModelMessage,
    ModelSettings,
    RetryPromptPart,
    StreamEvent,
    ThinkingPart,
    ToolDefinition,
    ToolReturnPart,
    given,
)
from llmcli.models.counts import count, other_counts
from llmcli.models.event_builder import Reply
from llmcli.models.http.sse import no_reply
from llmcli.models.strict_schema import closed_schema
from llmcli.models.turns import block_id, called_tools, list_of, object_of, result_text
from llmcli.usage import Usage

_MAPPED = frozenset(
    [
        "inputTokens",
        "outputTokens",
        "totalTokens",
        "cacheReadInputTokens",
        "cacheWriteInputTokens",
        "cacheReadInputTokenCount",
        "cacheWriteInputTokenCount",
    ]
)
_TEXT = frozenset({"text", "citationsContent", "citation"})


def whole_document(who: str, data: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    """The whole answer of /converse, where a stream was asked for."""
    message = (data.get("output") or {}).get("message")
    if message is None:
        raise no_reply(who, "an answer without a message in it")
    reply.ended = True
    for at, block in enumerate(message.get("content") or ()):
        signatures: list[str] = []
        if "toolUse" in block:
            tool_use(block["toolUse"], str(at), reply)
        yield from content_block(block, str(at), signatures, reply)
        yield from signature_end(signatures, reply)
        yield from reply.call_end(str(at))


def signature_end(signatures: list[str], reply: Reply) -> Iterator[StreamEvent]:
    """The end of a block of reasoning that has a signature."""
    if signatures:
        yield from reply.thought(signature="".join(signatures))
        signatures.clear()


def content_block(block: Mapping[str, Any], index: str, signatures: list[str], reply: Reply) -> Iterator[StreamEvent]:
    """A content block, or the piece of one that an event brings."""
    if reasoning := block.get("reasoningContent"):
        told = reasoning.get("reasoningText") or reasoning
        yield from reply.thinking(told.get("text") or "")
        if signature := told.get("signature"):
            signatures.append(str(signature))
        if redacted := reasoning.get("redactedContent"):
            yield from reply.thought("redacted_content", str(redacted))
    if text := block.get("text"):
        yield from reply.text(text)
    cited = object_of(block.get("citationsContent"))
    for piece in cited.get("content") or ():
        yield from reply.text(piece.get("text") or "")
    for one in (*list_of(cited.get("citations")), block.get("citation")):
        found = object_of(object_of(object_of(one).get("location")).get("web"))
        yield from reply.source(found.get("url"), object_of(one).get("title") or found.get("domain"))
    if (piece := object_of(block.get("toolUse")).get("input")) and isinstance(piece, str) and reply.has_call(index):
        reply.call(index, args=piece)
    if "image" in block or "audio" in block:
        yield from reply.file("image" if "image" in block else "audio")
    if _TEXT.isdisjoint(block):
        reply.part()


def tool_use(call: Mapping[str, Any], index: str, reply: Reply) -> None:
    """A tool that runs at Amazon is no call for us (nova_grounding, nova_code_interpreter)."""
    if call.get("type") != "server_tool_use":
        whole = call.get("input")
        reply.call(index, call.get("name"), whole if isinstance(whole, dict) else None, call.get("toolUseId"))


def tool_result(part: ToolReturnPart | RetryPromptPart) -> dict[str, Any]:
    """The result of a call: an object as JSON, anything else as text."""
    failed = isinstance(part, RetryPromptPart) or part.is_error
    whole = isinstance(part, ToolReturnPart) and isinstance(part.content, dict) and not failed
    content = {"json": part.content} if whole else {"text": result_text(part)}
    status = "error" if failed else "success"
    return {"toolUseId": block_id(part.tool_call_id), "content": [content], "status": status}


def reasoning_block(part: ThinkingPart) -> dict[str, Any]:
    """Reasoning as it came: with its signature, or encrypted."""
    if part.id in ("redacted_content", "redacted_thinking"):
        return {"redactedContent": part.signature}
    return {"reasoningText": {"text": part.content, "signature": part.signature}}


def text_format(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The schema is text here, not an object."""
    told = json.dumps(closed_schema(schema, bounds=False), ensure_ascii=False)
    return {"type": "json_schema", "structure": {"jsonSchema": {"schema": told, "name": name}}}


def tool_config(messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any] | None:
    """The tools on offer. Where the history has calls, tools must be defined even if none is on offer now."""
    tools = settings.tools or tuple(ToolDefinition(name, "", {"type": "object"}) for name in called_tools(messages))
    if not tools:
        return None
    specs = [
        given({"name": tool.name, "description": tool.description or None, "inputSchema": {"json": tool.parameters}})
        for tool in tools
    ]
    config: dict[str, Any] = {"tools": [{"toolSpec": spec} for spec in specs]}
    if choice := {"auto": "auto", "required": "any"}.get(settings.tool_choice or ""):
        config["toolChoice"] = {choice: {}}
    return config


def usage_of(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply. Bedrock counts cached input apart; its total includes it."""
    read = count(told.get("cacheReadInputTokens", told.get("cacheReadInputTokenCount")))
    written = count(told.get("cacheWriteInputTokens", told.get("cacheWriteInputTokenCount")))
    fresh, response = count(told.get("inputTokens")), count(told.get("outputTokens"))
    request = None if fresh is None else fresh + (read or 0) + (written or 0)
    named = {"cached_tokens": read, "cache_write_tokens": written}
    details = other_counts(told, _MAPPED) | given(named)
    return Usage(1, request, response, count(told.get("totalTokens")), details or None)
