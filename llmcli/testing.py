"""Models for the tests of code that uses llmcli: no key, no network, and replies as the test says."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Any, cast

from llmcli.errors import UserError
from llmcli.messages import (
    ModelMessage,
    ModelResponse,
    ModelSettings,
    ReplyStart,
    StreamEnd,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    UsageUpdate,
)
from llmcli.models import Model
from llmcli.models.test import estimate, words_of
from llmcli.schema import WRAP
from llmcli.schema.example import example

__all__ = ["AgentInfo", "FunctionModel", "TestModel"]


class TestModel(Model):
    """Answer with `custom_result_text`, or `custom_result_args` as JSON, or the smallest value that fits the schema.

    Without a schema the answer is "success (no tool calls)". Usage is estimated: 50 tokens and one for each word.
    """

    __test__ = False  # pytest takes any Test* for a test class

    def __init__(self, *, custom_result_text: str | None = None, custom_result_args: Any = None, seed: int = 0) -> None:
        self.id = "test:test"
        self.custom_result_text = custom_result_text
        self.custom_result_args = custom_result_args
        self.seed = seed
        self.last_settings: ModelSettings | None = None
        """The settings of the last request."""

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        self.last_settings = settings
        answer = self._answer(settings.schema)
        yield ReplyStart(self.id, "test")
        yield from map(TextDelta, words_of(answer))
        yield UsageUpdate(estimate(messages, answer))
        yield StreamEnd("stop")

    def _answer(self, schema: Mapping[str, Any] | None) -> str:
        if self.custom_result_text is not None:
            return self.custom_result_text
        if schema is None and self.custom_result_args is None:
            return "success (no tool calls)"
        value = self.custom_result_args
        if value is None:
            value = example(schema or {}, self.seed)
        elif schema and not isinstance(value, dict) and list(schema.get("properties", ())) == [WRAP]:
            value = {WRAP: value}
        return json.dumps(value, ensure_ascii=False, default=vars)


@dataclass(slots=True)
class AgentInfo:
    """The second argument of a reply function: the tools and settings of the request."""

    model_settings: ModelSettings
    schema: Mapping[str, Any] | None
    """The JSON Schema that the answer must satisfy."""


Answer = ModelResponse | str
Function = Callable[[list[ModelMessage], AgentInfo], Any]
"""Returns an Answer, or is a coroutine function that does."""
StreamFunction = Callable[[list[ModelMessage], AgentInfo], Any]
"""Returns an iterable of texts, or an asynchronous one."""


class FunctionModel(Model):
    """Answer with what a function of yours returns, or with the texts that a generator of yours yields.

    `function` is used for whole replies and `stream_function` for streamed ones; where one is missing, the other is.
    """

    def __init__(
        self,
        function: Function | None = None,
        *,
        stream_function: StreamFunction | None = None,
        model_name: str | None = None,
    ) -> None:
        if function is None and stream_function is None:
            raise TypeError("FunctionModel needs a function, or a stream_function")
        names = (getattr(one, "__name__", "") if one else "" for one in (function, stream_function))
        self.id = model_name or f"function:{':'.join(names)}"
        self._function = function
        self._stream_function = stream_function

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        info = AgentInfo(settings, settings.schema)
        answer = self._function(list(messages), info) if self._function else None
        yield ReplyStart(self.id, self.id)
        if self._function:
            response = _finished(answer)
            if isinstance(response, str):
                yield TextDelta(response)
                yield UsageUpdate(estimate(messages, response))
                yield StreamEnd("stop")
            else:
                yield from _replayed(response, messages)
            return
        said = ""
        for text in _pieces(self._stream_function, list(messages), info):
            said += text
            yield TextDelta(text)
        if not said:
            raise ValueError("the stream function must yield at least one text")
        yield UsageUpdate(estimate(messages, said))
        yield StreamEnd("stop")


def _replayed(response: Any, messages: Sequence[ModelMessage]) -> Generator[StreamEvent]:
    if not isinstance(response, ModelResponse):
        raise UserError(f"the function must return a ModelResponse or text, not {type(response).__name__}")
    if response.thinking:
        yield ThinkingDelta(response.thinking)
    if response.text:
        yield TextDelta(response.text)
    told = response.usage
    yield UsageUpdate(told if told.is_whole else estimate(messages, response.text))
    yield StreamEnd(response.finish_reason, None, tuple(response.tool_names))


def _pieces(function: StreamFunction | None, messages: list[ModelMessage], info: AgentInfo) -> Iterable[str]:
    found = function(messages, info) if function else ()
    if not inspect.isasyncgen(found):
        return cast(Iterable[str], found)

    async def gather() -> list[str]:
        return [cast(str, piece) async for piece in found]

    return list(_finished(gather()))


def _finished(value: Any) -> Any:
    """The value, or the result of the coroutine that it is, which runs in a thread with a loop of its own."""
    if not inspect.isawaitable(value):
        return value
    answer: Future[Any] = Future()

    async def wait() -> Any:
        return await value

    def run() -> None:
        try:
            answer.set_result(asyncio.run(wait()))
        except BaseException as error:  # noqa: BLE001 - the reader of the result raises it again
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer.result()
