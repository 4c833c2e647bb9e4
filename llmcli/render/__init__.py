"""What the person and the script see: `show` feeds the reply to stdout, and what stands beside it to stderr."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from llmcli.messages import AttemptFailed, Notice, StreamEvent
from llmcli.render.jsonl import JSONRenderer, NDJSONRenderer
from llmcli.render.plain import ExtractRenderer, TextRenderer
from llmcli.render.progress import Aside
from llmcli.render.streams import Stderr, Stdout
from llmcli.result import Report
from llmcli.secrets import redact

__all__ = ["Aside", "Renderer", "Report", "Stderr", "Stdout", "make_renderer", "show"]


class Renderer(Protocol):
    """Shows one reply on stdout, and nothing else."""

    @property
    def at_once(self) -> bool:
        """Whether nothing is written before `end`."""

    def event(self, event: StreamEvent) -> None:
        """Show one event as it arrives. Raises ClosedPipe when nobody reads any more."""

    def pause(self) -> None:
        """Make room on the terminal, if it is one: something else is to be written there, on a line of its own."""

    def end(self, report: Report) -> None:
        """Finish, also after an error or Ctrl-C: `report` holds what had arrived and what went wrong.

        Text of the report that has not come through `event` is shown now: Ctrl-C may have been in between.
        """


def make_renderer(
    form: str,
    model: str,
    stdout: Stdout,
    stderr: Stderr,
    *,
    extract: bool,
    at_once: bool,
    theme: str,
    color: bool | None,
) -> Renderer:
    """The renderer for a `--format`; `model` is the name as the person gave it, `at_once` waits for the end."""
    if form == "json":
        return JSONRenderer(stdout)
    if form == "ndjson":
        return NDJSONRenderer(stdout, model)
    if extract:
        return ExtractRenderer(stdout, stderr)
    steered = stdout.is_terminal and os.environ.get("TERM") != "dumb"
    if form == "text" or (form == "auto" and not steered):
        return TextRenderer(stdout, at_once=at_once)
    from llmcli.render.markdown.renderer import MarkdownRenderer, PageRenderer
    from llmcli.render.markdown.theme import find_look

    look = find_look(theme, color, terminal=steered)
    return MarkdownRenderer(stdout, look) if steered and not at_once else PageRenderer(stdout, look)


def show(events: Iterable[StreamEvent], renderer: Renderer, aside: Aside, report: Report) -> None:
    """Pull the reply through both, and note in `report` when the first text came."""
    for event in events:
        if isinstance(event, Notice | AttemptFailed):
            event = replace(event, text=redact(event.text, report.secrets))
        report.note(event)
        aside.event(event, renderer)
        renderer.event(event)
