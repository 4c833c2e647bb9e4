"""Read and write keys.json, the private file with one API key for each provider."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from llmcli.errors import SettingsError
from llmcli.paths import config_folder, read_file

__all__ = ["changing_keys", "keys_path", "read_keys"]

_LOCK_S = 5.0  # seconds to wait for another process that changes the file


def keys_path(environ: Mapping[str, str]) -> Path:
    """Where the file of keys is, or would be."""
    return config_folder(environ) / "keys.json"


def read_keys(path: Path) -> dict[str, str]:
    """The keys by the canonical prefix of their provider; none where there is no file.

    Raises SettingsError where the file cannot be read, is no file of keys, or is open to other users.
    """
    try:
        content, mode = read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}", kind="credentials") from error
    if mode & 0o077 and os.name != "nt":
        raise SettingsError(
            f"{path} holds keys, and other users may read or write it",
            hint=f"chmod 600 {path}; where somebody may have read it, get new keys",
            kind="credentials",
        )
    try:
        keys = json.loads(content)
    except (ValueError, RecursionError):
        keys = None
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        hint = "move it away, and enter the keys again: llmcli keys set PROVIDER"
        raise SettingsError(f"{path} is no file of keys", hint=hint, kind="credentials") from None
    return keys


@contextmanager
def changing_keys(path: Path) -> Iterator[dict[str, str]]:
    """Yield the keys; on exit write them atomically, with mode 0600, under a lock.

    A new folder is private too. Other processes wait for the lock (not on Windows). Raises
    SettingsError where the keys cannot be read or written; the old file is then as it was.
    """
    path = Path(os.path.realpath(path))  # it may be a symbolic link into a repository of settings
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o700)
        with _alone_in(path.parent):
            keys = read_keys(path)
            yield keys
            _write(path, keys)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}", kind="credentials") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    if os.name == "nt":
        yield
        return
    import fcntl

    number = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    hint = "end it, and try again"
                    told = f"{folder} is locked by another process, which may be changing the file of keys"
                    raise SettingsError(told, hint=hint, kind="credentials") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(number)


def _write(path: Path, keys: Mapping[str, str]) -> None:
    import tempfile

    number, name = tempfile.mkstemp(dir=path.parent, prefix=".keys-")
    try:
        os.chmod(name, 0o600)  # whatever the umask has made of it
        with open(number, "w", encoding="utf-8") as file:
            json.dump(dict(sorted(keys.items())), file, indent=2)
            file.flush()
            os.fsync(number)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
