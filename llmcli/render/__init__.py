"""Renderers of replies: `show` passes each event to the renderer of stdout and to the progress lines on stderr."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from llmcli.calls import Calls
from llmcli.config.settings import Settings
from llmcli.messages import AttemptFailed, Notice, Repair, StreamEvent
from llmcli.render.jsonl import JSONRenderer, NDJSONRenderer
from llmcli.render.plain import PartRenderer, TextRenderer
from llmcli.render.progress import Aside
from llmcli.render.streams import Stderr, Stdout
from llmcli.result import Result

__all__ = ["Aside", "Renderer", "Result", "Stderr", "Stdout", "make_renderer", "show"]


class Console(Protocol):
    """The streams that a renderer writes to; see `llmcli.console`."""

    stdout: Stdout
    stderr: Stderr


class Renderer(Protocol):
    """Shows one reply on stdout, and nothing else."""

    @property
    def at_once(self) -> bool:
        """True if the renderer writes nothing before `end`."""

    def event(self, event: StreamEvent) -> None:
        """Show one event as it arrives. Raises ClosedPipe when the reader of stdout has closed the pipe."""

    def pause(self) -> None:
        """Clear the live rows of a terminal and end the open line, so that other lines can be written."""

    def end(self, result: Result) -> None:
        """Finish, also after an error or Ctrl-C: `result` holds the partial reply and the error.

        Text of the result that has not come through `event` is shown now: Ctrl-C may have been in between.
        """


def make_renderer(
    settings: Settings, model: str, console: Console, *, partial: bool = False, calls: Calls | None = None
) -> Renderer:
    """The renderer that the settings choose; `model` is the name as the user wrote it.

    With `partial`, stdout gets the output of the verdict instead of the text of the reply. With `calls`, tools are
    offered: a terminal shows the text of every step, anything else gets that of the last one.
    """
    stdout = console.stdout
    if settings.format == "json":
        return JSONRenderer(stdout)
    if settings.format == "ndjson":
        return NDJSONRenderer(stdout, model, calls)
    if settings.extract or partial:
        return PartRenderer(stdout, console.stderr)
    steered = stdout.is_terminal and os.environ.get("TERM") != "dumb"
    at_once = not settings.stream or (calls is not None and not stdout.is_terminal)
    if settings.format == "text" or (settings.format == "auto" and not steered):

        def make() -> Renderer:
            return TextRenderer(stdout, at_once=at_once)

    else:
        from llmcli.render.markdown.renderer import MarkdownRenderer, PageRenderer
        from llmcli.render.markdown.theme import find_look

        look = find_look(settings.theme, settings.color, terminal=steered)

        def make() -> Renderer:
            return MarkdownRenderer(stdout, look) if steered and not at_once else PageRenderer(stdout, look)

    if calls is not None and stdout.is_terminal and not at_once:
        from llmcli.render.steps import SteppedRenderer

        return SteppedRenderer(make)
    return make()


def show(events: Iterable[StreamEvent], renderer: Renderer, aside: Aside, result: Result) -> None:
    """Show all events on stdout and stderr, and record in `result` the time of the first text."""
    for event in events:
        if isinstance(event, Notice | Repair | AttemptFailed):
            event = replace(event, text=result.secrets.redact(event.text))
        result.note(event)
        aside.event(event, renderer)
        renderer.event(event)
