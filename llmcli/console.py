"""The console: stdin, stdout, stderr and the secrets that must not appear on them, made once and passed down."""

from __future__ import annotations

from llmcli.inputs import Stdin
from llmcli.render.streams import Stderr, Stdout
from llmcli.secrets import Secrets

__all__ = ["Console"]


class Console:
    """The streams of one run. Tests and batch runs pass streams of their own.

    `secrets` is shared by reference: a credential is added when it is read, and is redacted on stderr from then on.
    """

    def __init__(
        self,
        stdin: Stdin | None = None,
        stdout: Stdout | None = None,
        stderr: Stderr | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self.secrets = secrets or Secrets()
        self.stdin = stdin or Stdin()
        self.stdout = stdout or Stdout()
        self.stderr = stderr or Stderr(self.secrets)
