"""The outcome of one turn: what JSON output, the usage line, the log and the exit code are made from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmcli import __version__
from llmcli.calls import Calls
from llmcli.errors import FallbackExceptionGroup, IncompleteReply, Interrupted, LlmcliError, ProviderError
from llmcli.messages import AttemptFailed, ModelMessage, ModelResponse, StreamEvent, TextDelta
from llmcli.secrets import Secrets
from llmcli.usage import Usage

if TYPE_CHECKING:
    from llmcli.schema import Fit

__all__ = ["FORMAT_VERSION", "Result"]

FORMAT_VERSION = 1
"""Of the JSON object, which `docs/reply.schema.json` describes; a changed meaning counts it up."""


@dataclass
class Result:
    """One turn, from its start to the end of its reply."""

    model: str
    """The model as the user wrote it; may be a chain."""
    price: Callable[[str, Usage], float | None] = lambda model, usage: None
    """USD for the usage of a `provider:model`; called only where the cost is shown."""
    attempts: list[ProviderError] = field(default_factory=list)
    """The errors of all requests that failed, in order."""
    response: ModelResponse | None = None
    """The reply as far as it came; None where no provider began to answer."""
    error: LlmcliError | None = None
    output: str | None = None
    """The output instead of the text, with --extract, --schema, --get or --choice."""
    fit: Fit | None = None
    """The reply as JSON, where it fits the schema."""
    earlier: list[ModelResponse] = field(default_factory=list)
    """Whole replies of the same turn that another request followed."""
    messages: list[ModelMessage] = field(default_factory=list)
    """The whole conversation, with the turn at its end."""
    calls: Calls = field(default_factory=Calls)
    """The tool calls of the turn."""
    estimate: list[tuple[str, Usage]] = field(default_factory=list)
    """Who answered and what each reply took, where a reply was cut and llmcli counted its tokens; else empty."""
    conversation_id: str | None = None
    first_text_s: float | None = None
    """Seconds from the start to the first text."""
    duration_s: float | None = None
    """Seconds from the start to the end."""
    secrets: Secrets = field(default_factory=Secrets)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.monotonic)

    @property
    def exit_code(self) -> int:
        """The exit code of the process, which each class of errors owns."""
        return self.error.exit_code if self.error else 0

    def note(self, event: StreamEvent) -> None:
        """Record the time of the first text, the tool calls, and the requests that failed."""
        self.calls.note(event)
        if isinstance(event, TextDelta):
            if self.first_text_s is None:
                self.first_text_s = time.monotonic() - self._started
        elif isinstance(event, AttemptFailed):
            self.attempts.append(event.error)

    def close(self, response: ModelResponse | None, error: LlmcliError | None) -> None:
        """Record the end of the reply."""
        self.response, self.error = response, error
        self.duration_s = time.monotonic() - self._started
        if isinstance(error, ProviderError):  # the last request is one of the attempts
            self.attempts.append(error.last if isinstance(error, FallbackExceptionGroup) else error)

    @property
    def data(self) -> Any:
        """The reply as Python holds its JSON; None where no schema was asked for, or it does not fit."""
        return self.fit.data if self.fit else None

    @property
    def usage(self) -> Usage:
        """The usage of all replies of the turn, from the provider's counts."""
        replies = [*self.earlier, self.response] if self.response else self.earlier
        return sum((one.usage for one in replies), Usage())

    @property
    def cost_usd(self) -> float | None:
        """The cost of the replies in USD, from the provider or by estimate; None where price or tokens are unknown."""
        replies = [*self.earlier, self.response] if self.response else self.earlier
        costs = [self.price(one.served_by, one.usage) if one.served_by else None for one in replies]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known and len(known) == len(costs) else None

    @property
    def shown_usage(self) -> Usage:
        """The usage for the usage line: as told, or by estimate where the reply was cut."""
        return sum((usage for _, usage in self.estimate), Usage()) if self.estimate else self.usage

    @property
    def shown_cost_usd(self) -> float | None:
        """What `shown_usage` costs in USD; None where a price or the tokens are not known."""
        if not self.estimate:
            return self.cost_usd
        costs = [self.price(model, usage) for model, usage in self.estimate]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    @property
    def saved_usd(self) -> float | None:
        """What the cache of the provider saved, in USD by estimate; None where nothing was read from it."""
        replies = [*self.earlier, self.response] if self.response else self.earlier
        saved = 0.0
        for one in replies:
            details = one.usage.details or {}
            if one.served_by and details.get("cached_tokens"):
                usage = replace(one.usage, cost=None)
                rest = {name: count for name, count in details.items() if name != "cached_tokens"}
                paid, full = (self.price(one.served_by, each) for each in (usage, replace(usage, details=rest)))
                saved += full - paid if paid is not None and full is not None else 0.0
        return saved if saved > 0 else None

    @property
    def sources(self) -> list[dict[str, str | None]]:
        """The pages and documents that the reply cites, each URL once, in order: `url` and `title`."""
        replies = [*self.earlier, *([self.response] if self.response else [])]
        found = {part.url: part.title or None for response in replies for part in response.sources}
        return [{"url": url, "title": title} for url, title in found.items()]

    def as_json(self) -> dict[str, Any]:
        """The object of `--format json`; see `docs/reply.schema.json`."""
        response = self.response
        usage = self.usage
        unanswered = "interrupted" if isinstance(self.error, Interrupted) else "error"
        finish = response.finish_reason if response else unanswered
        failed = self.error is not None and not isinstance(self.error, IncompleteReply)
        if finish == "tool_call" and failed and self.calls.as_json():  # the step after it did not begin
            finish = unanswered
        return {
            "format_version": FORMAT_VERSION,
            "version": __version__,
            "created": self.created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "exit_code": self.exit_code,
            "request_id": self._clean(self.error.request_id) if isinstance(self.error, ProviderError) else None,
            "model": self.model,
            "served_by": response.served_by if response else None,
            "model_name": self._clean(response.model_name) if response else None,
            "text": response.text if response else "",
            "thinking": response.thinking if response else None,
            "data": self.data,
            "finish_reason": finish,
            "usage": {
                "requests": usage.requests,
                "request_tokens": usage.request_tokens,
                "response_tokens": usage.response_tokens,
                "total_tokens": usage.total_tokens,
                "details": usage.details,
            },
            "cost_usd": self.cost_usd,
            "attempts": [{"model": error.model, "error": self._told(error)} for error in self.attempts],
            "conversation_id": self.conversation_id,
            "first_text_s": _rounded(self.first_text_s),
            "duration_s": _rounded(self.duration_s),
            "sources": self.sources,
            "tool_calls": self.calls.as_json(),
            "messages": self._messages(),
            "error": self._told(self.error) if self.error else None,
        }

    def _messages(self) -> list[Any]:
        from llmcli.message_json import dumped

        return [self._cleaned(dumped(one)) for one in self.messages]

    def _cleaned(self, value: Any, name: str = "") -> Any:
        """A message with secrets redacted, except in `content` and `args`."""
        if isinstance(value, dict):
            return {key: self._cleaned(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._cleaned(inner, name) for inner in value]
        return self.secrets.redact(value) if isinstance(value, str) and name not in ("content", "args") else value

    def _told(self, error: LlmcliError) -> dict[str, Any]:
        return {
            "kind": error.kind,
            "status": error.status,
            "message": self._clean(error.message),
            "hint": self._clean(error.hint),
        }

    def _clean(self, text: str | None) -> str | None:
        """Redact a text of the provider outside the reply: it may echo a key."""
        return None if text is None else self.secrets.redact(text)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
