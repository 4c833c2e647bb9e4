"""What is known about a reply when it is over: the JSON object of scripts, and the usage line of people."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from llmcli.errors import FallbackExceptionGroup, Interrupted, LlmcliError, ProviderError, redact
from llmcli.messages import AttemptFailed, ModelResponse, StreamEvent, TextDelta
from llmcli.render.duration import in_short
from llmcli.render.region import cells
from llmcli.usage import Usage

__all__ = ["Report", "cost_in_words"]

# How the usage line says that a reply is not whole; a whole one needs no word.
_SHORT = {
    "stop": "",
    "length": "cut",
    "content_filter": "withheld",
    "tool_call": "asks for a tool",
    "error": "broken off",
    "limit": "stopped at a limit",
}
_LEAST_NAME = 10  # columns in which the end of a model's name still says which it is
SCHEMA = 1  # of the JSON object; a change of meaning counts it up


@dataclass
class Report:
    """One reply: `model` as asked for, `response` as far as it came, `error` if there was one; times in seconds.

    `price` gives the USD for the usage of a model, and is asked only for what is shown. `attempts` are the tries that
    failed before. None of the `secrets` gets into what is shown of an error.
    """

    model: str
    price: Callable[[str, Usage], float | None] = lambda model, usage: None
    attempts: list[ProviderError] = field(default_factory=list)
    response: ModelResponse | None = None
    error: LlmcliError | None = None
    first_text_s: float | None = None
    duration_s: float | None = None
    secrets: frozenset[str] = frozenset()
    _started: float = field(default_factory=time.monotonic)

    def note(self, event: StreamEvent) -> None:
        """Take the time of the first text, and the tries that failed."""
        if isinstance(event, TextDelta):
            if self.first_text_s is None:
                self.first_text_s = time.monotonic() - self._started
        elif isinstance(event, AttemptFailed):
            self.attempts.append(event.error)

    def close(self, response: ModelResponse | None, error: LlmcliError | None) -> None:
        """The reply is over."""
        self.response, self.error = response, error
        self.duration_s = time.monotonic() - self._started
        if isinstance(error, ProviderError):  # the last try is one of them
            self.attempts.append(error.last if isinstance(error, FallbackExceptionGroup) else error)

    @cached_property
    def cost_usd(self) -> float | None:
        """What the reply cost, as told or by estimate; None where the price or the tokens are not known."""
        response = self.response
        if response is None or response.served_by is None:
            return None
        return self.price(response.served_by, response.usage)

    def as_json(self) -> dict[str, Any]:
        """The object of `--format json`; its fields are described in the README."""
        response = self.response
        usage = response.usage if response else None
        unanswered = "interrupted" if isinstance(self.error, Interrupted) else "error"
        return {
            "schema": SCHEMA,
            "model": self.model,
            "served_by": response.served_by if response else None,
            "model_name": response.model_name if response else None,
            "text": response.text if response else "",
            "thinking": response.thinking if response else None,
            "data": None,
            "finish_reason": response.finish_reason if response else unanswered,
            "usage": {
                "requests": usage.requests if usage else 0,
                "request_tokens": usage.request_tokens if usage else None,
                "response_tokens": usage.response_tokens if usage else None,
                "total_tokens": usage.total_tokens if usage else None,
                "details": usage.details if usage else None,
            },
            "cost_usd": self.cost_usd,
            "attempts": [{"model": error.model, "error": self._told(error)} for error in self.attempts],
            "conversation_id": None,
            "first_text_s": _rounded(self.first_text_s),
            "duration_s": _rounded(self.duration_s),
            "error": self._told(self.error) if self.error else None,
        }

    def _told(self, error: LlmcliError) -> dict[str, Any]:
        return {
            "kind": error.kind,
            "status": error.status,
            "message": redact(error.message, self.secrets),
            "hint": error.hint,
        }

    def usage_line(self, columns: int | None = None) -> str:
        """`openai:gpt-6-luna · 57 in (12 cached) · 8 out (3 reasoning) · 65 tokens · $0.000010 est. · 1.2 s`.

        Behind the time stands that of the first text. What the provider did not tell is unknown. Words are shortened
        where that makes it fit `columns`, figures never.
        """
        response = self.response
        if response is None:
            return self.model
        name = response.served_by or self.model
        told = [_SHORT.get(response.finish_reason, response.finish_reason), *_counts(response.usage)]
        cost = cost_in_words(self.cost_usd, told=response.usage.cost is not None)
        told = list(filter(None, (*told, cost, in_short(self.duration_s or 0.0))))
        first = None if self.first_text_s is None else in_short(self.first_text_s)
        whole = " · ".join([name, *told]) + (f", first text {first}" if first else "")
        if columns is None or cells(whole) <= columns:
            return whole
        figures = " · ".join(["", *told]) + (f", first {first}" if first else "")
        room = columns - cells(figures)
        model = name.partition(":")[2] or name
        if room < min(len(model), _LEAST_NAME):
            return whole
        return (model if len(model) <= room else f"…{model[1 - room :]}") + figures


def _counts(usage: Usage) -> list[str]:
    if usage.request_tokens is None and usage.response_tokens is None and usage.total_tokens is None:
        return ["unknown tokens"]
    details = usage.details or {}
    return [
        _count(usage.request_tokens, "in", details.get("cached_tokens"), "cached"),
        _count(usage.response_tokens, "out", details.get("reasoning_tokens"), "reasoning"),
        _count(usage.total_tokens, "token" if usage.total_tokens == 1 else "tokens"),
    ]


def _count(number: int | None, unit: str, part: int | None = None, part_name: str = "") -> str:
    told = f"unknown {unit}" if number is None else f"{number:,} {unit}"
    return f"{told} ({part:,} {part_name})" if part else told


def cost_in_words(usd: float | None, *, told: bool = False) -> str:
    """`$12.34 est.`, `$0.000010 est.`: cents, or two digits that say something, up to six places; no `est.` where told.

    Nothing where nobody sends a bill; `unknown cost` where no price is known.
    """
    if not usd:
        return "unknown cost" if usd is None else ""
    places = min(max(2, 1 - int(f"{usd:.1e}".partition("e")[2])), 6)
    words = f"${usd:,.{places}f}" if usd >= 0.000001 else "less than $0.000001"
    return words if told else f"{words} est."


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
