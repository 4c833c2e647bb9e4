"""The stdio transport of MCP: start a program, and exchange one JSON-RPC message a line on its stdin and stdout."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from llmcli.tools.mcp_messages import MOST_IN_MESSAGE, ConnectionEnded, Inbox, Message, encode
from llmcli.tools.process import Child, end
from llmcli.tools.text import one_line

__all__ = ["Log", "StdioTransport"]

Log = Callable[[str], None]
"""Takes one line of a server's stderr, for --debug."""


class StdioTransport:
    """A server that we started. `log` gets the lines of its stderr; the last ones are kept for messages."""

    def __init__(
        self, who: str, command: Sequence[str], env: Mapping[str, str], inbox: Inbox, log: Log | None = None
    ) -> None:
        self.version: str | None = None
        self._who = who
        self._inbox = inbox
        self._log = log
        self._line = bytearray()
        self._skipping = False  # within a line that is too long
        self._words: deque[str] = deque(maxlen=20)
        self._error_line = b""
        self._child = Child(who, command, env)
        self._child.read(self._take, self._take_errors, self._ended)

    @property
    def child(self) -> Child:
        """The program."""
        return self._child

    def send(self, message: Message, headers: Mapping[str, str]) -> None:
        """See `Transport.send`."""
        self._child.write(encode(message) + b"\n")

    def cancel(self, number: int) -> bool:
        """See `Transport.cancel`."""
        return False

    def close(self) -> None:
        """See `Transport.close`."""
        end([self._child])

    def _take(self, content: bytes) -> bool:
        *lines, rest = content.split(b"\n")
        for line in lines:
            if not self._skipping and len(self._line) + len(line) <= MOST_IN_MESSAGE:
                if whole := bytes(self._line + line).strip():
                    self._inbox.receive(whole)
            elif not self._skipping:
                self._inbox.too_long()
            self._line.clear()
            self._skipping = False
        if not self._skipping:
            self._line += rest
            if len(self._line) > MOST_IN_MESSAGE:
                self._line.clear()
                self._skipping = True
                self._inbox.too_long()
        return self._inbox.count(len(content))

    def _take_errors(self, content: bytes) -> bool:
        *lines, rest = (self._error_line + content).split(b"\n")
        self._error_line = rest[-4000:]
        for line in lines[-1000:]:
            if words := one_line(line[:4000].decode("utf-8", "replace"), 500):
                self._words.append(words)
                if self._log:
                    self._log(f"{self._who}: {words}")
        return True

    def _ended(self) -> None:
        code = self._child.exit_code(1.0)
        self._child.wait_for_errors(0.2)
        how = "closed its stdout" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was ended by signal {-code}"
        said = f": {self._words[-1]}" if self._words else ""
        hint = "run its command by hand, or see its stderr with --debug"
        self._inbox.fail(ConnectionEnded(f"{self._who} {how}{said}", hint=hint))
