"""What a reply cost in tokens. None means that the provider did not tell; it is never the same as zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Usage"]


@dataclass
class Usage:
    """Tokens of one reply, or the sum over several.

    `request_tokens` includes cache reads and writes, `response_tokens` includes reasoning, `total_tokens` is the
    vendor's own total where it gives one. `details` holds `cached_tokens`, `cache_write_tokens` and
    `reasoning_tokens` where told, and the vendor's other integer counts under their own names.
    """

    requests: int = 0
    request_tokens: int | None = None
    response_tokens: int | None = None
    total_tokens: int | None = None
    details: dict[str, int] | None = None

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


def _added(a: int | None, b: int | None) -> int | None:
    return None if a is None and b is None else (a or 0) + (b or 0)


def count(value: object) -> int | None:
    """A token count of the wire as an int; None where it is missing or none (some vendors send floats)."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15:  # not nan, not absurd
        return int(value)
    return None


def other_counts(usage: Mapping[str, object], known: frozenset[str]) -> dict[str, int]:
    """A vendor's integer counts under their own names, one level deep, without the `known` ones.

    A name that stands in several groups (OpenAI's `audio_tokens` of prompt and completion) is summed.
    """
    found: dict[str, int] = {}
    for name, value in usage.items():
        group = value if isinstance(value, Mapping) else {name: value}
        for inner, amount in group.items():
            if inner not in known and isinstance(amount, int) and (number := count(amount)) is not None:
                found[inner] = found.get(inner, 0) + number
    return found
