"""Format rows about saved conversations: dates and search results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from llmcli.render.pager import clean
from llmcli.render.streams import harmless

__all__ = ["search_lines", "when"]


class Hit(Protocol):
    """A message that a search found; see `llmcli.store.search`."""

    id: str
    name: str | None
    title: str
    role: str
    date: str
    snippet: str
    marks: list[tuple[int, int]]


def when(moment: str) -> str:
    """A time of the database as local date and time."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return clean(moment)


def search_lines(hits: Sequence[Hit], *, highlight: bool = False) -> str:
    """Two lines a hit: the conversation, and the words around the terms."""
    found = []
    for hit in hits:
        label = clean(hit.name or hit.title)
        found.append(f"{hit.id}  {when(hit.date)}  {hit.role}  {label}\n  {_marked(hit, highlight)}\n")
    return "".join(found)


def _marked(hit: Hit, highlight: bool) -> str:
    if not highlight:
        return clean(hit.snippet)
    pieces, at = [], 0
    for begin, end in hit.marks:
        pieces += [harmless(hit.snippet[at:begin]), f"\x1b[1;33m{harmless(hit.snippet[begin:end])}\x1b[0m"]
        at = end
    return "".join((*pieces, harmless(hit.snippet[at:])))
