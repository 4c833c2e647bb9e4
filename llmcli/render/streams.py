"""Stdout and Stderr: bytes for pipes, text without control characters for terminals, and ClosedPipe errors."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TextIO

from llmcli.errors import ClosedPipe, FallbackExceptionGroup, Interrupted, LlmcliError
from llmcli.secrets import Secrets
from llmcli.signals import is_stopping

__all__ = ["Stderr", "Stdout", "harmless"]

# C0 and C1 controls but newline and tab, the marks that turn the direction of writing around, and lines' other ends.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """The text without the characters that steer a terminal."""
    return _HARMFUL.sub("", text)


# Seconds for a full pipe to take the next bytes, and for a whole text, where the wait is not the user's choice: after a
# signal that ends the process, and for a stderr that does not block.
_STALLED_S, _SLOW_S = 1.0, 5.0


def _write_within(stream: TextIO, content: bytes) -> None:
    """Write what the stream holds back, and `content`. Raises TimeoutError where the reader does not take it in time.

    The file does not block meanwhile, for other processes that have it open too.
    """
    number = stream.fileno()
    blocking, end = os.get_blocking(number), time.monotonic() + _SLOW_S
    os.set_blocking(number, False)
    try:
        rest = memoryview(content)
        flushed = False
        while rest or not flushed:
            try:
                if not flushed:
                    stream.flush()
                    flushed = True
                rest = rest[os.write(number, rest) :]
            except BlockingIOError:
                wait = min(_STALLED_S, end - time.monotonic())
                if wait <= 0 or not select.select([], [number], [], wait)[1]:
                    raise TimeoutError(f"its reader took nothing for {_STALLED_S:g} s") from None
    finally:
        with suppress(OSError):
            os.set_blocking(number, blocking)


def _is_blocking(stream: TextIO) -> bool:
    with suppress(OSError, ValueError):  # a stream without a file, as tests have
        return os.get_blocking(stream.fileno())
    return True


def _abandon(stream: TextIO) -> None:
    """Point a stream at nothing, so that the interpreter's last flush does not fail as well."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _size(stream: TextIO | None) -> tuple[int, int]:
    """The current columns and rows of a terminal; without one COLUMNS, else 80, and 24."""
    with suppress(OSError, AttributeError):
        size = os.get_terminal_size(stream.fileno() if stream else -1)
        if size.columns and size.lines:
            return size.columns, size.lines
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) else 80, 24


class Stdout:
    """Standard output: a pipe or a file gets the text's bytes as they are, a terminal gets it harmless."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout is not None and sys.stdout.isatty()
        if sys.stdout is not None:
            with suppress(OSError):
                os.set_blocking(sys.stdout.fileno(), True)  # else a slow reader costs text

    def write(self, text: str) -> None:
        """Write and flush. Raises ClosedPipe when the reader has left, LlmcliError when the text cannot be kept."""
        self.steer(harmless(text) if self.is_terminal else text)

    def steer(self, text: str) -> None:
        """Write and flush what may hold escape sequences, all of them ours; raises as `write` does."""
        if sys.stdout is None:
            raise LlmcliError("stdout is closed", hint="send it somewhere: llmcli ... >file")
        # What is no text (a file's odd name, half an emoji) is shown as an escape, which JSON reads as one too.
        content = text.encode("utf-8", "backslashreplace")
        try:
            if is_stopping():
                _write_within(sys.stdout, content)
            else:
                sys.stdout.buffer.write(content)
                sys.stdout.buffer.flush()
        except BrokenPipeError:
            _abandon(sys.stdout)
            raise ClosedPipe("stdout was closed by its reader") from None
        except OSError as error:
            _abandon(sys.stdout)
            raise LlmcliError(f"cannot write to stdout: {error.strerror or error}", kind="output") from error

    def size(self) -> tuple[int, int]:
        """Columns and rows: see `_size`."""
        return _size(sys.stdout)

    def flush(self) -> None:
        """See to it that what others have printed is out; raises as `write` does."""
        if sys.stdout is not None:
            self.write("")


class Stderr:
    """Standard error: lines about the reply, dim where the terminal can, nothing but errors with `quiet`.

    None of the `secrets` gets through. `is_live` is a terminal whose rows may change after they were written;
    `at_start` tells whether the next character begins a line. Code that draws such rows sets `room`: they are off the
    screen while other text is written.
    """

    def __init__(self, secrets: Secrets | None = None) -> None:
        self.is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self.at_start = True
        self.room: Callable[[], AbstractContextManager[None]] = nullcontext
        self.secrets = Secrets() if secrets is None else secrets
        self.configure()

    def configure(self, *, quiet: bool = False, color: bool | None = None) -> None:
        """Print only errors with `quiet`; use colors as `color` says, or where it is None as NO_COLOR and TERM say."""
        self._quiet = quiet
        self.is_live = self.is_terminal and not quiet and os.environ.get("TERM") != "dumb"
        self.color(color)

    def color(self, wanted: bool | None) -> None:
        """Use colors, or not; None: as NO_COLOR and TERM say."""
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._styled = self.is_terminal and (not plain if wanted is None else wanted)

    def write(self, text: str, *, dim: bool = False) -> None:
        """Write text as it comes; a closed stderr is not an error."""
        text = self.shown(text)
        if text:
            with self.room():
                self.at_start = text.endswith("\n")
                self.steer(self.dimmed(text) if dim else text)

    def shown(self, text: str) -> str:
        """The text without what steers a terminal, and without the secrets."""
        return harmless(self.secrets.redact(text))

    def dimmed(self, text: str) -> str:
        """The text as it is dimmed on this terminal."""
        return f"\x1b[2m{text}\x1b[22m" if self._styled else text

    def steer(self, text: str) -> None:
        """Write what may hold escape sequences, all of them ours; never fails.

        A full pipe that does not block is waited for within bounds, as is any after a signal that ends the process.
        """
        if sys.stderr is None:
            return
        try:
            content = text.encode(sys.stderr.encoding or "utf-8", "backslashreplace")
            if is_stopping() or not _is_blocking(sys.stderr):
                _write_within(sys.stderr, content)
            else:
                sys.stderr.write(text)
                sys.stderr.flush()
        except UnicodeError:
            self.steer(text.encode("ascii", "backslashreplace").decode())
        except OSError:
            _abandon(sys.stderr)

    def size(self) -> tuple[int, int]:
        """Columns and rows: see `_size`."""
        return _size(sys.stderr)

    def line(self, text: str, *, dim: bool = False) -> None:
        """A line of its own; not with --quiet. A note is dim, and wrapped between words on a terminal."""
        if self._quiet:
            return
        self.fresh_line()
        label, colon, rest = text.partition(": ")
        if colon and label in ("note", "hint"):
            self._labeled(f"{label}: ", rest, dim=True)
        else:
            self.write(f"{text}\n", dim=dim)

    def error(self, error: LlmcliError) -> None:
        """Show an error and its hint."""
        self.fresh_line()
        if isinstance(error, Interrupted) and self.is_live:
            self.steer("\r\x1b[K")  # after the ^C that the terminal has echoed
        self._labeled("error: ", " ".join(error.message.split()))
        if isinstance(error, FallbackExceptionGroup):
            for one in error.exceptions:
                self._labeled("  - ", " ".join(str(getattr(one, "message", one)).split()))
        if error.hint:
            self._labeled("hint: ", error.hint, dim=True)

    def _labeled(self, label: str, text: str, *, dim: bool = False) -> None:
        """A message behind its label, wrapped between words to the terminal; the word "error" is red and bold."""
        shown = self.shown(text)
        if self.is_terminal:
            from llmcli.render.words import hanging

            shown = hanging(label, shown, self.size()[0])[len(label) :]
        with self.room():
            self.at_start = True
            if self._styled and label == "error: ":
                self.steer(f"\x1b[1;31m{label.rstrip()}\x1b[0m {shown}\n")
            else:
                self.steer(f"{self.dimmed(label + shown) if dim else label + shown}\n")

    def fresh_line(self) -> None:
        """End a line that was begun."""
        if not self.at_start:
            self.write("\n")
