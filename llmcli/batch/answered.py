"""A model that yields the finished reply of a vendor's batch service, so that a turn treats it like any other."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from llmcli.batch.lane import RowResult
from llmcli.errors import NetworkError
from llmcli.messages import ModelMessage, ModelSettings, StreamEvent
from llmcli.models import Model
from llmcli.models.event_builder import Reply
from llmcli.models.http.protocol import ProtocolModel

__all__ = ["AnsweredModel"]


class AnsweredModel(Model):
    """Streams the `result` as the `model` would have; sends nothing."""

    def __init__(self, model: ProtocolModel, result: RowResult) -> None:
        self.id = model.id
        self.address = model.address
        self._model = model
        self._result = result

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        from llmcli.models.http.sse import BODY

        if self._result.error or self._result.body is None:
            raise self._result.error or NetworkError(f"{self.id}: a result without a body", kind="stream")
        reply = Reply(self.id)
        try:
            yield from self._model.read([(BODY, self._result.body)], reply)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise NetworkError(f"{self.id}: a result of an unknown shape: {error}", kind="stream") from error
        yield from reply.end()
