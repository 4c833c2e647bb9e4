"""Cancel a request that runs in another thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Cancel", "current_cancel"]

_CURRENT: ContextVar[Cancel | None] = ContextVar("llmcli.cancel", default=None)


class Cancel:
    """Set by one thread, and looked at by the thread that sends requests and reads replies."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """Cancel: reads end within a fraction of a second, and no request is sent any more."""
        self.is_set = True

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Let it count for everything that this thread does inside."""
        before = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(before)


def current_cancel() -> Cancel | None:
    """The one in force in this thread."""
    return _CURRENT.get()
