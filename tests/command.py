"""Run the real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
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


def started(*args: str, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.Popen[bytes]:
    """Start `llmcli ARGS` and return the running process; stdin is empty unless `more` says otherwise."""
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([*COMMAND, *args], env={**os.environ, **(env or {})}, **more)
