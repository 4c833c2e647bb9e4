"""Names of tools: on the wire and in output, and the globs that select them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

__all__ = ["is_selected", "shown_name", "wire_name"]

_LONGEST = 64  # characters; the least that a vendor takes
_DIGITS = 8


def wire_name(server: str, tool: str, taken: Collection[str] = ()) -> str:
    """The name for the model: `server__tool` of `[A-Za-z0-9_-]`, or the tool alone for an own command.

    The name ends in a hash where it would be longer than 64 characters, or is already `taken`.
    """
    whole = f"{server}__{tool}" if server else tool
    name = re.sub(r"[^A-Za-z0-9_-]", "_", whole)
    if len(name) <= _LONGEST and name not in taken:
        return name
    digest = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{name[: _LONGEST - _DIGITS - 1]}_{digest}"


def shown_name(name: str) -> str:
    """A name from outside as it may be shown: printable ASCII without blanks, at most 100 characters."""
    return re.sub(r"[^!-~]", "_", name[:100])


def is_selected(name: str, globs: Iterable[str]) -> bool:
    """Whether one of the globs matches the name."""
    return any(fnmatchcase(name, glob) for glob in globs)
