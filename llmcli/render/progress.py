"""Progress on stderr: waiting status, reasoning, tool calls and notices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from llmcli.calls import Calls
from llmcli.messages import (
    AttemptFailed,
    Notice,
    Progress,
    Repair,
    ReplyStart,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolResult,
    UsageUpdate,
)
from llmcli.render.duration import whole_seconds
from llmcli.render.live_rows import LiveRows
from llmcli.render.region import cells
from llmcli.render.streams import Stderr
from llmcli.render.words import wrapped

__all__ = ["Aside"]

_ROWS, _SHARE = 6, 3  # of the reasoning's end, at most, and never more than one part in so many of the screen
_KEPT = 4096  # characters of the reasoning: more than these rows hold


class _Reply(Protocol):
    """The part of `Renderer` that this module uses."""

    @property
    def at_once(self) -> bool: ...

    def pause(self) -> None: ...


class Aside:
    """Progress of one reply: `event` takes each event before the renderer of the reply shows it.

    `thinking` shows the reasoning whole, or hides it; None shows its end while it comes and folds it into one line
    afterwards, where stderr is a terminal, and hides it elsewhere.
    """

    def __init__(self, stderr: Stderr, *, thinking: bool | None, calls: Calls | None = None) -> None:
        self._stderr = stderr
        self._calls = calls
        self._whole = thinking or (thinking is None and stderr.is_terminal and not stderr.is_live)
        self._folded = thinking is None and stderr.is_live
        self._live = LiveRows(stderr, self._rows)
        self._shown = False  # there may be live rows on the screen
        self._model = ""
        self._tool_name = ""  # of the tool that is waited for
        self._doing = ""  # the model's current Progress text
        self._since = 0.0  # when the wait began; the three below are on the same clock
        self._again_at = 0.0  # when the next try begins
        self._thinks_since: float | None = None  # None: no reasoning is arriving
        self._end = ""  # of the reasoning
        self._counted: int | None = 0  # tokens of reasoning that are folded already; None: unknown
        self._told: int | None = None  # tokens of all reasoning so far

    @contextmanager
    def waiting_for(self, model: str) -> Iterator[None]:
        """Show a waiting line for `model` until text comes; it is erased at the end."""
        self._model, self._since = model, time.monotonic()
        try:
            self._show()
            yield
        finally:
            self._clear()

    def event(self, event: StreamEvent, reply: _Reply) -> None:
        """Show reasoning and notices; erase the live rows before text comes."""
        if isinstance(event, TextDelta):
            if self._thinks_since is not None or (self._shown and not reply.at_once):
                self._clear(part=True)
            if reply.at_once:
                self._show()
        elif isinstance(event, ThinkingDelta):
            self._think(event.text, reply)
        elif isinstance(event, Notice | Repair | AttemptFailed):
            reply.pause()
            self._stderr.line(f"note: {event.text}")
            if isinstance(event, AttemptFailed):
                self._model, self._again_at = event.next_model, time.monotonic() + event.wait_s
        elif isinstance(event, UsageUpdate):
            self._told = (event.usage.details or {}).get("reasoning_tokens")
        elif isinstance(event, Progress):
            self._doing = event.text
        elif isinstance(event, ReplyStart):
            self._model, self._doing = event.served_by, ""
        elif isinstance(event, ToolCall | ToolResult) and self._calls:
            self._tool(event, reply, self._calls)

    def _tool(self, event: ToolCall | ToolResult, reply: _Reply, calls: Calls) -> None:
        """Show which tool is waited for, and a line for each result; then the model is waited for again."""
        self._clear(part=True)
        if isinstance(event, ToolResult):
            reply.pause()
            self._stderr.line(calls.line(event), dim=True)
            self._tool_name = ""
        else:
            self._tool_name = calls.title(event.part.tool_name)
        self._since = time.monotonic()
        self._show()

    def _think(self, text: str, reply: _Reply) -> None:
        first = self._thinks_since is None
        if first and (self._whole or self._folded):
            if self._whole:
                self._clear()
            reply.pause()
        if first:
            self._thinks_since = time.monotonic()
        if self._whole:
            self._stderr.write(text, dim=True)
        elif self._folded:
            kept = self._end + text
            self._end = kept if len(kept) < 2 * _KEPT else kept[-_KEPT:]  # seldom: the rows above would jump
            self._show()

    def _show(self) -> None:
        if self._stderr.is_live:
            self._shown = True
            self._live.start()

    def _clear(self, *, part: bool = False) -> None:
        """End what is under way; with `part`, whole reasoning is parted from the text that follows."""
        since, self._thinks_since = self._thinks_since, None
        if self._shown:
            self._live.stop([self._stderr.dimmed(self._fold(since))] if since is not None and self._folded else [])
            self._shown = False  # not before: Ctrl-C may come in between
        elif since is not None and self._whole:
            self._stderr.fresh_line()
            if part and self._stderr.is_terminal:
                self._stderr.write("\n")
        self._end = ""

    def _fold(self, since: float) -> str:
        tokens = None
        if self._told is None:
            self._counted = None
        elif self._counted is not None:
            tokens, self._counted = self._told - self._counted, self._told
        counted = f", {tokens:,} token{'' if tokens == 1 else 's'}" if tokens else ""
        return f"thought for {whole_seconds(time.monotonic() - since, least='less than a second')}{counted}"

    def _rows(self, columns: int, height: int) -> list[str]:
        """The current live rows; called by the thread that draws them."""
        now, thinks_since = time.monotonic(), self._thinks_since
        tool = f"{self._tool_name}: {self._calls.progress}" if self._calls and self._calls.progress else self._tool_name
        parts = [tool or self._model, whole_seconds(now - self._since)]
        if thinks_since is not None:
            parts[1:] = ["thinking", whole_seconds(now - thinks_since)]
        elif self._doing:
            parts.insert(1, self._doing)
        elif self._again_at > now:
            parts.append(f"next try in {whole_seconds(self._again_at - now + 1)}")
        said = self._stderr.shown(" · ".join(parts))
        head = said if cells(said) <= columns else f"…{said[1 - columns :]}"
        room = min(_ROWS, height // _SHARE) - 1
        tail = _last_rows(self._stderr.shown(self._end), columns - 2, room) if room > 0 else []
        return [self._stderr.dimmed(row) for row in (head, *(f"  {row}" for row in tail))]


def _last_rows(text: str, columns: int, count: int) -> list[str]:
    """The last rows of the text without its empty lines, wrapped between words."""
    lines = [line for line in text.expandtabs(4).splitlines() if line.strip()]
    rows = [row for line in lines[-count:] for row in wrapped(line, max(columns, 2))]
    return rows[-count:]
