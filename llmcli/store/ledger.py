"""The ledger: model, tokens, cost and time of every answered prompt, saved or not; no text."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from llmcli.store.ids import now
from llmcli.store.log import usage_json
from llmcli.store.turns import TurnEnd

__all__ = ["By", "Spent", "add_entry", "cost_since", "spent", "start_of_day", "start_of_month"]

By = Literal["model", "day", "provider", "conversation"]

_GROUPS: Mapping[str, str] = {
    "model": "l.model",
    "day": "date(l.created, 'localtime')",
    "provider": "substr(l.model, 1, instr(l.model || ':', ':') - 1)",
    "conversation": "coalesce(c.name, l.conversation_id)",
}


@dataclass(slots=True)
class Spent:
    """What one model, day, provider or conversation has used. A count is None where the provider told none."""

    key: str | None
    """None for prompts that belong to no conversation."""
    requests: int
    request_tokens: int | None
    response_tokens: int | None
    total_tokens: int | None
    requests_unknown: int
    """Requests whose tokens or cost are unknown: the sums do not contain them."""
    cost_told_usd: float | None
    """As the vendors told it; None where no vendor told a cost."""
    cost_est_usd: float | None
    """By the price list; None where no cost was estimated."""


def add_entry(database: sqlite3.Connection, conversation_id: str | None, end: TurnEnd) -> None:
    """Insert one row for a turn that was answered; none for a turn that no model answered."""
    if end.served_by is None:
        return
    usage = end.usage
    counts = (
        (usage.requests, usage.request_tokens, usage.response_tokens, usage.total_tokens) if usage else (1, *[None] * 3)
    )
    database.execute(
        "INSERT INTO ledger (created, model, conversation_id, requests, request_tokens, response_tokens, total_tokens,"
        " cost_usd, cost_source, duration_s, priced) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(now(), end.served_by, conversation_id, *counts, end.cost_usd, end.cost_source, end.duration_s),
            usage_json(end.priced),
        ),
    )


def spent(database: sqlite3.Connection, by: By, since: datetime | None = None) -> list[Spent]:
    """What was used since then, grouped: days in their order, all others by the tokens, most first."""
    unknown = "l.total_tokens IS NULL OR l.request_tokens IS NULL OR l.response_tokens IS NULL OR l.cost_usd IS NULL"
    rows = database.execute(
        f"SELECT {_GROUPS[by]} AS key, sum(l.requests), sum(l.request_tokens), sum(l.response_tokens),"
        f" sum(l.total_tokens), sum(CASE WHEN {unknown} THEN l.requests ELSE 0 END),"
        " sum(CASE l.cost_source WHEN 'told' THEN l.cost_usd END),"
        " sum(CASE l.cost_source WHEN 'est' THEN l.cost_usd END)"
        " FROM ledger l LEFT JOIN conversations c ON c.id = l.conversation_id WHERE l.created >= ?"
        f" GROUP BY key ORDER BY {'key' if by == 'day' else 'sum(l.total_tokens) DESC, key'}",
        (_text(since) if since else "",),
    )
    return [Spent(*row) for row in rows]


def cost_since(database: sqlite3.Connection, since: datetime) -> float:
    """The USD spent since then, told and estimated, as far as they are known."""
    query = "SELECT coalesce(sum(cost_usd), 0) FROM ledger WHERE created >= ?"
    cost: float = database.execute(query, (_text(since),)).fetchone()[0]
    return cost


def start_of_day() -> datetime:
    """When the local day began."""
    return datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)


def start_of_month() -> datetime:
    """When the local month began."""
    return start_of_day().replace(day=1)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
