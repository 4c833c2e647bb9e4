"""Show a reply of several steps on a terminal: end the text of each step before the lines about its tool calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from llmcli.messages import ReplyStart, StreamEvent, TextDelta, ToolCall, ToolResult
from llmcli.result import Result

if TYPE_CHECKING:
    from llmcli.render import Renderer

__all__ = ["SteppedRenderer"]


class SteppedRenderer:
    """Shows each step with a renderer of its own, which `make` makes."""

    def __init__(self, make: Callable[[], Renderer]) -> None:
        self._make = make
        self._inner = make()
        self._between = False  # a step is over, and the next one has not begun

    @property
    def at_once(self) -> bool:
        """See `Renderer.at_once`."""
        return self._inner.at_once

    def event(self, event: StreamEvent) -> None:
        """See `Renderer.event`."""
        if isinstance(event, ToolCall | ToolResult):
            if not self._between:
                self._between = True
                self._inner.end(Result(""))
                self._inner = self._make()
        elif isinstance(event, ReplyStart | TextDelta):
            self._between = False
        self._inner.event(event)

    def pause(self) -> None:
        """See `Renderer.pause`."""
        self._inner.pause()

    def end(self, result: Result) -> None:
        """See `Renderer.end`; the text of a step that is over has been shown."""
        self._inner.end(Result("") if self._between else result)
