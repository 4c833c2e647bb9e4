"""Delete saved conversations so that no file of the data folder holds their text any more."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llmcli.errors import UserError
from llmcli.paths import data_path, state_path
from llmcli.store.database import BACKUP, StoreError, connect, errors_in_words, transaction, writing
from llmcli.store.find import Listed

__all__ = ["delete", "moment_before", "older_than", "prune_daily", "seconds_in"]

_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "m": 30 * 86_400, "y": 365 * 86_400}
HISTORY = "prompt_history"  # of the lines typed in sessions; in the state folder


def seconds_in(age: str) -> int:
    """The seconds of an age such as 12h, 30d, 4w, 6m or 1y. Raises UserError."""
    found = re.fullmatch(r"(\d{1,6})([hdwmy])", age.strip())
    if not found:
        raise UserError(f"{age} is not an age", hint="write it as 12h, 30d, 4w, 6m or 1y")
    return int(found[1]) * _UNITS[found[2]]


def older_than(database: sqlite3.Connection, moment: str) -> list[Listed]:
    """The conversations whose last turn was before this time, oldest first."""
    columns = "id, name, title, model, created, updated, turns, total_tokens, cost_usd, folder"
    query = f"SELECT {columns} FROM conversations WHERE updated < ? ORDER BY updated"
    return [Listed(*row) for row in database.execute(query, (moment,))]


def prune_daily(age: str) -> None:
    """Delete the conversations that are older than this, at most once a day. Raises UserError and StoreError."""
    seconds = seconds_in(age)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    with writing() as database:
        last = database.execute("SELECT value FROM notes WHERE name = 'pruned'").fetchone()
        if last and last[0] == today:
            return
        database.execute("INSERT OR REPLACE INTO notes VALUES ('pruned', ?)", (today,))
        old = [one.id for one in older_than(database, moment_before(seconds))]
    delete(old)


def moment_before(seconds: int) -> str:
    """The time so many seconds ago, as the database writes times."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def delete(ids: Sequence[str]) -> None:
    """Delete conversations with their text in the database, its backup and the history of typed prompts.

    The ledger keeps their tokens and cost. Raises StoreError.
    """
    if not ids:
        return
    with errors_in_words(), closing(connect()) as database:
        chosen = (json.dumps(list(ids)),)
        among = "(SELECT value FROM json_each(?))"
        with transaction(database):
            texts = [
                text
                for (text,) in database.execute(
                    "SELECT text FROM texts JOIN messages ON messages.id = texts.message_id"
                    f" WHERE conversation_id IN {among}",
                    chosen,
                )
            ]
            systems = [
                text
                for (text,) in database.execute(
                    "SELECT json_extract(part.value, '$.content') FROM messages,"
                    " json_each(messages.message, '$.parts') AS part WHERE json_valid(messages.message)"
                    f" AND conversation_id IN {among} AND json_extract(part.value, '$.part_kind') = 'system-prompt'",
                    chosen,
                )
            ]
            names = [
                name
                for (name,) in database.execute(
                    f"SELECT name FROM conversations WHERE name IS NOT NULL AND id IN {among}", chosen
                )
            ]
            database.execute(f"UPDATE conversations SET tip = NULL WHERE id IN {among}", chosen)
            database.execute(f"DELETE FROM conversations WHERE id IN {among}", chosen)
            database.execute("DELETE FROM attachments WHERE hash NOT IN (SELECT hash FROM message_attachments)")
        _scrub(database)
    with suppress(FileNotFoundError):
        data_path(BACKUP).unlink()
    _forget_typed([*texts, *systems, *names])


def _scrub(database: sqlite3.Connection) -> None:
    """Write the database anew, with a new index for search, and empty the write-ahead log.

    The index of FTS5 keeps deleted text until it merges its segments: only a rebuild removes it at once.
    """
    database.execute("PRAGMA temp_store = MEMORY")  # else VACUUM writes the text to a temporary file
    with transaction(database):
        database.execute("INSERT INTO search (search) VALUES ('rebuild')")
    database.execute("VACUUM")
    busy = database.execute("PRAGMA wal_checkpoint (TRUNCATE)").fetchone()[0]
    if busy:
        hint = "end other llmcli processes, then run llmcli log prune --older-than 100y --yes"
        raise StoreError("deleted, but another process keeps the text in the write-ahead log", hint=hint)


def _forget_typed(texts: Iterable[str]) -> None:
    """Remove the lines from the history of typed prompts that occur in these texts."""
    file = state_path(HISTORY)
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
    except FileNotFoundError:
        return
    whole = "\0".join(texts)
    kept = [entry for entry in _entries(lines) if not _occurs(entry, whole)]
    _replace(file, "".join(line for entry in kept for line in entry))


def _entries(lines: Iterable[str]) -> Iterable[list[str]]:
    """The entries of prompt_toolkit's FileHistory: a comment with the time, then the lines with a plus before each."""
    entry: list[str] = []
    for line in lines:
        if not line.startswith("+") and any(one.startswith("+") for one in entry):
            yield entry
            entry = []
        entry.append(line)
    if entry:
        yield entry


def _occurs(entry: Sequence[str], whole: str) -> bool:
    typed = "".join(line[1:] for line in entry if line.startswith("+")).strip()
    argument = typed.partition(" ")[2].strip() if typed.startswith("/") else ""
    return any(text and text in whole for text in (typed, typed.removeprefix("/"), argument))


def _replace(file: Path, text: str) -> None:
    """Put the text into the place of the file's, at once."""
    with tempfile.NamedTemporaryFile("wb", dir=file.parent, delete=False) as new:  # 0600
        new.write(text.encode("utf-8", "surrogateescape"))
    os.replace(new.name, file)
