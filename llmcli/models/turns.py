"""Prepare a history for a request: give each call its result, each result its call, and all of them IDs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from llmcli.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RequestPart,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    as_json,
)

WEB = "these have one: openai, anthropic, google-gla, google-vertex, xai, perplexity, openrouter"
CANCELLED = "The call was cancelled before it had a result."


def answered(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """The history with exactly one result for each call, directly after it and before the next prompt.

    A call without a result is answered as cancelled, a result without a call becomes text, a missing id is made.
    """
    found: list[ModelMessage] = []
    open_calls: list[ToolCallPart] = []
    for number, message in enumerate(messages):
        if isinstance(message, ModelResponse):
            if open_calls:
                found.append(ModelRequest(tuple(map(_cancelled, open_calls))))
            message = _with_ids(message, number)
            open_calls = message.tool_calls
        elif open_calls or any(_is_result(part) for part in message.parts):
            message = replace(message, parts=tuple(_matched(message.parts, open_calls)))
            open_calls = []
        found.append(message)
    if open_calls:
        found.append(ModelRequest(tuple(map(_cancelled, open_calls))))
    return found


def _with_ids(message: ModelResponse, number: int) -> ModelResponse:
    parts = tuple(
        replace(part, tool_call_id=f"call_{number}_{at}")
        if isinstance(part, ToolCallPart) and not part.tool_call_id
        else part
        for at, part in enumerate(message.parts)
    )
    return replace(message, parts=parts)


def _is_result(part: RequestPart) -> bool:
    return isinstance(part, ToolReturnPart) or (isinstance(part, RetryPromptPart) and part.tool_name is not None)


def _cancelled(call: ToolCallPart) -> ToolReturnPart:
    return ToolReturnPart(call.tool_name, CANCELLED, call.tool_call_id, is_error=True)


def _matched(parts: Sequence[RequestPart], calls: Sequence[ToolCallPart]) -> Iterator[RequestPart]:
    """Results first, in the order of their calls; then the rest."""
    results: dict[str | None, RequestPart] = {}
    rest: list[RequestPart] = []
    for part in parts:
        if isinstance(part, ToolReturnPart | RetryPromptPart) and _is_result(part):
            same = [call for call in calls if call.tool_call_id == part.tool_call_id] or [
                call for call in calls if part.tool_call_id is None and call.tool_name == part.tool_name
            ]
            call = next((one for one in same if one.tool_call_id not in results), None)
            if call:
                results[call.tool_call_id] = replace(part, tool_call_id=call.tool_call_id)
            else:
                rest.append(UserPromptPart(f"Result of {part.tool_name}: {result_text(part)}"))
        else:
            rest.append(part)
    yield from (results.get(call.tool_call_id) or _cancelled(call) for call in calls)
    yield from rest


def result_text(part: ToolReturnPart | RetryPromptPart) -> str:
    """The result of a call as text, for the model."""
    if isinstance(part, ToolReturnPart):
        return as_json(part.content)
    told = part.content
    if not isinstance(told, str):
        told = f"{len(told)} validation errors: {json.dumps(told, ensure_ascii=False)}"
    return f"{told}\n\nFix the errors and try again."


def block_id(name: str | None) -> str:
    """The id of a call for Anthropic and Bedrock, which take letters, digits, `_` and `-`, at most 64."""
    if name and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return name
    return "call_" + sha256((name or "").encode(errors="replace")).hexdigest()[:24]


def arguments(call: ToolCallPart) -> dict[str, Any]:
    """The arguments of a call as an object; text that is no JSON object becomes the only field of one."""
    if isinstance(call.args, dict):
        return call.args
    try:
        found = json.loads(call.args or "{}")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"INVALID_JSON": call.args}


def system_prompt(messages: Sequence[ModelMessage]) -> str | None:
    """All system prompts of a history and the last instructions, with a blank line between."""
    requests = [message for message in messages if isinstance(message, ModelRequest)]
    prompts = [part.content for one in requests for part in one.parts if isinstance(part, SystemPromptPart)]
    prompts += last_instructions(messages)
    return "\n\n".join(prompt for prompt in prompts if prompt.strip()) or None


def last_instructions(messages: Sequence[ModelMessage]) -> list[str]:
    """The instructions of the last request that has some; they hold for that turn alone."""
    told = [one.instructions for one in messages if isinstance(one, ModelRequest) and one.instructions]
    return told[-1:]


def schema_prompt(schema: Mapping[str, Any]) -> str:
    """A system prompt for a model that no field can hold to a schema."""
    told = json.dumps(schema, ensure_ascii=False)
    return f"Answer with one json value and nothing else: no code fence, no comment. Its JSON Schema:\n{told}"


def texts(message: ModelResponse) -> str:
    """The text of a reply in one piece; parts that another part stands between are parted by a blank line."""
    whole = ""
    for part in message.parts:
        if isinstance(part, TextPart):
            whole += "\n\n" if whole and part.content and not part.content.startswith("\n") else ""
            whole += part.content
    return whole


def own_thoughts(message: ModelResponse, vendors: Sequence[str]) -> list[ThinkingPart]:
    """The reasoning that goes back to one of these names of a vendor, and to no other."""
    return [part for part in message.parts if isinstance(part, ThinkingPart) and part.provider_name in vendors]


def called_tools(messages: Sequence[ModelMessage]) -> list[str]:
    """The names of all tools that were called, each once."""
    calls = (part for message in messages for part in message.parts if isinstance(part, ToolCallPart))
    return list(dict.fromkeys(call.tool_name for call in calls))


def object_of(value: object) -> Mapping[str, Any]:
    """A JSON object of the wire; an empty one where something else stands."""
    return value if isinstance(value, Mapping) else {}


def list_of(value: object) -> Sequence[Any]:
    """A JSON list of the wire; an empty one where something else stands."""
    return value if isinstance(value, list | tuple) else ()
