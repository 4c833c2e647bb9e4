"""Hints that name flags of the command line or commands of a session, by the kind and reason of an error.

The modules below this one know neither flags nor slash commands: an error says what failed, and this table adds hints.
"""

from __future__ import annotations

from llmcli.errors import LlmcliError

__all__ = ["add_hint"]

# (kind, reason) of the error: the hint for the command line, and the hint in a session.
_HINTS: dict[tuple[str, str | None], tuple[str, str]] = {
    ("incomplete", "length"): (
        "raise --max-tokens, or pass --allow-incomplete to accept a truncated reply",
        "/more asks for the rest; /set max-tokens raises the limit",
    ),
    ("incomplete", None): ("pass --allow-incomplete to accept a truncated reply", "/more asks for the rest"),
    ("mismatch", None): ("the text of the reply is on stderr", "/retry sends the prompt again"),
}


def add_hint(error: LlmcliError, *, in_session: bool = False) -> None:
    """Give the error its hint from the table, unless it has one already."""
    if error.hint is None:
        found = _HINTS.get((error.kind, error.reason)) or _HINTS.get((error.kind, None))
        error.hint = found[in_session] if found else None
