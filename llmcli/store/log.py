"""Append turns to saved conversations, and read branches of them. Every function works in the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmcli.store.codec import Json, insert_message, read_message, title_of
from llmcli.store.database import StoreError
from llmcli.store.ids import new_id, now
from llmcli.store.processes import is_running, this_process
from llmcli.store.turns import Place, TurnEnd, TurnStart
from llmcli.usage import Usage

__all__ = [
    "Branch",
    "add_text",
    "append_messages",
    "begin_conversation",
    "begin_turn",
    "branch",
    "count_turns",
    "end_turn",
    "mend",
    "replace_message",
    "set_tip",
    "usage_json",
]


@dataclass(slots=True)
class Branch:
    """A conversation with the messages from its root to one message, and their rows in the same order."""

    id: str
    name: str | None
    title: str
    model: str
    address: str
    created: str
    updated: str
    rows: list[int]
    messages: list[Json]


def begin_conversation(
    database: sqlite3.Connection,
    start: TurnStart,
    *,
    name: str | None = None,
    title: str = "",
    source: str | None = None,
) -> str:
    """Insert a conversation without a message, and return its ID."""
    new, place = new_id(database, start.started), start.place or Place()
    database.execute(
        "INSERT INTO conversations (id, name, title, model, address, created, updated, folder, terminal, source)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(new, name, title, start.model, start.address, start.started, start.started),
            *(place.folder, place.terminal, source),
        ),
    )
    return new


def append_messages(
    database: sqlite3.Connection,
    conversation_id: str,
    parent: int | None,
    turn_id: int | None,
    messages: Sequence[Json],
) -> list[int]:
    """Insert messages one below the other, the first below `parent`; return their rows."""
    rows = []
    for message in messages:
        parent = insert_message(database, conversation_id, parent, turn_id, message)
        rows.append(parent)
    return rows


def begin_turn(
    database: sqlite3.Connection, conversation_id: str, parent: int | None, start: TurnStart, request: Json
) -> tuple[int, int]:
    """Insert a running turn with its request; return the rows of both."""
    place = start.place or Place()
    turn = database.execute(
        "INSERT INTO turns (conversation_id, state, process, model, address, started, folder, terminal)"
        " VALUES (?, 'running', ?, ?, ?, ?, ?, ?)",
        (
            *(conversation_id, this_process(), start.model, start.address, start.started),
            *(place.folder, place.terminal),
        ),
    ).lastrowid
    assert turn is not None
    row = insert_message(database, conversation_id, parent, turn, request)
    database.execute(
        "UPDATE conversations SET updated = ?, model = ?, address = ?, folder = coalesce(?, folder),"
        " terminal = coalesce(?, terminal), turns = turns + 1,"
        " title = CASE title WHEN '' THEN ? ELSE title END WHERE id = ?",
        (
            *(start.started, start.model, start.address, place.folder, place.terminal),
            *(title_of([request]), conversation_id),
        ),
    )
    return turn, row


def add_text(database: sqlite3.Connection, turn_id: int, kind: str, text: str) -> None:
    """Insert text of a running turn as it has arrived; `kind` is text or thinking."""
    storable = text.encode("utf-8", "replace").decode()
    database.execute("INSERT INTO pieces (turn_id, kind, text) VALUES (?, ?, ?)", (turn_id, kind, storable))


def end_turn(
    database: sqlite3.Connection,
    conversation_id: str,
    turn_id: int,
    request: int,
    messages: Sequence[Json],
    end: TurnEnd,
) -> tuple[list[int], bool]:
    """Insert the messages that followed the request, and close the turn.

    Returns their rows, and whether another process has gone on with the conversation since the request was sent: then
    both branches are there, and this one is in force. A turn without any message has failed: its request stays, and
    is not part of a branch.
    """
    rows = append_messages(database, conversation_id, request, turn_id, messages)
    database.execute("DELETE FROM pieces WHERE turn_id = ?", (turn_id,))
    usage = usage_json(end.usage)
    database.execute(
        "UPDATE turns SET state = ?, process = NULL, served_by = ?, model_name = ?, finish_reason = ?, error = ?,"
        " usage = ?, cost_usd = ?, cost_source = ?, priced = ?, first_text_s = ?, duration_s = ?, attempts = ?"
        " WHERE id = ?",
        (
            *("done" if rows else "failed", end.served_by, end.model_name, end.finish_reason, _json(end.error)),
            *(usage, end.cost_usd, end.cost_source, usage_json(end.priced), end.first_text_s, end.duration_s),
            *(_json(list(end.attempts)), turn_id),
        ),
    )
    total = end.usage.total_tokens if end.usage else None
    _add_up(database, conversation_id, total, end.cost_usd)
    if not rows:
        return rows, False
    if end.served_by:
        database.execute(
            "UPDATE conversations SET model = ?, address = ? WHERE id = ?",
            (end.served_by, end.address, conversation_id),
        )
    parent = database.execute("SELECT parent FROM messages WHERE id = ?", (request,)).fetchone()[0]
    tip = database.execute("SELECT tip FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    set_tip(database, conversation_id, rows[-1])
    return rows, tip is not None and tip[0] != parent


def _add_up(database: sqlite3.Connection, conversation_id: str, tokens: int | None, cost: float | None) -> None:
    """Count a turn into the sums of its conversation; what is unknown changes nothing."""
    database.execute(
        "UPDATE conversations SET updated = ?,"
        " total_tokens = CASE WHEN ? IS NULL THEN total_tokens ELSE coalesce(total_tokens, 0) + ? END,"
        " cost_usd = CASE WHEN ? IS NULL THEN cost_usd ELSE coalesce(cost_usd, 0) + ? END WHERE id = ?",
        (now(), tokens, tokens, cost, cost, conversation_id),
    )


def usage_json(usage: Usage | None) -> str | None:
    """The counts of a usage as a JSON object."""
    if usage is None:
        return None
    names = ("requests", "request_tokens", "response_tokens", "total_tokens", "details")
    return _json({name: getattr(usage, name) for name in names})


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=True)


def replace_message(database: sqlite3.Connection, row: int, message: Json) -> None:
    """Write the parts of a message anew; its files and its text for search stay as they are."""
    text = json.dumps(message, ensure_ascii=True, separators=(",", ":"))
    database.execute("UPDATE messages SET message = ? WHERE id = ?", (text, row))


def set_tip(database: sqlite3.Connection, conversation_id: str, row: int | None) -> None:
    """Put the branch in force that ends with this message; None: an empty one."""
    database.execute("UPDATE conversations SET tip = ? WHERE id = ?", (row, conversation_id))


def count_turns(database: sqlite3.Connection, conversation_id: str, turns: int) -> None:
    """Count turns that have no row of their own, as those of a fork."""
    database.execute("UPDATE conversations SET turns = turns + ? WHERE id = ?", (turns, conversation_id))


def branch(database: sqlite3.Connection, conversation_id: str) -> Branch:
    """Read the branch in force. Raises StoreError where a message of it cannot be read."""
    found = database.execute(
        "SELECT id, name, title, model, address, created, updated, tip FROM conversations WHERE id = ?",
        (conversation_id,),
    ).fetchone()
    if found is None:
        raise StoreError(f"the conversation {conversation_id} was deleted")
    name, tip = found[1], found[7]
    rows = database.execute(
        "WITH RECURSIVE path (id, parent, message) AS ("
        " SELECT id, parent, message FROM messages WHERE id = ?"
        " UNION ALL SELECT m.id, m.parent, m.message FROM messages m JOIN path ON m.id = path.parent)"
        " SELECT id, message FROM path",
        (tip,),
    ).fetchall()
    rows.reverse()
    try:
        messages = [read_message(database, text) for _, text in rows]
    except (ValueError, RecursionError) as error:
        raise StoreError(f"the conversation {name or conversation_id} cannot be read: {error}") from None
    columns = dict(zip(("id", "name", "title", "model", "address", "created", "updated"), found, strict=False))
    return Branch(**columns, rows=[row for row, _ in rows], messages=messages)


def mend(database: sqlite3.Connection) -> None:
    """Close the turns of processes that were killed: what was written of a reply becomes an interrupted response."""
    running = database.execute(
        "SELECT id, conversation_id, process, model FROM turns WHERE state = 'running'"
    ).fetchall()
    for turn, conversation, process, model in running:
        if is_running(process):
            continue
        found = database.execute("SELECT id FROM messages WHERE turn_id = ? ORDER BY id LIMIT 1", (turn,)).fetchone()
        pieces = database.execute("SELECT kind, text FROM pieces WHERE turn_id = ? ORDER BY id", (turn,)).fetchall()
        end = TurnEnd(finish_reason="interrupted", error={"kind": "interrupted", "message": "llmcli was killed"})
        if found is None:
            database.execute("DELETE FROM turns WHERE id = ?", (turn,))
        else:
            end_turn(database, conversation, turn, found[0], _interrupted(pieces, model), end)


def _interrupted(pieces: Sequence[tuple[str, str]], model: str) -> list[Json]:
    """The response that these pieces were the beginning of; no message where there are none."""
    parts = []
    for kind in ("thinking", "text"):
        if text := "".join(piece for one, piece in pieces if one == kind):
            parts.append({"part_kind": kind, "content": text})
    if not parts:
        return []
    ended = {"state": "interrupted", "ended": "interrupted", "finish_reason": None}
    return [{"kind": "response", "parts": parts, "served_by": model, "timestamp": now(), **ended}]
