"""Ask the user a yes-or-no question on the controlling terminal."""

from __future__ import annotations

import os
from contextlib import suppress

from llmcli.config.settings import Settings
from llmcli.console import Console

__all__ = ["confirm"]


def confirm(question: str, settings: Settings, console: Console) -> bool | None:
    """Whether the user agrees; None if the process has no terminal to ask on.

    --yes agrees without a question, --no-input asks nothing. The question is on stderr, the answer comes from the
    controlling terminal, so that stdin and stdout stay free. Only `y` and `yes` agree. Keys that were pressed before
    the question do not count.
    """
    if settings.yes:
        return True
    if settings.no_input or not console.stderr.is_terminal:
        return None
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0))
    except OSError:
        return None
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return None  # in the background a question would stop the process
        with suppress(OSError, ImportError):
            import termios

            termios.tcflush(terminal, termios.TCIFLUSH)
        console.stderr.fresh_line()
        console.stderr.write(f"{question} [y/N] ")
        answer = os.read(terminal, 1000).decode("utf-8", "replace")
        console.stderr.at_start = True  # the user has pressed Enter
        return answer.strip().lower() in ("y", "yes")
    except OSError:
        return None
    finally:
        os.close(terminal)
