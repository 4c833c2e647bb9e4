"""The two output streams: bytes for pipes, harmless text for terminals, and a closed pipe that ends in silence."""

from __future__ import annotations

import os
import re
import sys

from llmcli.errors import ClosedPipe, LlmcliError

__all__ = ["Stderr", "Stdout", "harmless"]

# C0 and C1 controls but newline and tab, and the marks that turn the direction of writing around.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """The text without the characters that steer a terminal."""
    return _HARMFUL.sub("", text)


class Stdout:
    """Standard output: a pipe or a file gets the text's bytes as they are, a terminal gets it harmless."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout is not None and sys.stdout.isatty()

    def write(self, text: str) -> None:
        """Write and flush. Raises ClosedPipe when the reader has left, LlmcliError when the text cannot be kept."""
        if sys.stdout is None:
            raise LlmcliError("stdout is closed", hint="send it somewhere: llmcli ... >file")
        if self.is_terminal:
            text = harmless(text)
        try:
            sys.stdout.buffer.write(text.encode("utf-8"))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self._abandon()
            raise ClosedPipe("stdout was closed by its reader") from None
        except OSError as error:
            self._abandon()
            raise LlmcliError(f"cannot write to stdout: {error.strerror}", kind="output") from error

    @staticmethod
    def _abandon() -> None:
        """Point stdout at nothing, so that the interpreter's last flush does not fail as well."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Stderr:
    """Standard error: lines about the reply, dim where the terminal can, nothing but errors with `quiet`."""

    def __init__(self, *, quiet: bool = False, color: bool | None = None) -> None:
        self.is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._quiet = quiet
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._styled = self.is_terminal and (not plain if color is None else color)
        self._at_start = True

    def write(self, text: str, *, dim: bool = False) -> None:
        """Write text as it comes; a stderr that nobody reads is no reason to fail."""
        text = harmless(text)
        if not text or sys.stderr is None:
            return
        self._at_start = text.endswith("\n")
        if dim and self._styled:
            text = f"\x1b[2m{text}\x1b[22m"
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, UnicodeError):
            return

    def line(self, text: str, *, dim: bool = False) -> None:
        """A line of its own; not with --quiet."""
        if not self._quiet:
            self.fresh_line()
            self.write(f"{text}\n", dim=dim)

    def error(self, error: LlmcliError) -> None:
        """What went wrong, and what to do."""
        self.fresh_line()
        self.write(f"error: {' '.join(error.message.split())}\n")
        if error.hint:
            self.write(f"hint: {error.hint}\n")

    def fresh_line(self) -> None:
        """End a line that was begun."""
        if not self._at_start:
            self.write("\n")
