"""A protocol whose vendor has no SDK worth its weight: the request goes out over httpx2 as it is."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import httpx2

from llmcli import __version__
from llmcli.errors import SettingsError
from llmcli.messages import ModelSettings
from llmcli.models.http.client import http_client, interruptible_names, timeout
from llmcli.models.http.network_errors import address_errors, network_errors
from llmcli.models.http.protocol import ProtocolModel
from llmcli.models.http.sse import status_error


class HTTPModel(ProtocolModel):
    """A protocol names its `url` and its `authorization`; both may do what takes time, as they are asked late."""

    signs: ClassVar = False  # whether authorization asks somebody else, or signs: a preview does neither
    seconds = 600.0  # what the person allows between two reads, for those who ask
    _granted: frozenset[str] = frozenset()

    @abstractmethod
    def url(self) -> str:
        """The whole address of the endpoint."""

    @abstractmethod
    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """The headers that open it."""

    @property
    def secrets(self) -> frozenset[str]:
        """See `Model.secrets`: tokens too, once there are any."""
        return super().secrets | self._granted

    def send(
        self, body: dict[str, Any], settings: ModelSettings, transport: httpx2.BaseTransport | None = None
    ) -> httpx2.Response:
        """See `ProtocolModel.send`."""
        self.seconds = settings.timeout
        url, content = self.url(), json.dumps(body, ensure_ascii=False).encode()
        granted = {"Authorization": "***"} if transport and self.signs else self.authorization(url, content)
        self._granted = frozenset(word for value in granted.values() for word in value.split() if len(word) > 12)
        headers = {"user-agent": f"llmcli/{__version__}", "content-type": "application/json"}
        for more in (granted, self.headers):  # what the person asks for wins
            headers |= {name.lower(): value for name, value in more.items()}
        client: httpx2.Client = self.client(partial(http_client, self.provider.network, url), transport)
        with address_errors(self.id), interruptible_names():
            request = client.build_request(
                "POST", url, content=content, headers=headers, timeout=timeout(settings.timeout)
            )
            with network_errors(self.id, request):
                response = client.send(request, stream=True)
                if not response.is_success:
                    response.read()
                    raise status_error(self.id, response, self.key)
        return response


def checked_region(who: str, region: str) -> str:
    """The region, which becomes a part of an address. Raises SettingsError for what would make it another one."""
    if not re.fullmatch(r"[a-z0-9-]+", region):
        raise SettingsError(f"{who}: not a region: {region!r}", hint="it looks like us-east-1, or us-central1")
    return region
