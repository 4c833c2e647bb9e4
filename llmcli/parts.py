"""The parts of messages: values only. `llmcli.messages` explains their form, and is where to import them from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Extra = Mapping[str, Any] | None


def given(fields: Mapping[str, T | None]) -> dict[str, T]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def as_json(value: object) -> str:
    """A text as it is; any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


# The order of PydanticAI 0.0.36; further fields follow.
_RESPONSE = ("parts", "model_name", "timestamp", "kind")


class Readable:
    """The repr of messages and parts. A subclass is a dataclass with slots."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return `TextPart(content='Paris', part_kind='text')`: fields that are None or False are left out."""
        names: list[str] = list(getattr(self, "__dataclass_fields__", ()))
        if "finish_reason" in names:
            names.sort(key=lambda name: _RESPONSE.index(name) if name in _RESPONSE else len(_RESPONSE))
        values = ((name, getattr(self, name)) for name in names)
        told = (f"{name}={_shown(value)}" for name, value in values if value is not None and value is not False)
        return f"{type(self).__name__}({', '.join(told)})"


def _shown(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


@dataclass(slots=True, repr=False)
class SystemPromptPart(Readable):
    """Instructions for the model, before the prompt."""

    content: str
    part_kind: Literal["system-prompt"] = "system-prompt"
    extra: Extra = None


@dataclass(slots=True, repr=False)
class Attachment(Readable):
    """A file in a prompt: `data` in base64, or the `url` from which the provider fetches it; the other is empty."""

    name: str
    media_type: str
    data: str = ""
    url: str = ""
    extra: Extra = None

    @property
    def address(self) -> str:
        """Its own URL, or a data URL (RFC 2397) that holds the file."""
        return self.url or f"data:{self.media_type};base64,{self.data}"


@dataclass(slots=True, repr=False)
class OtherPart(Readable):
    """A part, or an item of a prompt, that llmcli keeps and never sends: a server-side tool call, a cache point."""

    part_kind: str
    """The tag of the part."""
    extra: Extra = None
    """All other fields, as they came."""


@dataclass(slots=True, repr=False)
class UserPromptPart(Readable):
    """The user's prompt: its text, or texts and files in the order in which they are sent."""

    content: str | tuple[str | Attachment | OtherPart, ...]
    timestamp: datetime = field(default_factory=now)
    part_kind: Literal["user-prompt"] = "user-prompt"
    extra: Extra = None

    @property
    def items(self) -> tuple[str | Attachment | OtherPart, ...]:
        """The content as a tuple, also where it is one text."""
        return (self.content,) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """All texts, with a blank line between."""
        return "\n\n".join(item for item in self.items if isinstance(item, str))

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """All files."""
        return tuple(item for item in self.items if isinstance(item, Attachment))

    @classmethod
    def of(cls, text: str, files: tuple[Attachment, ...] = ()) -> UserPromptPart:
        """A prompt of `text`, after the `files` that it speaks of."""
        return cls((*files, text) if files else text)


@dataclass(slots=True, repr=False)
class ToolReturnPart(Readable):
    """The result of a tool call: text, or any JSON value; with `is_error` a message about what failed."""

    tool_name: str
    content: Any
    tool_call_id: str | None = None
    is_error: bool = False
    timestamp: datetime = field(default_factory=now)
    part_kind: Literal["tool-return"] = "tool-return"
    extra: Extra = None


@dataclass(slots=True, repr=False)
class RetryPromptPart(Readable):
    """A fault of the last reply, and the request to mend it.

    With a `tool_name` it answers that call; without one it answers the reply's text. `content` is a message, or a list
    of validation errors.
    """

    content: str | list[Any]
    tool_name: str | None = None
    tool_call_id: str | None = None
    timestamp: datetime = field(default_factory=now)
    part_kind: Literal["retry-prompt"] = "retry-prompt"
    extra: Extra = None


@dataclass(slots=True, repr=False)
class TextPart(Readable):
    """Text of a reply. The other fields are what the vendor wants back with it."""

    content: str
    id: str | None = None
    provider_name: str | None = None
    provider_details: Extra = None
    part_kind: Literal["text"] = "text"
    extra: Extra = None


@dataclass(slots=True, repr=False)
class ThinkingPart(Readable):
    """Reasoning of a reply.

    Everything but `content` goes back to the vendor that `provider_name` names, and to no other.
    """

    content: str
    id: str | None = None
    """The vendor's name for the block; `redacted_thinking` and `redacted_content` mark one that is only encrypted."""
    signature: str | None = None
    """The vendor's proof that the block is unchanged, or its encrypted form."""
    provider_name: str | None = None
    provider_details: Extra = None
    part_kind: Literal["thinking"] = "thinking"
    extra: Extra = None


@dataclass(slots=True, repr=False)
class ToolCallPart(Readable):
    """A call that the model asks for; `args` is a JSON object, or its text as the model wrote it."""

    tool_name: str
    args: str | dict[str, Any] | None = None
    tool_call_id: str | None = None
    id: str | None = None
    provider_name: str | None = None
    provider_details: Extra = None
    part_kind: Literal["tool-call"] = "tool-call"
    extra: Extra = None


@dataclass(slots=True, repr=False)
class SourcePart(Readable):
    """A web page or document that a reply cites; `start` and `end` are the place in its text, in characters."""

    url: str
    title: str | None = None
    start: int | None = None
    end: int | None = None
    part_kind: Literal["source"] = "source"


RequestPart = SystemPromptPart | UserPromptPart | ToolReturnPart | RetryPromptPart | OtherPart
ResponsePart = ThinkingPart | TextPart | ToolCallPart | SourcePart | OtherPart
