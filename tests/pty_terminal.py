"""The real command on a terminal of its own: what is typed, and what a person would see."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import pyte

from tests.command import COMMAND
from tests.readable import is_readable

_PATIENCE_S = 60  # far more than anything takes: only a hang gets there


class _Screen(pyte.HistoryScreen):
    """A screen that answers what the process asks of its terminal; what is dim, which pyte does not know, blinks."""

    def __init__(self, columns: int, rows: int, answer: Callable[[bytes], None]) -> None:
        super().__init__(columns, rows, history=5000)
        self._answer = answer

    def select_graphic_rendition(self, *attrs: int, **more: bool) -> None:
        """See `pyte.Screen.select_graphic_rendition`."""
        if attrs[:1] not in ((38,), (48,)):  # these are followed by a colour's number
            attrs = tuple(code for attr in attrs for code in {2: (5,), 22: (22, 25)}.get(attr, (attr,)))
        super().select_graphic_rendition(*attrs, **more)

    def write_process_input(self, data: str) -> None:
        """See `pyte.Screen.write_process_input`."""
        self._answer(data.encode())


class Terminal:
    """`llmcli ARGS` in front of a person; leaving the `with` ends it.

    `raw` is all that was written. stdout or stderr go to a file where `stdout` or `stderr` says so.
    """

    def __init__(
        self,
        *args: str,
        command: Sequence[str] = COMMAND,
        env: Mapping[str, str] | None = None,
        columns: int = 80,
        rows: int = 24,
        **streams: Any,
    ) -> None:
        self.raw = b""
        self._terminal, inner = os.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = _Screen(columns, rows, self._write)
        self._stream = pyte.ByteStream(self.screen)
        self.process = subprocess.Popen(
            [*command, *args],
            **{"stdin": inner, "stdout": inner, "stderr": inner, **streams},
            env={"TERM": "xterm-256color", **os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )
        os.close(inner)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._terminal)

    def type(self, text: str) -> None:
        """Press keys; Enter is \\r."""
        self._write(text.encode())

    def say(self, text: str) -> None:
        """Wait for the prompt, type a line, see it, and press Enter."""
        self.ready()
        self.type(text)
        self.see(lambda: self.draft == text, f"{text!r} typed")
        self.type("\r")
        self.see(lambda: not self.waiting or self.draft != text, "the line sent")

    def ready(self) -> None:
        """Wait until an empty prompt stands at the end, with the bar below it."""
        self.see(lambda: self.waiting and not self.draft, "an empty prompt")

    @property
    def lines(self) -> list[str]:
        """What is on the screen and above it, without blanks at the ends."""
        above = ["".join(row[at].data for at in range(self.screen.columns)) for row in self.screen.history.top]
        return [line.rstrip() for line in (*above, *self.screen.display)]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)

    @property
    def bar(self) -> str:
        """The bottom line."""
        return self.screen.display[-1].strip()

    @property
    def waiting(self) -> bool:
        """Whether the cursor stands in a line that is being edited."""
        return self._prompt_row() is not None and bool(self.bar)

    @property
    def draft(self) -> str:
        """What stands in the input line, without what is only suggested."""
        row = self._prompt_row()
        if row is None:
            return ""
        cursor = self.screen.cursor
        rows = [*self.screen.display[row : cursor.y], self.screen.display[cursor.y][: cursor.x]]
        return "\n".join(one[2:].rstrip() for one in rows)

    def _prompt_row(self) -> int | None:
        shown = self.screen.display
        for row in range(self.screen.cursor.y, -1, -1):
            if shown[row].startswith("> "):
                return row
            if not shown[row].startswith("  "):
                return None
        return None

    def see(self, what: str | Callable[[], bool], meaning: str = "") -> None:
        """Read what the process writes until the text is there, or the condition holds."""
        until = time.monotonic() + _PATIENCE_S
        while not (what in self.text if isinstance(what, str) else what()):
            left = until - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"no {meaning or what!r} on the screen:\n{self.text}")

    def press_until_seen(self, key: str, text: str) -> None:
        """Press a key again and again until the text is there: nothing tells when the process is ready for it."""
        until = time.monotonic() + _PATIENCE_S
        while text not in self.text:
            assert time.monotonic() < until, f"no {text!r} on the screen:\n{self.text}"
            self.type(key)
            self._read(0.05)

    def wait(self) -> int:
        """The exit code, when the process has ended."""
        while self._read(_PATIENCE_S):
            pass
        return self.process.wait(_PATIENCE_S)

    def wait_for_reply(self) -> None:
        """Wait until a line has been sent: the terminal no longer echoes, and Ctrl-C is a signal."""

        def replying() -> bool:
            flags = self.modes[3]
            return bool(flags & termios.ISIG) and not flags & termios.ECHO

        until = time.monotonic() + _PATIENCE_S
        while not replying():
            assert time.monotonic() < until, "no line was sent"
            self._read(0.01)

    @property
    def modes(self) -> list[Any]:
        """How the terminal treats what is typed; see termios(3)."""
        return termios.tcgetattr(self._terminal)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def kill(self, signum: signal.Signals) -> None:
        """Send a signal from elsewhere."""
        self.process.send_signal(signum)

    def _write(self, content: bytes) -> None:
        os.write(self._terminal, content)

    def _read(self, seconds: float) -> bool:
        """Show what has come; False when there is nothing more to come, or nothing came."""
        if not is_readable(self._terminal, seconds):
            return False
        try:
            content = os.read(self._terminal, 65536)
        except OSError:  # how Linux tells that the other side is closed
            return False
        self.raw += content
        self._stream.feed(content)
        return bool(content)
