"""Ask a model from Python: one prompt or a conversation, text or values of a Python type, blocking or asynchronous."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar, overload

from llmcli.agent_settings import settings_of
from llmcli.background import run_in_thread
from llmcli.budget import Budget
from llmcli.conversation import Conversation
from llmcli.errors import UserError
from llmcli.messages import Attachment, ModelMessage, UserPromptPart
from llmcli.models import Model
from llmcli.providers.lookup import split_model
from llmcli.python_models import infer_model
from llmcli.schema import Shape
from llmcli.streamed import Cost, RunResult, StreamedRun
from llmcli.usage import Usage, UsageLimits

__all__ = ["Agent", "RunResult"]

T = TypeVar("T")
Prompt = str | Sequence[str | Attachment]
Settings = Mapping[str, Any] | None


class Agent(Generic[T]):
    """A model with a system prompt, a type of result and settings. It keeps nothing from one run to the next.

    Args:
        model: `provider:model`, or a model; may be left to each run.
        system_prompt: one or several; sent where no history is given.
        result_type: `str`, or a type for which pydantic makes a JSON Schema. The reply is validated.
        model_settings: as a mapping, for example `{"temperature": 0.0, "max_tokens": 100}`.
        retries: number of times to ask again when the reply does not fit the type.

    Raises UserError for a model or a type that cannot be used. Touches no network.
    """

    @overload
    def __init__(
        self: Agent[str],
        model: Model | str | None = None,
        *,
        system_prompt: str | Sequence[str] = ...,
        model_settings: Settings = ...,
        retries: int = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        model: Model | str | None = None,
        *,
        result_type: type[T],
        system_prompt: str | Sequence[str] = ...,
        model_settings: Settings = ...,
        retries: int = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: Agent[Any],
        model: Model | str | None = None,
        *,
        result_type: Any,
        system_prompt: str | Sequence[str] = ...,
        model_settings: Settings = ...,
        retries: int = ...,
    ) -> None: ...

    def __init__(
        self,
        model: Model | str | None = None,
        *,
        system_prompt: str | Sequence[str] = (),
        result_type: Any = str,
        model_settings: Settings = None,
        retries: int = 1,
    ) -> None:
        if isinstance(model, str):
            split_model(model)
        self.model = model
        self.system_prompt = system_prompt if isinstance(system_prompt, str) else "\n\n".join(system_prompt)
        self.model_settings = dict(model_settings or {})
        self.retries = retries
        self.result_type = result_type
        self._shape = _shape(result_type)
        settings_of(self.model_settings)

    def run_sync(
        self,
        user_prompt: Prompt,
        *,
        message_history: Sequence[ModelMessage] | None = None,
        model: Model | str | None = None,
        model_settings: Settings = None,
        usage_limits: UsageLimits | Budget | None = None,
        usage: Usage | None = None,
        result_type: Any = None,
    ) -> RunResult[T]:
        """Send the prompt, wait for the reply, and return it.

        `usage_limits` counts over the run, and over `usage` where that is given; `usage` is added to. `model`,
        `model_settings` and `result_type` replace the agent's own.
        Raises UsageLimitExceeded, ProviderError (ModelHTTPError), IncompleteReply, and ReplyMismatch
        (UnexpectedModelBehavior) where the reply does not fit the type after all retries.
        """
        run = self._stream(user_prompt, message_history, model, model_settings, usage_limits, usage, result_type)
        with closing(run):
            for _ in run.events():
                pass
        return run.result()

    async def run(self, user_prompt: Prompt, **options: Any) -> RunResult[T]:
        """`run_sync` without blocking the event loop, with the same options; cancelling it ends the request."""
        return await run_in_thread(lambda: self.run_sync(user_prompt, **options))

    def run_stream(
        self,
        user_prompt: Prompt,
        *,
        message_history: Sequence[ModelMessage] | None = None,
        model: Model | str | None = None,
        model_settings: Settings = None,
        usage_limits: UsageLimits | Budget | None = None,
        usage: Usage | None = None,
        result_type: Any = None,
    ) -> StreamedRun[T]:
        """The reply as it arrives: use it with `with` and `for`, or with `async with` and `async for`.

        The options and errors are those of `run_sync`.
        """
        return self._stream(user_prompt, message_history, model, model_settings, usage_limits, usage, result_type)

    run_stream_sync = run_stream

    def _stream(
        self,
        user_prompt: Prompt,
        history: Sequence[ModelMessage] | None,
        model: Model | str | None,
        settings: Settings,
        limits: UsageLimits | Budget | None,
        usage: Usage | None,
        result_type: Any,
    ) -> StreamedRun[T]:
        chosen = model or self.model
        if chosen is None:
            raise UserError("no model: give one to the Agent, or to the run")
        shape = self._shape if result_type is None else _shape(result_type)
        conversation = Conversation(
            infer_model(chosen),
            settings=settings_of({**self.model_settings, **(settings or {})}, shape),
            system=self.system_prompt or None,
            limits=limits if isinstance(limits, Budget) else Budget(limits or UsageLimits()),
            price=Cost.price,
        )
        conversation.shape = shape
        conversation.messages = list(history or ())
        if usage is not None:
            conversation.replies.append(("", replace(usage)))
        prompt = user_prompt if isinstance(user_prompt, str) else UserPromptPart(tuple(user_prompt))
        return StreamedRun(conversation, prompt, self.retries, usage)

    def __enter__(self) -> Self:
        """Return the agent; it holds nothing open."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Do nothing."""


def _shape(result_type: Any) -> Shape | None:
    if result_type is str or result_type is None:
        return None
    if isinstance(result_type, Shape):
        return result_type
    if isinstance(result_type, dict):
        return Shape(result_type)
    from llmcli.schema.types import shape_of_type

    return shape_of_type(result_type)
