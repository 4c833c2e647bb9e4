"""Run the real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

COMMAND = (sys.executable, "-m", "llmcli")
_PATIENCE_S = 60  # far more than anything takes: only a hang gets there


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def json(self) -> Any:
        """The object on stdout."""
        return json.loads(self.stdout)


def llmcli(*args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Result:
    """Run `llmcli ARGS` with `stdin` on a pipe, and `env` added to the test's environment."""
    done = subprocess.run(
        [*COMMAND, *args], input=stdin, capture_output=True, env={**os.environ, **(env or {})}, timeout=_PATIENCE_S
    )
    result = Result(done.returncode, done.stdout, done.stderr.decode())
    assert "Traceback" not in result.stderr, result.stderr
    return result


class Process(subprocess.Popen[bytes]):
    """A running command; leaving the `with` ends it, also where the test has failed and nothing else would."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with suppress(subprocess.TimeoutExpired):
                self.wait(_PATIENCE_S)
        if self.poll() is None:
            self.kill()
        super().__exit__(kind, error, trace)


def started(*args: str, env: Mapping[str, str] | None = None, **more: Any) -> Process:
    """Start `llmcli ARGS` and return the running process; stdin is empty unless `more` says otherwise."""
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return Process([*COMMAND, *args], env={**os.environ, **(env or {})}, **more)
