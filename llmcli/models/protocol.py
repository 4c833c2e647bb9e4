"""The one path of every HTTP protocol: body from messages, a response, events out of it, errors in one family."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from llmcli.errors import NetworkError, ProviderError, UserError
from llmcli.messages import (
    ModelMessage,
    ModelResponse,
    ModelSettings,
    Notice,
    StreamEvent,
    SystemPromptPart,
)
from llmcli.models import HTTPRequest, Model
from llmcli.models.reply import Reply
from llmcli.providers import Provider

if TYPE_CHECKING:
    import httpx2

    from llmcli.models.wire import Event


class ProtocolModel(Model):
    """A model behind an HTTP protocol; a protocol says how to make the body, send it and read the events.

    `key` is None where the provider needs none, `headers` are sent besides the protocol's own.
    """

    def __init__(self, provider: Provider, model: str, key: str | None, *, headers: Mapping[str, str]) -> None:
        self.provider = provider
        self.model = model
        self.key = key
        self.headers = headers
        self.id = f"{provider.name}:{model}"

    @abstractmethod
    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """The request body, without `settings.extra`."""

    @abstractmethod
    def send(
        self, body: dict[str, Any], settings: ModelSettings, transport: httpx2.BaseTransport | None = None
    ) -> httpx2.Response:
        """Send it, and return the open response; raises ProviderError. `transport` stands in for the network."""

    def decode(self, response: httpx2.Response) -> Iterator[Event]:
        """The decoded events of an open response; server-sent ones, unless a protocol says otherwise."""
        from llmcli.models import wire

        return wire.events(self.id, response)

    @abstractmethod
    def read(self, events: Iterable[Event], reply: Reply) -> Iterator[StreamEvent]:
        """Turn decoded events into ours. May raise any error of a wrong shape: it becomes a ProviderError."""

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """The settings that this API does not take: field name and why. Default: takes all."""
        return {}

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        for name, why in self._unfit(settings):
            yield Notice(f"{_option(name)} is not sent: {why}")
        reply = Reply(self.id)
        try:
            with closing(self.send(self._whole_body(messages, settings), settings)) as response:
                yield from self.read(self.decode(response), reply)
        except ProviderError as error:
            yield from reply.flush()
            self._advise(error)
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            yield from reply.flush()
            raise NetworkError(f"{self.id}: an event of an unknown shape: {error}", kind="stream") from error
        yield from reply.end()

    def preview(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> HTTPRequest:
        """See `Model.preview`: the SDK builds the request, and a recorder takes the place of the network."""
        import httpx2

        list(self._unfit(settings))
        seen: list[httpx2.Request] = []

        def record(request: httpx2.Request) -> httpx2.Response:
            seen.append(request)
            return httpx2.Response(200)

        self.send(self._whole_body(messages, settings), settings, httpx2.MockTransport(record)).close()
        request = seen[0]
        secret = {"authorization", "x-api-key", "api-key", *(name.lower() for name in self.headers)}
        headers = {name: "***" if name in secret else value for name, value in request.headers.items()}
        return HTTPRequest(request.method, str(request.url), headers, request.content.decode())

    def _whole_body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        return self.body(messages, settings) | dict(settings.extra)

    def _unfit(self, settings: ModelSettings) -> Iterator[tuple[str, str]]:
        for name, why in self.refused(settings).items():
            if not settings.lenient:
                raise UserError(
                    f"{self.id} does not take {_option(name)}: {why}", hint="leave it out, or add --lenient"
                )
            yield name, why

    def _advise(self, error: ProviderError) -> None:
        """Say what to do next where only the provider's row knows it."""
        row = self.provider
        if error.exit_code == 3:
            error.hint = f"check {' or '.join(row.key_env) or 'the key'}, and that it belongs to {row.address}"
        elif error.kind == "network" and row.start_hint and "refused the connection" in error.message:
            error.hint = row.start_hint
        elif error.kind == "not_found":
            import difflib

            near = difflib.get_close_matches(self.model, row.models, 1, 0.6)
            meant = f"did you mean {row.name}:{near[0]}? " if near and near[0] != self.model else ""
            error.hint = f"{meant}Check the model's name and the address {row.address}"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def system_prompt(messages: Sequence[ModelMessage]) -> str | None:
    """All system prompts of a history, a blank line between, for APIs that take one apart from the messages."""
    prompts = [
        part.content
        for message in messages
        if not isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, SystemPromptPart)
    ]
    return "\n\n".join(prompts) or None


def turns(messages: Sequence[ModelMessage], *, with_system: bool) -> list[dict[str, str]]:
    """The history as `role` and `content`; replies without text are left out, as no API takes an empty turn."""
    found: list[dict[str, str]] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            if message.text:
                found.append({"role": "assistant", "content": message.text})
            continue
        for part in message.parts:
            if not isinstance(part, SystemPromptPart):
                found.append({"role": "user", "content": part.content})
            elif with_system:
                found.append({"role": "system", "content": part.content})
    return found
