"""JSON output: one object for the whole reply (`--format json`), or one line for each event (`--format ndjson`)."""

from __future__ import annotations

import json
from typing import Any

from llmcli.calls import Calls
from llmcli.messages import (
    AttemptFailed,
    Notice,
    Repair,
    ReplyStart,
    Source,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolResult,
)
from llmcli.render.streams import Stdout
from llmcli.result import Result


class JSONRenderer:
    """`--format json`: one object at the end, also after a failure."""

    at_once = True

    def __init__(self, stdout: Stdout) -> None:
        self._stdout = stdout

    def event(self, event: StreamEvent) -> None:
        """Nothing is shown before the end."""

    def pause(self) -> None:
        """See `Renderer.pause`."""

    def end(self, result: Result) -> None:
        """Write the object."""
        self._stdout.write(_line(result.as_json(), result))


class NDJSONRenderer:
    """`--format ndjson`: `start`, then `text`, `thinking` and `notice`, then `end` with the whole object.

    With `calls`, tools are offered: lines have the number of their `step`, and there are `tool_call` and
    `tool_result`.
    """

    at_once = False

    def __init__(self, stdout: Stdout, model: str, calls: Calls | None = None) -> None:
        self._stdout = stdout
        self._seq = 0
        self._calls = calls
        self._step_over = False
        self._taken = 0  # characters of the text of this reply that are written
        self._more: dict[str, Any] = {"step": 1} if calls else {}  # fields of each line of text
        self._write("start", {"model": model})

    def event(self, event: StreamEvent) -> None:
        """Write one line for each event that a reader can use at once."""
        if self._calls and isinstance(event, ReplyStart) and self._step_over:
            self._more["step"] += 1
            self._step_over = False
        if isinstance(event, Repair | AttemptFailed | ToolResult):  # another reply follows
            self._taken = 0
        if isinstance(event, TextDelta):
            self._text(event.text)
        elif isinstance(event, ThinkingDelta):
            self._write("thinking", {"text": event.text, **self._more})
        elif isinstance(event, Repair):
            self._write("notice", {"text": event.text})
            self._more["attempt"] = event.attempt
        elif isinstance(event, Notice | AttemptFailed):
            self._write("notice", {"text": event.text})
        elif isinstance(event, Source):
            self._write("source", {"url": event.part.url, "title": event.part.title or None})
        elif isinstance(event, ToolCall) and self._calls:
            self._write("tool_call", {**self._calls.call_fields(event), **self._more})
        elif isinstance(event, ToolResult) and self._calls:
            self._step_over = True
            self._write("tool_result", {**self._calls.result_fields(event), **self._more})

    def pause(self) -> None:
        """See `Renderer.pause`."""

    def end(self, result: Result) -> None:
        """The last line; before it the text that has not come through `event`, as Ctrl-C may have been in between."""
        if result.response and (rest := result.response.text[self._taken :]):
            self._text(rest)
        self._write("end", result.as_json(), result)

    def _text(self, text: str) -> None:
        self._write("text", {"text": text, **self._more}, taken=len(text))

    def _write(self, kind: str, fields: dict[str, Any], result: Result | None = None, taken: int = 0) -> None:
        line = _line({"seq": self._seq, "type": kind, **fields}, result)
        self._seq += 1
        self._taken += taken  # before the write: what Ctrl-C breaks off stays in the buffer, and is flushed
        self._stdout.write(line)


def _line(value: dict[str, Any], result: Result | None = None) -> str:
    """Write one line; JSON data of the reply keeps the model's own digits."""
    if result and result.fit:
        # No text of the reply can hold these characters: its quotes are escaped. What follows `data` might.
        mark, exact = '"data": null', f'"data": {result.fit.compact}'
        return json.dumps({**value, "data": None}, ensure_ascii=False).replace(mark, exact, 1) + "\n"
    return json.dumps(value, ensure_ascii=False) + "\n"
