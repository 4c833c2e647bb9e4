"""Send the request of a protocol over httpx2."""

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
from llmcli.models import refuse_forbidden
from llmcli.models.http.bounded import ERROR_BODY, read
from llmcli.models.http.client import http_client, timeout
from llmcli.models.http.network_errors import address_errors, network_errors
from llmcli.models.http.protocol import ProtocolModel
from llmcli.models.http.sse import status_error


class HTTPModel(ProtocolModel):
    """A protocol names its `url` and its `authorization`; both are called late, because they may use the network."""

    signs: ClassVar = False  # True if authorization() signs or uses the network; a dry run then shows `***`
    fixed_headers: ClassVar[Mapping[str, str]] = {}  # sent with every request of the protocol, lower case
    seconds = 600.0  # the timeout of a read, for calls that `authorization` makes
    _granted: frozenset[str] = frozenset()

    @abstractmethod
    def url(self) -> str:
        """The whole address of the endpoint."""

    @abstractmethod
    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """The headers with the credentials."""

    @property
    def secrets(self) -> frozenset[str]:
        """See `Model.secrets`: tokens too, once there are any."""
        return super().secrets | self._granted

    def send(
        self, body: dict[str, Any], settings: ModelSettings, transport: httpx2.BaseTransport | None = None
    ) -> httpx2.Response:
        """See `ProtocolModel.send`."""
        if transport is None and not getattr(self.endpoint.client, "is_offline", False):
            refuse_forbidden(self.id)
        self.seconds = settings.timeout
        url, content = self.url(), json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        granted = {"Authorization": "***"} if transport and self.signs else self.authorization(url, content)
        self._granted |= frozenset(word for value in granted.values() for word in value.split() if len(word) > 12)
        headers = {"user-agent": f"llmcli/{__version__}", "content-type": "application/json"}
        headers |= {"accept-encoding": "gzip, deflate", **self.fixed_headers}
        for more in (granted, self.headers):  # the user's own headers win
            headers |= {name.lower(): value for name, value in more.items()}
        client: httpx2.Client = self.client(
            partial(http_client, self.endpoint.network, url, wrap=self.endpoint.wrap), transport
        )
        with address_errors(self.id):
            request = client.build_request(
                "POST", url, content=content, headers=headers, timeout=timeout(settings.timeout)
            )
            with network_errors(self.id, request):
                response = client.send(request, stream=True)
                if not response.is_success:
                    content, _ = read(response, ERROR_BODY, settings.timeout)
                    response.close()
                    raise status_error(self.id, response, content, self.key)
        return response


def checked_region(who: str, region: str) -> str:
    """The region, which becomes a part of an address. Raises SettingsError for what would make it another one."""
    if not re.fullmatch(r"[a-z0-9-]+", region):
        raise SettingsError(f"{who}: not a region: {region!r}", hint="it looks like us-east-1, or us-central1")
    return region
