"""Answer from a recording (`--record FILE`), offline: `-m replay:FILE`."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from llmcli.errors import ProviderError, UserError
from llmcli.messages import AttemptFailed, ModelMessage, ModelSettings, StreamEvent
from llmcli.models import FoundModel, Model
from llmcli.models.http.recording import FORMAT, ReplayTransport
from llmcli.models.retry import has_content
from llmcli.providers.endpoint import Cloud, Endpoint
from llmcli.providers.network import Network
from llmcli.providers.table import PROVIDERS, Provider

__all__ = ["ReplayModel"]

_LARGEST_FILE = 256 << 20  # bytes
# What a protocol asks for before it sends, and what makes no difference to a recorded answer.
_ENVIRON = {"OPENAI_API_VERSION": "recorded", "AWS_REGION": "us-east-1"}
_SPOKEN = {"vertex": "gemini"}  # the same replies, without a login


class ReplayModel(Model):
    """Replay the exchanges of a recording in order, one for each request of any content; the last one repeats.

    Where one failed and the next was sent to another model, it goes on with that one, as the chain of models did.
    Raises UserError for a file that is no recording.
    """

    def __init__(self, endpoint: Endpoint, path: str, cloud: Cloud) -> None:
        self._exchanges = _read(path)
        self._at = 0
        self.id = self._exchanges[0]["model"]

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        settings = replace(settings, lenient=True)
        while True:
            exchange = self._exchanges[min(self._at, len(self._exchanges) - 1)]
            self._at += 1
            following = self._exchanges[min(self._at, len(self._exchanges) - 1)]
            begun = False
            try:
                with closing(_model(exchange).stream(messages, settings)) as events:
                    for event in events:
                        begun = begun or has_content(event)
                        yield event
                return
            except ProviderError as error:
                if begun or following["model"] == exchange["model"]:
                    raise
                error.model = exchange["model"]
                yield AttemptFailed(error, f"{error.message}; asking {following['model']}", following["model"])


def _read(path: str) -> list[dict[str, Any]]:
    hint = "record one with --record FILE"
    try:
        with open(os.path.expanduser(path), "rb") as file:
            found = json.loads(file.read(_LARGEST_FILE))
    except OSError as error:
        raise UserError(f"replay: cannot read {path}: {error.strerror}", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"replay: {path} is no recording: {error}", hint=hint) from error
    if not isinstance(found, dict) or found.get("llmcli_recording") != FORMAT:
        raise UserError(f"replay: {path} is no recording of version {FORMAT}", hint=hint)
    exchanges = found.get("exchanges")
    fits = isinstance(exchanges, list) and all(map(_fits, exchanges))
    if not fits or not exchanges:
        raise UserError(f"replay: {path} holds no exchange that can be replayed", hint=hint)
    return list(exchanges)


def _fits(exchange: Any) -> bool:
    named = ("model", "protocol", "address")
    return isinstance(exchange, dict) and all(isinstance(exchange.get(name), str) for name in named)


def _model(exchange: dict[str, Any]) -> Model:
    name, _, model = exchange["model"].partition(":")
    protocol = _SPOKEN.get(exchange["protocol"], exchange["protocol"])
    row = PROVIDERS.get(name) or Provider(name, protocol)
    row = replace(row, protocol=protocol, home_protocol=None, start_hint=None)
    transport = ReplayTransport(exchange)
    address = exchange["address"] or "https://recorded.invalid"
    endpoint = Endpoint(row, address, None, {}, Network(environ={}), _ENVIRON, client=transport)
    return FoundModel(endpoint, model, Cloud(region="us-east-1")).build()
