"""Fallback models: send the prompt to the next model when one fails before a piece of its reply has arrived."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace

from llmcli.errors import FallbackExceptionGroup, ModelHTTPError, ProviderError
from llmcli.messages import AttemptFailed, ModelMessage, ModelSettings, StreamEvent
from llmcli.models import HTTPRequest, Model, build_model
from llmcli.models.retry import has_content, with_retries

__all__ = ["FallbackModel", "FallbackOn"]

FallbackOn = type[Exception] | Sequence[type[Exception]] | Callable[[Exception], bool]


class FallbackModel(Model):
    """Models in the order of preference, as names or ready made; each has its own retries.

    `fallback_on` says which errors move on to the next: a type, a tuple or list of types (an empty one: none), or a
    function. By default any error of a provider or of the connection to it. What moves on is an AttemptFailed; if the
    last one fails as well, `stream` raises FallbackExceptionGroup with the errors of all. Once a piece of the reply has
    arrived, an error is the reply's own.
    """

    def __init__(self, first: Model | str, *rest: Model | str, fallback_on: FallbackOn = (ModelHTTPError,)) -> None:
        self._members = tuple(build_model(one) if isinstance(one, str) else one for one in (first, *rest))
        self.id = f"fallback:{','.join(model.id for model in self.members)}"
        self._moves_on = _rule(fallback_on)

    @property
    def members(self) -> tuple[Model, ...]:
        """See `Model`."""
        return self._members

    @property
    def secrets(self) -> frozenset[str]:
        """See `Model.secrets`."""
        return frozenset().union(*(model.secrets for model in self.members))

    def check(self, settings: ModelSettings, messages: Sequence[ModelMessage] = ()) -> None:
        """See `Model.check`: before the first request, all must take it. A setting that some refuse is left out."""
        self._lenient(settings, messages)

    def _lenient(self, settings: ModelSettings, messages: Sequence[ModelMessage]) -> ModelSettings:
        """The settings for the members, each of which leaves out what it does not take, with a note.

        Raises UserError where no member takes a setting, or one does not take a file.
        """
        refused = [model.refused(settings) for model in self.members]
        if set.intersection(*map(set, refused)):
            self.members[0].check(settings, messages)
        settings = replace(settings, lenient=True)
        for model in self.members:
            model.check(settings, messages)
        return settings

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        settings = self._lenient(settings, messages)
        errors: list[Exception] = []
        for model, following in zip(self.members, (*self.members[1:], None), strict=True):
            begun = False
            try:
                with closing(with_retries(model, messages, settings)) as events:
                    for event in events:
                        begun = begun or has_content(event)
                        yield event
                return
            except Exception as error:
                if begun or not self._moves_on(error):
                    raise
                errors.append(error)
                if following:
                    own = error if isinstance(error, ProviderError) else ProviderError(f"{model.id}: {error}")
                    yield AttemptFailed(own, f"{own.message}; asking {following.id}", following.id)
        raise FallbackExceptionGroup("All models from FallbackModel failed", errors)

    def preview(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> HTTPRequest:
        """See `Model.preview`: the request to the first."""
        return self.members[0].preview(messages, settings)


def _rule(fallback_on: FallbackOn) -> Callable[[Exception], bool]:
    if isinstance(fallback_on, type):
        fallback_on = (fallback_on,)
    if not isinstance(fallback_on, Sequence):
        return fallback_on
    kinds = tuple(fallback_on)
    return lambda error: isinstance(error, kinds)
