"""One reply while it arrives: an adapter puts pieces in, and gets the events to pass on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from time import monotonic

from llmcli.messages import FinishReason, ReplyStart, StreamEnd, StreamEvent, TextDelta, ThinkingDelta, UsageUpdate
from llmcli.usage import Usage

Events = tuple[StreamEvent, ...]
_OPEN, _CLOSE = "<think>", "</think>"
_COUNT_EVERY_S = 0.05
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
        self._model_name: str | None = None
        self._tool_names: list[str] = []
        self._usage = Usage()
        self._started = False
        self._place = "start"  # start: nothing decided yet; think: inside <think>; text: the answer
        self._held = ""  # text that cannot be passed on before the next piece is known
        self._parted = False
        self.any_text = False
        self._counted_at = 0.0
        self._uncounted: Callable[[], Usage] | None = None

    def start(self, model_name: object = None) -> Events:
        """The vendor answers; call it with every event, its name for itself may come late, or be none."""
        name = model_name if isinstance(model_name, str) and model_name else None
        if self._started and (self._model_name or not name):
            return ()
        self._started, self._model_name = True, name
        return (ReplyStart(self.served_by, name),)

    def usage(self, usage: Usage) -> Events:
        """The usage as the vendor counts it now."""
        if usage == self._usage:
            return ()
        self._usage = usage
        return (UsageUpdate(usage),)

    def counts(self, make: Callable[[], Usage]) -> Events:
        """As `usage`, for a vendor that counts with every piece: of a flood only some are made, and the last."""
        now = monotonic()
        if now < self._counted_at + _COUNT_EVERY_S:
            self._uncounted = make
            return ()
        self._counted_at, self._uncounted = now, None
        return self.usage(make())

    def thinking(self, piece: str) -> Events:
        """A piece of reasoning that the vendor marks as such."""
        return (ThinkingDelta(_SURROGATE.sub("\ufffd", piece)),) if piece else ()

    def text(self, piece: str) -> Events:
        """A piece of the answer."""
        if self._held:
            piece, self._held = self._held + piece, ""
        if self._place == "text":
            return self._answer(piece)
        if self._place == "start":
            bare = piece.lstrip()
            if len(bare) < len(_OPEN) and _OPEN.startswith(bare):
                self._held = piece
                return ()
            if not bare.startswith(_OPEN):
                self._place = "text"
                return self._answer(piece)
            self._place, piece = "think", bare.removeprefix(_OPEN)
        thought, closed, rest = piece.partition(_CLOSE)
        if closed:
            self._place = "text"
            return *self.thinking(thought), *self._answer(rest)
        cut = next((n for n in range(len(_CLOSE) - 1, 0, -1) if thought.endswith(_CLOSE[:n])), 0)
        self._held = thought[len(thought) - cut :]
        return self.thinking(thought[: len(thought) - cut])

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
            self._tool_names.append(name)

    def flush(self) -> Events:
        """Pass on what was held back, at the end or before an error: nothing that arrived is lost."""
        held, self._held = self._held, ""
        if self._place == "think":
            last = self.thinking(held)
        elif held:
            self._place = "text"
            last = self._answer(_SURROGATE.sub("\ufffd", held))
        else:
            last = ()
        return *last, *(self.usage(self._uncounted()) if self._uncounted else ())

    def end(self) -> Events:
        """The stream is over: the last events. Without a finish reason or an end marker the reply is incomplete."""
        last = *self.start(), *self.flush()
        if self.called:
            reason: FinishReason = "tool_call"
        elif self.refused:
            reason = "content_filter"
        else:
            reason = self.finish or ("stop" if self.ended else "incomplete")
        return *last, StreamEnd(reason, self.finish_word, tuple(self._tool_names))

    def _answer(self, piece: str) -> Events:
        if not piece.isascii() and _SURROGATE.search(piece):
            # JSON may split an emoji's two escapes over two chunks: keep the first half until the second is there.
            if "\ud800" <= piece[-1] <= "\udbff":
                piece, self._held = piece[:-1], piece[-1]
            piece = piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if not piece:
            return ()
        if self._parted and self.any_text:
            piece = "\n\n" + piece
        self._parted, self.any_text = False, True
        return (TextDelta(piece),)
