"""Long text shown by the user's pager, where stdout is a terminal."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress

from llmcli.render.region import folded
from llmcli.render.streams import Stdout, harmless

__all__ = ["page"]

_DEFAULT = "less -FRX"


def page(text: str, stdout: Stdout) -> None:
    """Show `text` with $PAGER, or else `less -FRX`, where it is taller than the terminal; write it in any other case.

    An empty PAGER, or `cat`, means no pager. Where the pager cannot be started the text is written as well.
    """
    command = os.environ.get("PAGER", _DEFAULT).strip()
    if (
        not stdout.is_terminal
        or os.environ.get("TERM") == "dumb"
        or command in ("", "cat")
        or _fits(text, stdout)
        or not _paged(harmless(text), command)
    ):
        stdout.write(text)


def _fits(text: str, stdout: Stdout) -> bool:
    columns, height = stdout.size()
    lines = harmless(text).splitlines()
    return len(lines) < height and sum(len(folded(line, columns)) for line in lines) < height


def _paged(text: str, command: str) -> bool:
    """Whether the pager was started. Ctrl-C belongs to the pager as long as it runs."""
    import subprocess

    try:
        pager = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE, env={"LESS": "FRX", "LV": "-c", **os.environ}
        )
    except (OSError, ValueError):  # not installed, or an open quotation mark
        return False
    try:
        with suppress(BrokenPipeError, KeyboardInterrupt):
            assert pager.stdin
            with pager.stdin:
                pager.stdin.write(text.encode("utf-8", "backslashreplace"))
    finally:
        while True:
            with suppress(KeyboardInterrupt):
                pager.wait()
                break
    return True
