"""A model that is built at its first use, so that a session shows its prompt before it imports a protocol."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence

from llmcli.messages import Attachment, ModelMessage, ModelSettings, StreamEvent
from llmcli.models import FoundModel, HTTPRequest, Model

__all__ = ["LaterModel"]


class LaterModel(Model):
    """Stands for the model that was `found`; any thread may build it, and the others wait for that one."""

    def __init__(self, found: FoundModel) -> None:
        self.id = found.id
        self.address = found.endpoint.address
        self._found = found
        self._lock = threading.Lock()
        self._built: Model | None = None

    def _model(self) -> Model:
        with self._lock:
            self._built = self._built or self._found.build()
            return self._built

    def load(self) -> None:
        """See `Model.load`."""
        self._model().load()

    def renew_key(self) -> bool:
        """See `Model.renew_key`."""
        return self._model().renew_key()

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        yield from self._model().stream(messages, settings)

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `Model.refused`."""
        return self._model().refused(settings)

    def takes(self, file: Attachment) -> bool:
        """See `Model.takes`."""
        return self._model().takes(file)

    @property
    def secrets(self) -> frozenset[str]:
        """See `Model.secrets`."""
        known = frozenset(filter(None, (self._found.endpoint.key, *self._found.endpoint.headers.values())))
        return self._built.secrets if self._built else known

    def preview(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> HTTPRequest:
        """See `Model.preview`."""
        return self._model().preview(messages, settings)
