"""Make HTTP clients with the proxy, certificates and connections of the settings and variables."""

import ssl
from collections.abc import Callable

import httpcore2
import httpx2

from llmcli.errors import SettingsError, causes_of
from llmcli.models.http.backend import Backend
from llmcli.models.http.network_errors import WAY
from llmcli.models.http.trust import is_by_name, is_unknown_issuer, trust_nobody, trusted
from llmcli.providers.network import Network, Proxy


def timeout(seconds: float) -> httpx2.Timeout:
    """Seconds between two reads; a connection must stand after ten at the latest."""
    return httpx2.Timeout(seconds, connect=min(seconds, 10.0))


def http_client(
    network: Network,
    url: str,
    transport: httpx2.BaseTransport | None = None,
    *,
    wrap: Callable[[httpx2.BaseTransport], httpx2.BaseTransport] | None = None,
) -> httpx2.Client:
    """A client for what lives at `url`, with the proxy and the trust in force; `transport` stands in for the network.

    `wrap` puts something around the transport to the network.
    Raises UserError or SettingsError where a proxy or a file of certificates cannot be used, or lacks a package.
    """
    proxy = network.proxy_to(url)
    if transport:
        network.certificates()
        return httpx2.Client(transport=transport, trust_env=False)
    secure = url.startswith("https:") or bool(proxy and proxy.url.startswith("https:"))
    way: httpx2.BaseTransport = _Transport(network, proxy, secure=secure)
    return httpx2.Client(transport=wrap(way) if wrap else way, trust_env=False)


class _Transport(httpx2.BaseTransport):
    """Sends through the proxy, and once more with the whole bundle where the hashed folder knows no issuer."""

    def __init__(self, network: Network, proxy: Proxy | None, *, secure: bool) -> None:
        self._network = network
        self._proxy = proxy
        self._by_name = secure and is_by_name(network)
        context = trusted(network) if secure else trust_nobody()
        self._backend = network.backend if isinstance(network.backend, Backend) else Backend()
        self._inner = _connecting(proxy, context, self._backend)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions[WAY] = (self._network, self._proxy)
        seconds = request.extensions.get("timeout", {}).get("read")
        try:
            with self._backend.within(seconds):
                response = self._inner.handle_request(request)
        except httpx2.ConnectError as error:
            if not self._by_name or not any(map(is_unknown_issuer, causes_of(error))):
                raise
            self._by_name = False
            self._inner = _connecting(self._proxy, trusted(self._network, whole=True), self._backend)
            with self._backend.within(seconds):
                response = self._inner.handle_request(request)
        # A proxy that forwards http answers 407 as if it were the provider; one that tunnels raises ProxyError.
        if self._proxy and response.status_code == 407:
            response.close()
            raise httpx2.ProxyError("407 Proxy Authentication Required", request=request)
        return response

    def close(self) -> None:
        self._inner.close()


def _connecting(
    proxy: Proxy | None, context: ssl.SSLContext, backend: httpcore2.NetworkBackend
) -> httpx2.HTTPTransport:
    try:
        if not proxy:
            transport = httpx2.HTTPTransport(verify=context)
        else:
            over_tls = context if proxy.url.startswith("https:") else None
            transport = httpx2.HTTPTransport(verify=context, proxy=httpx2.Proxy(proxy.url, ssl_context=over_tls))
    except ImportError as error:
        source = proxy.source if proxy else ""
        hint = f"pip install 'llmcli[socks]', or take another proxy than {source} names"
        raise SettingsError(f"the proxy {proxy} needs the package socksio, which is missing", hint=hint) from error
    except (ValueError, httpx2.InvalidURL):  # not its words, which hold the whole address
        source = proxy.source if proxy else ""
        raise SettingsError(f"the proxy {proxy} cannot be used", hint=f"check {source}") from None
    transport._pool._network_backend = backend  # httpx2 has no parameter for it
    return transport
