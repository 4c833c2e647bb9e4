"""A tool that a model may call: its definition, its hints, and the result of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from llmcli.messages import Attachment

__all__ = ["Hints", "Progress", "Tool", "ToolResult"]

Progress = Callable[[str], None]
"""Takes one line about a call that is running."""


@dataclass(slots=True)
class Hints:
    """What a server says of a tool. The defaults are those of the MCP specification, the least harmless."""

    read_only: bool = False
    """The tool changes nothing."""
    destructive: bool = True
    """The tool may delete or overwrite; without meaning where it is read-only."""
    idempotent: bool = False
    """A second call with the same arguments changes nothing more."""
    open_world: bool = True
    """The tool reaches outside systems: the web, a mail server."""


@dataclass(slots=True)
class ToolResult:
    """The result of one call: text for the model, and files beside it."""

    content: str
    is_error: bool = False
    files: tuple[Attachment, ...] = ()


class Tool(Protocol):
    """Something that a model can call."""

    @property
    def name(self) -> str:
        """The name on the wire: `server__tool`, at most 64 of `[A-Za-z0-9_-]`."""

    @property
    def title(self) -> str:
        """The name in options and output: `server.tool`."""

    @property
    def description(self) -> str:
        """What the tool does, for the model."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The JSON Schema of the arguments."""

    @property
    def hints(self) -> Hints:
        """What its server says of it."""

    def run(self, args: Mapping[str, Any]) -> ToolResult:
        """Call the tool and wait for its result. A failure is a result with `is_error`; only Ctrl-C is raised."""
