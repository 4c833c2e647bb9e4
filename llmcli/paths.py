"""Paths of llmcli's own files: below LLMCLI_HOME, else in the platform's folders. All files are private."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

__all__ = [
    "FILE_LIMIT",
    "config_folder",
    "data_folder",
    "data_path",
    "private_file",
    "read_file",
    "replace_file",
    "state_path",
]

FILE_LIMIT = 16 * 1024 * 1024
"""Bytes of a settings file, a file of keys or another file of our own; more is an error."""


def read_file(path: Path, most: int = FILE_LIMIT) -> tuple[bytes, int]:
    """The content of a file of at most `most` bytes, and its mode. Raises OSError, also for a pipe or an endless file.

    A named pipe would be waited for without end.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with open(number, "rb") as file:
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it holds more than {most / 1024 / 1024:g} MiB", str(path))
    return content, mode


def private_file(kind: Literal["data", "state"], name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Create a file if it is missing, and return its path: only its owner can read it and list its folder.

    Whatever the umask. Raises OSError where it cannot be made.
    """
    folder = _folder(kind, environ)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / name
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
    return path


def data_path(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The path of a file in the data folder, whether it is there or not."""
    return _folder("data", environ) / name


def state_path(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The path of a file in the state folder, whether it is there or not."""
    return _folder("state", environ) / name


def _folder(kind: Literal["data", "state"], environ: Mapping[str, str]) -> Path:
    # A folder of our own below LLMCLI_HOME: other programs may use LLMCLI_HOME, so its mode must not change.
    if home := environ.get("LLMCLI_HOME"):
        return Path(os.path.expanduser(home)) / kind
    from platformdirs import user_data_path, user_state_path

    return (user_data_path if kind == "data" else user_state_path)("llmcli")


def data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where our data lives; it may not be there yet."""
    return _folder("data", environ)


def config_folder(environ: Mapping[str, str]) -> Path:
    """Where settings and keys live: LLMCLI_HOME, else the platform's folder."""
    if home := environ.get("LLMCLI_HOME"):
        return Path(os.path.expanduser(home))
    from platformdirs import user_config_path

    return user_config_path("llmcli")


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all, with these permissions whatever the umask; a symbolic link stays.

    Its folder is made, readable by its owner alone, where it is missing. Raises OSError; the old file is then as it
    was.
    """
    import tempfile

    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o700)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:50]}-")
    try:
        with open(number, "wb") as file:
            os.chmod(name, mode)
            file.write(content)
            file.flush()
            os.fsync(number)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
