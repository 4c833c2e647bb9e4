"""The usage line: tokens, cost and times of a reply on one line of stderr."""

from __future__ import annotations

from llmcli.render.duration import in_short
from llmcli.render.region import cells
from llmcli.result import Result
from llmcli.usage import Usage

# The word of the usage line for each reply that is not whole; a whole reply has none.
_SHORT = {
    "stop": "",
    "length": "cut",
    "content_filter": "withheld",
    "tool_call": "asks for a tool",
    "error": "broken off",
    "limit": "stopped at a limit",
}


_LEAST_SAVED = 0.001  # USD; a smaller saving is not shown
_LEAST_NAME = 10  # columns in which the end of a model's name still says which it is


def usage_line(result: Result, columns: int | None = None) -> str:
    """`openai:gpt-6-luna · 57 in (12 cached) · 8 out (3 reasoning) · 65 tokens · $0.000010 est. · 1.2 s`.

    Behind the time stands that of the first text. What the provider did not tell is unknown; in a reply that was cut
    it is an estimate, marked with `~`. Words are shortened where that makes it fit `columns`, figures never.
    """
    response = result.response
    if response is None:
        return result.model
    name = response.served_by or result.model
    usage = result.shown_usage
    told = [_SHORT.get(response.finish_reason, response.finish_reason), *_counts(usage)]
    cost = cost_in_words(result.shown_cost_usd, told=usage.cost is not None, about=usage.estimated)
    took = in_short(result.duration_s or 0.0)
    usd = result.saved_usd or 0.0
    saved = f"cache saved {cost_in_words(usd)}" if usd >= _LEAST_SAVED else ""
    longest = " · ".join(filter(None, (name, *told, cost, saved, took)))
    if columns is not None and cells(longest) > columns:
        saved = ""
    told = list(filter(None, (*told, cost, saved, took)))
    first = None if result.first_text_s is None else in_short(result.first_text_s)
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
    counts = [
        _count(usage.request_tokens, "in", details.get("cached_tokens"), "cached"),
        _count(usage.response_tokens, "out", details.get("reasoning_tokens"), "reasoning"),
        _count(usage.total_tokens, "token" if usage.total_tokens == 1 else "tokens"),
    ]
    return [f"~{count}" for count in counts] if usage.estimated else counts


def _count(number: int | None, unit: str, part: int | None = None, part_name: str = "") -> str:
    told = f"unknown {unit}" if number is None else f"{number:,} {unit}"
    return f"{told} ({part:,} {part_name})" if part else told


def cost_in_words(usd: float | None, *, told: bool = False, about: bool = False) -> str:
    """`$12.34 est.`, `$0.000010 est.`: cents, or two digits that say something, up to six places; no `est.` where told.

    Empty for free servers; `unknown cost` where no price is known. `about` marks a cost of estimated tokens with `~`.
    """
    if not usd:
        return "unknown cost" if usd is None else ""
    places = min(max(2, 1 - int(f"{usd:.1e}".partition("e")[2])), 6)
    words = f"{'~' if about else ''}${usd:,.{places}f}" if usd >= 0.000001 else "less than $0.000001"
    return words if told else f"{words} est."
