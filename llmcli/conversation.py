"""A conversation with one model: what was said, what it cost, and partial replies kept when one breaks off."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from llmcli.budget import Budget, Meter, Price, no_price, size_of
from llmcli.errors import LlmcliError, UsageLimitExceeded, UserError
from llmcli.messages import (
    AttemptFailed,
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelSettings,
    Notice,
    Progress,
    Repair,
    ReplyStart,
    StreamEnd,
    StreamEvent,
    SystemPromptPart,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCallPart,
    UsageUpdate,
    UserPromptPart,
)
from llmcli.models import HTTPRequest, Model
from llmcli.models.retry import with_retries
from llmcli.usage import Usage

if TYPE_CHECKING:
    from llmcli.schema import Fault, Shape

__all__ = ["Conversation"]


class PartialResponse:
    """Gathers the events of one reply, so that what has arrived can be kept at any moment."""

    def __init__(self) -> None:
        self._text = bytearray()  # StringIO keeps a hundred thousand pieces as they came
        self._thinking = bytearray()
        self._end: StreamEnd | None = None
        self.usage = Usage()
        self.served_by: str | None = None
        self.model_name: str | None = None

    def add(self, event: StreamEvent) -> None:
        """Take one more event in."""
        if isinstance(event, TextDelta):
            self._text += event.text.encode("utf-8", "surrogatepass")
        elif isinstance(event, ThinkingDelta):
            self._thinking += event.text.encode("utf-8", "surrogatepass")
        elif isinstance(event, UsageUpdate):
            self.usage = event.usage
        elif isinstance(event, ReplyStart):
            self.served_by, self.model_name = event.served_by, event.model_name
            if not self.usage.requests:
                self.usage = Usage(requests=1)
        elif isinstance(event, StreamEnd):
            self._end = event

    def response(self, broken_off: FinishReason) -> ModelResponse:
        """What has arrived so far; without a StreamEnd, as a reply that was `broken_off`."""
        end = self._end or StreamEnd(broken_off)
        parts: list[ThinkingPart | TextPart | ToolCallPart] = []
        if self._thinking:
            parts.append(ThinkingPart(self._thinking.decode("utf-8", "surrogatepass")))
        if self._text:
            parts.append(TextPart(self._text.decode("utf-8", "surrogatepass")))
        parts += map(ToolCallPart, end.tool_names)
        return ModelResponse(
            tuple(parts), end.finish_reason, self.usage, self.served_by, self.model_name, end.finish_word
        )


def _begun(model: Model, events: Iterable[StreamEvent]) -> Generator[StreamEvent]:
    """The events, with a ReplyStart before the reply of a model that yields none."""
    started = False
    for event in events:
        if not started and not isinstance(event, Notice | Progress | AttemptFailed):
            started = True
            if not isinstance(event, ReplyStart):
                yield ReplyStart(model.id, None)
        yield event


class Conversation:
    """Messages and usage so far; `send` adds to both, also when the reply is cut short.

    `replies` are who answered and what it took, one for each request; they stay when messages are taken back. What the
    provider did not tell is estimated in them, but not in `messages`.
    `limits` are watched over; `price` is asked for USD only where they, or somebody else, want to know.
    """

    def __init__(
        self,
        model: Model,
        *,
        settings: ModelSettings | None = None,
        system: str | None = None,
        limits: Budget | None = None,
        price: Price = no_price,
    ) -> None:
        self.model = model
        self.settings = settings or ModelSettings()
        self.system = system
        self.shape: Shape | None = None
        self.limits = limits or Budget()
        self.price = price
        self.messages: list[ModelMessage] = []
        self.replies: list[tuple[str, Usage]] = []

    @property
    def usage(self) -> Usage:
        """The tokens of all replies so far."""
        return sum((usage for _, usage in self.replies), Usage())

    def cost(self) -> float | None:
        """The USD of all replies so far, as far as prices are known; None where none is."""
        known = [usd for model, usage in self.replies if (usd := self.price(model, usage)) is not None]
        return sum(known) if known else None

    def send(self, prompt: str | UserPromptPart) -> Generator[StreamEvent]:
        """Yield the events of the reply to `prompt`, and keep both in `messages` once somebody has begun to answer.

        An event is recorded before it is passed on, so that nothing is missing that was shown. Close the iterator
        (`contextlib.closing`) before looking at `messages`: only then is a reply that broke off there, as "error",
        "limit" or "interrupted". Raises what `Model.stream` raises, and UsageLimitExceeded.
        """
        request = self._request(prompt)
        messages = [*self.messages, request]
        meter = self._meter(messages)
        partial = PartialResponse()
        reason: FinishReason = "interrupted"
        try:
            with closing(with_retries(self.model, messages, self.settings)) as events:
                for event in _begun(self.model, events):
                    partial.add(event)
                    yield event
                    meter.see(event)
        except UsageLimitExceeded:
            reason = "limit"
            raise
        except LlmcliError:
            reason = "error"
            raise
        finally:
            if partial.served_by:  # else nobody has begun to answer
                response = partial.response(reason)
                self.messages += [request, response]
                self.replies.append((partial.served_by, meter.used(response)))

    def ask(self, prompt: str | UserPromptPart, repairs: int = 1) -> Generator[StreamEvent]:
        """`send`, and ask again, up to `repairs` times, where the whole reply does not fit `shape`.

        Each fault is passed on as a Repair. A reply that is cut, refused or interrupted is not repaired; nor is one
        where a limit forbids another request. All requests and replies stay in `messages`.
        """
        yield from self.send(prompt)
        for attempt in range(2, repairs + 2):
            fault = self._fault()
            if fault is None:
                return
            again = f"The reply does not fit the schema. {fault.message}\n\nAnswer again, with the corrected JSON only."
            try:
                self._meter([*self.messages, self._request(again)])
            except (UsageLimitExceeded, UserError):
                return
            yield Repair(f"the reply does not fit the schema: {fault.message}; asking again", attempt)
            yield from self.send(again)

    def _fault(self) -> Fault | None:
        """Why the last reply does not fit; None where it does, or is not whole."""
        last = self.messages[-1] if self.messages else None
        if self.shape is None or not isinstance(last, ModelResponse) or last.finish_reason != "stop":
            return None
        from llmcli.schema import Fault

        found = self.shape.judge(last.text)
        return found if isinstance(found, Fault) else None

    def _meter(self, messages: list[ModelMessage]) -> Meter:
        """What watches over the reply. Raises UsageLimitExceeded and UserError where it must not be asked for."""
        spent = self.cost() if self.limits.max_cost is not None else None
        models = [model.id for model in self.model.members]
        return self.limits.meter(self.usage, spent or 0.0, models, self.price, size_of(messages))

    def take_back(self) -> list[ModelMessage]:
        """Remove the last prompt and its reply from `messages`, and return both; nothing where there is none."""
        begin = max((at for at, one in enumerate(self.messages) if isinstance(one, ModelRequest)), default=0)
        taken = self.messages[begin:]
        del self.messages[begin:]
        return taken

    def instruct(self, system: str | None) -> None:
        """Go on with another system prompt, or with none, as if it had been there from the start."""
        self.system = system
        if self.messages and isinstance(first := self.messages[0], ModelRequest):
            parts = tuple(part for part in first.parts if not isinstance(part, SystemPromptPart))
            self.messages[0] = replace(first, parts=(SystemPromptPart(system), *parts) if system else parts)

    def preview(self, prompt: str | UserPromptPart) -> HTTPRequest:
        """The request that `send` would send; sends nothing and keeps nothing."""
        return self.model.preview([*self.messages, self._request(prompt)], self.settings)

    def _request(self, prompt: str | UserPromptPart) -> ModelRequest:
        first = not self.messages and self.system
        said = UserPromptPart(prompt) if isinstance(prompt, str) else prompt
        return ModelRequest((SystemPromptPart(self.system or ""), said) if first else (said,))
