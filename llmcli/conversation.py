"""A conversation with one model: messages, usage and cost; a partial reply is kept when the request fails."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from llmcli.budget import Budget, Meter, Price, no_price, size_of
from llmcli.errors import UsageLimitExceeded, UserError
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
    RetryPromptPart,
    StreamEvent,
    SystemPromptPart,
    ToolCallPart,
    UserPromptPart,
)
from llmcli.models import HTTPRequest, Model
from llmcli.models.retry import with_retries
from llmcli.partial_response import PartialResponse
from llmcli.tool_loop import Approve, RunnableTool, ToolRun, definitions
from llmcli.usage import Usage

if TYPE_CHECKING:
    from llmcli.schema import Fault, Shape

__all__ = ["Conversation", "PartialResponse"]


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

    `replies` holds (model ID, usage) for each request, and survives `undo`. Estimates for tokens that the
    provider did not count go into `replies` only, not into `messages`.
    `limits` are enforced; `price` is called only when a limit or an output needs USD.
    The model may call the `tools`; `approve` decides on each call (None: all run), and one prompt takes at most
    `max_steps` requests.
    """

    def __init__(
        self,
        model: Model,
        *,
        settings: ModelSettings | None = None,
        system: str | None = None,
        limits: Budget | None = None,
        price: Price = no_price,
        tools: Sequence[RunnableTool] = (),
        approve: Approve | None = None,
        max_steps: int = 5,
    ) -> None:
        self.model = model
        self.settings = settings or ModelSettings()
        self.system = system
        self.shape: Shape | None = None
        self.limits = limits or Budget()
        self.price = price
        self.tools = tools
        self.approve = approve
        self.max_steps = max_steps
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
        """Yield the events of the reply to `prompt`, and keep both in `messages` once the provider begins to answer.

        Where the reply asks for tools, they run, their results are sent, and the events of the next reply follow.
        An event is recorded before it is passed on, so that nothing is missing that was shown. Close the iterator
        (`contextlib.closing`) before looking at `messages`: only then is a reply that broke off there, as "error",
        "limit" or "interrupted". Raises what `Model.stream` raises, and UsageLimitExceeded.
        """
        yield from self._turn(self._request(prompt))

    def _turn(self, request: ModelRequest) -> Generator[StreamEvent]:
        yield from self._exchange(request)
        steps = 1
        while calls := self._wanted_calls():
            if steps >= self.max_steps:
                self._limit_reached()
                told = f"Exceeded the max_steps of {self.max_steps}: the model wants to call {calls[0].tool_name}"
                raise UsageLimitExceeded(told, hint="raise --max-steps")
            run = ToolRun(calls, self.tools, self.approve, self.model.takes)
            try:
                yield from run.run()
            finally:  # also after Ctrl-C: every call has a result, so that the next turn is valid
                self.messages.append(run.request())
            yield from self._exchange()
            steps += 1

    def _wanted_calls(self) -> list[ToolCallPart]:
        """The calls that the last reply asks for and that can run: it ended for them, and tools are on offer."""
        last = self.messages[-1] if self.messages else None
        wants = self.tools and isinstance(last, ModelResponse) and last.finish_reason == "tool_call"
        return last.tool_calls if wants and isinstance(last, ModelResponse) else []

    def _limit_reached(self) -> None:
        """The last reply is the end of the prompt, although it asks for more."""
        at = next(at for at in reversed(range(len(self.messages))) if isinstance(self.messages[at], ModelResponse))
        last = self.messages[at]
        if isinstance(last, ModelResponse):
            self.messages[at] = replace(last, finish_reason="limit")
            if last.tool_calls and at == len(self.messages) - 1:
                self.messages.append(ToolRun(last.tool_calls, (), None, self.model.takes).request())

    def _exchange(self, request: ModelRequest | None = None) -> Generator[StreamEvent]:
        """One request and its reply. Without a `request`, the results of tools, which are in `messages` already."""
        messages = [*self.messages, *([request] if request else [])]
        try:
            meter = self._meter(messages)
        except UsageLimitExceeded:
            if not request:
                self._limit_reached()
            raise
        settings = replace(self.settings, tools=definitions(self.tools)) if self.tools else self.settings
        partial = PartialResponse()
        reason: FinishReason = "interrupted"
        try:
            with closing(with_retries(self.model, messages, settings)) as events:
                for event in _begun(self.model, events):
                    partial.add(event)
                    yield event
                    meter.see(event)
        except UsageLimitExceeded:
            reason = "limit"
            raise
        except Exception:
            reason = "error"
            raise
        finally:
            if partial.served_by:  # else no provider has begun to reply
                response = partial.response(reason)
                self.messages += [request, response] if request else [response]
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
            told = (
                f"The reply does not fit the JSON Schema. {fault.message}\nAnswer again, with the corrected JSON only."
            )
            request = ModelRequest((RetryPromptPart(told),))
            try:
                self._meter([*self.messages, request])
            except (UsageLimitExceeded, UserError):
                return
            yield Repair(f"the reply does not fit the schema: {fault.message}; asking again", attempt)
            yield from self._turn(request)

    def _fault(self) -> Fault | None:
        """Why the last reply does not fit; None where it does, or is not whole."""
        last = self.messages[-1] if self.messages else None
        if self.shape is None or not isinstance(last, ModelResponse) or last.finish_reason != "stop":
            return None
        from llmcli.schema import Fault

        found = self.shape.judge(last.text)
        return found if isinstance(found, Fault) else None

    def _meter(self, messages: list[ModelMessage]) -> Meter:
        """The Meter of the next reply. Raises UsageLimitExceeded and UserError if the request may not be sent."""
        spent = self.cost() if self.limits.max_cost is not None else None
        models = [model.id for model in self.model.members]
        return self.limits.meter(self.usage, spent or 0.0, models, self.price, size_of(messages))

    def take_back(self) -> list[ModelMessage]:
        """Remove the last prompt and its reply from `messages`, and return both; nothing where there is none."""
        prompts = (at for at, one in enumerate(self.messages) if any(isinstance(p, UserPromptPart) for p in one.parts))
        begin = max(prompts, default=0)
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
        settings = replace(self.settings, tools=definitions(self.tools)) if self.tools else self.settings
        return self.model.preview([*self.messages, self._request(prompt)], settings)

    def _request(self, prompt: str | UserPromptPart) -> ModelRequest:
        first = not self.messages and self.system
        said = UserPromptPart(prompt) if isinstance(prompt, str) else prompt
        return ModelRequest((SystemPromptPart(self.system or ""), said) if first else (said,))
