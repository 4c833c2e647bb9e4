"""IDs and names of saved conversations."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["looks_like_id", "new_id", "now"]

_LENGTH = 8
_ID = re.compile(r"[0-9a-f]{4,8}")  # or the beginning of one


def now() -> str:
    """The time in UTC, in ISO 8601 with milliseconds: times of this form sort as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id(database: sqlite3.Connection, created: str) -> str:
    """A free ID of 8 hexadecimal digits for a conversation that began at `created`.

    It is a hash, so that the first digits of two conversations of one day differ.
    """
    import hashlib

    at = 0
    while True:
        found = hashlib.sha256(f"{created} {at}".encode()).hexdigest()[:_LENGTH]
        if database.execute("SELECT 1 FROM conversations WHERE id = ?", (found,)).fetchone() is None:
            return found
        at += 1


def looks_like_id(name: str) -> bool:
    """Whether a name is 4 to 8 hexadecimal digits, as the beginning of an ID is."""
    return _ID.fullmatch(name) is not None
