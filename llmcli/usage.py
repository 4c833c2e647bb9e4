"""Token counts of replies, and limits of requests and tokens. None means unknown; it is never zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from llmcli.errors import UsageLimitExceeded

__all__ = ["Usage", "UsageLimits"]

Number = TypeVar("Number", int, float)


@dataclass
class Usage:
    """Tokens of one reply, or the sum over several.

    `request_tokens` includes cache reads and writes, `response_tokens` includes reasoning, `total_tokens` is the
    vendor's own total where it gives one. `details` holds `cached_tokens`, `cache_write_tokens` and
    `reasoning_tokens` where told, and the vendor's other integer counts under their own names. `cost` is in USD.
    `estimated` says that llmcli estimated some of the tokens, because the provider did not count them.
    """

    requests: int = 0
    request_tokens: int | None = None
    response_tokens: int | None = None
    total_tokens: int | None = None
    details: dict[str, int] | None = None
    cost: float | None = field(default=None, repr=False)  # how a Usage prints is documented
    estimated: bool = field(default=False, repr=False)

    @property
    def is_whole(self) -> bool:
        """Whether the provider sent the counts of both request and reply tokens."""
        return self.request_tokens is not None and self.response_tokens is not None

    def incr(self, other: Usage, requests: int = 0) -> None:
        """Add `other` to this one in place, and `requests` more; a count stays None only when both sides are None."""
        self.requests += other.requests + requests
        self.request_tokens = _added(self.request_tokens, other.request_tokens)
        self.response_tokens = _added(self.response_tokens, other.response_tokens)
        self.total_tokens = _added(self.total_tokens, other.total_tokens)
        if other.details:
            mine = dict(self.details or {})
            for name, count in other.details.items():
                mine[name] = mine.get(name, 0) + count
            self.details = mine
        self.cost = _added(self.cost, other.cost)
        self.estimated = self.estimated or other.estimated

    def __add__(self, other: Usage) -> Usage:
        """The sum; both operands stay as they are."""
        total = Usage()
        total.incr(self)
        total.incr(other)
        return total

    def opentelemetry_attributes(self) -> dict[str, int]:
        """The counts under OpenTelemetry's names for generative AI; unknown ones are left out, zeros are kept."""
        named = {"gen_ai.usage.input_tokens": self.request_tokens, "gen_ai.usage.output_tokens": self.response_tokens}
        named |= {f"gen_ai.usage.details.{name}": count for name, count in (self.details or {}).items()}
        return {name: count for name, count in named.items() if count is not None}


@dataclass(slots=True)
class UsageLimits:
    """The largest number of requests and tokens; None: unlimited. The rules are those of PydanticAI's UsageLimits."""

    request_limit: int | None = 50
    request_tokens_limit: int | None = None
    response_tokens_limit: int | None = None
    total_tokens_limit: int | None = None

    def has_token_limits(self) -> bool:
        """Whether any limit of tokens is set; 0 is one."""
        return any(limit is not None for _, limit in self._token_limits())

    def check_before_request(self, usage: Usage) -> None:
        """Raise UsageLimitExceeded where `usage` leaves no room for another request."""
        if self.request_limit is not None and usage.requests >= self.request_limit:
            raise UsageLimitExceeded(f"The next request would exceed the request_limit of {self.request_limit}")

    def check_tokens(self, usage: Usage) -> None:
        """Raise UsageLimitExceeded where `usage` has more tokens than allowed; unknown counts pass."""
        for name, limit in self._token_limits():
            used = vars(usage)[name] or 0
            if limit is not None and used > limit:
                raise UsageLimitExceeded(f"Exceeded the {name}_limit of {limit} ({name}={used})")

    def _token_limits(self) -> tuple[tuple[str, int | None], ...]:
        return (
            ("request_tokens", self.request_tokens_limit),
            ("response_tokens", self.response_tokens_limit),
            ("total_tokens", self.total_tokens_limit),
        )


def _added(a: Number | None, b: Number | None) -> Number | None:
    return a if b is None else b if a is None else a + b
