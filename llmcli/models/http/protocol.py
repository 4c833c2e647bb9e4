"""The base class of HTTP protocols: make a body from messages, send it, read events, raise ProviderError."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmcli.errors import NetworkError, ProviderError
from llmcli.messages import (
    Attachment,
    ModelMessage,
    ModelSettings,
    Notice,
    OtherPart,
    StreamEvent,
    UserPromptPart,
)
from llmcli.models import HTTPRequest, Model, option
from llmcli.models.event_builder import Reply
from llmcli.providers.endpoint import Cloud, Endpoint
from llmcli.secrets import header_secrets, public_address, redact, url_secrets
from llmcli.spelling import find_close

if TYPE_CHECKING:
    import httpx2

    from llmcli.models.http.sse import Event


_SECRET_HEADERS = {
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "x-amz-security-token",
}


class ProtocolModel(Model):
    """A model behind an HTTP protocol; a subclass makes the body, sends it and reads the events.

    `endpoint` holds its address, key and network; `cloud` the region, project and account that some need.
    """

    _client: Any = None

    def __init__(self, endpoint: Endpoint, model: str, cloud: Cloud) -> None:
        self.endpoint = endpoint
        self.provider = endpoint.provider
        self.model = model
        self.key = endpoint.key
        self.headers = endpoint.headers
        self.cloud = cloud
        self.id = f"{endpoint.provider.name}:{model}"
        self.address = endpoint.address

    @property
    def vendor(self) -> str:
        """The name under which reasoning is sent back: the provider, or the host of an address that is not its own."""
        return self.provider.name if self.endpoint.is_vendor else urlsplit(self.address).netloc or self.provider.name

    def vendors(self) -> tuple[str, ...]:
        """The names under which a history may have reasoning of this vendor."""
        return self.provider.names if self.endpoint.is_vendor else (self.vendor,)

    def renew_key(self) -> bool:
        """See `Model.renew_key`. Raises SettingsError where the command fails."""
        if not self.endpoint.key_is_printed:
            return False
        from llmcli.providers.credentials import printed_key

        key = printed_key(self.provider)
        if key == self.key:
            return False
        self.key = self.endpoint.key = key
        return True

    @abstractmethod
    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """The request body, without `settings.extra`."""

    @abstractmethod
    def send(
        self, body: dict[str, Any], settings: ModelSettings, transport: httpx2.BaseTransport | None = None
    ) -> httpx2.Response:
        """Send a body and return the open response. `transport` replaces the network. Raises ProviderError."""

    def client(self, make: Callable[[httpx2.BaseTransport | None], Any], transport: httpx2.BaseTransport | None) -> Any:
        """The HTTP client, made at its first use and kept; with a `transport`, a client for this call only.

        Kept, because a client that is collected closes the responses that it opened.
        """
        if transport:
            return make(transport)
        if self._client is None:
            self._client = make(self._foreign_transport())
        return self._client

    def _foreign_transport(self) -> httpx2.BaseTransport | None:
        """What sends through the ready-made client of the caller; None where there is none."""
        if self.endpoint.client is None:
            return None
        from llmcli.models.http.foreign_client import transport_for

        return transport_for(self.endpoint.client)

    def attached(self, file: Attachment) -> dict[str, Any] | None:
        """A file as this API wants it in a prompt; None where it takes no such file. Default: takes none."""
        return None

    def takes(self, file: Attachment) -> bool:
        """See `Model.takes`."""
        return self.attached(file) is not None

    def said(self, text: str) -> dict[str, Any]:
        """Text as this API wants it next to files."""
        return {"type": "text", "text": text}

    def content(self, part: UserPromptPart) -> str | list[dict[str, Any]]:
        """A prompt: its text, or its texts and files in order. What it holds for other programs is left out."""
        if isinstance(part.content, str):
            return part.content
        return [*filter(None, map(self._item, part.content))]

    def _item(self, item: str | Attachment | OtherPart) -> dict[str, Any] | None:
        if isinstance(item, Attachment):
            return self.attached(item)
        text = item if isinstance(item, str) else (item.extra or {}).get("content")
        return self.said(text) if isinstance(text, str) and text else None

    def blocks(self, content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The content of a turn for APIs that know it as a list only."""
        return [self.said(content)] if isinstance(content, str) else content

    def decode(self, response: httpx2.Response) -> Iterator[Event]:
        """The decoded events of an open response; server-sent ones, unless a protocol says otherwise."""
        from llmcli.models.http import sse as wire

        return wire.events(self.id, response)

    @abstractmethod
    def read(self, events: Iterable[Event], reply: Reply) -> Iterator[StreamEvent]:
        """Turn decoded events into ours. May raise any error of a wrong shape: it becomes a ProviderError."""

    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """See `Model.stream`."""
        settings, notes = self._fitting(settings, messages)
        yield from map(Notice, notes)
        reply = Reply(self.id, self.vendor)
        reply.max_tokens, reply.offered = settings.max_tokens, bool(settings.tools)
        body = self._whole_body(messages, settings)
        try:
            with closing(self.send(body, settings)) as response:
                yield from self._read_whatever(response, reply)
        except ProviderError as error:
            error.message = redact(error.message, self.secrets)
            error.body = error.body and redact(error.body, self.secrets)
            error.model = error.model or self.id
            yield from reply.flush()
            if not (reply.finish and error.kind in ("network", "timeout")):
                self._advise(error)
                raise
            # The vendor has sent the finish reason; only later events are missing, often the usage.
            yield Notice(f"after the end of the reply: {error.message}")
        yield from reply.end()

    def _read_whatever(self, response: httpx2.Response, reply: Reply) -> Iterator[StreamEvent]:
        try:
            yield from self.read(self.decode(response), reply)
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise NetworkError(f"{self.id}: an event of an unknown shape: {error}", kind="stream") from error

    def preview(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> HTTPRequest:
        """See `Model.preview`: a recorder takes the place of the network."""
        import httpx2

        settings, notes = self._fitting(settings, messages)
        seen: list[httpx2.Request] = []

        def record(request: httpx2.Request) -> httpx2.Response:
            seen.append(request)
            return httpx2.Response(200)

        self.send(self._whole_body(messages, settings), settings, httpx2.MockTransport(record)).close()
        request = seen[0]
        secret = {*_SECRET_HEADERS, *(name.lower() for name in self.headers)}
        headers = {
            name: "***" if name in secret else redact(value, [self.key or ""])
            for name, value in request.headers.items()
        }
        url = request.url.copy_with(userinfo=b"")
        return HTTPRequest(request.method, str(url), headers, request.content.decode(), notes)

    def _whole_body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        return merged(self.body(messages, settings), settings.extra)

    def _fitting(
        self, settings: ModelSettings, messages: Sequence[ModelMessage]
    ) -> tuple[ModelSettings, tuple[str, ...]]:
        """The settings without those that this API does not take, and a note for each that was dropped."""
        self.check(settings, messages)
        refused = self.refused(settings)
        unset = ModelSettings()
        notes = tuple(f"{option(name)} is not sent: {why}" for name, why in refused.items())
        return replace(settings, **{name: getattr(unset, name) for name in refused}), notes

    @property
    def secrets(self) -> frozenset[str]:
        """See `Model.secrets`."""
        in_urls = url_secrets(self.address) | self.endpoint.network.secrets
        found = {self.key or "", *header_secrets(self.headers), *in_urls}
        return frozenset(filter(None, found))

    def _advise(self, error: ProviderError) -> None:
        """Add the hint that needs the provider's row."""
        row = self.provider
        if error.exit_code == 3:
            login = row.other_login or " or ".join(row.key_env) or "the key"
            error.hint = f"check {login}, and that it belongs to {public_address(self.address)}"
        elif error.kind == "network" and row.start_hint and "refused the connection" in error.message:
            error.hint = row.start_hint.replace("{model}", self.model)
        elif error.kind == "not_found":
            near = None if self._is_listed() else find_close(self.model, row.models)
            meant = f"did you mean {row.name}:{near}? " if near else ""
            error.hint = f"{meant}Check the model's name and the address {public_address(self.address)}"

    def _is_listed(self) -> bool:
        """Whether the model is a known one, which is then not misspelt."""
        from llmcli.providers.prices import known_models

        return any(known.model == self.model for known in known_models(self.provider))


def merged(body: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The body with further fields, merged into it at every depth."""
    both = dict(body)
    for name, value in more.items():
        inner = both.get(name)
        both[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both
