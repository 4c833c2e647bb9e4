"""Numbered migrations of the database of saved conversations: each brings a file from one version to the next."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

from llmcli.store.codec import Json, insert_message, title_of
from llmcli.store.ids import new_id

__all__ = ["MIGRATIONS", "migrate"]

# Version 1: llmcli 0.1. A conversation was a list of messages; only named ones were kept.
_LIST_OF_MESSAGES = (
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
)

# Version 2: a conversation is a tree of messages, and every turn has a row.
# Times are UTC in ISO 8601 with a fixed width, so that they sort as text. Costs are USD. A count that the provider did
# not tell is null.
_TREE_OF_MESSAGES = (
    """CREATE TABLE conversations (
        id TEXT PRIMARY KEY,
        name TEXT UNIQUE,
        title TEXT NOT NULL,
        model TEXT NOT NULL,       -- that answered last, else as asked for
        address TEXT NOT NULL,     -- of that model, without credentials
        tip INTEGER,               -- the last message of the branch in force
        created TEXT NOT NULL,
        updated TEXT NOT NULL,
        folder TEXT,
        terminal TEXT,
        turns INTEGER NOT NULL DEFAULT 0,
        total_tokens INTEGER,      -- sum over the turns; null when none is known
        cost_usd REAL,
        source TEXT UNIQUE         -- where an imported conversation came from
    ) WITHOUT ROWID""",
    "CREATE INDEX conversations_by_date ON conversations (updated)",
    "CREATE INDEX conversations_by_terminal ON conversations (terminal, updated)",
    "CREATE INDEX conversations_by_folder ON conversations (folder, updated)",
    """CREATE TABLE turns (
        id INTEGER PRIMARY KEY,
        conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        state TEXT NOT NULL,       -- running, done, or failed: without any reply
        process TEXT,              -- of a running turn
        model TEXT NOT NULL,       -- as asked for
        address TEXT NOT NULL,
        served_by TEXT,
        model_name TEXT,
        finish_reason TEXT,
        error TEXT,                -- JSON: kind, status, message, hint
        usage TEXT,                -- JSON: requests, request_tokens, response_tokens, total_tokens, details
        cost_usd REAL,
        cost_source TEXT,          -- told, est, or later: to be estimated from priced
        priced TEXT,               -- JSON: usage
        started TEXT NOT NULL,
        first_text_s REAL,
        duration_s REAL,
        attempts TEXT NOT NULL DEFAULT '[]',
        folder TEXT,
        terminal TEXT
    )""",
    "CREATE INDEX turns_of_conversation ON turns (conversation_id)",
    "CREATE INDEX running_turns ON turns (id) WHERE state = 'running'",
    """CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        parent INTEGER REFERENCES messages (id),  -- no cascade: SQLite's is at most 1000 deep
        turn_id INTEGER REFERENCES turns (id),
        message TEXT NOT NULL      -- JSON; the data of files is in attachments
    )""",
    "CREATE INDEX messages_of_conversation ON messages (conversation_id)",
    "CREATE INDEX messages_by_parent ON messages (parent)",
    "CREATE INDEX messages_of_turn ON messages (turn_id)",
    """CREATE TABLE pieces (             -- text of a running turn
        id INTEGER PRIMARY KEY,
        turn_id INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,        -- text or thinking
        text TEXT NOT NULL
    )""",
    "CREATE INDEX pieces_of_turn ON pieces (turn_id)",
    "CREATE TABLE attachments (hash TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE message_attachments (
        message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        hash TEXT NOT NULL REFERENCES attachments (hash),
        PRIMARY KEY (message_id, hash)
    ) WITHOUT ROWID""",
    "CREATE INDEX messages_of_attachment ON message_attachments (hash)",
    """CREATE TABLE texts (              -- what log search looks through
        message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
        text TEXT NOT NULL
    )""",
    """CREATE VIRTUAL TABLE search USING fts5 (
        text, content = 'texts', content_rowid = 'message_id', tokenize = 'trigram'
    )""",
    """CREATE TABLE ledger (             -- every answered prompt, saved or not; no text
        id INTEGER PRIMARY KEY,
        created TEXT NOT NULL,
        model TEXT NOT NULL,       -- provider:model that answered
        conversation_id TEXT,
        requests INTEGER NOT NULL,
        request_tokens INTEGER,
        response_tokens INTEGER,
        total_tokens INTEGER,
        cost_usd REAL,
        cost_source TEXT,
        priced TEXT,
        duration_s REAL
    )""",
    "CREATE INDEX ledger_by_date ON ledger (created)",
    "CREATE INDEX ledger_without_cost ON ledger (id) WHERE cost_source = 'later'",
    "CREATE INDEX turns_without_cost ON turns (id) WHERE cost_source = 'later'",
    "CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)


def _to_tree(database: sqlite3.Connection) -> None:
    """Version 1 to 2: names and dates stay, the ID comes from `created`, and the usage of the turns is null."""
    database.execute("ALTER TABLE conversations RENAME TO old_conversations")
    database.execute("ALTER TABLE messages RENAME TO old_messages")
    for statement in _TREE_OF_MESSAGES:
        database.execute(statement)
    old = database.execute(
        "SELECT id, name, model, created, updated FROM old_conversations ORDER BY created"
    ).fetchall()
    for old_id, name, model, created, updated in old:
        rows = database.execute(
            "SELECT message FROM old_messages WHERE conversation_id = ? ORDER BY position", (old_id,)
        ).fetchall()
        _move(database, name, model, _sortable(created), _sortable(updated), [text for (text,) in rows])
    database.execute("DROP TABLE old_messages")
    database.execute("DROP TABLE old_conversations")


def _move(
    database: sqlite3.Connection, name: str | None, model: str, created: str, updated: str, messages: Sequence[str]
) -> None:
    """Insert one conversation of version 1 as a chain of messages. A message that is no JSON moves as it is."""
    new = new_id(database, created)
    decoded = [_decoded(message) for message in messages]
    database.execute(
        "INSERT INTO conversations (id, name, title, model, address, created, updated) VALUES (?, ?, ?, ?, '', ?, ?)",
        (new, name, title_of(decoded), model, created, updated),
    )
    parent = turn = None
    turns = 0
    for text, message in zip(messages, decoded, strict=True):
        if message.get("kind") == "request" or turn is None:
            turns += 1
            turn = database.execute(
                "INSERT INTO turns (conversation_id, state, model, address, started) VALUES (?, 'done', ?, '', ?)",
                (new, model, created),
            ).lastrowid
        else:
            ended = (message.get("served_by"), message.get("model_name"), message.get("finish_reason"), turn)
            database.execute("UPDATE turns SET served_by = ?, model_name = ?, finish_reason = ? WHERE id = ?", ended)
        parent = insert_message(database, new, parent, turn, message or text)
    database.execute("UPDATE conversations SET tip = ?, turns = ? WHERE id = ?", (parent, turns, new))


def _decoded(text: str) -> Json:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _sortable(moment: str) -> str:
    """A time of version 1, which has seconds, at the width of version 2, which has milliseconds."""
    return moment.replace("+00:00", ".000+00:00") if len(moment) == len("2026-01-02T03:04:05+00:00") else moment


Migration = Sequence[str] | Callable[[sqlite3.Connection], None]
MIGRATIONS: tuple[Migration, ...] = (_LIST_OF_MESSAGES, _to_tree)
"""Step N brings a file from version N to N + 1; `PRAGMA user_version` holds the version of a file."""


def migrate(database: sqlite3.Connection, version: int) -> None:
    """Bring a database to the latest version, inside the caller's transaction."""
    for step in MIGRATIONS[version:]:
        if callable(step):
            step(database)
        else:
            for statement in step:
                database.execute(statement)
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
