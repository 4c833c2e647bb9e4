"""A protocol whose vendor has no SDK worth its weight: the request goes out over httpx2 as it is."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import httpx2

from llmcli import __version__
from llmcli.messages import ModelSettings
from llmcli.models.protocol import ProtocolModel
from llmcli.models.wire import (
    address_errors,
    http_client,
    interruptible_names,
    network_errors,
    status_error,
    timeout,
)


class HTTPModel(ProtocolModel):
    """A protocol names its `url` and its `authorization`; both may do what takes time, as they are asked late."""

    _client: httpx2.Client | None = None

    @abstractmethod
    def url(self) -> str:
        """The whole address of the endpoint."""

    @abstractmethod
    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """The headers that open it; some sign the content."""

    def send(
        self, body: dict[str, Any], settings: ModelSettings, transport: httpx2.BaseTransport | None = None
    ) -> httpx2.Response:
        """See `ProtocolModel.send`."""
        url, content = self.url(), json.dumps(body, ensure_ascii=False).encode()
        if transport or not self._client:
            self._client = http_client(transport)
        headers = {
            "User-Agent": f"llmcli/{__version__}",
            "Content-Type": "application/json",
            **self.headers,
            **self.authorization(url, content),
        }
        with address_errors(self.id), interruptible_names():
            request = self._client.build_request(
                "POST", url, content=content, headers=headers, timeout=timeout(settings.timeout)
            )
            with network_errors(self.id, request):
                response = self._client.send(request, stream=True)
                if not response.is_success:
                    response.read()
                    raise status_error(self.id, response, self.key)
        return response
