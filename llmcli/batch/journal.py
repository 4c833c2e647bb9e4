"""The journal of a batch: finished rows are synced to disk, and the ordered output is made from them.

The journal lies beside the output as `OUT.journal`: one JSON line for each finished row, `{"key", "line"}`. Lines are
written and synced in groups, at most a tenth of a second apart, and a row counts as finished when its line is synced. A
torn last line, which a crash leaves, is cut off when the journal is opened again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmcli.errors import LlmcliError, UserError

__all__ = ["Journal", "is_whole", "write_output"]

_GROUP_S = 0.1  # the longest time between two syncs


def is_whole(line: Mapping[str, Any]) -> bool:
    """Whether a line of the output is a whole reply."""
    return line.get("exit_code") == 0


def is_cut(line: Mapping[str, Any]) -> bool:
    """Whether a line of the output is a reply that was cut or withheld, which another request may not better."""
    return line.get("exit_code") in (7, 9)


class Journal:
    """The finished rows of a batch, by index; any thread may add to it.

    Raises UserError where another run has it open, or the file is a link, LlmcliError where it cannot be written.
    """

    def __init__(self, out: Path, rows: int) -> None:
        self.path = out.with_name(f"{out.name}.journal")
        self._file = _open_private(self.path)
        self.places = array("q", [-1]) * rows
        """Where the line of each row begins in the journal, in bytes; -1 for a row that is not finished."""
        self._end = 0
        self._waiting: list[bytes] = []
        self._lock = threading.Condition()
        self._closed = False
        self._failure: OSError | None = None
        self._syncing = threading.Thread(target=self._sync_on, daemon=True, name="journal")

    def load(self, wanted: Callable[[int, str, dict[str, Any]], bool], earlier: Path | None = None) -> int:
        """Take in the finished rows of earlier runs for which `wanted(index, key, line)` holds; return their number.

        `earlier` is an output without a journal, of a run that was whole.
        """
        found = self._read(wanted)
        if not self._end and earlier is not None:
            self._import(earlier)
            found = self._read(wanted)
        self._syncing.start()
        return found

    def _read(self, wanted: Callable[[int, str, dict[str, Any]], bool]) -> int:
        found = 0
        position = 0
        with open(self.path, "rb") as file:
            for content in file:
                record = _record(content)
                if record is None:
                    break  # torn by a crash: nothing behind it counts
                key, line = record
                index = line["index"]
                if 0 <= index < len(self.places) and wanted(index, key, line):
                    found += self.places[index] < 0
                    self.places[index] = position
                position += len(content)
        os.ftruncate(self._file, position)
        self._end = position
        return found

    def _import(self, earlier: Path) -> None:
        with suppress(OSError), open(earlier, "rb") as file:
            for content in file:
                with suppress(ValueError, RecursionError, KeyError, TypeError, AttributeError):
                    line = json.loads(content)
                    if (
                        isinstance(line, dict)
                        and isinstance(line.get("index"), int)
                        and isinstance(line.get("key"), str)
                    ):
                        self._end += os.write(self._file, _encoded(line.pop("key"), line))

    def add(self, index: int, key: str, line: dict[str, Any]) -> None:
        """Keep the line of a finished row; it is synced within a tenth of a second."""
        content = _encoded(key, line)
        with self._lock:
            if self._failure:
                raise LlmcliError(f"cannot write {self.path}: {self._failure.strerror}", kind="output")
            self.places[index] = self._end
            self._end += len(content)
            self._waiting.append(content)
            self._lock.notify()

    def sync(self) -> None:
        """Return when everything that was added is on disk."""
        with self._lock:
            self._lock.wait_for(lambda: not self._waiting or self._failure)

    def close(self, *, remove: bool) -> None:
        """Sync, and remove the file where the batch is whole."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        if self._syncing.is_alive():
            self._syncing.join()
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _sync_on(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting or self._closed)
                group = list(self._waiting)
                if not group and self._closed:
                    return
            try:
                content = memoryview(b"".join(group))
                while content:
                    content = content[os.write(self._file, content) :]
                os.fsync(self._file)
            except OSError as error:
                self._failure = error
            with self._lock:
                del self._waiting[: len(group)]
                self._lock.notify_all()
                if self._failure:
                    return
            if not self._closed:
                time.sleep(_GROUP_S / 2)


def _open_private(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        number = os.open(path, flags, 0o600)
    except OSError as error:
        raise UserError(
            f"cannot open {path}: {error.strerror}", hint="is it a link, or is its folder missing?"
        ) from error
    os.fchmod(number, 0o600)
    if os.name != "nt":
        import fcntl

        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(number)
            raise UserError(f"{path} is in use by another run", hint="wait for it, or name another --out") from None
    return number


def _encoded(key: str, line: dict[str, Any]) -> bytes:
    return json.dumps({"key": key, "line": line}, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _record(content: bytes) -> tuple[str, dict[str, Any]] | None:
    if not content.endswith(b"\n"):
        return None
    try:
        value = json.loads(content)
        key, line = value["key"], value["line"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(key, str) or not isinstance(line, dict) or not isinstance(line.get("index"), int):
        return None
    return key, line


def write_output(out: Path, journal: Journal, order: Sequence[int] | None = None) -> None:
    """Write the finished rows to `out`, in input order or in `order`; the file appears whole or not at all.

    Raises LlmcliError where it cannot be written.
    """
    journal.sync()
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(part, flags, 0o666), "wb") as file, open(journal.path, "rb") as source:
            for index in order if order is not None else range(len(journal.places)):
                if journal.places[index] < 0:
                    continue
                source.seek(journal.places[index])
                record = _record(source.readline())
                if record is not None:
                    key, line = record
                    content = json.dumps({**line, "key": key}, ensure_ascii=False)
                    file.write(content.encode("utf-8", "backslashreplace") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if out.is_symlink():
            raise OSError(0, "it is a link")
        os.replace(part, out)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise LlmcliError(f"cannot write {out}: {error.strerror}", kind="output") from error
