"""Convert messages to database rows and back: JSON without file data, text for search, and a title."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmcli.history import dump_messages, load_messages
from llmcli.messages import ModelMessage

__all__ = ["Json", "decode", "encode", "insert_message", "read_message", "searched_text", "title_of"]

Json = dict[str, Any]
_LONGEST_TITLE = 80  # characters
# A file of `-f` as it stands in a prompt: its name, and its text in a fence.
_FENCED_FILE = re.compile(r"[^\n]+:\n(`{3,})\n.*?\n?\1(?:\n\s*|\Z)", re.DOTALL)


def encode(messages: Sequence[ModelMessage]) -> list[Json]:
    """Messages as JSON objects."""
    found: list[Json] = json.loads(dump_messages(messages))
    return found


def decode(messages: Sequence[Json]) -> list[ModelMessage]:
    """Messages from JSON objects. Raises UserError for what is no message."""
    return load_messages(list(messages))


def searched_text(message: Mapping[str, Any]) -> str:
    """The text of a message that `log search` looks through: prompts, replies and results of tools."""
    return "\n\n".join(_texts(message))


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    parts = message.get("parts")
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, dict) or part.get("part_kind") not in ("user-prompt", "text", "tool-return"):
            continue
        content = part.get("content")
        for item in content if isinstance(content, list) else [content]:
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict) and isinstance(item.get("name"), str):  # a file
                yield item["name"]


def title_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The first words of the first prompt, without the files before it."""
    for message in messages:
        parts = message.get("parts")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part.get("part_kind") == "user-prompt":
                content = part.get("content")
                items = content if isinstance(content, list) else [content]
                text = "\n\n".join(item for item in items if isinstance(item, str))
                return _short(_without_files(text)) or _short(text)
    return ""


def _without_files(text: str) -> str:
    at = 0
    while found := _FENCED_FILE.match(text, at):
        at = found.end()
    return text[at:]


def _short(text: str) -> str:
    words = " ".join(text[: 20 * _LONGEST_TITLE].split())
    return words if len(words) <= _LONGEST_TITLE else f"{words[: _LONGEST_TITLE - 1]}…"


def insert_message(
    database: sqlite3.Connection, conversation_id: str, parent: int | None, turn_id: int | None, message: Json | str
) -> int:
    """Insert one message, its files and its text for search; return its row.

    A message that is a text, and no JSON object, is stored as it is.
    """
    files: dict[str, bytes] = {}
    if isinstance(message, str):
        text, message = message, {}
    else:
        text = json.dumps(_without_data(message, files), ensure_ascii=False, separators=(",", ":"))
    row = database.execute(
        "INSERT INTO messages (conversation_id, parent, turn_id, message) VALUES (?, ?, ?, ?)",
        (conversation_id, parent, turn_id, _storable(text)),
    ).lastrowid
    assert row is not None
    for name, data in files.items():
        database.execute("INSERT OR IGNORE INTO attachments VALUES (?, ?)", (name, data))
        database.execute("INSERT INTO message_attachments VALUES (?, ?)", (row, name))
    words = _storable(searched_text(message))
    database.execute("INSERT INTO texts VALUES (?, ?)", (row, words))
    database.execute("INSERT INTO search (rowid, text) VALUES (?, ?)", (row, words))
    return row


def _storable(text: str) -> str:
    """The text without lone surrogates, which SQLite cannot hold: in JSON they are escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _without_data(value: Any, files: dict[str, bytes]) -> Any:
    """The value with the base64 data of files replaced by the hash under which `files` holds it."""
    if isinstance(value, list):
        return [_without_data(one, files) for one in value]
    if not isinstance(value, dict):
        return value
    data = value.get("data")
    if isinstance(data, str) and data and isinstance(value.get("media_type"), str):
        with_standard_signs = data.translate({45: "+", 95: "/"})
        try:
            content = base64.b64decode(with_standard_signs, validate=True)
        except (binascii.Error, ValueError):
            return value
        if base64.b64encode(content).decode() == with_standard_signs:
            name = hashlib.sha256(content).hexdigest()
            files[name] = content
            return {**value, "data": "", "stored_as": name}
    return {name: _without_data(one, files) for name, one in value.items()}


def read_message(database: sqlite3.Connection, text: str) -> Json:
    """One message from its row, with the data of its files. Raises ValueError for what is no JSON object."""
    message = json.loads(text)
    if not isinstance(message, dict):
        raise ValueError("the message is not a JSON object")
    return _with_data(database, message) if '"stored_as"' in text else message


def _with_data(database: sqlite3.Connection, value: Any) -> Any:
    if isinstance(value, list):
        return [_with_data(database, one) for one in value]
    if not isinstance(value, dict):
        return value
    name = value.get("stored_as")
    if isinstance(name, str) and value.get("data") == "":
        found = database.execute("SELECT data FROM attachments WHERE hash = ?", (name,)).fetchone()
        rest = {key: one for key, one in value.items() if key != "stored_as"}
        return {**rest, "data": base64.b64encode(found[0]).decode()} if found else rest
    return {key: _with_data(database, one) for key, one in value.items()}
