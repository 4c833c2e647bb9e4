"""Read token counts and costs out of a provider's usage object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def count(value: object) -> int | None:
    """A token count of the wire as an int; None where it is missing or none (some vendors send floats)."""
    # Some send counts with every chunk: hence no union, which would be made anew each time. Not nan, not absurd.
    if type(value) in (int, float) and 0 <= cast(float, value) < 1e15:
        return int(cast(float, value))
    return None


def told_cost(usage: Mapping[str, Any]) -> float | None:
    """The USD that the vendor charges: OpenRouter's number, Perplexity's sum or xAI's ticks; None where it sends none.

    At OpenRouter a key of one's own at the vendor (`is_byok`) costs what that one takes as well.
    """
    told = usage.get("cost")
    if isinstance(told, Mapping):
        told = told.get("total_cost") if told.get("currency", "USD") == "USD" else None
    if told is None and (ticks := count(usage.get("cost_in_usd_ticks"))):  # Azure sends 0 for unknown
        return ticks / 1e10
    cost = _usd(told)
    if cost is None or not usage.get("is_byok"):
        return cost
    details = usage.get("cost_details")
    upstream = _usd(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return cost + (upstream or 0.0)


def _usd(value: object) -> float | None:
    """An amount of money; None for what is none: text, true, negative, absurd, not a number."""
    return float(cast(float, value)) if type(value) in (int, float) and 0 <= cast(float, value) < 1e6 else None


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
