"""Tool calls of one turn, as JSON output, NDJSON lines and progress lines show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmcli.messages import StreamEvent, ToolCall, ToolCallPart, ToolResult, ToolReturnPart

__all__ = ["Calls"]

_MOST_ARGS = 80  # characters of the arguments in a line


class Calls:
    """What the model called, in order. `titles` has the `server.tool` of each name on the wire, and may grow."""

    def __init__(self, titles: Mapping[str, str] | None = None) -> None:
        self._titles = titles or {}
        self._records: list[dict[str, Any]] = []
        self._ids: list[str | None] = []
        self.progress = ""
        """The latest line of progress that a running tool has sent."""
        self._last_args: Any = {}  # of the call whose result came last

    def note(self, event: StreamEvent) -> None:
        """Record a call, or its result."""
        if isinstance(event, ToolCall):
            self._ids.append(event.part.tool_call_id)
            empty = {"result": None, "is_error": None, "decision": None}
            self._records.append({"name": self.title(event.part.tool_name), "args": _args(event.part), **empty})
        elif isinstance(event, ToolResult) and (record := self._open_record(event.part)):
            self._last_args, self.progress = record["args"], ""
            record |= {"result": _text(event.part), "is_error": event.part.is_error, "decision": event.decision}

    def as_json(self) -> list[dict[str, Any]]:
        """All calls, for `tool_calls` of the JSON object; null is what a call without a result has."""
        return self._records

    @property
    def declined(self) -> list[tuple[str, str]]:
        """Name and decision of each call that was declined, by a rule, by the user, or without a question."""
        found = [(one["name"], one["decision"]) for one in self._records]
        return [(name, decision) for name, decision in found if decision in ("denied", "no", "unasked")]

    def title(self, name: str) -> str:
        """The name for output."""
        return self._titles.get(name, name)

    def call_fields(self, event: ToolCall) -> dict[str, Any]:
        """The fields of the NDJSON line for a call."""
        return {"id": event.part.tool_call_id, "name": self.title(event.part.tool_name), "args": _args(event.part)}

    def result_fields(self, event: ToolResult) -> dict[str, Any]:
        """The fields of the NDJSON line for a result."""
        return {
            "id": event.part.tool_call_id,
            "name": self.title(event.part.tool_name),
            "result": _text(event.part),
            "is_error": event.part.is_error,
            "decision": event.decision,
            "duration_s": round(event.duration_s, 3),
        }

    def line(self, event: ToolResult) -> str:
        """The line on stderr for the result noted last: `time.now {"zone":"UTC"} -> 84 bytes, 0.1 s`."""
        args = self._last_args
        shown = json.dumps(args, ensure_ascii=False, separators=(",", ":"))
        shown = shown if len(shown) <= _MOST_ARGS else f"{shown[: _MOST_ARGS - 1]}…"
        if event.decision in ("denied", "no", "unasked"):
            told = "declined"
        else:
            size = len(_text(event.part).encode("utf-8", "replace"))
            told = f"{'error, ' if event.part.is_error else ''}{size:,} bytes, {event.duration_s:.1f} s"
        return f"{self.title(event.part.tool_name)} {shown} -> {told}"

    def _open_record(self, part: ToolReturnPart) -> dict[str, Any] | None:
        """The record of the call that the result belongs to: by id, else the first of that name without a result."""
        for known, record in zip(self._ids, self._records, strict=True):
            same = known == part.tool_call_id if part.tool_call_id else record["name"] == self.title(part.tool_name)
            if same and record["decision"] is None:
                return record
        return None


def _args(part: ToolCallPart) -> Any:
    """The arguments: an object, or the model's text where it is none."""
    if isinstance(part.args, str):
        try:
            return json.loads(part.args) if part.args.strip() else {}
        except (ValueError, RecursionError):
            return part.args
    return part.args or {}


def _text(part: ToolReturnPart) -> str:
    return part.content if isinstance(part.content, str) else json.dumps(part.content, ensure_ascii=False, default=str)
