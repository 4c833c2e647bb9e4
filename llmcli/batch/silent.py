"""A console that discards all output, for turns that only need their Result."""

from __future__ import annotations

from llmcli.console import Console
from llmcli.inputs import Stdin
from llmcli.render.streams import Stderr, Stdout
from llmcli.secrets import Secrets

__all__ = ["silent_console"]


class _NoStdout(Stdout):
    def __init__(self) -> None:
        self.is_terminal = False

    def steer(self, text: str) -> None:
        """Keep nothing."""


class _NoStderr(Stderr):
    def __init__(self, secrets: Secrets) -> None:
        super().__init__(secrets)
        self.is_terminal = self.is_live = False

    def steer(self, text: str) -> None:
        """Keep nothing."""


def silent_console(console: Console) -> Console:
    """A console without streams that shares the secrets of `console`."""
    return Console(Stdin(used_by="another command"), _NoStdout(), _NoStderr(console.secrets), console.secrets)
