"""Open the connection of the first request early: name, TCP and TLS while the protocol is imported."""

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from ssl import SSLContext, SSLError, SSLWantReadError
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from llmcli.errors import LlmcliError
from llmcli.models import FoundModel
from llmcli.models.http.backend import Backend, in_thread
from llmcli.models.http.client import timeout
from llmcli.models.http.trust import trusted
from llmcli.providers.network import Network

__all__ = ["connecting"]

_FRESH_S = 2.0  # servers close idle connections, but not as soon as that


def connecting(found: FoundModel, seconds: float) -> FoundModel:
    """The same model with a connection to it under way, where its address is known and no proxy stands before it.

    `seconds` is the time-out of a request. Nothing is sent; the first request raises the errors.
    """
    endpoint, network = found.endpoint, found.endpoint.network
    where = urlsplit(endpoint.address)
    host = where.hostname or ""
    if where.scheme != "https" or "{" in host or not host.isascii() or _is_behind_proxy(network, endpoint.address):
        return found
    backend = _Begun(network, (host, where.port or 443), timeout(seconds).connect)
    return replace(found, endpoint=replace(endpoint, network=replace(network, backend=backend)))


def _is_behind_proxy(network: Network, url: str) -> bool:
    try:
        return bool(network.proxy_to(url))
    except LlmcliError:  # the request reports it
        return True


class _Begun(Backend):
    """Opens connections; the first one to a given place uses the connection that was begun early."""

    def __init__(self, network: Network, place: tuple[str, int], seconds: float | None) -> None:
        super().__init__()
        self._place = place
        self._way: Future[tuple[httpcore2.NetworkStream, float]] | None
        self._way = in_thread(partial(self._connect, network, seconds))

    def _connect(self, network: Network, seconds: float | None) -> tuple[httpcore2.NetworkStream, float]:
        host, port = self._place
        context = trusted(network)
        context.set_alpn_protocols(["http/1.1"])  # as ConnectionPool does
        plain = super().connect_tcp(host, port, seconds, socket_options=[])
        return plain.start_tls(context, host, seconds), time.monotonic()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        way, self._way = self._way, None
        if way and (host, port) == self._place:
            stream, since = way.result()
            if time.monotonic() - since < _FRESH_S and _is_open(stream):
                return _Secured(self.bounded(stream))
            stream.close()
        return super().connect_tcp(host, port, timeout, local_address, socket_options)


def _is_open(stream: httpcore2.NetworkStream) -> bool:
    """Whether the server has neither closed the connection nor said anything, as a 408, before the request.

    A readable socket does not tell: TLS 1.3 sends session tickets after the handshake.
    """
    sock = stream.get_extra_info("socket")
    try:
        sock.settimeout(0)
        sock.recv(1)
    except SSLWantReadError:
        return True
    except (OSError, SSLError):
        return False
    return False


class _Secured(httpcore2.NetworkStream):
    """The TLS object, the only information that ConnectionPool requests."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return self._stream
