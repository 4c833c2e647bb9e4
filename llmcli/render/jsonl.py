"""For scripts: one JSON object for the whole reply, or one a line for each event."""

from __future__ import annotations

import json
from typing import Any

from llmcli.messages import AttemptFailed, Notice, StreamEvent, TextDelta, ThinkingDelta
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
        self._stdout.write(_line(result.as_json()))


class NDJSONRenderer:
    """`--format ndjson`: `start`, then `text`, `thinking` and `notice`, then `end` with the whole object."""

    at_once = False

    def __init__(self, stdout: Stdout, model: str) -> None:
        self._stdout = stdout
        self._seq = 0
        self._write("start", {"model": model})

    def event(self, event: StreamEvent) -> None:
        """One line for what a reader can use at once."""
        if isinstance(event, TextDelta):
            self._write("text", {"text": event.text})
        elif isinstance(event, ThinkingDelta):
            self._write("thinking", {"text": event.text})
        elif isinstance(event, Notice | AttemptFailed):
            self._write("notice", {"text": event.text})

    def pause(self) -> None:
        """See `Renderer.pause`."""

    def end(self, result: Result) -> None:
        """The last line."""
        self._write("end", result.as_json())

    def _write(self, kind: str, fields: dict[str, Any]) -> None:
        self._stdout.write(_line({"seq": self._seq, "type": kind, **fields}))
        self._seq += 1


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
