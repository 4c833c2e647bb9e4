"""Read the database of the command `llm`: threads of its message store, and conversations of its older tables.

Both may stand in one file, and a conversation in both: then the message store is read. The database is opened
read-only. `response_json` is not read: it is a condensed copy of what the message store holds.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from llmcli.errors import UserError
from llmcli.store.codec import Json
from llmcli.store.exchange import Foreign

__all__ = ["default_path", "read_llm"]


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `llm` keeps its database."""
    if folder := environ.get("LLM_USER_PATH"):
        return Path(folder) / "logs.db"
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "io.datasette.llm" / "logs.db"
    if sys.platform == "win32":
        return Path(environ.get("APPDATA", str(home))) / "io.datasette.llm" / "logs.db"
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "io.datasette.llm" / "logs.db"


def read_llm(path: Path) -> list[Foreign]:
    """All conversations of the database, oldest first. Raises UserError where it cannot be read."""
    if not path.is_file():
        raise UserError(f"cannot read {path}: there is no such file", hint="llm logs path says where it is")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            reader = _Reader(database)
            found = {one.source: one for one in (*reader.conversations(), *reader.threads())}  # a thread wins
    except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
        raise UserError(f"cannot read {path} as the database of llm: {error}") from None
    if not found and not reader.is_known:
        raise UserError(f"{path} is not a database of llm")
    return sorted(found.values(), key=lambda one: one.created)


class _Reader:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        rows = database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        self._tables = {row["name"] for row in rows}

    @property
    def is_known(self) -> bool:
        """Whether the database has any of the tables of llm."""
        return bool(self._tables & {"conversations", "threads"})

    def _rows(self, table: str, where: str = "1", *values: object, order: str = "rowid") -> list[sqlite3.Row]:
        if table not in self._tables:
            return []
        return self._database.execute(f'SELECT * FROM "{table}" WHERE {where} ORDER BY {order}', values).fetchall()

    # The message store

    def threads(self) -> Iterator[Foreign]:
        for thread in self._rows("threads"):
            turns = self._rows("turns", "thread_id = ?", thread["id"], order="id")
            at_tip = {turn["tip_message_hash"]: turn for turn in turns}
            messages = [self._message(one, at_tip) for one in self._chain(thread["tip_message_hash"])]
            messages = [one for one in messages if one["parts"]]
            if messages:
                model = turns[-1]["model"] if turns else "unknown"
                created = _time(thread["datetime_utc"] or (turns[0]["datetime_utc"] if turns else None))
                yield Foreign(f"llm:{thread['id']}", thread["name"] or "", model, created, _merged(messages))

    def _chain(self, tip: str | None) -> list[sqlite3.Row]:
        chain: list[sqlite3.Row] = []
        seen: set[str] = set()
        while tip and tip not in seen:
            seen.add(tip)
            found = self._rows("messages", "hash = ?", tip)
            if not found:
                break
            chain.append(found[0])
            tip = found[0]["parent_hash"]
        return chain[::-1]

    def _message(self, row: sqlite3.Row, at_tip: Mapping[str, sqlite3.Row]) -> Json:
        parts = []
        for part in self._rows("parts", "message_hash = ?", row["hash"], order="position"):
            parts += self._part(part, row["role"])
        turn = at_tip.get(row["hash"])
        if row["role"] != "assistant":
            return {"kind": "request", "parts": parts}
        return _response(parts, turn, turn["resolved_model"] if turn else None)

    def _part(self, row: sqlite3.Row, role: str) -> list[Json]:
        payload = _object(row["payload"])
        text = row["text"] if row["text"] is not None else self._borrowed(payload)
        if row["type"] == "text":
            return [{"part_kind": _TEXT_OF.get(role, "user-prompt"), "content": text}]
        if row["type"] == "reasoning":
            return [{"part_kind": "thinking", "content": text}] if text else []
        if payload.get("server_executed"):
            return []
        known = {"tool_name": row["tool_name"] or "tool", "tool_call_id": payload.get("tool_call_id")}
        if row["type"] == "tool_call":
            return [{"part_kind": "tool-call", "args": payload.get("arguments") or {}, **known}]
        if row["type"] == "tool_result":
            return [{"part_kind": "tool-return", "content": payload.get("output", ""), **known}]
        if row["type"] == "attachment":
            reference = payload.get("attachment")
            return self._attached(str(reference.get("id")) if isinstance(reference, dict) else "")
        return []

    def _borrowed(self, payload: Json) -> str:
        """The text of a part that borrows from fragments."""
        pieces = payload.get("text_ref")
        text = payload.get("text") or payload.get("output") or ""
        if not isinstance(pieces, list):
            return str(text)
        return "".join(
            str(piece["literal"]) if "literal" in piece else self._fragment(piece.get("fragment"))
            for piece in pieces
            if isinstance(piece, dict)
        )

    def _fragment(self, number: object) -> str:
        return "".join(row["content"] for row in self._rows("fragments", "id = ?", number, order="id"))

    def _attached(self, name: str) -> list[Json]:
        return [
            {"part_kind": "user-prompt", "content": [file]}
            for row in self._rows("attachments", "id = ?", name)
            if (file := _file(row))
        ]

    # The older tables

    def conversations(self) -> Iterator[Foreign]:
        for row in self._rows("conversations"):
            responses = self._rows("responses", "conversation_id = ?", row["id"], order="datetime_utc, id")
            messages: list[Json] = []
            system = None
            for response in responses:
                request, system = self._request(response, system)
                messages += [request, *self._reply(response)]
            if messages:
                model = row["model"] or responses[-1]["model"] or "unknown"
                created = _time(responses[0]["datetime_utc"])
                yield Foreign(f"llm:{row['id']}", row["name"] or "", model, created, messages)

    def _request(self, row: sqlite3.Row, before: str | None) -> tuple[Json, str | None]:
        """The request, with its system prompt where that is another one than before."""
        system = "\n\n".join(filter(None, (*self._fragments("system_fragments", row["id"]), row["system"]))) or None
        parts: list[Json] = []
        if system and system != before:
            parts.append({"part_kind": "system-prompt", "content": system})
        results = self._rows("tool_results", "response_id = ?", row["id"], order="id")
        parts += [
            {
                "part_kind": "tool-return",
                "tool_name": one["name"] or "tool",
                "content": one["output"] or "",
                "tool_call_id": one["tool_call_id"],
            }
            for one in results
        ]
        text = "\n".join(filter(None, (*self._fragments("prompt_fragments", row["id"]), row["prompt"])))
        attached = self._rows("prompt_attachments", "response_id = ?", row["id"])
        files = [file for one in attached for part in self._attached(one["attachment_id"]) for file in part["content"]]
        if text or files or not parts:
            content: Any = [*files, text] if files else text
            parts.append({"part_kind": "user-prompt", "content": content, "timestamp": _time(row["datetime_utc"])})
        return {"kind": "request", "parts": parts}, system or before

    def _fragments(self, table: str, response: str) -> list[str]:
        rows = self._rows(table, "response_id = ?", response, order='"order"')
        return [self._fragment(row["fragment_id"]) for row in rows]

    def _reply(self, row: sqlite3.Row) -> list[Json]:
        parts: list[Json] = [{"part_kind": "text", "content": row["response"]}] if row["response"] else []
        for call in self._rows("tool_calls", "response_id = ?", row["id"], order="id"):
            args = _object(call["arguments"])
            known = {"tool_name": call["name"] or "tool", "tool_call_id": call["tool_call_id"]}
            parts.append({"part_kind": "tool-call", "args": args, **known})
        return [_response(parts, row, None)] if parts else []


_TEXT_OF = {"system": "system-prompt", "assistant": "text"}


def _response(parts: list[Json], row: sqlite3.Row | None, resolved: str | None) -> Json:
    message: Json = {"kind": "response", "parts": parts}
    if row is not None:
        keys = row.keys()
        asked, said = (row[key] if key in keys else None for key in ("input_tokens", "output_tokens"))
        message |= {
            "model_name": resolved or row["model"],
            "timestamp": _time(row["datetime_utc"]),
            "usage": {"requests": 1, "input_tokens": asked, "output_tokens": said},
        }
    return message


def _merged(messages: list[Json]) -> list[Json]:
    """Neighbouring requests as one: `llm` keeps the system prompt and each tool result as a message."""
    merged: list[Json] = []
    for message in messages:
        if merged and merged[-1]["kind"] == message["kind"] == "request":
            merged[-1]["parts"] += message["parts"]
        else:
            merged.append(message)
    return merged


def _file(row: sqlite3.Row) -> Json | None:
    kind = row["type"] or "application/octet-stream"
    content = row["content"]
    if content is None and row["path"]:
        with suppress(OSError):
            content = Path(row["path"]).read_bytes()
    if content is not None:
        return {"kind": "binary", "media_type": kind, "data": base64.b64encode(content).decode()}
    if not row["url"]:
        return None
    family = kind.partition("/")[0]
    return {"kind": f"{family if family in ('image', 'audio', 'video') else 'document'}-url", "url": row["url"]}


def _object(text: str | None) -> Json:
    with suppress(ValueError, RecursionError):
        found = json.loads(text or "{}")
        if isinstance(found, dict):
            return found
    return {}


def _time(text: str | None) -> str:
    """A time of `llm`, which is UTC with or without saying so, as this store writes times."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text or "1970-01-01")
    except ValueError:
        moment = datetime(1970, 1, 1)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")
