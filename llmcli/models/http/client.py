"""The way to a provider: the one place where clients are made, and where a connection that fails is explained."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache, partial
from threading import Lock, Thread
from typing import Any, TypeVar

import httpcore2
import httpx2

from llmcli.errors import SettingsError
from llmcli.models.http.network_errors import TRUST, WAY, reason_of
from llmcli.providers.network import Network, Proxy, fault_of

_T = TypeVar("_T")


def timeout(seconds: float) -> httpx2.Timeout:
    """Seconds between two reads; a connection must stand after ten at the latest."""
    return httpx2.Timeout(seconds, connect=min(seconds, 10.0))


def http_client(network: Network, url: str, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """A client for what lives at `url`, with the proxy and the trust in force; `transport` stands in for the network.

    Raises UserError or SettingsError where a proxy or a file of certificates is none, or lacks a package.
    """
    proxy = network.proxy_to(url)
    if transport:
        network.certificates()
        return httpx2.Client(transport=transport)
    secure = url.startswith("https:") or bool(proxy and proxy.url.startswith("https:"))
    # Without TLS nobody is to be trusted, and a context that trusts nobody costs a tenth of one with certificates.
    context = trusted(network) if secure else _trusting_nobody()
    return httpx2.Client(
        transport=_transport(proxy, context, network.backend),
        event_hooks={"request": [_marks(network, proxy)], "response": [_refusals(proxy)]},
    )


def _transport(
    proxy: Proxy | None, context: ssl.SSLContext, backend: httpcore2.NetworkBackend | None
) -> httpx2.HTTPTransport:
    if not proxy:
        transport = httpx2.HTTPTransport(verify=context)
        if backend:  # httpx2 has no parameter for it
            transport._pool = httpcore2.ConnectionPool(ssl_context=context, network_backend=backend)
        return transport
    over_tls = context if proxy.url.startswith("https:") else None
    try:
        return httpx2.HTTPTransport(verify=context, proxy=httpx2.Proxy(proxy.url, ssl_context=over_tls))
    except ImportError as error:
        hint = f"pip install 'llmcli[socks]', or take another proxy than {proxy.source} names"
        raise SettingsError(f"the proxy {proxy} needs the package socksio, which is missing", hint=hint) from error
    except (ValueError, httpx2.InvalidURL):  # not its words, which hold the whole address
        raise SettingsError(f"the proxy {proxy} cannot be used", hint=f"check {proxy.source}") from None


_TRUSTING = Lock()  # two threads that ask at once wait for the one context


def _trusting_nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def trusted(network: Network) -> ssl.SSLContext:
    """Whom to trust on the way. Raises UserError or SettingsError."""
    with _TRUSTING:
        return _trust(network.certificates(), network.ca_file_from, *map(os.environ.get, TRUST))


@cache
def _trust(more: str | None, more_from: str, file: str | None, folder: str | None) -> ssl.SSLContext:
    """The system's certificates, or those of SSL_CERT_FILE or else SSL_CERT_DIR in their place, and `more`.

    Made once, as it takes tens of milliseconds.
    """
    if folder and not file and not os.path.isdir(folder):
        raise SettingsError(f"SSL_CERT_DIR: {folder} is no folder", hint="correct it, or unset it")
    try:
        context = httpx2.create_ssl_context()
    except OSError as error:  # which ssl.SSLError is too
        hint = "it must be a file of PEM text, and readable; correct it, or unset it"
        raise SettingsError(f"SSL_CERT_FILE: cannot use {file}: {reason_of(error)}", hint=hint) from error
    try:
        if more:
            context.load_verify_locations(cadata=more)
    except ssl.SSLError as error:
        raise fault_of(more_from)(f"{more_from}: a certificate in it cannot be read: {reason_of(error)}") from error
    return context


def _marks(network: Network, proxy: Proxy | None) -> Any:
    def mark(request: httpx2.Request) -> None:
        request.extensions[WAY] = (network, proxy)

    return mark


def _refusals(proxy: Proxy | None) -> Any:
    """A proxy that forwards http answers 407 as if it were the provider; one that tunnels raises ProxyError."""

    def refuse(response: httpx2.Response) -> None:
        if proxy and response.status_code == 407:
            raise httpx2.ProxyError("407 Proxy Authentication Required", request=response.request)

    return refuse


def in_thread(work: Callable[[], _T]) -> Future[_T]:
    """Begin work in a thread that nobody waits for at the end; the result raises what the work did."""
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer


@contextmanager
def interruptible_names() -> Iterator[None]:
    """Let Ctrl-C through while a host name is being resolved.

    C code holds the calling thread there, for many seconds where the name server is silent, and Python's signal
    handler has to wait for it; so another thread resolves, and the calling one can be interrupted.
    """
    resolve = socket.getaddrinfo

    def resolve_elsewhere(*args: Any, **named: Any) -> Any:
        return in_thread(partial(resolve, *args, **named)).result()

    socket.getaddrinfo = resolve_elsewhere
    try:
        yield
    finally:
        socket.getaddrinfo = resolve
