"""Read and write histories as JSON: the message format of PydanticAI, from 0.0.36 on.

What llmcli adds to the format stands under names that PydanticAI ignores: `served_by`, `ended`, `sources`, `name`.
A field that llmcli has no use for goes into `extra` when it is read, and comes out again when it is written.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast, get_args

from llmcli.errors import UserError
from llmcli.message_json import FILE_TYPES, dumped, dumped_file, dumped_part, media_type
from llmcli.messages import (
    Attachment,
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OtherPart,
    RequestPart,
    ResponsePart,
    RetryPromptPart,
    SourcePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from llmcli.usage import Usage

__all__ = ["dump_messages", "load_messages"]

T = TypeVar("T")
# Parts that are kept and never sent.
_OTHER_OF_REQUESTS = frozenset(
    [
        *("retry-feedback", "instruction", "instruction-delta", "instruction-baseline", "instruction-digest"),
        *("tool-availability-delta", "capability-load-delta", "model-settings-delta", "speech"),
    ]
)
_OTHER_OF_REPLIES = frozenset({"builtin-tool-call", "builtin-tool-return", "file", "compaction", "speech"})
_OTHER_OF_PROMPTS = frozenset({"text-content", "structured-content", "cache-point", "uploaded-file"})


def dump_messages(messages: Sequence[ModelMessage]) -> bytes:
    """A history as a JSON list in UTF-8; `load_messages` and PydanticAI read it."""
    text = json.dumps([dumped(one) for one in messages], ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes its JSON escape


def load_messages(source: bytes | str | list[Any]) -> list[ModelMessage]:
    """Read a history: a JSON list, or the list already decoded.

    Raises UserError, with the place in the list, for data that is not a history and for parts of an unknown kind.
    """
    try:
        found = source if isinstance(source, list) else json.loads(source, parse_constant=_refused_number)
        if not isinstance(found, list):
            raise UserError("the history is not a JSON list of messages")
        return [_message(_Item(one, f"message {at}")) for at, one in enumerate(found, 1)]
    except (ValueError, RecursionError) as error:
        raise UserError(f"the history is not JSON: {error}") from None


def _refused_number(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


class _Item:
    """One JSON object of a history: reads a field with its type, and knows where the object stands."""

    def __init__(self, value: object, where: str) -> None:
        self.where = where
        if not isinstance(value, dict):
            raise UserError(f"the history is not valid: {where} is not an object")
        self.fields: dict[str, Any] = value

    def fault(self, name: str, what: str) -> UserError:
        return UserError(f"the history is not valid: {self.where}, {name}: {what}")

    def get(self, name: str, *types: type[T], default: T | None = None) -> T | None:
        """A field, which may be missing or null."""
        value = self.fields.get(name)
        if value is None:
            return default
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise self.fault(name, f"expected {' or '.join(_WORDS[one] for one in types)}, found {_word(value)}")
        return value

    def need(self, name: str, *types: type[T]) -> T:
        """A field that must be there."""
        value = self.get(name, *types)
        if value is None:
            raise self.fault(name, "missing")
        return value

    def time(self, name: str) -> datetime:
        """A time; now where it is missing."""
        text = self.get(name, str)
        try:
            return datetime.fromisoformat(text) if text else datetime.now(UTC)
        except ValueError:
            raise self.fault(name, "not a time") from None

    def items(self, name: str) -> list[_Item]:
        return [_Item(one, f"{self.where}, {name} {at}") for at, one in enumerate(self.need(name, list), 1)]

    def extra(self, dumped: Mapping[str, Any], *apart: str) -> dict[str, Any] | None:
        """The fields that `dumped`, made from what was read, does not reproduce, without those read `apart`."""
        found = {
            name: value
            for name, value in self.fields.items()
            if name not in apart and (name not in dumped or dumped[name] != value)
        }
        return found or None


_WORDS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}
_WORDS |= {bool: "true or false"}


def _word(value: object) -> str:
    return _WORDS.get(type(value), "something else")


def _message(item: _Item) -> ModelMessage:
    kind = item.need("kind", str)
    if kind == "request":
        parts = tuple(_request_part(part) for part in item.items("parts"))
        request = ModelRequest(parts, item.get("instructions", str))
        request.extra = item.extra(dumped(request), "parts")
        return request
    if kind == "response":
        return _response(item)
    raise item.fault("kind", f"unknown kind {kind[:40]!r}; it is request or response")


def _request_part(item: _Item) -> RequestPart:
    kind = item.need("part_kind", str)
    if kind in _OTHER_OF_REQUESTS:
        return _other(item, "part_kind", kind)
    part: SystemPromptPart | UserPromptPart | ToolReturnPart | RetryPromptPart
    if kind == "system-prompt":
        part = SystemPromptPart(item.need("content", str))
    elif kind == "user-prompt":
        part = UserPromptPart(_content(item), item.time("timestamp"))
    elif kind == "tool-return":
        failed = item.get("outcome", str, default="success") != "success"
        if "content" not in item.fields:
            raise item.fault("content", "missing")
        name, call = item.need("tool_name", str), item.get("tool_call_id", str)
        part = ToolReturnPart(name, item.fields["content"], call, failed, item.time("timestamp"))
    elif kind == "retry-prompt":
        content = cast("str | list[Any]", item.need("content", str, list))
        about = item.get("tool_name", str), item.get("tool_call_id", str)
        part = RetryPromptPart(content, *about, item.time("timestamp"))
    else:
        raise item.fault("part_kind", f"unknown kind {kind[:40]!r} in a request")
    part.extra = item.extra(dumped_part(part), "content" if kind == "user-prompt" else "")
    return part


def _content(item: _Item) -> str | tuple[str | Attachment | OtherPart, ...]:
    content = item.need("content", str, list)
    if old := item.get("attachments", list):  # llmcli 0.1 kept files beside the text
        files = [_Item(one, f"{item.where}, attachments") for one in old]
        held = [
            Attachment(
                file.need("name", str),
                file.need("media_type", str),
                file.get("data", str) or "",
                file.get("url", str) or "",
            )
            for file in files
        ]
        item.fields = {name: value for name, value in item.fields.items() if name != "attachments"}
        return (*held, str(content))
    if isinstance(content, str):
        item.fields = {name: value for name, value in item.fields.items() if name != "attachments"}
        return content
    return tuple(
        one if isinstance(one, str) else _prompt_item(_Item(one, f"{item.where}, content {at}"))
        for at, one in enumerate(content, 1)
    )


def _prompt_item(item: _Item) -> Attachment | OtherPart:
    kind = item.need("kind", str)
    if kind in _OTHER_OF_PROMPTS:
        return _other(item, "kind", kind)
    name = item.get("name", str)
    if kind == "binary":
        file = Attachment(name or "", item.need("media_type", str), _base64(item.need("data", str)))
    elif kind.removesuffix("-url") in FILE_TYPES and kind.endswith("-url"):
        url = item.need("url", str)
        told = item.get("media_type", str)
        file = Attachment(name or "", told or media_type(url, kind.removesuffix("-url")), url=url)
    else:
        raise item.fault("kind", f"unknown kind {kind[:40]!r} in a prompt")
    file.extra = item.extra(dumped_file(file))
    return file


def _base64(data: str) -> str:
    """The data of a file, as APIs want it: PydanticAI writes base64 with "-" and "_", and 0.0.36 wrote bare text."""
    standard = data.translate({45: "+", 95: "/"})
    standard += "=" * (-len(standard) % 4)
    try:
        base64.b64decode(standard, validate=True)
    except ValueError:
        return base64.b64encode(data.encode(errors="replace")).decode()
    return standard


def _other(item: _Item, tag: str, kind: str) -> OtherPart:
    return OtherPart(kind, {name: value for name, value in item.fields.items() if name != tag})


def _response(item: _Item) -> ModelResponse:
    parts = [_response_part(part) for part in item.items("parts")]
    if item.fields.get("sources") is not None:
        parts += [_source(one) for one in item.items("sources")]
    called = any(isinstance(part, ToolCallPart) for part in parts)
    ended = item.get("ended", str) or item.get("finish_reason", str)
    if ended is None:
        state = item.get("state", str)
        ended = state if state in ("interrupted", "incomplete") else "tool_call" if called else "stop"
    if ended not in get_args(FinishReason):
        raise item.fault("finish_reason", f"unknown reason {ended[:40]!r}")
    details = item.get("provider_details", dict, default={})
    word = item.get("finish_word", str) or (details or {}).get("finish_reason")
    response = ModelResponse(
        tuple(parts),
        cast(FinishReason, ended),
        _usage(item),
        item.get("served_by", str) or _served_by(item),
        item.get("model_name", str),
        word if isinstance(word, str) else None,
        item.time("timestamp"),
    )
    if "finish_word" in item.fields or "request_tokens" in (item.fields.get("usage") or {}):  # llmcli 0.1 wrote it
        return response
    response.extra = item.extra(dumped(response), "parts", "sources")
    return response


def _served_by(item: _Item) -> str | None:
    provider, model = item.get("provider_name", str), item.get("model_name", str)
    return f"{provider}:{model}" if provider and model else None


def _response_part(item: _Item) -> ResponsePart:
    kind = item.need("part_kind", str)
    if kind in _OTHER_OF_REPLIES:
        return _other(item, "part_kind", kind)
    known = (item.get("id", str), item.get("provider_name", str), item.get("provider_details", dict))
    part: TextPart | ThinkingPart | ToolCallPart
    if kind == "text":
        part = TextPart(item.need("content", str), *known)
    elif kind == "thinking":
        part = ThinkingPart(item.need("content", str), known[0], item.get("signature", str), *known[1:])
    elif kind == "tool-call":
        args = cast("str | dict[str, Any] | None", item.get("args", str, dict))
        part = ToolCallPart(item.need("tool_name", str), args, item.get("tool_call_id", str), *known)
    elif kind == "source":
        return _source(item)
    else:
        raise item.fault("part_kind", f"unknown kind {kind[:40]!r} in a response")
    part.extra = item.extra(dumped_part(part))
    return part


def _source(item: _Item) -> SourcePart:
    return SourcePart(item.need("url", str), item.get("title", str), item.get("start", int), item.get("end", int))


def _usage(item: _Item) -> Usage:
    """The tokens of a response; PydanticAI before 1.0 wrote none, and later 0 for what it does not know."""
    if item.fields.get("usage") is None:
        return Usage(1)
    told = _Item(item.fields["usage"], f"{item.where}, usage")
    asked, said = (
        told.get(new, int) if told.fields.get(new) is not None else told.get(old, int)
        for new, old in (("input_tokens", "request_tokens"), ("output_tokens", "response_tokens"))
    )
    details = {
        name: number
        for name, number in (told.get("details", dict) or {}).items()
        if type(number) is int and number >= 0
    }
    for theirs, ours in (("cache_read_tokens", "cached_tokens"), ("cache_write_tokens", "cache_write_tokens")):
        if number := told.get(theirs, int):
            details.setdefault(ours, number)
    if not asked and not said and not details and "estimated" not in told.fields and "requests" not in told.fields:
        asked = said = None
    total = told.get("total_tokens", int)
    if total is None and asked is not None and said is not None:
        total = asked + said
    cost = told.fields.get("cost")
    try:
        cost = None if cost is None else float(cost)
    except (TypeError, ValueError, OverflowError):
        raise told.fault("cost", "not a number") from None
    requests = told.get("requests", int, default=1)
    return Usage(requests or 0, asked, said, total, details or None, cost, bool(told.get("estimated", bool)))
