"""Show long text in the user's pager, and short text at once."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from llmcli.render.columns import table
from llmcli.render.streams import Stdout, harmless

__all__ = ["clean", "page", "page_table"]


def page(text: str, stdout: Stdout, *, environ: Mapping[str, str] = os.environ) -> None:
    """Write a text; on a terminal, one that is taller than the screen goes to the pager.

    The pager is `PAGER`, else `less`; `PAGER=cat` or an empty `PAGER` turns it off. The text may hold escape sequences
    of ours: the caller has removed all others.
    """
    columns, rows = stdout.size()
    height = sum(max(1, -(-len(line) // max(columns, 1))) for line in text.splitlines())
    command = _pager(environ)
    if not stdout.is_terminal or height < rows or environ.get("TERM") == "dumb" or not command:
        (stdout.steer if stdout.is_terminal else stdout.write)(text)
        return
    with _interrupts_for_the_pager():
        try:
            pager = subprocess.Popen(command, stdin=subprocess.PIPE, env={"LESS": "FRX", "LV": "-c", **environ})
        except OSError:
            stdout.steer(text)
            return
        with suppress(BrokenPipeError):  # the user has seen enough
            pager.communicate(text.encode("utf-8", "backslashreplace"))
        pager.wait()


def page_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    stdout: Stdout,
    numbers: int = 0,
    *,
    whole: Collection[int] = (),
) -> None:
    """Show a table: see `table`. On a terminal it fits the columns, and a long one goes to the pager."""
    columns = stdout.size()[0] if stdout.is_terminal else None
    page(table(head, rows, numbers, columns=columns, whole=whole), stdout)


def clean(text: str) -> str:
    """The text without control characters, on one line."""
    return " ".join(harmless(text).split())


def _pager(environ: Mapping[str, str]) -> list[str]:
    try:
        words = shlex.split(environ.get("PAGER", "less"))
    except ValueError:
        return []
    if not words or words == ["cat"] or not shutil.which(words[0]):
        return []
    return words


@contextmanager
def _interrupts_for_the_pager() -> Iterator[None]:
    """Leave Ctrl-C to the pager, which uses it to stop a search."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
