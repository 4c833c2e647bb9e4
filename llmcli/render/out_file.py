"""Write the reply to the file of --out, which gets its name only when the reply is whole."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from secrets import token_hex

from llmcli.errors import LlmcliError
from llmcli.render.streams import Stdout

__all__ = ["OutFile"]


class OutFile(Stdout):
    """Collects what stdout would get in a temporary file beside `path`.

    `commit` renames it to `path`. `close` without `commit` renames it to `path` and `.part`, and leaves `path` as it
    is; an empty one is removed. The mode follows the umask, or is that of the file that it replaces. A symbolic link
    stays, and its target is replaced.

    Raises LlmcliError of kind `output` where the file cannot be written, before anything is sent where that is known.
    """

    def __init__(self, path: str) -> None:
        self.is_terminal = False
        self._path = os.path.realpath(os.path.expanduser(path))
        self._shown = path
        self._temporary: str | None = None
        self._size = 0
        folder, name = os.path.split(self._path)
        temporary = os.path.join(folder, f".{name[:100]}.{token_hex(6)}.part")
        try:
            mode = self._mode_of_old_file()
            self._file = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            self._temporary = temporary
            if mode is not None:
                os.chmod(temporary, mode)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def steer(self, text: str) -> None:
        """See `Stdout.steer`."""
        content = memoryview(text.encode("utf-8", "backslashreplace"))
        self._size += len(content)
        try:
            while content:
                content = content[os.write(self._file, content) :]
        except OSError as error:
            raise self._failed(error) from error

    def size(self) -> tuple[int, int]:
        """Columns and rows for a page of Markdown: COLUMNS, or else 80, and 24."""
        columns = os.environ.get("COLUMNS", "")
        return int(columns) if columns.isdecimal() and int(columns) else 80, 24

    def flush(self) -> None:
        """Do nothing: every write is unbuffered."""

    def commit(self) -> None:
        """Give the file its name. Raises LlmcliError where that fails."""
        try:
            os.fsync(self._file)
            self._rename(self._path)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Keep what was written beside the file that `commit` would have replaced; never fails."""
        with suppress(OSError):
            os.close(self._file)
            if self._temporary and self._size:
                self._rename(f"{self._path}.part")
            elif self._temporary:
                os.unlink(self._temporary)

    def _rename(self, path: str) -> None:
        if self._temporary:
            os.replace(self._temporary, path)
            self._temporary = None

    def _mode_of_old_file(self) -> int | None:
        """The permissions of the file that is to be replaced; None where there is none. Raises OSError for a device."""
        try:
            mode = os.stat(self._path).st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(mode):
            raise OSError(0, "not a regular file")
        if not os.access(self._path, os.W_OK):
            raise PermissionError(0, "the file is read-only")
        return stat.S_IMODE(mode) & 0o777

    def _failed(self, error: OSError | ValueError) -> LlmcliError:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return LlmcliError(f"cannot write {self._shown}: {why}", kind="output", hint="check what --out names")
