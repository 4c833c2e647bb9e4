"""Run the real command on a pseudo-terminal, and read what a person sees there."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.command import COMMAND
from tests.readable import is_readable
from tests.terminal import Terminal

_PATIENCE_S = 60  # far more than anything takes: only a hang gets there


class Screen:
    """`llmcli ARGS` with those of its streams on one terminal that `on` names; the others are pipes.

    Everything that was written to the terminal is kept in `written`; `stdout` and `stderr` are what the pipes got.
    `command` runs another than llmcli itself; with `stdin` it is a pipe that stays open until `close_stdin`.
    """

    def __init__(
        self,
        *args: str,
        on: tuple[str, ...] = ("stdout", "stderr"),
        columns: int = 60,
        height: int = 18,
        command: Sequence[str] = COMMAND,
        stdin: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.terminal = Terminal(columns, height)
        self.written = ""
        self.stdout = self.stderr = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, columns, 0, 0))
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [*command, *args, "--no-save"],  # else a note says where it is saved
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=theirs if "stdout" in on else subprocess.PIPE,
            stderr=theirs if "stderr" in on else subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", **(env or {})},
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()  # which closes the pipes
        os.close(self._ours)

    @property
    def rows(self) -> list[str]:
        """The rows of the terminal, scrollback and all."""
        return self.terminal.rows()

    def until(self, wanted: Callable[[list[str]], object] | str) -> list[str]:
        """Wait until the screen is as wanted: a condition on its rows, or a pattern to be found in one of them."""
        condition = wanted if callable(wanted) else lambda rows: any(re.search(wanted, row) for row in rows)
        deadline = time.monotonic() + _PATIENCE_S
        while not condition(self.rows):
            assert time.monotonic() < deadline, f"not seen: {wanted} in {self.rows}"
            assert self._read(), f"it ended without {wanted}: {self.rows}"
        return self.rows

    def end(self) -> int:
        """Wait for the end, and return the exit code."""
        while self._read():
            pass
        out, err = self.process.communicate(timeout=_PATIENCE_S)
        self.stdout, self.stderr = out or b"", err or b""
        return self.process.returncode

    def close_stdin(self) -> None:
        """End what comes from stdin."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.stdin = None

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def _read(self) -> bool:
        """Take in what was written; False at the end."""
        ready = is_readable(self._ours, _PATIENCE_S)
        assert ready, f"nothing more came: {self.rows}"
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # how Linux says that nobody has the other side any more
            return False
        text = self._decoder.decode(data)
        self.written += text
        self.terminal.write(text)
        return bool(data)
