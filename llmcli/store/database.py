"""Open the database of saved conversations: one private SQLite file, brought to the latest version when it is opened.

The file is in WAL mode: readers and one writer do not wait for each other. A file that is broken, or that a newer
version of llmcli wrote, is recognised by its header before SQLite opens it, and stays as it is.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from llmcli.errors import SettingsError
from llmcli.paths import data_path, private_file
from llmcli.store.migrations import MIGRATIONS, migrate

__all__ = ["BACKUP", "FILE", "StoreError", "connect", "errors_in_words", "reading", "transaction", "writing"]

FILE = "conversations.db"
BACKUP = f"{FILE}.backup"  # of the version before the last migration
_MAGIC = b"SQLite format 3\0"
_VERSION_AT = slice(60, 64)  # PRAGMA user_version, big-endian
_WAIT_S = 5.0  # for another process that writes
_OPENING = threading.Lock()


class StoreError(SettingsError):
    """The database of saved conversations cannot be opened, read or written."""


def path() -> Path:
    """Where the database is, or would be."""
    return data_path(FILE)


@contextmanager
def reading() -> Iterator[sqlite3.Connection | None]:
    """The open database, in one transaction that sees no later writes; None where there is none yet.

    Raises StoreError.
    """
    with errors_in_words():
        if not path().exists():
            yield None
            return
        with closing(connect()) as database:
            database.execute("BEGIN")
            yield database
            database.execute("ROLLBACK")


@contextmanager
def writing() -> Iterator[sqlite3.Connection]:
    """The open database; everything done inside is one transaction. Raises StoreError."""
    with errors_in_words(), closing(connect()) as database, transaction(database):
        yield database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Everything done inside is written at once, or not at all."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has rolled back by itself when the disk is full
            database.execute("ROLLBACK")
        raise


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Raise StoreError for every error of SQLite and of the file system."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot open the saved conversations: {error.strerror}: {error.filename}") from None
    except sqlite3.Error as error:
        raise StoreError(f"{path()}: {error}", hint=_hint(error)) from None


def _hint(error: sqlite3.Error) -> str | None:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another program has locked the file; try again when it has ended"
    if name.startswith("SQLITE_FULL"):
        return "the disk is full"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return "check the permissions of the file and its folder"
    if name.startswith("SQLITE_IOERR"):
        return "the disk refused to read or write"
    return "if the file is broken, move it away"


def connect() -> sqlite3.Connection:
    """Open the database at the latest version; make it where there is none.

    Raises StoreError, OSError and sqlite3.Error.
    """
    file = path()
    with _OPENING:
        if not file.exists():
            _prepare.cache_clear()
        _prepare(file)
        database = sqlite3.connect(file, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA synchronous = NORMAL")  # safe in WAL mode, and no wait for the disk at every turn
        database.execute("PRAGMA secure_delete = ON")
        version = _version(database)
        _check_version(file, version)
        if version != len(MIGRATIONS):
            _bring_up_to_date(database, file)
    except BaseException:
        database.close()
        raise
    return database


@cache
def _prepare(file: Path) -> None:
    """Make the file private, and check its header.

    Once in a process, and before SQLite opens the file: a POSIX lock ends when the process closes any descriptor of the
    file, so that another process could delete the write-ahead log that this one still writes to.
    """
    private_file("data", file.name)
    _check_header(file)


def _check_header(file: Path) -> None:
    """Raise StoreError for a newer version, and for a file that is no database; an empty one is a new one."""
    if not file.is_file():
        raise StoreError(f"{file} is not a file", hint="move it away, and llmcli begins a new one")
    with open(file, "rb") as stream:
        header = stream.read(100)
    if header and not header.startswith(_MAGIC):
        raise StoreError(f"{file} is not a database", hint="move it away, and llmcli begins a new one")
    _check_version(file, int.from_bytes(header[_VERSION_AT], "big"))


def _check_version(file: Path, version: int) -> None:
    if not 0 <= version <= len(MIGRATIONS):
        hint = "upgrade llmcli, or move the file away"
        raise StoreError(f"{file} was written by a newer version of llmcli", hint=hint)


def _version(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def _bring_up_to_date(database: sqlite3.Connection, file: Path) -> None:
    """Switch to WAL mode and migrate. Of several processes that come here at once, one migrates and the others wait."""
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            with transaction(database):  # before WAL mode: a file that is refused must stay as it is
                _check_version(file, version := _version(database))
                if version < len(MIGRATIONS):
                    if version:
                        _back_up(file)
                    migrate(database, version)
            if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                database.execute("PRAGMA journal_mode = WAL")  # does not wait by itself for other processes
            return
        except sqlite3.OperationalError as error:
            if not str(error).startswith("database is locked") or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _back_up(file: Path) -> None:
    """Copy the database as it was before the migration; replaces the backup of the migration before."""
    with closing(sqlite3.connect(file, timeout=_WAIT_S)) as source:
        target = private_file("data", BACKUP)
        os.truncate(target, 0)
        with closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
