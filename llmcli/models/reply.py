"""One reply while it arrives: an adapter puts pieces in, and gets the events to pass on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from llmcli.messages import (
    FinishReason,
    PartialResponse,
    ReplyStart,
    StreamEnd,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    UsageUpdate,
)
from llmcli.usage import Usage

_OPEN, _CLOSE = "<think>", "</think>"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Reply:
    """Splits a leading `<think>` block off, mends what chunk borders broke, and remembers how the reply ended.

    `ended` is set by the protocol's end marker, `finish` by a finish reason, `refused` by a refusal.
    """

    def __init__(self, served_by: str) -> None:
        self.served_by = served_by
        self.finish: FinishReason | None = None
        self.finish_word: str | None = None
        self.ended = False
        self.refused = False
        self.called = False
        self._partial = PartialResponse()
        self._started = False
        self._place = "start"  # start: nothing decided yet; think: inside <think>; text: the answer
        self._held = ""  # text that cannot be passed on before the next piece is known
        self._parted = False
        self.any_text = False

    def start(self, model_name: object = None) -> Iterator[StreamEvent]:
        """The vendor answers; call it with every event, its name for itself may come late, or be none."""
        name = model_name if isinstance(model_name, str) and model_name else None
        if not self._started or (name and not self._partial.model_name):
            self._started = True
            yield from self._pass_on(ReplyStart(self.served_by, name))

    def usage(self, usage: Usage) -> Iterator[StreamEvent]:
        """The usage as the vendor counts it now."""
        if usage != self._partial.usage:
            yield from self._pass_on(UsageUpdate(usage))

    def thinking(self, piece: str) -> Iterator[StreamEvent]:
        """A piece of reasoning that the vendor marks as such."""
        if piece:
            yield from self._pass_on(ThinkingDelta(_SURROGATE.sub("\ufffd", piece)))

    def text(self, piece: str) -> Iterator[StreamEvent]:
        """A piece of the answer."""
        piece = self._held + piece
        self._held = ""
        if self._place == "start":
            bare = piece.lstrip()
            if len(bare) < len(_OPEN) and _OPEN.startswith(bare):
                self._held = piece
                return
            self._place = "think" if bare.startswith(_OPEN) else "text"
            piece = bare.removeprefix(_OPEN) if self._place == "think" else piece
        if self._place == "think":
            thought, closed, rest = piece.partition(_CLOSE)
            if not closed:
                cut = next((n for n in range(len(_CLOSE) - 1, 0, -1) if thought.endswith(_CLOSE[:n])), 0)
                self._held = thought[len(thought) - cut :]
                thought = thought[: len(thought) - cut]
            yield from self.thinking(thought)
            if not closed:
                return
            self._place, piece = "text", rest
        yield from self._answer(piece)

    def finished(self, reasons: Mapping[str, FinishReason], word: object, why: object = None) -> None:
        """The vendor's word for the end, and what it says besides; a word that `reasons` lacks is no whole reply."""
        self.finish = reasons.get(str(word), "incomplete")
        self.finish_word = ": ".join(str(said) for said in (word, why) if said)[:200]

    def part(self) -> None:
        """Something that is no text came between; the next text begins after a blank line."""
        self._parted = True

    def tool_call(self, name: object) -> None:
        """The model wants a tool called; later pieces of the same call have no name."""
        self.called = True
        if isinstance(name, str) and name:
            self._partial.tool_names.append(name)

    def flush(self) -> Iterator[StreamEvent]:
        """Pass on what was held back, at the end or before an error: nothing that arrived is lost."""
        held, self._held = self._held, ""
        if self._place == "think":
            yield from self.thinking(held)
        elif held:
            self._place = "text"
            yield from self._answer(_SURROGATE.sub("\ufffd", held))

    def end(self) -> Iterator[StreamEvent]:
        """The stream is over: the last events. Without a finish reason or an end marker the reply is incomplete."""
        yield from self.start()
        yield from self.flush()
        if self.called:
            reason: FinishReason = "tool_call"
        elif self.refused:
            reason = "content_filter"
        else:
            reason = self.finish or ("stop" if self.ended else "incomplete")
        yield StreamEnd(self._partial.response(reason, self.finish_word))

    def _answer(self, piece: str) -> Iterator[StreamEvent]:
        if not piece.isascii() and _SURROGATE.search(piece):
            # JSON may split an emoji's two escapes over two chunks: keep the first half until the second is there.
            if "\ud800" <= piece[-1] <= "\udbff":
                piece, self._held = piece[:-1], piece[-1]
            piece = piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if not piece:
            return
        if self._parted and self.any_text:
            piece = "\n\n" + piece
        self._parted, self.any_text = False, True
        yield from self._pass_on(TextDelta(piece))

    def _pass_on(self, event: StreamEvent) -> Iterator[StreamEvent]:
        self._partial.add(event)
        yield event
