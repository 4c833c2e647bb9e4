"""Wait until a file descriptor can be read; `select.select` refuses numbers from 1,024 on."""

from __future__ import annotations

import select
from typing import Any

__all__ = ["is_readable"]


def is_readable(file: Any, seconds: float) -> bool:
    """Whether the file, or descriptor, can be read within `seconds`."""
    poll = select.poll()
    poll.register(file, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(seconds * 1000))
