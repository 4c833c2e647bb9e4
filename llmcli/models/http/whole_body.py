"""The stream of a response whose body is already complete."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2

__all__ = ["WholeBody"]


class WholeBody(httpx2.SyncByteStream):
    """Bytes as the stream of a response that has not been read yet."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        """Yield them once."""
        yield self._content
