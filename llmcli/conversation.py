"""A conversation with one model: what was said, what it cost, and partial replies kept when one breaks off."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from llmcli.errors import LlmcliError, ProviderError
from llmcli.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelSettings,
    PartialResponse,
    StreamEnd,
    StreamEvent,
    SystemPromptPart,
    UserPromptPart,
)
from llmcli.models import HTTPRequest, Model
from llmcli.usage import Usage

__all__ = ["Conversation"]


class Conversation:
    """Messages and usage so far; `send` adds to both, also when the reply is cut short."""

    def __init__(self, model: Model, *, settings: ModelSettings | None = None, system: str | None = None) -> None:
        self.model = model
        self.settings = settings or ModelSettings()
        self.system = system
        self.messages: list[ModelMessage] = []
        self.usage = Usage()

    def send(self, prompt: str) -> Generator[StreamEvent]:
        """Yield the events of the reply to `prompt`, and keep both in `messages`.

        Close the iterator (`contextlib.closing`) before looking at `messages`: only then is a reply that broke off
        recorded, as "error" or "interrupted". Raises what `Model.stream` raises.
        """
        request = self._request(prompt)
        partial = PartialResponse()
        response: ModelResponse | None = None
        reason: FinishReason | None = "interrupted"
        try:
            with closing(self.model.stream([*self.messages, request], self.settings)) as events:
                for event in events:
                    partial.add(event)
                    if isinstance(event, StreamEnd):
                        response = event.response
                    yield event
        except ProviderError:
            reason = "error"
            raise
        except LlmcliError:  # nothing was sent
            reason = None
            raise
        finally:
            if reason:
                response = response or partial.response(reason)
                self.messages += [request, response]
                self.usage.incr(response.usage)

    def preview(self, prompt: str) -> HTTPRequest:
        """The request that `send` would send; sends nothing and keeps nothing."""
        return self.model.preview([*self.messages, self._request(prompt)], self.settings)

    def _request(self, prompt: str) -> ModelRequest:
        first = not self.messages and self.system
        parts = (SystemPromptPart(self.system or ""), UserPromptPart(prompt)) if first else (UserPromptPart(prompt),)
        return ModelRequest(parts)
