"""Gather the events of one reply into a ModelResponse, so that what has arrived can be kept at any moment."""

from __future__ import annotations

from dataclasses import replace

from llmcli.messages import (
    FinishReason,
    ModelResponse,
    PartEnd,
    ReplyStart,
    ResponsePart,
    Source,
    SourcePart,
    StreamEnd,
    StreamEvent,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCall,
    ToolCallPart,
    UsageUpdate,
)
from llmcli.usage import Usage

__all__ = ["PartialResponse"]


class PartialResponse:
    """One reply: text and reasoning in the order in which they came, then the calls, then the sources."""

    def __init__(self) -> None:
        self._parts: list[ResponsePart] = []
        self._open = bytearray()  # of the last part; StringIO keeps a hundred thousand pieces as they came
        self._kind: type[TextPart] | type[ThinkingPart] | None = None
        self._sources: list[SourcePart] = []
        self._end: StreamEnd | None = None
        self.usage = Usage()
        self.served_by: str | None = None
        self.model_name: str | None = None

    def add(self, event: StreamEvent) -> None:
        """Take one more event in."""
        if isinstance(event, TextDelta):
            self._write(TextPart, event.text)
        elif isinstance(event, ThinkingDelta):
            self._write(ThinkingPart, event.text)
        elif isinstance(event, UsageUpdate):
            self.usage = event.usage
        elif isinstance(event, ReplyStart):
            self.served_by, self.model_name = event.served_by, event.model_name
            if not self.usage.requests:
                self.usage = Usage(requests=1)
        elif isinstance(event, PartEnd):
            if self._kind is not type(event.part):
                self._close()
            self._close(event.part)
        elif isinstance(event, ToolCall):
            self._close()
            self._parts.append(event.part)
        elif isinstance(event, Source):
            self._sources.append(event.part)
        elif isinstance(event, StreamEnd):
            self._end = event

    def response(self, broken_off: FinishReason) -> ModelResponse:
        """What has arrived so far; without a StreamEnd, as a reply that was `broken_off`."""
        end = self._end or StreamEnd(broken_off)
        parts = [*self._parts, *self._opened()]
        told = {part.tool_name for part in parts if isinstance(part, ToolCallPart)}
        parts += (ToolCallPart(name) for name in end.tool_names if name not in told)  # calls that never became whole
        return ModelResponse(
            (*parts, *self._sources), end.finish_reason, self.usage, self.served_by, self.model_name, end.finish_word
        )

    def _write(self, kind: type[TextPart] | type[ThinkingPart], text: str) -> None:
        if self._kind is not kind:
            self._close()
            self._kind = kind
        self._open += text.encode("utf-8", "surrogatepass")

    def _opened(self) -> list[ResponsePart]:
        return [self._kind(self._open.decode("utf-8", "surrogatepass"))] if self._kind else []

    def _close(self, ending: TextPart | ThinkingPart | None = None) -> None:
        """End the open part; with an `ending`, as one with the fields of that."""
        if ending:
            self._parts.append(replace(ending, content=self._open.decode("utf-8", "surrogatepass")))
        else:
            self._parts += self._opened()
        self._open, self._kind = bytearray(), None
