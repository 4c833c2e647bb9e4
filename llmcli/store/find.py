"""Find saved conversations: by name, by the beginning of an ID, by `last~1`, by terminal and by folder; list them."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

from llmcli.errors import UserError
from llmcli.store.ids import looks_like_id
from llmcli.store.turns import Place

__all__ = ["Listed", "check_name", "find", "latest", "listed", "matching_names", "rename"]

_LAST = re.compile(r"last(?:~(\d{1,9}))?")


@dataclass(slots=True)
class Listed:
    """A conversation as `log list` shows it, without its messages."""

    id: str
    name: str | None
    title: str
    model: str
    created: str
    updated: str
    turns: int
    total_tokens: int | None
    cost_usd: float | None
    folder: str | None


_COLUMNS = "id, name, title, model, created, updated, turns, total_tokens, cost_usd, folder"


def listed(database: sqlite3.Connection, limit: int | None = None) -> list[Listed]:
    """The conversations, latest first."""
    query = f"SELECT {_COLUMNS} FROM conversations ORDER BY updated DESC LIMIT ?"
    return [Listed(*row) for row in database.execute(query, (-1 if limit is None else limit,))]


def find(database: sqlite3.Connection, word: str) -> Listed | None:
    """The conversation of this exact name, else of the ID that begins so; also `last` and `last~N`.

    None where there is none. Raises UserError where several IDs begin so.
    """
    row = database.execute(f"SELECT {_COLUMNS} FROM conversations WHERE name = ?", (word,)).fetchone()
    if row:
        return Listed(*row)
    if last := _LAST.fullmatch(word):
        query = f"SELECT {_COLUMNS} FROM conversations ORDER BY updated DESC LIMIT 1 OFFSET ?"
        row = database.execute(query, (int(last[1] or 0),)).fetchone()
        return Listed(*row) if row else None
    if not looks_like_id(word):
        return None
    query = f"SELECT {_COLUMNS} FROM conversations WHERE id >= ? AND id < ? LIMIT 9"
    rows = database.execute(query, (word, f"{word}g")).fetchall()  # g follows the hexadecimal digits
    if len(rows) > 1:
        raise UserError(f"several conversations begin with {word}: {', '.join(row[0] for row in rows)}")
    return Listed(*rows[0]) if rows else None


def latest(database: sqlite3.Connection, place: Place) -> tuple[Listed, str] | None:
    """The last conversation of this terminal, else of this folder, with the word for where it was found."""
    for column, value in (("terminal", place.terminal), ("folder", place.folder)):
        if value is not None:
            query = f"SELECT {_COLUMNS} FROM conversations WHERE {column} = ? ORDER BY updated DESC LIMIT 1"
            if row := database.execute(query, (value,)).fetchone():
                return Listed(*row), column
    return None


def matching_names(database: sqlite3.Connection, start: str) -> list[str]:
    """The names that begin so, and the IDs where 4 digits or more are given; latest first, at most 100."""
    query = (
        "SELECT name FROM conversations WHERE name IS NOT NULL AND substr(name, 1, ?) = ?"
        " ORDER BY updated DESC LIMIT 100"
    )
    names = [name for (name,) in database.execute(query, (len(start), start))]
    if looks_like_id(start):
        ids = database.execute("SELECT id FROM conversations WHERE id >= ? AND id < ? LIMIT 20", (start, f"{start}g"))
        names += [name for (name,) in ids]
    return names


def check_name(name: str) -> str:
    """The name without blanks around it. Raises UserError for what cannot be the name of a conversation."""
    name = name.strip()
    if not name:
        raise UserError("a conversation needs a name that is not empty")
    if len(name) > 200:
        raise UserError("the name of a conversation has at most 200 characters")
    if not name.isprintable():
        raise UserError(f"a name has no control characters: {name!r}")
    if ":" in name:
        raise UserError(f"{name}: a name has no colon", hint="NAME:N is message N of a conversation")
    if looks_like_id(name) or _LAST.fullmatch(name):
        what = "the ID of a conversation" if looks_like_id(name) else "the word for the last conversation"
        raise UserError(f"{name}: a name must not look like {what}", hint="choose another name")
    return name


def rename(database: sqlite3.Connection, conversation_id: str, name: str) -> str:
    """Give a conversation a name, and return it. Raises UserError where another conversation has it."""
    name = check_name(name)
    query = "SELECT id FROM conversations WHERE name = ? AND id != ?"
    if taken := database.execute(query, (name, conversation_id)).fetchone():
        raise UserError(f"the conversation {taken[0]} has the name {name} already", hint="choose another name")
    database.execute("UPDATE conversations SET name = ? WHERE id = ?", (name, conversation_id))
    return name
