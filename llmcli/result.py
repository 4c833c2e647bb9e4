"""What is known about a reply when it is over: the JSON object of scripts, and the usage line of people."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from llmcli.errors import FallbackExceptionGroup, Interrupted, LlmcliError, ProviderError
from llmcli.messages import AttemptFailed, ModelResponse, StreamEvent, TextDelta
from llmcli.secrets import redact
from llmcli.usage import Usage

__all__ = [
    "Report",
]

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


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
