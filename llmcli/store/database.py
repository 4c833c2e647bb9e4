"""Saved conversations, in one SQLite file that only its owner can read.

A conversation is a row of `conversations`, its messages are rows of `messages` as JSON, with the `kind` and
`part_kind` tags that tell them apart. `name` is null for one that nobody named. No write-ahead log: one short
transaction now and then needs none, and the database stays a single file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from llmcli.errors import UserError
from llmcli.history import dump_messages, load_messages
from llmcli.messages import ModelMessage, UserPromptPart
from llmcli.paths import private_file

__all__ = ["Saved", "listed", "load", "save"]

# What each version adds to the one before; PRAGMA user_version counts those that a file has seen.
_VERSIONS = (
    (
        """CREATE TABLE conversations (
            id TEXT PRIMARY KEY,
            name TEXT UNIQUE,
            model TEXT NOT NULL,
            first_words TEXT NOT NULL,
            created TEXT NOT NULL,
            updated TEXT NOT NULL
        )""",
        """CREATE TABLE messages (
            conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            message TEXT NOT NULL,
            PRIMARY KEY (conversation_id, position)
        ) WITHOUT ROWID""",
    ),
)
_WAIT_S = 5.0  # for another process that is writing


@dataclass(frozen=True)
class Saved:
    """A saved conversation without its messages; `model` as it was asked for, `updated` in UTC."""

    id: str
    name: str
    model: str
    first_words: str
    updated: datetime


def save(id: str, name: str, model: str, messages: Sequence[ModelMessage]) -> None:  # noqa: A002 - as the column
    """Write a conversation, new or again. Raises UserError where another one has the name, or it cannot be written."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with _database() as database:
        taken = database.execute("SELECT 1 FROM conversations WHERE name = ? AND id != ?", (name, id)).fetchone()
        if taken:
            raise UserError(f"there is a saved session {name} already", hint="choose another name: /save NAME")
        database.execute(
            "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "name = excluded.name, model = excluded.model, first_words = excluded.first_words, "
            "updated = excluded.updated",
            (id, name, model, _first_words(messages), now, now),
        )
        database.execute("DELETE FROM messages WHERE conversation_id = ?", (id,))
        database.executemany(
            "INSERT INTO messages VALUES (?, ?, ?)",
            ((id, position, dump_messages([one]).decode()[1:-1]) for position, one in enumerate(messages)),
        )


def listed() -> list[Saved]:
    """Those with a name, the latest first. Raises UserError."""
    query = "SELECT id, name, model, first_words, updated FROM conversations WHERE name IS NOT NULL"
    with _database() as database:
        rows = database.execute(f"{query} ORDER BY updated DESC").fetchall()
    return [
        Saved(id, name, model, first_words, datetime.fromisoformat(updated))
        for id, name, model, first_words, updated in rows  # noqa: A001 - as the column
    ]


def load(name: str) -> tuple[Saved, list[ModelMessage]]:
    """A saved conversation. Raises UserError where there is none of that name, or it cannot be read."""
    found = next((one for one in listed() if one.name == name), None)
    if not found:
        raise UserError(f"there is no saved session {name}", hint="/sessions lists them")
    query = "SELECT message FROM messages WHERE conversation_id = ? ORDER BY position"
    with _database() as database:
        rows = database.execute(query, (found.id,)).fetchall()
    try:
        return found, [one for (text,) in rows for one in load_messages(f"[{text}]" if text else "")]
    except UserError as error:
        raise UserError(f"the saved session {name} cannot be read: {error.message}") from None


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    """The open database, at the present version; what is done inside is one transaction."""
    path: Path | None = None
    try:
        path = private_file("data", "conversations.db")
        with closing(sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)) as database, database:
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("BEGIN IMMEDIATE")
            _bring_up_to_date(database, path)
            yield database
    except OSError as error:
        raise UserError(f"cannot open the saved sessions: {error.strerror}: {error.filename}") from None
    except (sqlite3.Error, ValueError, TypeError) as error:  # broken, locked, or full of something else
        hint = f"if it is broken, move it away: {path}"
        raise UserError(f"the saved sessions cannot be read or written: {error}", hint=hint) from None


def _bring_up_to_date(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(_VERSIONS):
        hint = "upgrade llmcli, or move the file away"
        raise UserError(f"{path} was written by a newer version of llmcli", hint=hint)
    for statement in chain.from_iterable(_VERSIONS[version:]):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {len(_VERSIONS)}")


def _first_words(messages: Sequence[ModelMessage]) -> str:
    parts = (part for message in messages for part in message.parts)
    return next((" ".join(part.text.split())[:80] for part in parts if isinstance(part, UserPromptPart)), "")
