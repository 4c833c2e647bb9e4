"""Search the text of saved conversations.

Terms of three and more characters are found by the trigram index. SQLite finds shorter ones, as most words of Chinese,
Japanese and Korean are, only in the text itself.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Hit", "search"]

_LEAST = 3  # characters of a term that the index can find
_AROUND = 60  # characters of a snippet before and after the first term


@dataclass(slots=True)
class Hit:
    """A message that has all terms. `marks` are the places of the terms in `snippet`: begin and end, in characters."""

    id: str
    name: str | None
    title: str
    role: str
    date: str
    snippet: str
    marks: list[tuple[int, int]]


def search(database: sqlite3.Connection, words: Sequence[str], limit: int = 20) -> list[Hit]:
    """The messages that have all words, latest first. Case does not matter; quotes and operators are text."""
    terms = [term.replace("\0", "") for word in words for term in word.split()]
    terms = [term for term in terms if term]
    if not terms:
        return []
    rows = database.execute(
        "SELECT c.id, c.name, c.title, json_extract(m.message, '$.kind'), coalesce(t.started, c.created), x.text FROM"
        f" ({_found_by(terms)}) x JOIN messages m ON m.id = x.message_id"
        " JOIN conversations c ON c.id = m.conversation_id LEFT JOIN turns t ON t.id = m.turn_id"
        " ORDER BY x.message_id DESC",
        (*_parameters(terms), limit),
    )
    hits = []
    for conversation, name, title, role, date, text in rows:
        snippet, marks = _snippet(text, terms)
        hits.append(Hit(conversation, name, title, role, date, snippet, marks))
    return hits


def _found_by(terms: Sequence[str]) -> str:
    """The query for the text of messages with all terms, the latest ones of them."""
    is_like = " AND ".join(["text LIKE ? ESCAPE '\\'"] * sum(len(term) < _LEAST for term in terms))
    if all(len(term) < _LEAST for term in terms):
        return f"SELECT message_id, text FROM texts WHERE {is_like} ORDER BY message_id DESC LIMIT ?"
    matches = "SELECT rowid AS message_id, text FROM search WHERE search MATCH ?"
    more = f" AND {is_like}" if is_like else ""
    return f"{matches}{more} ORDER BY rowid DESC LIMIT ?"


def _parameters(terms: Sequence[str]) -> list[str]:
    long = [term for term in terms if len(term) >= _LEAST]
    short = [re.sub(r"([\\%_])", r"\\\1", term) for term in terms if len(term) < _LEAST]
    match = [" AND ".join('"{}"'.format(term.replace('"', '""')) for term in long)] if long else []
    return [*match, *(f"%{term}%" for term in short)]


def _snippet(text: str, terms: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text around the first term, on one line, and the places of all terms in it."""
    any_term = re.compile("|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True)), re.IGNORECASE)
    first = any_term.search(text)
    at = first.start() if first else 0
    begin, end = max(0, at - _AROUND), min(len(text), at + 2 * _AROUND)
    words = " ".join(text[begin:end].split())
    snippet = f"{'…' if begin else ''}{words}{'…' if end < len(text) else ''}"
    return snippet, [found.span() for found in any_term.finditer(snippet)]
