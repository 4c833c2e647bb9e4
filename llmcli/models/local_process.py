"""Hold the process that runs a local model: start it, send it requests, read its messages, stop it.

The engine runs in a process of its own so that its crash is an error here, and so that a signal or a limit never waits
for it. No TCP port is open, and none of our keys is in its environment. See `local_engine.py` for the messages.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from llmcli.errors import NetworkError, ProviderError, SettingsError

__all__ = ["Engine", "packages_folder"]

Message = dict[str, Any]

# What the engine may see of our environment: where things are, and how it computes.
_PASSED = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_PASSED_PREFIXES = ("GGML_", "OMP_", "GOMP_", "KMP_", "CUDA_", "HIP_", "ROCR_", "HSA_", "VK_")
_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD")

_QUIET, _TALKATIVE = 1, 3  # the engine's own levels: errors alone, or what it does
_LONGEST_LOG = 1 << 16
_LOG_ERROR = re.compile(r"^[\d.]+ E +(?:\S+ +)?\S+: (.+)$", re.MULTILINE)


def packages_folder() -> str:
    """The folder that holds the package of the engine. Raises SettingsError where it is not installed."""
    spec = find_spec("xllamacpp")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(
            "local models need the package xllamacpp, which is not installed",
            hint="install it: pip install 'llmcli[local]'",
        )
    return str(Path(next(iter(spec.submodule_search_locations))).parent)


class Engine:
    """One loaded model. `who` is its name in messages; `options` are fields of `local_engine.py`'s first message.

    It is loading from the start: `loading` waits for the end of that. With `debug` its log goes to our stderr.
    """

    def __init__(self, who: str, path: Path, options: Mapping[str, Any], *, debug: bool = False) -> None:
        self.who = who
        self.options = options
        self.is_ready = False
        self._path = path
        self._number = 0
        self._held = b""
        packages = packages_folder()
        self._log: IO[bytes] | None = None if debug else tempfile.TemporaryFile()  # noqa: SIM115 - as long as the engine
        folder = tempfile.mkdtemp(prefix="llmcli-")  # only its owner may look into it
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("local_engine.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(os.environ),
            start_new_session=True,  # Ctrl-C is for us alone
        )
        self._end = weakref.finalize(self, _end, self._process, self._log, folder)
        first = {"path": str(path.absolute()), "name": path.stem, "packages": packages}
        more = {"socket": os.path.join(folder, "engine.sock"), "verbosity": _TALKATIVE if debug else _QUIET}
        self._send({**first, **more, **options})

    @property
    def is_alive(self) -> bool:
        """Whether it can take a request, now or when it is loaded."""
        return self._end.alive and self._process.poll() is None

    def loading(self, seconds: float) -> None:
        """Wait until the model is loaded, at most so long. Raises ProviderError where it cannot be."""
        if self.is_ready:
            return
        try:
            message = self._next(seconds)
        except BaseException:
            self.close()  # the engine reads no stop message while it loads
            raise
        if "failed" in message:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)  # a thread of the engine writes its log, the rest of it when the process ends
            why = self._logged_error() or str(message["failed"].get("message", ""))
            self.close()
            raise ProviderError(f"{self.who}: cannot load {self._path}: {why}", hint="is the file whole?")
        self.is_ready = True

    def chunks(self, body: Mapping[str, Any], seconds: float) -> Iterator[Message]:
        """The chunks of the reply to a chat request; `seconds` is the longest wait for one of them.

        A failed request is a chunk with `error`. Closing the iterator early stops the engine at its next token, and
        waits for nothing. Raises NetworkError where the engine crashes or stays silent.
        """
        self._number += 1
        number = self._number
        self._send({"id": number, "body": body})
        over = False
        try:
            while True:
                message = self._next(seconds)
                if message.get("id") != number:
                    continue  # of a request that was stopped
                if "chunk" in message:
                    yield message["chunk"]
                else:
                    over = True
                    if "failed" in message:
                        yield {"error": message["failed"]}
                    return
        finally:
            if not over and self.is_alive:
                with suppress(NetworkError):
                    self._send({"stop": number})

    def close(self) -> None:
        """End the process at once."""
        self._end()

    def _send(self, message: Message) -> None:
        try:
            assert self._process.stdin
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._crash() from None

    def _next(self, seconds: float) -> Message:
        """The next message. Raises NetworkError."""
        assert self._process.stdout
        pipe = self._process.stdout.fileno()
        until = time.monotonic() + seconds
        while b"\n" not in self._held:
            if not _readable(pipe, until - time.monotonic()):
                self.close()
                hint = "wait longer with --timeout SECONDS"
                raise NetworkError(f"{self.who}: nothing arrived for {seconds:g} s", kind="timeout", hint=hint)
            data = os.read(pipe, 1 << 16)
            if not data:
                raise self._crash()
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        found: Message = json.loads(line)
        return found

    def _crash(self) -> NetworkError:
        """The error for an engine that is no more."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            code = None
        said = self._logged_error()
        self.close()
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            how = f"was ended by {name}"
        else:
            how = f"ended with exit code {code}"
        hint = "see its log with --debug"
        if code == -signal.SIGKILL:
            hint = "the system may have run out of memory: try a smaller model, or a smaller context: -o n_ctx=2048"
        return NetworkError(f"{self.who}: the engine {how}{f': {said}' if said else ''}", kind="stream", hint=hint)

    def _logged_error(self) -> str | None:
        """The first error of the engine's log; the later ones only say that it gives up."""
        if self._log is None:
            return None
        with suppress(OSError, ValueError):
            self._log.seek(0)
            text = self._log.read(_LONGEST_LOG).decode("utf-8", "replace")
            found = _LOG_ERROR.search(text)
            lines = text.strip().splitlines()
            return found[1][:300] if found else lines[-1][:300] if lines else None
        return None


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the engine may see of our environment; threads that wait do not spin, which stalls a busy machine."""
    passed = {
        name: value
        for name, value in environ.items()
        if (name in _PASSED or name.startswith(_PASSED_PREFIXES)) and not _SECRET.search(name)
    }
    return {"OMP_WAIT_POLICY": "passive", **passed}


def _readable(pipe: int, seconds: float) -> bool:
    """Whether the pipe has something to read, or has ended, within so many seconds."""
    if os.name == "nt":  # which can only wait for sockets
        return True
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))


def _end(process: subprocess.Popen[bytes], log: IO[bytes] | None, folder: str) -> None:
    process.kill()
    process.wait()
    for file in filter(None, (process.stdin, process.stdout, log)):
        with suppress(OSError):
            file.close()
    for remove, path in ((os.unlink, os.path.join(folder, "engine.sock")), (os.rmdir, folder)):
        with suppress(OSError):
            remove(path)
