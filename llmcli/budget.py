"""Enforce limits of requests, tokens and USD: before a request, and while its reply arrives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from llmcli.errors import UsageLimitExceeded, UserError
from llmcli.messages import (
    ModelMessage,
    ModelResponse,
    ReplyStart,
    RetryPromptPart,
    StreamEvent,
    SystemPromptPart,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ToolCall,
    ToolCallPart,
    ToolReturnPart,
    UsageUpdate,
    UserPromptPart,
    as_json,
)
from llmcli.usage import Usage, UsageLimits

__all__ = ["Budget", "Meter", "Price", "no_price", "size_of"]

Price = Callable[[str, Usage], float | None]
"""USD for the usage of a model (`provider:model`); None where no price is known."""

# The provider has not counted a new prompt, or text that is arriving. A token is about four bytes of UTF-8; in any
# longer text it is hardly ever more than eight: text beyond eight bytes a token certainly exceeds a limit.
_BYTES_PER_TOKEN, _MOST_BYTES_PER_TOKEN = 4, 8
_WORDS = (TextDelta, ThinkingDelta)  # a tuple: Python would build a union again for every piece
_LOOK_EVERY = 512  # bytes of a reply between two estimates
_FEW_TOKENS = 256  # with fewer tokens left than this, every event is checked
_BROKEN_OFF = ("error", "interrupted", "limit", "incomplete")  # the last counts may be older than the last words


def no_price(model: str, usage: Usage) -> None:
    """A price function for callers that need no cost: it returns None."""


@dataclass(slots=True)
class Budget:
    """The limits of a conversation."""

    usage: UsageLimits | None = None
    """Limits that count over the whole session; None: the default limits, which count within one prompt."""
    max_cost: float | None = None
    """The most USD to spend; None: unlimited."""
    allow_unknown_cost: bool = False
    """With a `max_cost`, accept a model without a known price."""

    def meter(self, spent: Usage, cost: float, models: Sequence[str], price: Price, size: int) -> Meter:
        """A Meter for the next reply, after `spent` and `cost` (USD) so far; the prompt has `size` bytes.

        Any of the `models` may answer. Raises UsageLimitExceeded where the request alone would be too much, UserError
        where its price is not known.
        """
        meter = Meter(self, spent if self.usage else Usage(), cost, price, size)
        for model in models:
            meter.check_before(model)
        return meter


class Meter:
    """Count one reply: `see` takes each event after it was passed on, `used` returns the usage of the whole reply."""

    def __init__(self, limits: Budget, spent: Usage, cost: float, price: Price, size: int) -> None:
        self._limits, self._spent, self._cost, self._price = limits, spent, cost, price
        self._usage_limits = limits.usage or UsageLimits()
        self._request_size = size
        self._untold_size = 0  # bytes of the reply that came after the last count of them
        self._looked_at = 0
        self._look_every = 0
        self._model = ""
        self._told = Usage(1)

    def check_before(self, model: str) -> None:
        """Raise UsageLimitExceeded, or UserError, if no request may be sent to `model`."""
        priced = self._limits.max_cost is not None and not self._limits.allow_unknown_cost
        if priced and self._price(model, self._estimate(_BYTES_PER_TOKEN)) is None:
            hint = "name another model, or add --allow-unknown-cost"
            raise UserError(f"{model}: its price is not known, and --max-cost is set; nothing was sent", hint=hint)
        try:
            self._usage_limits.check_before_request(self._spent)
            self._usage_limits.check_tokens(self._spent)
            self._check_estimate()
            self._check_cost(model)
        except UsageLimitExceeded as error:
            hint = "raise the limit, or shorten what is sent"
            raise UsageLimitExceeded(f"{error.message}; nothing was sent", hint=hint) from None

    def see(self, event: StreamEvent) -> None:
        """Raise UsageLimitExceeded as soon as the reply exceeds a limit."""
        if isinstance(event, _WORDS):
            self._arrived(event.text)
        elif isinstance(event, ToolCall):
            self._arrived(as_json(event.part.args))
        elif isinstance(event, UsageUpdate):
            self._told = event.usage
            if event.usage.response_tokens is not None:
                self._untold_size = 0
            self._usage_limits.check_tokens(self._spent + event.usage)
            self._look()
        elif isinstance(event, ReplyStart):
            self._model = event.served_by

    def _room(self) -> float:
        """The number of tokens that the limits leave for the rest of the reply."""
        used, limits = self._spent + self._estimate(_MOST_BYTES_PER_TOKEN), self._usage_limits
        return min(
            math.inf if most is None else most - (count or 0)
            for most, count in (
                (limits.response_tokens_limit, used.response_tokens),
                (limits.total_tokens_limit, used.total_tokens),
            )
        )

    def used(self, response: ModelResponse) -> Usage:
        """The usage of a finished reply: the provider's counts, and an estimate for text that it did not count."""
        told = response.usage
        broken = response.finish_reason in _BROKEN_OFF and self._untold_size
        return self._estimate(_BYTES_PER_TOKEN) if broken or not told.is_whole else told

    def _arrived(self, text: str) -> None:
        self._untold_size += len(text if text.isascii() else text.encode(errors="replace"))
        if self._untold_size >= self._looked_at + self._look_every:
            self._look()

    def _look(self) -> None:
        self._looked_at = self._untold_size
        self._look_every = 0 if self._room() < _FEW_TOKENS else _LOOK_EVERY
        self._check_estimate()
        self._check_cost(self._model)

    def _check_estimate(self) -> None:
        try:
            self._usage_limits.check_tokens(self._spent + self._estimate(_MOST_BYTES_PER_TOKEN))
        except UsageLimitExceeded as error:
            raise UsageLimitExceeded(f"{error.message}, by an estimate") from None

    def _check_cost(self, model: str) -> None:
        most = self._limits.max_cost
        if most is None:
            return
        usage = self._estimate(_BYTES_PER_TOKEN)
        cost = self._price(model, usage)
        if cost is None:  # perhaps because the details contradict the counts
            cost = self._price(model, replace(usage, details=None)) or 0.0
        if self._cost + cost > most:
            raise UsageLimitExceeded(f"Exceeded the max_cost of ${most:g} (about ${self._cost + cost:.6f})")

    def _estimate(self, bytes_per_token: int) -> Usage:
        """The reply's usage so far: the provider's counts, and an estimate for the bytes that came after them."""
        told = self._told
        if told.is_whole and not self._untold_size:
            return told
        request = told.request_tokens
        if request is None:
            request = math.ceil(self._request_size / bytes_per_token)
        response = (told.response_tokens or 0) + math.ceil(self._untold_size / bytes_per_token)
        return Usage(1, request, response, request + response, told.details, estimated=True)


def size_of(messages: Sequence[ModelMessage]) -> int:
    """The bytes of all text in a history that is sent again."""
    return sum(len(text.encode(errors="replace")) for message in messages for text in _texts(message))


def _texts(message: ModelMessage) -> Iterator[str]:
    """The texts of a message that are sent: prompts, replies, tool calls and their results, but no reasoning."""
    for part in message.parts:
        if isinstance(part, UserPromptPart):
            yield part.text
        elif isinstance(part, SystemPromptPart | TextPart):
            yield part.content
        elif isinstance(part, ToolCallPart):
            yield part.tool_name + as_json(part.args)
        elif isinstance(part, ToolReturnPart | RetryPromptPart):
            yield as_json(part.content)
