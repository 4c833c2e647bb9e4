"""A protocol sent through its vendor's SDK: one client that leaks nothing, one request, errors in one family.

The SDKs are made from one mould: the names used here, and what stands behind them, are the same in all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

import httpx2

# The SDKs import it as well, but from so deep in a nest of imports that Python's stack crosses the border of a page
# thousands of times, and each crossing maps memory anew: 50 ms.
from pydantic import BaseModel  # noqa: F401

from llmcli import __version__
from llmcli.messages import ModelSettings
from llmcli.models.http.client import http_client, interruptible_names, timeout
from llmcli.models.http.network_errors import address_errors, network_error, network_errors
from llmcli.models.http.protocol import ProtocolModel
from llmcli.models.http.sse import status_error


class SDKModel(ProtocolModel):
    """A protocol names its `sdk`, the `client_class` in it, the `path` of its endpoint below the provider's address,
    and the `ambient` variables that the SDK would read by itself and send to whatever address it is given.
    """

    sdk: ClassVar[ModuleType]
    client_class: ClassVar[Callable[..., Any]]
    path: ClassVar[str]
    ambient: ClassVar[tuple[str, ...]]

    def root(self) -> str:
        """The address that `path` is added to."""
        return self.provider.address

    def query(self) -> dict[str, object]:
        """What stands behind the question mark of the address."""
        return {}

    def key_headers(self) -> dict[str, object]:
        """The headers of one request that differ from what the SDK sends by itself: no key, or a key elsewhere."""
        own = "authorization" in map(str.lower, self.headers)
        return {} if self.key or own else {"Authorization": self.sdk.omit}

    def send(
        self, body: dict[str, Any], settings: ModelSettings, transport: httpx2.BaseTransport | None = None
    ) -> httpx2.Response:
        """See `ProtocolModel.send`."""
        options = {"timeout": timeout(settings.timeout), "headers": self.key_headers(), "follow_redirects": False}
        try:
            # The SDK reads the body of a failing answer unguarded: hence network_errors.
            with address_errors(self.id), interruptible_names(), network_errors(self.id):
                stream = self.client(self._new_client, transport).post(
                    self.path,
                    body=body,
                    cast_to=object,
                    stream=True,
                    stream_cls=self.sdk.Stream[object],
                    options=options,
                )
        except self.sdk.APIStatusError as error:
            raise status_error(self.id, error.response, self.key) from error
        except self.sdk.APIConnectionError as error:
            raise network_error(self.id, error.__cause__, error.request) from error
        response: httpx2.Response = stream.response
        return response

    def _new_client(self, transport: httpx2.BaseTransport | None) -> Any:
        with _hidden(*self.ambient):
            return type(self).client_class(
                api_key=self.key or "unused",
                base_url=self.root(),
                max_retries=0,  # retries are ours, and visible
                default_headers={"User-Agent": f"llmcli/{__version__}", **self.headers},
                default_query=self.query(),
                http_client=http_client(self.provider.network, self.root(), transport),
            )


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Take variables out of the environment for a moment."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
