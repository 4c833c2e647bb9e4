"""Limits and options of Claude models on every host: thinking, effort, longest reply."""

from __future__ import annotations

import re
from typing import Any

# Models up to the 4-5 family: they think within a budget and know no effort.
_BUDGETED = re.compile(r"claude-(?:[123][.-]|[a-z]+-4(?:-[0-5])?(?:-\d{8}|-v\d|$))")
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32000, "max": 48000}


def takes_schema(model: str) -> bool:
    """Whether the API holds the model to a JSON Schema: Opus 4.1, the 4-5 family, and later ones."""
    return bool(re.search("opus-4-1|-4-5", model)) or not _BUDGETED.search(model)


def most_tokens(model: str) -> int:
    """The known maximum of a model's reply, in tokens."""
    if "claude" not in model:
        return 16384
    if not _BUDGETED.search(model):
        return 128_000
    return 64_000 if "-4-5" in model else 8192


def thinking(model: str, effort: str, max_tokens: int) -> dict[str, Any]:
    """The request fields for an effort; a budget has at least 1,024 tokens, and fewer than the longest reply."""
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if _BUDGETED.search(model):
        budget = max(1024, min(_BUDGETS[effort], max_tokens - 1))
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    return {
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low" if effort == "minimal" else effort},
    }
