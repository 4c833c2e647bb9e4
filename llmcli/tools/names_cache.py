"""Names of the tools that servers have listed, kept for shell completion, which starts no server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress

from llmcli.paths import private_file

__all__ = ["keep_names", "read_names"]

_MOST = 1 << 20  # bytes


def keep_names(listed: Mapping[str, Iterable[str]]) -> None:
    """Keep the titles (`server.tool`) of each server, in the place of those it had before; a failure is ignored."""
    with suppress(OSError, ValueError):
        path = private_file("state", "tool_names.json")
        known = {**_read(), **{server: list(titles) for server, titles in listed.items()}}
        path.write_text(json.dumps(known), encoding="utf-8")


def read_names() -> list[str]:
    """All titles; none where there is no file, or it cannot be read."""
    return [title for titles in _read().values() for title in titles]


def _read() -> dict[str, list[str]]:
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        with private_file("state", "tool_names.json").open("rb") as file:
            found = json.loads(file.read(_MOST) or b"{}")
        return {
            server: [title for title in titles if isinstance(title, str)]
            for server, titles in found.items()
            if isinstance(titles, list)
        }
    return {}
