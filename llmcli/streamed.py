"""A streamed run of an Agent, for `for` and `async for`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from llmcli.background import Feed
from llmcli.conversation import Conversation
from llmcli.errors import LlmcliError
from llmcli.history import dump_messages
from llmcli.messages import ModelMessage, ModelResponse, Repair, StreamEvent, TextDelta, UserPromptPart
from llmcli.usage import Usage
from llmcli.verdict import judge

__all__ = ["Cost", "RunResult", "StreamedRun", "Texts"]

T = TypeVar("T")


class RunResult(Generic[T]):
    """The outcome of one run."""

    def __init__(self, data: T, conversation: Conversation, start: int) -> None:
        self.data = data
        """The reply: text, or a value of `result_type`."""
        self._conversation = conversation
        self._start = start

    @property
    def output(self) -> T:
        """The same as `data`."""
        return self.data

    @property
    def response(self) -> ModelResponse:
        """The last reply, with its model, finish reason and usage."""
        return cast(ModelResponse, self._conversation.messages[-1])

    def usage(self) -> Usage:
        """The usage of all requests of the run, as the provider told it."""
        replies = (one.usage for one in self.new_messages() if isinstance(one, ModelResponse))
        return sum(replies, Usage())

    def cost(self) -> float | None:
        """The USD of the run, from the provider or by list price; None where the price is not known."""
        return Cost()(self.new_messages())

    def all_messages(self) -> list[ModelMessage]:
        """The history that was given, and what the run added."""
        return list(self._conversation.messages)

    def new_messages(self) -> list[ModelMessage]:
        """What the run added."""
        return self._conversation.messages[self._start :]

    def all_messages_json(self) -> bytes:
        """`all_messages` as JSON; `load_messages` and PydanticAI read it."""
        return dump_messages(self.all_messages())

    def new_messages_json(self) -> bytes:
        """`new_messages` as JSON."""
        return dump_messages(self.new_messages())

    def __repr__(self) -> str:
        """Show the data."""
        return f"RunResult(data={self.data!r})"


class StreamedRun(Generic[T]):
    """The reply of one run. `data`, `usage()` and the messages are complete when the text has been read."""

    def __init__(
        self, conversation: Conversation, prompt: str | UserPromptPart, repairs: int, total: Usage | None
    ) -> None:
        self._conversation = conversation
        self._start = len(conversation.messages)
        self._events = conversation.ask(prompt, repairs)
        self._feed: Feed[StreamEvent] | None = None
        self._total = total
        self._result: RunResult[T] | None = None
        self._ended = False

    def events(self) -> Iterator[StreamEvent]:
        """The events of the reply; see `llmcli.messages`."""
        yield from self._events
        self._end()

    def stream_text(self, *, delta: bool = False) -> Texts:
        """Yield the text so far each time more of it has arrived, or with `delta` only the new piece."""
        return Texts(self, delta)

    def usage(self) -> Usage:
        """The usage of the run so far."""
        new = self._conversation.messages[self._start :]
        return sum((one.usage for one in new if isinstance(one, ModelResponse)), Usage())

    @property
    def data(self) -> T:
        """The reply: text, or a value of the result type. Reads what has not been read."""
        return self.result().data

    @property
    def output(self) -> T:
        """The same as `data`."""
        return self.data

    async def get_data(self) -> T:
        """`data` without blocking the event loop."""
        async for _ in self.stream_text(delta=True):
            pass
        return self.data

    def result(self) -> RunResult[T]:
        """The outcome, as of `Agent.run_sync`. Reads what has not been read; raises what that raises."""
        if not self._ended:
            for _ in self.events():
                pass
        if self._result is None:
            response = self._conversation.messages[-1]
            if not isinstance(response, ModelResponse):
                raise LlmcliError("the model gave no reply")
            verdict = judge(response, shape=self._conversation.shape)
            if verdict.error:
                raise verdict.error
            data: Any = verdict.fit.data if verdict.fit else response.text
            self._result = RunResult(data, self._conversation, self._start)
        return self._result

    def all_messages(self) -> list[ModelMessage]:
        """See `RunResult.all_messages`."""
        return list(self._conversation.messages)

    def new_messages(self) -> list[ModelMessage]:
        """See `RunResult.new_messages`."""
        return self._conversation.messages[self._start :]

    def close(self) -> None:
        """End the request, if it is still open."""
        if self._feed:
            self._feed.stop()
        else:
            self._events.close()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            if self._total is not None:
                self._total.incr(self.usage())

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the request."""
        self.close()

    async def __aenter__(self) -> Self:
        """Begin the request in a thread of its own."""
        self._feed = Feed(self._events)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the request."""
        self.close()

    async def async_events(self) -> AsyncIterator[StreamEvent]:
        """`events` without blocking the event loop."""
        self._feed = self._feed or Feed(self._events)
        async for event in self._feed:
            yield event
        self._end()


class Texts:
    """The text of a reply, iterable with `for` and with `async for`. A repaired reply begins anew."""

    def __init__(self, run: StreamedRun[Any], delta: bool) -> None:
        self._run = run
        self._delta = delta
        self._said = ""

    def _text(self, event: StreamEvent) -> str | None:
        if isinstance(event, Repair):
            self._said = ""
        if not isinstance(event, TextDelta):
            return None
        if self._delta:
            return event.text
        self._said += event.text
        return self._said

    def __iter__(self) -> Generator[str]:
        """Yield the text."""
        for event in self._run.events():
            if (text := self._text(event)) is not None:
                yield text

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield the text."""
        async for event in self._run.async_events():
            if (text := self._text(event)) is not None:
                yield text


class Cost:
    """Prices for the Python API, from the built-in providers."""

    @staticmethod
    def price(model: str, usage: Usage) -> float | None:
        """USD for the usage of a model; None where no price is known."""
        from llmcli.providers.prices import cost_of
        from llmcli.providers.table import PROVIDERS

        return cost_of(model, usage, PROVIDERS) if ":" in model else None

    def __call__(self, messages: Sequence[ModelMessage]) -> float | None:
        """USD of all replies; None where one has no known price."""
        costs = [self.price(one.served_by or "", one.usage) for one in messages if isinstance(one, ModelResponse)]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known and len(known) == len(costs) else None
