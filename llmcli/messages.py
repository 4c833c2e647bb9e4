"""Messages, settings and stream events: pure values. Who stores, sends or shows them is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from llmcli.errors import ProviderError
from llmcli.usage import Usage

T = TypeVar("T")
FinishReason = Literal["stop", "length", "content_filter", "tool_call", "error", "interrupted", "incomplete", "limit"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def given(fields: Mapping[str, T | None]) -> dict[str, T]:
    """The fields that have a value: None means not asked for in a request, and not told in a reply."""
    return {name: value for name, value in fields.items() if value is not None}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class SystemPromptPart:
    """How the model shall behave."""

    content: str
    part_kind: Literal["system-prompt"] = "system-prompt"


@dataclass(frozen=True)
class Attachment:
    """A file beside a prompt: `data` in base64, or the `url` from which the provider fetches it; the other is empty."""

    name: str
    media_type: str
    data: str = ""
    url: str = ""

    @property
    def address(self) -> str:
        """Where it is, for APIs that take any address: its own, or one that holds all of it (RFC 2397)."""
        return self.url or f"data:{self.media_type};base64,{self.data}"


@dataclass(frozen=True)
class UserPromptPart:
    """What the person said, and the files that go with it."""

    content: str
    attachments: tuple[Attachment, ...] = ()
    timestamp: datetime = field(default_factory=_now)
    part_kind: Literal["user-prompt"] = "user-prompt"


@dataclass(frozen=True)
class TextPart:
    """What the model answered."""

    content: str
    part_kind: Literal["text"] = "text"


@dataclass(frozen=True)
class ThinkingPart:
    """What the model showed of its reasoning."""

    content: str
    part_kind: Literal["thinking"] = "thinking"


@dataclass(frozen=True)
class ToolCallPart:
    """A call that the model wants made; no tool was offered, so only its name is kept."""

    tool_name: str
    part_kind: Literal["tool-call"] = "tool-call"


@dataclass(frozen=True)
class ModelRequest:
    """One turn of the person's side."""

    parts: tuple[SystemPromptPart | UserPromptPart, ...]
    kind: Literal["request"] = "request"


@dataclass(frozen=True)
class ModelResponse:
    """One reply, whole or as far as it came.

    `served_by` is `provider:model` of the one that answered, `model_name` what the vendor called itself,
    `finish_word` the vendor's own word for `finish_reason`.
    """

    parts: tuple[ThinkingPart | TextPart | ToolCallPart, ...]
    finish_reason: FinishReason
    usage: Usage
    served_by: str | None = None
    model_name: str | None = None
    finish_word: str | None = None
    timestamp: datetime = field(default_factory=_now)
    kind: Literal["response"] = "response"

    @property
    def text(self) -> str:
        """The answer, without the reasoning."""
        return "".join(part.content for part in self.parts if isinstance(part, TextPart))

    @property
    def thinking(self) -> str | None:
        """The reasoning; None when there was none, or only an encrypted one."""
        return "".join(part.content for part in self.parts if isinstance(part, ThinkingPart)) or None

    @property
    def tool_names(self) -> list[str]:
        """The tools that the model wanted called."""
        return [part.tool_name for part in self.parts if isinstance(part, ToolCallPart)]


ModelMessage = ModelRequest | ModelResponse


@dataclass(frozen=True)
class ModelSettings:
    """What the person asked for besides the prompt; None is not sent.

    `max_tokens` in tokens, `timeout` in seconds between two reads, `retries` how often a request that failed for a
    passing reason is sent again, `extra` further fields of the request body.
    With `lenient` an option that the API does not take is dropped with a notice instead of refused.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    effort: Effort | None = None
    user_id: str | None = None
    timeout: float = 600.0
    retries: int = 2
    lenient: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplyStart:
    """The provider began to answer: `served_by` as asked for, `model_name` as the vendor calls itself."""

    served_by: str
    model_name: str | None


@dataclass(frozen=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class ThinkingDelta:
    """A piece of the reasoning."""

    text: str


@dataclass(frozen=True)
class UsageUpdate:
    """The reply's usage as far as it is known now, with all deltas before it; replaces the one before."""

    usage: Usage


@dataclass(frozen=True)
class Notice:
    """Something the person should know that is no part of the reply."""

    text: str


@dataclass(slots=True)
class Progress:
    """What the model does before its reply begins, for example "loading 98 MB"; the next one replaces it."""

    text: str


@dataclass(frozen=True)
class AttemptFailed:
    """A request failed before its first event, and another one follows: why, and in `text` both for the person.

    `next_model` is who is asked next, as `provider:model`, in `wait_s` seconds.
    """

    error: ProviderError
    text: str
    next_model: str
    wait_s: float = 0.0


@dataclass(frozen=True)
class StreamEnd:
    """The last event of a reply that did not fail: how it ended, in our word and the vendor's, and tools it wants."""

    finish_reason: FinishReason
    finish_word: str | None = None
    tool_names: tuple[str, ...] = ()


StreamEvent = ReplyStart | TextDelta | ThinkingDelta | UsageUpdate | Notice | Progress | AttemptFailed | StreamEnd
