"""Estimate costs that were stored without a price, before they are shown or counted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress

from llmcli.usage import Usage

__all__ = ["estimate_costs"]

Price = Callable[[str, Usage], float | None]


def estimate_costs(database: sqlite3.Connection, price: Price) -> None:
    """Put a cost into every row that waits for one; where no price is known it stays unknown."""
    for row, model, priced in _waiting(database, "ledger", "model"):
        cost = _cost(price, model, priced)
        _put(database, "ledger", row, cost)
    for row, model, priced in _waiting(database, "turns", "served_by"):
        cost = _cost(price, model, priced)
        _put(database, "turns", row, cost)
        if cost is not None:
            database.execute(
                "UPDATE conversations SET cost_usd = coalesce(cost_usd, 0) + ?"
                " WHERE id = (SELECT conversation_id FROM turns WHERE id = ?)",
                (cost, row),
            )


def _waiting(database: sqlite3.Connection, table: str, model: str) -> list[tuple[int, str, str]]:
    return database.execute(f"SELECT id, {model}, priced FROM {table} WHERE cost_source = 'later'").fetchall()


def _put(database: sqlite3.Connection, table: str, row: int, cost: float | None) -> None:
    source = None if cost is None else "est"
    database.execute(
        f"UPDATE {table} SET cost_usd = ?, cost_source = ?, priced = NULL WHERE id = ?", (cost, source, row)
    )


def _cost(price: Price, model: str, priced: str) -> float | None:
    with suppress(ValueError, TypeError):
        return price(model, Usage(**json.loads(priced)))
    return None
