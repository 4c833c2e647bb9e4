"""Export saved conversations as JSON, and import them: our own export, and the histories of PydanticAI."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmcli.errors import UserError
from llmcli.store.codec import Json, decode, encode, insert_message, read_message, title_of
from llmcli.store.find import check_name, find
from llmcli.store.ids import looks_like_id, now
from llmcli.store.log import begin_conversation, branch, set_tip
from llmcli.store.turns import Place, TurnStart

__all__ = ["FORMAT_VERSION", "Foreign", "exported", "imported", "read_export"]

FORMAT_VERSION = 1
_TURN = (
    *("state", "model", "address", "served_by", "model_name", "finish_reason", "error", "usage", "cost_usd"),
    *("cost_source", "started", "first_text_s", "duration_s", "attempts", "folder"),
)
_JSON = ("error", "usage", "attempts")  # columns that hold JSON


@dataclass(slots=True)
class Foreign:
    """A conversation that is to be imported."""

    source: str | None
    """What tells it from all others: an import of the same source again changes nothing. None: always import."""
    name: str
    model: str
    created: str
    messages: list[Json]
    turns: list[Json] = field(default_factory=list)
    branches: list[Json] = field(default_factory=list)
    id: str | None = None
    title: str = ""


def exported(database: sqlite3.Connection, conversation_id: str) -> Json:
    """One conversation: the messages of the branch in force, all turns, and the other branches.

    `first` of a turn is the index of its request in `messages`; `request` holds it where it is not among them. A branch
    has the messages that follow the first `after` messages.
    """
    one = branch(database, conversation_id)
    folder = database.execute("SELECT folder FROM conversations WHERE id = ?", (conversation_id,)).fetchone()[0]
    return {
        "id": one.id,
        "name": one.name,
        "title": one.title,
        "model": one.model,
        "created": one.created,
        "updated": one.updated,
        "folder": folder,
        "messages": one.messages,
        "turns": list(_turns(database, conversation_id, one.rows)),
        "branches": list(_branches(database, conversation_id, one.rows)),
    }


def _turns(database: sqlite3.Connection, conversation_id: str, path: Sequence[int]) -> Iterator[Json]:
    place = {row: at for at, row in enumerate(path)}
    query = f"SELECT id, {', '.join(_TURN)} FROM turns WHERE conversation_id = ? ORDER BY id"
    for turn, *values in database.execute(query, (conversation_id,)).fetchall():
        fields = dict(zip(_TURN, values, strict=True))
        fields |= {name: json.loads(fields[name]) for name in _JSON if fields[name]}
        first = database.execute(
            "SELECT id, message FROM messages WHERE turn_id = ? ORDER BY id LIMIT 1", (turn,)
        ).fetchone()
        fields["first"] = place.get(first[0]) if first else None
        if fields["state"] == "failed" and first:
            fields["request"] = read_message(database, first[1])
        yield fields


def _branches(database: sqlite3.Connection, conversation_id: str, path: Sequence[int]) -> Iterator[Json]:
    rows = database.execute(
        "SELECT m.id, m.parent, m.message FROM messages m LEFT JOIN turns t ON t.id = m.turn_id"
        " WHERE m.conversation_id = ? AND coalesce(t.state, 'done') = 'done' ORDER BY m.id",
        (conversation_id,),
    ).fetchall()
    main = {row: at for at, row in enumerate(path)}
    others = {row: (parent, text) for row, parent, text in rows if row not in main}
    parents = {parent for parent, _ in others.values()}
    for leaf in others:
        if leaf in parents:
            continue
        messages: list[Json] = []
        row: int | None = leaf
        while row in others:
            row, text = others[row]
            messages.append(read_message(database, text))
        yield {"after": main[row] + 1 if row in main else 0, "messages": messages[::-1]}


def read_export(content: str, name: str) -> list[Foreign]:
    """The conversations of a file: our export as JSON or JSON lines, or a history of PydanticAI.

    Raises UserError for anything else.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("conversations"), list):
        version = found.get("format_version")
        if version != FORMAT_VERSION:
            raise UserError(f"{name} has format_version {version!r}; this version of llmcli reads {FORMAT_VERSION}")
        return [_conversation(one, f"{name}: conversation {at}") for at, one in enumerate(found["conversations"], 1)]
    if isinstance(found, dict):
        return [_conversation(found, name)]
    if isinstance(found, list):
        return [_history(found, name)]
    lines = [line for line in content.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{name} is empty")
    return [_line(line, f"{name}, line {at}") for at, line in enumerate(lines, 1)]


def _line(line: str, where: str) -> Foreign:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON: {error}") from None
    return _history(found, where) if isinstance(found, list) else _conversation(found, where)


def _history(messages: list[Any], where: str) -> Foreign:
    read = _messages(messages, where)
    moments = [one["timestamp"] for one in read if isinstance(one.get("timestamp"), str)]
    models = [one.get("served_by") or one.get("model_name") for one in read if one["kind"] == "response"]
    created = moments[0].replace("Z", "+00:00") if moments else now()
    return Foreign(None, "", next((str(model) for model in reversed(models) if model), "unknown"), created, read)


def _messages(messages: object, where: str) -> list[Json]:
    if not isinstance(messages, list):
        raise UserError(f"{where} has no list of messages")
    try:
        return encode(decode(messages))
    except UserError as error:
        raise UserError(f"{where}: {error.message}") from None


def _conversation(found: object, where: str) -> Foreign:
    if not isinstance(found, dict):
        raise UserError(f"{where} is not a conversation")
    texts = {key: found.get(key) for key in ("id", "name", "title", "model", "created")}
    for key, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise UserError(f"{where}: {key} is not a text")
    turns, branches = found.get("turns") or [], found.get("branches") or []
    if not all(isinstance(one, list) and all(isinstance(item, dict) for item in one) for one in (turns, branches)):
        raise UserError(f"{where}: turns and branches are not lists of objects")
    one = Foreign(
        f"llmcli:{texts['id']}:{texts['created']}" if texts["id"] else None,
        texts["name"] or "",
        texts["model"] or "unknown",
        texts["created"] or now(),
        _messages(found.get("messages"), where),
        turns,
        [{**item, "messages": _messages(item.get("messages"), where)} for item in branches],
    )
    one.id, one.title = texts["id"], texts["title"] or ""
    return one


def imported(database: sqlite3.Connection, one: Foreign) -> str | None:
    """Insert a conversation, and return its ID; None where it was there already. A name that is taken is left out."""
    if one.source and database.execute("SELECT 1 FROM conversations WHERE source = ?", (one.source,)).fetchone():
        return None
    query = "SELECT 1 FROM conversations WHERE id = ? AND created = ?"
    if one.id and database.execute(query, (one.id, one.created)).fetchone():
        return None
    name = _free_name(database, one.name)
    title = one.title or (one.name if not name else "") or title_of(one.messages)
    start = TurnStart(one.model, place=Place(), started=one.created)
    new = begin_conversation(database, start, name=name, title=title, source=one.source)
    if one.id and len(one.id) == len(new) and looks_like_id(one.id) and not find(database, one.id):
        database.execute("UPDATE conversations SET id = ? WHERE id = ?", (one.id, new))
        new = one.id
    turns = _insert_turns(database, new, one)
    rows: list[int] = []
    turn: int | None = None
    for at, message in enumerate(one.messages):
        turn = turns.get(at, turn)
        rows.append(insert_message(database, new, rows[-1] if rows else None, turn, message))
    for other in one.branches:
        after = other.get("after")
        _insert_branch(database, new, rows[: after if isinstance(after, int) else 0], other["messages"])
    set_tip(database, new, rows[-1] if rows else None)
    _count(database, new, one)
    return new


def _free_name(database: sqlite3.Connection, name: str) -> str | None:
    try:
        name = check_name(name)
    except UserError:
        return None
    taken = database.execute("SELECT 1 FROM conversations WHERE name = ?", (name,)).fetchone()
    return None if taken else name


def _insert_turns(database: sqlite3.Connection, new: str, one: Foreign) -> dict[int, int]:
    """Insert the turns with the requests of those that failed; return the row of each by the index of its request."""
    found: dict[int, int] = {}
    for turn in one.turns:
        fields = {name: turn.get(name) for name in _TURN}
        fields |= {name: None if fields[name] is None else json.dumps(fields[name]) for name in _JSON}
        fields |= {name: str(fields[name] or "") for name in ("model", "address")}
        fields["attempts"] = fields["attempts"] or "[]"
        fields["state"] = fields["state"] if fields["state"] in ("done", "failed") else "done"
        fields["started"] = str(fields["started"] or one.created)
        if not all(isinstance(value, str | int | float | None) for value in fields.values()):
            raise UserError(f"the conversation {one.id or one.name} has a turn that cannot be read")
        columns = ", ".join(("conversation_id", *fields))
        marks = ", ".join("?" * (len(fields) + 1))
        query = f"INSERT INTO turns ({columns}) VALUES ({marks})"
        row = database.execute(query, (new, *fields.values())).lastrowid
        assert row is not None
        if isinstance(first := turn.get("first"), int):
            found[first] = row
        if fields["state"] == "failed" and isinstance(turn.get("request"), dict):
            insert_message(database, new, None, row, turn["request"])
    return found


def _insert_branch(database: sqlite3.Connection, new: str, path: list[int], messages: Sequence[Json]) -> None:
    """Insert messages below the last row of the path; those that a branch before has in common are there already."""
    parent = path[-1] if path else None
    for message in messages:
        text = json.dumps(message, sort_keys=True)
        rows = database.execute(
            "SELECT id, message FROM messages WHERE parent IS ? AND conversation_id = ?", (parent, new)
        ).fetchall()
        same = (row for row, one in rows if json.dumps(read_message(database, one), sort_keys=True) == text)
        parent = next(same, None) or insert_message(database, new, parent, None, message)


def _count(database: sqlite3.Connection, new: str, one: Foreign) -> None:
    moments = [message["timestamp"] for message in one.messages if isinstance(message.get("timestamp"), str)]
    updated = max([moment.replace("Z", "+00:00") for moment in moments] or [one.created])
    counts = [
        total
        for message in one.messages
        if isinstance(usage := message.get("usage"), dict)
        for total in [_total(usage)]
        if total is not None
    ]
    requests = sum(message["kind"] == "request" for message in one.messages)
    database.execute(
        "UPDATE conversations SET updated = ?, turns = ?, total_tokens = ?, cost_usd ="
        " (SELECT sum(cost_usd) FROM turns WHERE conversation_id = conversations.id) WHERE id = ?",
        (updated, len(one.turns) or requests, sum(counts) if counts else None, new),
    )


def _total(usage: Json) -> int | None:
    if isinstance(total := usage.get("total_tokens"), int):
        return total
    counts = [usage.get(name) for name in ("input_tokens", "output_tokens")]
    return sum(counts) if all(isinstance(count, int) for count in counts) else None  # type: ignore[arg-type]  # just checked
