"""A chain of models: the next one answers where the one before fails, until a first event has arrived."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from llmcli.errors import FallbackExceptionGroup, ProviderError
from llmcli.messages import AttemptFailed, ModelMessage, ModelSettings, Notice, Progress, StreamEvent
from llmcli.models import HTTPRequest, Model, build_model
from llmcli.models.retry import with_retries

__all__ = ["FallbackModel", "FallbackOn"]

FallbackOn = tuple[type[ProviderError], ...] | Callable[[ProviderError], bool]


class FallbackModel(Model):
    """Models in the order of preference, as names or ready made; each has its own retries.

    `fallback_on` says which errors move on to the next: a tuple of types, or a function. By default any error of a
    provider or of the connection to it. What moves on is an AttemptFailed; if the last one fails as well, `stream`
    raises FallbackExceptionGroup with the errors of all. Once an event has arrived an error is the reply's own.
    """

    def __init__(self, first: Model | str, *rest: Model | str, fallback_on: FallbackOn = (ProviderError,)) -> None:
        self._members = tuple(build_model(one) if isinstance(one, str) else one for one in (first, *rest))
        self.id = f"fallback:{','.join(model.id for model in self.members)}"
        self._moves_on = fallback_on if callable(fallback_on) else lambda error: isinstance(error, fallback_on)

    @property
    def members(self) -> tuple[Model, ...]:
        """See `Model`."""
        return self._members

    @property
    def secrets(self) -> frozenset[str]:
        """See `Model.secrets`."""
        return frozenset().union(*(model.secrets for model in self.members))

    def check(self, settings: ModelSettings, messages: Sequence[ModelMessage] = ()) -> None:
        """See `Model.check`: before the first is asked, all must be fit to be."""
        for model in self.members:
            model.check(settings, messages)

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        self.check(settings, messages)
        errors: list[ProviderError] = []
        for model, following in zip(self.members, (*self.members[1:], None), strict=True):
            begun = False
            try:
                with closing(with_retries(model, messages, settings)) as events:
                    for event in events:
                        begun = begun or not isinstance(event, Notice | Progress | AttemptFailed)
                        yield event
                return
            except ProviderError as error:
                if begun or not self._moves_on(error):
                    raise
                errors.append(error)
                if following:
                    yield AttemptFailed(error, f"{error.message}; asking {following.id}", following.id)
        raise FallbackExceptionGroup("every model of the chain failed", errors)

    def preview(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> HTTPRequest:
        """See `Model.preview`: the request to the first."""
        return self.members[0].preview(messages, settings)
