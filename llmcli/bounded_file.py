"""Read a file, a pipe or stdin as bytes, up to a bound."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable

from llmcli.errors import UserError

__all__ = ["MOST", "read_bounded", "read_file"]

MOST = 256 * 1024 * 1024
"""Bytes of one file or of stdin; more is refused."""
_PIECE = 1024 * 1024
_WRITER_S = 5.0  # for a program to open the other end of a FIFO


def read_bounded(read: Callable[[int], bytes], name: str, most: int = MOST) -> bytes:
    """All bytes that `read` returns before its first empty answer. Raises UserError for more than `most` bytes."""
    pieces, size = [], 0
    while piece := read(_PIECE):
        size += len(piece)
        if size > most:
            raise UserError(f"{name} holds more than {most // 1024 // 1024} MiB", hint="send a part of it")
        pieces.append(piece)
    return b"".join(pieces)


def read_file(path: str, name: str, most: int = MOST) -> bytes:
    """The bytes of a file; a FIFO is read to its end, a device is refused.

    `name` is the file in messages. Raises UserError for a device, a FIFO without a writer and more than `most` bytes,
    OSError and ValueError as `os.open` does.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    first = b""
    try:
        found = os.fstat(descriptor)
        _refuse_device(found, descriptor, name)
        if stat.S_ISFIFO(found.st_mode):
            first = _first_of_fifo(descriptor, path, name)
        if hasattr(os, "set_blocking") and not stat.S_ISREG(found.st_mode):
            os.set_blocking(descriptor, True)
        return first + read_bounded(lambda size: os.read(descriptor, size), name, most)
    finally:
        os.close(descriptor)


def _refuse_device(found: os.stat_result, descriptor: int, name: str) -> None:
    """Raise UserError for a device that is neither a terminal nor the empty one: it may have no end."""
    is_device = stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode)
    if is_device and not os.isatty(descriptor) and not os.path.samestat(found, os.stat(os.devnull)):
        raise UserError(f"cannot read {name}: it is a device", hint="name a file, or pipe a part of it into stdin")


def _first_of_fifo(descriptor: int, path: str, name: str) -> bytes:
    """What a FIFO holds when its writer is there. Raises UserError where no program opens it for writing."""
    end = time.monotonic() + _WRITER_S
    while True:
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:  # a writer is there, and silent
            return b""
        # The pipe of a shell had its writer: <(command)
        if piece or os.path.realpath(path).startswith(("/dev/fd/", "/proc/")):
            return piece
        if time.monotonic() >= end:
            raise UserError(f"cannot read {name}: no program writes to this FIFO", hint="start its writer first")
        time.sleep(0.02)
