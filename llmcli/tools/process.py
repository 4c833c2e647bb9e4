"""Start a program for a tool in a session of its own, exchange bytes with it, and end it with all its children."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import IO

from llmcli.errors import SettingsError

__all__ = ["Child", "end", "inherited"]

_INHERITED = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
_INHERITED_WINDOWS = (
    *("APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE"),
    *("SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE"),
)
_GRACE_S = 1.0  # after the end of its input, and again after SIGTERM
_CHUNK = 1 << 16  # bytes


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that every tool program gets; no key is among them. A value that is a shell function is left out.

    The list is that of the reference implementation of MCP.
    """
    names = _INHERITED_WINDOWS if os.name == "nt" else _INHERITED
    return {name: environ[name] for name in names if name in environ and not environ[name].startswith("()")}


class Child:
    """A running program. Raises SettingsError where it is missing or cannot be started."""

    def __init__(self, who: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        path = shutil.which(command[0], path=env.get("PATH"))
        if path is None:
            hint = "check the command, and that the program is installed and in PATH"
            raise SettingsError(f"{who}: no program {command[0]!r} was found", hint=hint, kind="tool_server")
        try:
            self._process = subprocess.Popen(
                [path, *command[1:]],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                start_new_session=True,  # without our terminal, and ended as one group
            )
        except (OSError, ValueError) as error:
            raise SettingsError(f"{who}: cannot start {command[0]!r}: {error}", kind="tool_server") from error
        self._who = who
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._errors_read = Event()

    def read(
        self,
        on_output: Callable[[bytes], bool],
        on_errors: Callable[[bytes], bool],
        on_end: Callable[[], None],
    ) -> None:
        """Let threads read stdout and stderr, and pass them on in pieces of bytes, and write stdin.

        `on_output` and `on_errors` return False to read no further. `on_end` is called when stdout is at its end.
        """
        process = self._process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._thread("writer", self._write_all, process.stdin)
        self._thread("stdout", _read_all, process.stdout, on_output, on_end)
        self._thread("stderr", _read_all, process.stderr, on_errors, self._errors_read.set)

    def _thread(self, what: str, work: Callable[..., None], *args: object) -> None:
        Thread(target=work, args=args, daemon=True, name=f"{self._who} {what}").start()

    def wait_for_errors(self, seconds: float) -> None:
        """Wait so long until stderr has been read to its end."""
        self._errors_read.wait(seconds)

    def write(self, content: bytes) -> None:
        """Send bytes to its stdin; returns at once."""
        if self._outbox.qsize() < 1000:  # a program that does not read gets no more
            self._outbox.put(content)

    def end_input(self) -> None:
        """Close its stdin, after what has been written."""
        self._outbox.put(None)

    def exit_code(self, seconds: float) -> int | None:
        """Wait so long for its end; None where it goes on."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(max(seconds, 0))
        return None

    def signal_group(self, signum: int) -> bool:
        """Send a signal to the program and its children; False where none of them is left."""
        try:
            if os.name == "nt":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signum)
        except OSError:  # macOS answers EPERM for a group of zombies
            return False
        return True

    def _write_all(self, stream: IO[bytes]) -> None:
        with suppress(OSError), stream:
            while content := self._outbox.get():
                view = memoryview(content)
                while view:
                    view = view[stream.write(view) :]


def _read_all(stream: IO[bytes], take: Callable[[bytes], bool], on_end: Callable[[], None]) -> None:
    with suppress(OSError, ValueError), stream:
        while (content := stream.read(_CHUNK)) and take(content):
            pass
    on_end()


def end(children: Iterable[Child], grace: float = _GRACE_S) -> None:
    """End the programs together: close stdin, then SIGTERM, then SIGKILL, with `grace` seconds before each signal.

    Their children get the signals too, also where a program itself has ended in time. Ctrl-C ends the waiting.
    """
    left = list(children)
    try:
        for child in left:
            child.end_input()
        until = time.monotonic() + grace
        for child in left:
            child.exit_code(until - time.monotonic())
        left = [child for child in left if child.signal_group(signal.SIGTERM)]
        until = time.monotonic() + grace
        while left and time.monotonic() < until:
            time.sleep(0.01)
            left = [child for child in left if child.exit_code(0) is None or child.signal_group(0)]
    finally:
        for child in left:
            child.signal_group(getattr(signal, "SIGKILL", signal.SIGTERM))
            child.exit_code(grace)
