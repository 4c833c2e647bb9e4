"""A message as a JSON object in the format of PydanticAI; `history` reads and writes whole histories."""

from __future__ import annotations

import mimetypes
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from llmcli.messages import (
    Attachment,
    ModelMessage,
    ModelRequest,
    OtherPart,
    RequestPart,
    ResponsePart,
    RetryPromptPart,
    SourcePart,
    SystemPromptPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    given,
)
from llmcli.usage import Usage

__all__ = ["FILE_TYPES", "dumped", "dumped_file", "dumped_part", "media_type"]

FILE_TYPES = {"image": "image/jpeg", "audio": "audio/mpeg", "video": "video/mp4", "document": "application/pdf"}
"""The type of a file that is only a URL, by the first word of its tag."""
_FINISHES = frozenset({"stop", "length", "content_filter", "tool_call", "error"})  # those that PydanticAI knows


def dumped(message: ModelMessage) -> dict[str, Any]:
    """A message as a JSON object."""
    if isinstance(message, ModelRequest):
        fields: dict[str, Any] = {
            "parts": [dumped_part(part) for part in message.parts],
            "instructions": message.instructions,
            "kind": "request",
        }
        return fields | dict(message.extra or {})
    known = message.finish_reason in _FINISHES
    fields = {
        "parts": [dumped_part(part) for part in message.parts if not isinstance(part, SourcePart)],
        "usage": _usage(message.usage),
        "model_name": message.model_name,
        "timestamp": _time(message.timestamp),
        "kind": "response",
        "provider_name": (message.served_by or "").partition(":")[0] or None,
        "provider_details": {"finish_reason": message.finish_word} if message.finish_word else None,
        "finish_reason": message.finish_reason if known else None,
        "state": "complete" if known else "interrupted" if message.finish_reason == "interrupted" else "incomplete",
        "served_by": message.served_by,
    }
    if not known:
        fields["ended"] = message.finish_reason
    if message.sources:
        fields["sources"] = [
            given({"url": one.url, "title": one.title, "start": one.start, "end": one.end}) for one in message.sources
        ]
    return fields | dict(message.extra or {})


def dumped_part(part: RequestPart | ResponsePart) -> dict[str, Any]:
    """A part as a JSON object."""
    fields: dict[str, Any]
    if isinstance(part, OtherPart):
        return {"part_kind": part.part_kind} | dict(part.extra or {})
    if isinstance(part, SourcePart):
        return given({"url": part.url, "title": part.title, "start": part.start, "end": part.end})
    if isinstance(part, SystemPromptPart):
        fields = {"content": part.content}
    elif isinstance(part, UserPromptPart):
        content = part.content
        fields = {"content": content if isinstance(content, str) else [_item(one) for one in content]}
        fields["timestamp"] = _time(part.timestamp)
    elif isinstance(part, ToolReturnPart):
        fields = {"tool_name": part.tool_name, "content": part.content, "tool_call_id": part.tool_call_id}
        fields |= {"timestamp": _time(part.timestamp), "outcome": "failed" if part.is_error else "success"}
    elif isinstance(part, RetryPromptPart):
        fields = {"content": part.content, "tool_name": part.tool_name, "tool_call_id": part.tool_call_id}
        fields["timestamp"] = _time(part.timestamp)
    else:
        if isinstance(part, ToolCallPart):
            fields = {"tool_name": part.tool_name, "args": part.args, "tool_call_id": part.tool_call_id}
        elif isinstance(part, ThinkingPart):
            fields = {"content": part.content, "signature": part.signature}
        else:
            fields = {"content": part.content}
        fields |= {"id": part.id, "provider_name": part.provider_name, "provider_details": part.provider_details}
    return _without_missing_ids(fields) | {"part_kind": part.part_kind} | dict(part.extra or {})


def _without_missing_ids(fields: dict[str, Any]) -> dict[str, Any]:
    """PydanticAI takes a call without an id, but not an id that is null."""
    return {name: value for name, value in fields.items() if name != "tool_call_id" or value is not None}


def _item(item: str | Attachment | OtherPart) -> str | dict[str, Any]:
    if isinstance(item, str):
        return item
    if isinstance(item, OtherPart):
        return {"kind": item.part_kind} | dict(item.extra or {})
    return dumped_file(item)


def dumped_file(file: Attachment) -> dict[str, Any]:
    """A file of a prompt as a JSON object."""
    fields: dict[str, Any]
    if file.url:
        kind = file.media_type.partition("/")[0]
        kind = kind if kind in ("image", "audio", "video") else "document"
        fields = {"url": file.url, "kind": f"{kind}-url"}
        if file.media_type != media_type(file.url, kind):
            fields["media_type"] = file.media_type
    else:
        fields = {"data": file.data, "media_type": file.media_type, "kind": "binary"}
    if file.name:
        fields["name"] = file.name
    return fields | dict(file.extra or {})


def _usage(usage: Usage) -> dict[str, Any]:
    details = usage.details or {}
    asked, said, total = usage.request_tokens, usage.response_tokens, usage.total_tokens
    fields = {
        "requests": usage.requests,
        "input_tokens": asked,
        "output_tokens": said,
        "cache_read_tokens": details.get("cached_tokens"),
        "cache_write_tokens": details.get("cache_write_tokens"),
        "total_tokens": None if asked is not None and said is not None and total == asked + said else total,
        "details": usage.details,
        "cost": usage.cost,
        "estimated": usage.estimated or None,
    }
    return given(fields)


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def media_type(url: str, kind: str) -> str:
    """The type of a file that is only an address: by its ending, where that fits the kind."""
    found, _ = mimetypes.guess_type(urlsplit(url).path)
    return found if found and (kind == "document" or found.startswith(f"{kind}/")) else FILE_TYPES[kind]
