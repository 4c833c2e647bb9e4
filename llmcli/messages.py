"""Messages, parts, settings and stream events: values only, without behaviour and without knowledge of any API.

Every value is a plain dataclass with slots: two of equal content and equal class are equal, `dataclasses.replace` makes
a changed copy, and the import is cheap. Treat a value as unchangeable once it is part of a message or was yielded.

`kind` and `part_kind` are the tags of PydanticAI's message format; `llmcli.history` reads and writes that format.
`extra` holds the fields of that format that llmcli has no use for; `dump_messages` writes them back as they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from llmcli.errors import ProviderError
from llmcli.parts import (
    Attachment,
    Extra,
    OtherPart,
    Readable,
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
    as_json,
    given,
    now,
)
from llmcli.usage import Usage

__all__ = [
    "Attachment",
    "AttemptFailed",
    "Decision",
    "Effort",
    "Extra",
    "FinishReason",
    "ModelMessage",
    "ModelRequest",
    "ModelResponse",
    "ModelSettings",
    "Notice",
    "OtherPart",
    "PartEnd",
    "Progress",
    "Repair",
    "ReplyStart",
    "RequestPart",
    "ResponsePart",
    "RetryPromptPart",
    "Source",
    "SourcePart",
    "StreamEnd",
    "StreamEvent",
    "SystemPromptPart",
    "TextDelta",
    "TextPart",
    "ThinkingDelta",
    "ThinkingPart",
    "ToolCall",
    "ToolCallPart",
    "ToolDefinition",
    "ToolResult",
    "ToolReturnPart",
    "UsageUpdate",
    "UserPromptPart",
    "as_json",
    "given",
]

FinishReason = Literal["stop", "length", "content_filter", "tool_call", "error", "interrupted", "incomplete", "limit"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Decision = Literal["allowed", "denied", "yes", "no", "unasked"]


@dataclass(slots=True, repr=False)
class ModelRequest(Readable):
    """What is sent to the model in one turn."""

    parts: Sequence[RequestPart]
    instructions: str | None = None
    """A system prompt for this turn alone."""
    kind: Literal["request"] = "request"
    extra: Extra = None


@dataclass(slots=True, repr=False)
class ModelResponse(Readable):
    """One reply, whole or as far as it arrived."""

    parts: Sequence[ResponsePart]
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)
    served_by: str | None = None
    """`provider:model` of the model that answered."""
    model_name: str | None = None
    """The vendor's own name for the model."""
    finish_word: str | None = None
    """The vendor's own word for `finish_reason`."""
    timestamp: datetime = field(default_factory=now)
    kind: Literal["response"] = "response"
    extra: Extra = None

    @property
    def text(self) -> str:
        """The answer, without the reasoning."""
        return "".join(part.content for part in self.parts if isinstance(part, TextPart))

    @property
    def thinking(self) -> str | None:
        """The reasoning; None when there was none, or only an encrypted one."""
        return "".join(part.content for part in self.parts if isinstance(part, ThinkingPart)) or None

    @property
    def tool_calls(self) -> list[ToolCallPart]:
        """The calls that the model asks for."""
        return [part for part in self.parts if isinstance(part, ToolCallPart)]

    @property
    def tool_names(self) -> list[str]:
        """The names of the tools that the model asks for."""
        return [part.tool_name for part in self.tool_calls]

    @property
    def sources(self) -> list[SourcePart]:
        """The pages and documents that the reply cites."""
        return [part for part in self.parts if isinstance(part, SourcePart)]


ModelMessage = ModelRequest | ModelResponse


@dataclass(slots=True)
class ToolDefinition:
    """A tool as the model sees it; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(slots=True)
class ModelSettings:
    """The settings of a request. None, False and an empty tuple are not sent."""

    max_tokens: int | None = None
    """The longest reply, in tokens."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    effort: Effort | None = None
    user_id: str | None = None
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: Literal["auto", "none", "required"] | None = None
    schema: Mapping[str, Any] | None = None
    """The JSON Schema that the text of the reply must satisfy."""
    schema_name: str = "reply"
    web: bool = False
    """Let the vendor's own web search run."""
    cache: bool | None = None
    """Mark the prompt for the vendor's cache, where a vendor wants marks."""
    timeout: float = 600.0
    """The longest time between two reads, in seconds."""
    retries: int = 2
    """The number of further requests after a transient failure."""
    lenient: bool = False
    """Drop a setting that the API does not take, with a notice, instead of refusing it."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request body."""


@dataclass(slots=True)
class ReplyStart:
    """The provider began to answer: `served_by` as in the request, `model_name` as the vendor calls the model."""

    served_by: str
    model_name: str | None


@dataclass(slots=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(slots=True)
class ThinkingDelta:
    """A piece of the reasoning."""

    text: str


@dataclass(slots=True)
class PartEnd:
    """The end of a text or thinking part, with what the vendor wants back with it; its own `content` is empty.

    It completes the open part of its kind, or is a part of its own where none is open.
    """

    part: TextPart | ThinkingPart


@dataclass(slots=True)
class ToolCall:
    """A call that the model asks for, once its arguments are complete."""

    part: ToolCallPart


@dataclass(slots=True)
class ToolResult:
    """The result of a call, and the decision by which the tool ran or did not run."""

    part: ToolReturnPart
    decision: Decision
    duration_s: float = 0.0


@dataclass(slots=True)
class Source:
    """A page or document that the reply cites."""

    part: SourcePart


@dataclass(slots=True)
class UsageUpdate:
    """The reply's usage as far as it is known now, with all deltas before it; replaces the one before."""

    usage: Usage


@dataclass(slots=True)
class Notice:
    """Information for the user that is not part of the reply."""

    text: str


@dataclass(slots=True)
class Repair:
    """A whole reply does not fit the schema, and the model is asked again: `attempt` counts from 2.

    `text` describes the fault for the user. The events of the next reply follow.
    """

    text: str
    attempt: int


@dataclass(slots=True)
class Progress:
    """What the model does before its reply begins, for example "loading 98 MB"; the next one replaces it."""

    text: str


@dataclass(slots=True)
class AttemptFailed:
    """A request failed before its first event, and another one follows.

    `text` describes both for the user; `next_model` is the `provider:model` of the next request, `wait_s` the seconds
    until then.
    """

    error: ProviderError
    text: str
    next_model: str
    wait_s: float = 0.0


@dataclass(slots=True)
class StreamEnd:
    """The last event of a reply that did not fail: the finish reason, the vendor's word for it, and called tools."""

    finish_reason: FinishReason
    finish_word: str | None = None
    tool_names: tuple[str, ...] = ()


StreamEvent = (
    ReplyStart
    | TextDelta
    | ThinkingDelta
    | PartEnd
    | ToolCall
    | ToolResult
    | Source
    | UsageUpdate
    | Notice
    | Repair
    | Progress
    | AttemptFailed
    | StreamEnd
)
