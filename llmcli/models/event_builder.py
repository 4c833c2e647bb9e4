"""Build the events of one reply from the pieces that a protocol reads."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any

from llmcli.messages import (
    FinishReason,
    Notice,
    PartEnd,
    ReplyStart,
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
from llmcli.secrets import shortened
from llmcli.usage import Usage

Events = tuple[StreamEvent, ...]
OWN_ID = "call_llmcli_"
"""How the id of a call begins that the vendor gave none."""
_OPEN, _CLOSE = "<think>", "</think>"
_COUNT_EVERY_S = 0.05
_SURROGATE = re.compile("[\ud800-\udfff]")
_SEVERITY: tuple[FinishReason | None, ...] = (
    None,
    "stop",
    "tool_call",
    "incomplete",
    "length",
    "content_filter",
    "error",
)
_MOST_SOURCES = 1000


class Reply:
    """Builds events: splits off a leading `<think>` block, joins characters cut by chunks, gathers calls and the end.

    `ended` is set by the protocol's end marker, `finish` by a finish reason, `refused` by a refusal. `vendor` is the
    name to which reasoning is sent back; it is written into the parts that carry a signature.
    """

    def __init__(self, served_by: str, vendor: str | None = None) -> None:
        self.served_by = served_by
        self.vendor = vendor or served_by.partition(":")[0]
        self.finish: FinishReason | None = None
        self.finish_word: str | None = None
        self.ended = False
        self.refused = False
        self.max_tokens: int | None = None
        self.offered = False  # tools were offered to the model
        self.any_text = False
        self._calls: dict[object, ToolCallPart] = {}
        self._pieces: dict[object, list[str]] = {}  # of the arguments that are still arriving
        self._keys: dict[object, object] = {}  # of calls that share one of the vendor's
        self._passed_on: set[object] = set()
        self._sources: set[tuple[str, int | None, int | None]] = set()
        self._files = 0
        self._searches = 0
        self._model_name: str | None = None
        self._usage = Usage()
        self._started = False
        self._place = "start"  # start: nothing decided yet; think: inside <think>; text: the answer
        self._held = ""  # text that cannot be passed on before the next piece is known
        self._unclosed: list[str] = []  # the text after <think>, which is the answer if nothing closes it
        self._parted = False
        self._open_thought: ThinkingPart | None = None
        self._counted_at = 0.0
        self._uncounted: Callable[[], Usage] | None = None

    def start(self, model_name: object = None) -> Events:
        """The vendor answers; call it with every event, as the vendor's name for the model may come late, or never."""
        name = model_name if isinstance(model_name, str) and model_name else None
        if self._started and (self._model_name or not name):
            return ()
        self._started, self._model_name = True, name
        return (ReplyStart(self.served_by, name),)

    def searched(self, searches: int = 1) -> None:
        """The vendor ran a web search of its own, which may have a fee; call it before the last `usage`."""
        self._searches += searches

    def usage(self, make: Callable[[], Usage]) -> Events:
        """The usage as the vendor counts it now; counts that cannot be read stay unknown, and never fail a reply."""
        try:
            usage = make()
        except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError):
            return ()
        if self._searches and "web_search_requests" not in (usage.details or {}):
            usage.details = {**(usage.details or {}), "web_search_requests": self._searches}
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
        return self.usage(make)

    def thinking(self, piece: str, id: str | None = None) -> Events:  # noqa: A002 - as in ThinkingPart
        """A piece of reasoning that the vendor marks as such; with an `id`, the vendor gets the whole back under it."""
        if not piece:
            return ()
        if id and self._open_thought is None:
            self._open_thought = ThinkingPart("", id, provider_name=self.vendor)
        return *self._begun(), ThinkingDelta(_SURROGATE.sub("\ufffd", piece))

    def thought(
        self,
        id: str | None = None,  # noqa: A002 - as in ThinkingPart
        signature: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Events:
        """The end of a block of reasoning, and what the vendor wants back with it."""
        self._open_thought = None
        return *self._begun(), PartEnd(ThinkingPart("", id, signature, self.vendor, details))

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
            self._unclosed.clear()
            return *self.thinking(thought), *self._answer(rest)
        cut = next((n for n in range(len(_CLOSE) - 1, 0, -1) if thought.endswith(_CLOSE[:n])), 0)
        self._held = thought[len(thought) - cut :]
        self._unclosed.append(thought[: len(thought) - cut])
        return self.thinking(self._unclosed[-1])

    def said(self, details: Mapping[str, Any]) -> Events:
        """The end of a block of text, and what the vendor wants back with it."""
        return *self._begun(), PartEnd(TextPart("", None, self.vendor, details))

    def finished(self, reasons: Mapping[str, FinishReason], word: object, why: object = None) -> None:
        """The vendor's word for the end, and its explanation; a word that `reasons` lacks is no whole reply.

        Of several words the worst counts: a later `stop` does not mend a reply that was cut.
        """
        reason = reasons.get(str(word), "incomplete")
        if self.finish is None or _SEVERITY.index(reason) > _SEVERITY.index(self.finish):
            self.finish = reason
            self.finish_word = shortened(": ".join(str(said) for said in (word, why) if said), 200)

    def part(self) -> None:
        """A part that is no text came between; the next text begins after a blank line."""
        self._parted = True

    def call(
        self,
        key: object,
        name: object = None,
        args: object = None,
        id: object = None,  # noqa: A002 - as in ToolCallPart
        *,
        item_id: object = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """A tool call, or a piece of one. Pieces with one `key` belong together; `args` that are text are joined.

        Another id with a name begins another call: some servers give every call the same key.
        """
        at = self._keys.get(key, key)
        call = self._calls.get(at)
        if call and call.tool_call_id and isinstance(id, str) and id and name and id != call.tool_call_id:
            at = self._keys[key] = (key, id)
            call = self._calls.get(at)
        key = at
        if call is None:
            call = self._calls[key] = ToolCallPart("", None, None, provider_name=self.vendor)
        if not call.tool_name and isinstance(name, str):
            call.tool_name = name
        if not call.tool_call_id and isinstance(id, str):
            call.tool_call_id = id
        if not call.id and isinstance(item_id, str):
            call.id = item_id
        if details:
            call.provider_details = {**(call.provider_details or {}), **details}
        if isinstance(args, str) and args:
            self._pieces.setdefault(key, []).append(args)
        elif isinstance(args, dict) and not call.args:
            call.args = args

    def new_key(self) -> int:
        """A key for a call that comes whole."""
        return len(self._calls)

    def has_call(self, key: object) -> bool:
        """Whether a call with this key has begun."""
        return key in self._calls

    def call_end(self, key: object, args: object = None) -> Events:
        """The arguments of a call are complete; `args` are used where no pieces of them came."""
        at = self._keys.get(key, key)
        if args is not None and at in self._calls and at not in self._pieces and at not in self._passed_on:
            self.call(key, args=args)
        return self._pass_on(at)

    def _pass_on(self, key: object) -> Events:
        call = self._calls.get(key)
        if call is None or key in self._passed_on:
            return ()
        self._passed_on.add(key)
        if pieces := self._pieces.pop(key, None):
            call.args = "".join(pieces)
        call.tool_call_id = call.tool_call_id or OWN_ID + secrets.token_hex(8)
        return *self._begun(), *self._end_thought(), ToolCall(call)

    def source(self, url: object, title: object = None, start: object = None, end: object = None) -> Events:
        """A page or a document that the reply cites; of repeated ones the first counts."""
        if not isinstance(url, str) or not url or len(self._sources) >= _MOST_SOURCES:
            return ()
        first, last = (number if type(number) is int and 0 <= number < 1 << 53 else None for number in (start, end))
        if (url, first, last) in self._sources:
            return ()
        self._sources.add((url, first, last))
        part = SourcePart(url, title if isinstance(title, str) and title else None, first, last)
        return *self._begun(), Source(part)

    def file(self, media_type: object) -> Events:
        """A file in the reply, which cannot be shown."""
        self._files += 1
        kind = media_type if isinstance(media_type, str) and media_type else "unknown type"
        return *self._begun(), Notice(f"the reply holds a file ({shortened(kind, 80)}), which is not shown")

    def flush(self) -> Events:
        """Pass on what was held back, at the end or before an error: nothing that arrived is lost."""
        held, self._held = self._held, ""
        last: Events
        if self._place == "think":
            self._unclosed.append(held)
            last = self.thinking(held)
        elif held:
            self._place = "text"
            last = self._answer(_SURROGATE.sub("\ufffd", held))
        else:
            last = ()
        return *last, *self._end_thought(), *(self.usage(self._uncounted) if self._uncounted else ())

    def end(self) -> Events:
        """The stream is over: the last events. Without a finish reason or an end marker the reply is incomplete."""
        last = [*self.start(), *self.flush()]
        reason: FinishReason = self.finish or ("stop" if self.ended else "incomplete")
        if self._place == "think" and reason == "stop" and not self.any_text:  # nothing closed the reasoning
            last += self._answer("".join(self._unclosed))
        if reason != "incomplete" or self.finish is None:
            last += [event for key in self._calls for event in self._pass_on(key)]
        if self.refused:
            reason, self.finish_word = "content_filter", "refusal"
        if reason == "stop" and self.max_tokens is not None and self._usage.response_tokens == self.max_tokens:
            told = f"the reply has exactly the {self.max_tokens} tokens that it may have: it is probably cut"
            last.append(Notice(told))
        # Without offered tools any call is reported as one; an offered tool runs only if its call came whole.
        if self._calls and (not self.offered or _SEVERITY.index(reason) <= _SEVERITY.index("incomplete")):
            reason = "tool_call"
        if self._files and not self.any_text and reason == "stop":
            reason, self.finish_word = "incomplete", "a file and no text"
        names = tuple(call.tool_name for call in self._calls.values() if call.tool_name)
        return *last, StreamEnd(reason, self.finish_word, names)

    def _begun(self) -> Events:
        """Anything that arrives begins the reply, also where the vendor's own start is missing."""
        return () if self._started else self.start()

    def _end_thought(self) -> Iterator[StreamEvent]:
        if self._open_thought:
            yield PartEnd(self._open_thought)
            self._open_thought = None

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
        if self._started and self._open_thought is None:
            return (TextDelta(piece),)
        return *self._begun(), *self._end_thought(), TextDelta(piece)
