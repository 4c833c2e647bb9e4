"""The file of keys, beside the settings: private, written whole or not at all, one key for each provider."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from llmcli.errors import SettingsError
from llmcli.paths import config_folder

__all__ = ["changing_keys", "keys_path", "read_keys"]


def keys_path(environ: Mapping[str, str]) -> Path:
    """Where the file of keys is, or would be."""
    return config_folder(environ) / "keys.json"


def read_keys(path: Path) -> dict[str, str]:
    """The keys by the canonical prefix of their provider; none where there is no file.

    Raises SettingsError where the file cannot be read, is no file of keys, or is open to other users.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
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
    """The keys, to be changed here; in the end they take the place of the file, readable by its owner alone.

    Its folder too, where it is new. Whoever else changes them meanwhile has to wait (not on Windows). Raises
    SettingsError where the keys cannot be read or written; the old file is then as it was.
    """
    path = Path(os.path.realpath(path))  # it may be a link into somebody's collection of settings
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
        fcntl.flock(number, fcntl.LOCK_EX)
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
