"""The current folder and terminal, which `-c` uses to find a conversation."""

from __future__ import annotations

import os
from contextlib import suppress

from llmcli.store.terminal_id import terminal_id
from llmcli.store.turns import Place

__all__ = ["has_terminal", "this_place"]


def this_place() -> Place:
    """The folder and the terminal of this process, None for what it does not have."""
    folder = None
    with suppress(OSError):  # the folder was deleted
        folder = os.getcwd()
    return Place(folder, terminal_id() if has_terminal() else None)


def has_terminal() -> bool:
    """Whether stdin, stdout or stderr is a terminal."""
    for number in range(3):
        with suppress(OSError):
            if os.isatty(number):
                return True
    return False
