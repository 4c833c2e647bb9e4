"""Identify the terminal, so that `-c` continues the conversation of this one.

Inside a multiplexer its pane is the terminal: the path of its tty changes when a session is attached again, and the
variables of terminal programs are inherited by terminals that are started from other terminals.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress

from llmcli.store.processes import boot_id, start_time

__all__ = ["terminal_id"]


def terminal_id(environ: Mapping[str, str] = os.environ) -> str | None:
    """A name for this terminal that no other terminal has, now or later; None where there is no terminal."""
    parts = _multiplexer(environ) or _session_leader() or _window(environ)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16] if parts else None


def _multiplexer(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The pane of tmux, zellij or screen, with the server that it belongs to."""
    if (tmux := environ.get("TMUX")) and (pane := environ.get("TMUX_PANE")):
        return "tmux", ",".join(tmux.split(",")[:2]), pane, boot_id()  # socket and server; the third is the session
    if (zellij := environ.get("ZELLIJ_SESSION_NAME")) and (pane := environ.get("ZELLIJ_PANE_ID")):
        return "zellij", zellij, pane, boot_id()
    if (screen := environ.get("STY")) and (window := environ.get("WINDOW")):
        return "screen", screen, window, boot_id()
    return ()


def _session_leader() -> tuple[str, ...]:
    """The process that leads this terminal's session, which no child terminal inherits."""
    with suppress(AttributeError, OSError):  # Windows has no sessions
        leader = os.getsid(0)
        return "session", str(leader), start_time(leader), boot_id()
    return ()


def _window(environ: Mapping[str, str]) -> tuple[str, ...]:
    return ("window", environ["WT_SESSION"]) if environ.get("WT_SESSION") else ()
