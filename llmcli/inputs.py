"""Join the prompt from command-line words, files and stdin, each unchanged."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from llmcli.bounded_file import read_bounded, read_file
from llmcli.errors import UserError

__all__ = ["WAITING", "Stdin", "decoded", "fenced", "read_bytes", "read_prompt", "read_text"]

WAITING = "waiting for stdin, which is open and silent; add </dev/null if nothing shall come from it"
"""The notice that stderr gets when stdin stays silent."""

_SILENCE_S = 2.0  # seconds of silence before stderr says that llmcli reads stdin


class Stdin:
    """Standard input, which has one reader; `used_by` names the option that reads it."""

    def __init__(self, used_by: str | None = None) -> None:
        self._used_by = used_by

    def claim(self, user: str) -> None:
        """Reserve stdin for `user`: no other reader gets it any more."""
        self._used_by = user

    def read_then_keyboard(self) -> str:
        """The text that is piped into stdin; from then on stdin is the keyboard of the terminal.

        Raises UserError where no terminal belongs to the process, or the text is not UTF-8.
        """
        try:
            keyboard = os.open("/dev/tty", os.O_RDWR)
        except OSError:
            hint = "leave out chat: llmcli <FILE"
            raise UserError("a session needs a keyboard, and stdin is no terminal", hint=hint) from None
        text = decoded(self.read("the session"), "stdin")
        os.dup2(keyboard, sys.stdin.fileno())
        os.close(keyboard)
        return text

    @property
    def is_terminal(self) -> bool:
        """Whether stdin is a terminal."""
        return sys.stdin is not None and sys.stdin.isatty()

    @property
    def free(self) -> bool:
        """Whether there is one to read, and nothing has read it."""
        return self._used_by is None and sys.stdin is not None

    def read(self, user: str, while_silent: Callable[[], None] | None = None) -> bytes:
        """All of it; `user` names what wants it. Raises UserError when it was read already, or cannot be.

        `while_silent` is called once when nothing has come for two seconds.
        """
        if self._used_by is not None:
            raise UserError(f"stdin can be read only once: {self._used_by} and {user} both want it")
        if sys.stdin is None:
            raise UserError(f"{user} wants stdin, which is closed")
        self._used_by = user
        with suppress(OSError):
            os.set_blocking(sys.stdin.fileno(), True)  # else a pause of the writer passes for the end
        if while_silent and not self.is_terminal and not _readable_within(_SILENCE_S):
            while_silent()
        try:
            return read_bounded(sys.stdin.buffer.read, "stdin")
        except OSError as error:  # a folder, say
            raise UserError(f"cannot read stdin: {error.strerror}") from error


def read_prompt(
    words: Sequence[str],
    blocks: Sequence[str],
    stdin: Stdin,
    tell: Callable[[str], None],
    fill: Callable[[str], str] = str,
) -> str:
    """The fenced `blocks` of files first; then the words; then a blank line and stdin, where it is no terminal.

    `-` as the only word, or no word at all, takes stdin as the prompt.
    `tell` gets a line for the user when stdin stays silent. `fill` puts words and stdin into a prompt file. Raises
    UserError where nothing is left to send.
    """

    def waiting() -> None:
        tell(WAITING)

    said = " ".join(words)
    if said == "-":
        said = decoded(stdin.read("the prompt -"), "stdin")
    elif stdin.free and not stdin.is_terminal:
        piped = decoded(stdin.read("the prompt", waiting if said or blocks else None), "stdin")
        said = "\n\n".join(filter(None, (said, piped)))
    said = fill(said)
    if not said.strip() and not blocks:
        raise UserError("the prompt is empty; nothing was sent", hint='say something: llmcli "..."')
    return "\n\n".join(filter(None, (*blocks, said)))


def read_text(name: str, option: str, stdin: Stdin, while_silent: Callable[[], None] | None = None) -> str:
    """A text file as it is, `-` for stdin. Raises UserError that names the file, and the byte where it is not UTF-8."""
    return decoded(read_bytes(name, option, stdin, while_silent), "stdin" if name == "-" else name)


def read_bytes(name: str, option: str, stdin: Stdin, while_silent: Callable[[], None] | None = None) -> bytes:
    """A file as it is, `-` for stdin. Raises UserError that names the file."""
    if name == "-":
        return stdin.read(f"{option} -", while_silent)
    try:
        return read_file(os.path.expanduser(name), name)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot read {name}: {why}", hint=f"check what {option} names") from error


def fenced(name: str, content: str) -> str:
    """A file as part of a prompt: its name, and its content in a fence longer than any inside."""
    longest = max(map(len, re.findall(r"`{3,}", content)), default=2)
    fence = "`" * (longest + 1)
    newline = "" if content.endswith("\n") or not content else "\n"
    name = "".join(name.encode("utf-8", "backslashreplace").decode().splitlines())  # a name may hold line breaks
    return f"{name}:\n{fence}\n{content}{newline}{fence}"


def decoded(content: bytes, source: str) -> str:
    """The text of UTF-8 bytes. Raises UserError that names the `source` and the first byte that is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{source} is not UTF-8 text: byte {error.start} (line {line}) is 0x{content[error.start]:02x}",
            hint="convert it first, for example with: iconv -f latin1 -t utf-8",
        ) from None


def _readable_within(seconds: float) -> bool:
    try:
        return bool(select.select([sys.stdin], [], [], seconds)[0])
    except (OSError, ValueError):  # a kind of file that cannot be waited for
        return True
