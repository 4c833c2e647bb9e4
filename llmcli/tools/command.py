"""The user's own commands as tools: arguments as JSON on stdin, never through a shell, within limits."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from llmcli.errors import SettingsError
from llmcli.tools.process import Child, end
from llmcli.tools.text import clean, one_line
from llmcli.tools.tool import Hints, ToolResult

__all__ = ["CommandTool"]

_MOST_OUTPUT = 100_000  # bytes for the model, where `max_output` says nothing else
_MOST_ERRORS = 4_000
_DRAIN_S = 0.5  # for output that a program has left in its pipe


class CommandTool:
    """`[tools.NAME]` of the settings. Exit code 0 is success; any other is an error that the model sees.

    `env` is everything that the program gets of an environment; `timeout` in seconds, `max_output` in bytes.
    """

    hints = Hints()

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        description: str,
        parameters: Mapping[str, Any],
        timeout: float,
        max_output: int = _MOST_OUTPUT,
    ) -> None:
        self.name = name
        self.title = name
        self.description = description
        self.parameters = parameters
        self._command = command
        self._env = env
        self._timeout = timeout
        self._most = max_output

    def run(self, args: Mapping[str, Any]) -> ToolResult:
        """See `Tool.run`."""
        try:
            child = Child(f"tool {self.title}", self._command, self._env)
        except SettingsError as error:
            return ToolResult(error.message, is_error=True)
        output, errors = _Kept(self._most), _Kept(_MOST_ERRORS)
        ended: SimpleQueue[None] = SimpleQueue()
        child.read(output.add, errors.add, lambda: ended.put(None))
        code = None
        try:
            child.write(json.dumps(dict(args), ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            child.end_input()
            code = _wait(child, self._timeout, ended)
        finally:
            end([child], grace=0.2)
        if code is None:
            return ToolResult(f"{self.title} did not end within {self._timeout:g} s", is_error=True)
        child.wait_for_errors(_DRAIN_S)
        text = output.text()
        if code:
            told = one_line(errors.text(), 2000)
            text = "\n".join(filter(None, (text, f"{self.title} ended with exit code {code}", told)))
        return ToolResult(text, is_error=code != 0)


def _wait(child: Child, seconds: float, ended: SimpleQueue[None]) -> int | None:
    """Wait for the program, and for its output; None where it takes longer than `seconds`."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            ended.get(timeout=min(left, 0.05))
            return child.exit_code(until - time.monotonic())
        except Empty:
            if (code := child.exit_code(0)) is not None:  # a child of its own may keep the pipe open
                with suppress(Empty):
                    ended.get(timeout=_DRAIN_S)
                return code
    return None


class _Kept:
    """The first bytes of a stream; the rest is counted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._content = bytearray()
        self._size = 0

    def add(self, content: bytes) -> bool:
        """Keep what there is room for. Reads on for ever: a program must not wait for its output to be read."""
        self._size += len(content)
        self._content += content[: max(self._most - len(self._content), 0)]
        return True

    def text(self) -> str:
        """The text, cleaned, and how much was left out."""
        text = clean(self._content.decode("utf-8", "replace"), self._most)
        left_out = self._size - len(self._content)
        return f"{text}\n[truncated: {left_out:,} more bytes]" if left_out else text
