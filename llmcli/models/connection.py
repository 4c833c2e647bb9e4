"""The way to a provider: the one place where clients are made, and where a connection that fails is explained."""

from __future__ import annotations

import os
import re
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

from llmcli.errors import NetworkError, SettingsError, causes_of
from llmcli.network import Network, Proxy, fault_of

_T = TypeVar("_T")
_WAY = "llmcli.way"  # the extension of a request that tells which way it went


@contextmanager
def network_errors(who: str, request: httpx2.Request | None = None) -> Iterator[None]:
    """Turn whatever httpx2 raises into a NetworkError that says what broke and what to do."""
    try:
        yield
    except httpx2.HTTPError as error:
        raise network_error(who, error, request) from error


@contextmanager
def address_errors(who: str) -> Iterator[None]:
    """Turn what a host name that cannot be one provokes into a SettingsError."""
    try:
        yield
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise SettingsError(f"{who}: not an address: {error}", hint="`llmcli providers` shows the address") from error


def network_error(who: str, error: BaseException | None, request: httpx2.Request | None) -> NetworkError:
    """The NetworkError for a failed connection; `error` is httpx2's, the causes under it tell the story."""
    causes = list(causes_of(error))
    host = request.url.netloc.decode("ascii", "replace").rpartition("@")[2] if request else "the provider"
    network, proxy = (request.extensions.get(_WAY) if request else None) or (Network(), None)
    waited = request.extensions.get("timeout", {}) if request else {}
    reason = next((told for cause in reversed(causes) if (told := _reason(cause))), "") or type(error).__name__
    in_handshake = isinstance(error, httpx2.ConnectError)  # later an SSLError is a connection that broke
    tls = next((cause for cause in causes if in_handshake and isinstance(cause, ssl.SSLError)), None)
    through = f" through the proxy {proxy}" if proxy else ""
    kind = None
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        kind = "timeout"
        told = f"nothing arrived from {host}{through} for {waited.get('read', 0):g} s"
        hint = "wait longer with --timeout SECONDS"
    elif tls:
        kind = "tls"
        told, hint = _tls_failure(f"{host}{through}", tls, network)
    elif isinstance(error, httpx2.ProxyError):
        kind = "proxy"
        told, hint = _proxy_refusal(host, reason, proxy)
    elif isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        kind = "timeout" if isinstance(error, httpx2.ConnectTimeout) else None
        told, hint = _no_connection(host, causes, reason, waited.get("connect", 0), proxy)
    else:
        told, hint = f"the connection to {host}{through} broke: {reason}", "try again"
        if proxy and isinstance(error, httpx2.RemoteProtocolError):
            hint = f"{hint}, and check that it is a proxy"
    return NetworkError(f"{who}: {told}", hint=hint, kind=kind)


def _no_connection(
    host: str, causes: list[BaseException], reason: str, seconds: float, proxy: Proxy | None
) -> tuple[str, str]:
    """No connection to the host, or to the proxy on the way: what happened, and what to do."""
    name = host.rpartition(":")[0] or host
    hint = "check the address and your network"
    if proxy:
        hint = f"check {proxy.source}, or exempt the host: NO_PROXY={name}"
    goal = f"the proxy {proxy}" if proxy else host
    if any(isinstance(cause, TimeoutError | httpx2.ConnectTimeout) for cause in causes):
        told = f"no connection to {goal} within {seconds:g} s"
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        told = f"no connection to {goal}: it was refused" if proxy else f"{goal} refused the connection"
        hint = hint if proxy else "is the server running, and is the address right?"
    elif any(isinstance(cause, socket.gaierror) for cause in causes):
        told = f"no address is known for {goal}: {reason}"
    else:
        told = f"no connection to {goal}: {reason}"
    if not proxy and "server running" not in hint:
        hint += "; where only a proxy leads out, name it with --proxy URL or HTTPS_PROXY"
    return told, hint


def _proxy_refusal(host: str, reason: str, proxy: Proxy | None) -> tuple[str, str]:
    source = proxy.source if proxy else "the proxy's address"
    told = f"the proxy {proxy} did not let the connection to {host} through: {reason}"
    if not reason.startswith("407"):
        return told, f"is it a proxy, and does it allow {host}? Check {source}, or NO_PROXY"
    if proxy and "@" in proxy.url:
        return told, f"check the user and the password in {source}; odd characters in them are written as %40"
    return told, f"it wants a user and a password: http://USER:PASSWORD@HOST:PORT in {source}"


def _tls_failure(goal: str, error: ssl.SSLError, network: Network) -> tuple[str, str]:
    reason = _reason(error)
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    told = f"TLS with {goal} failed: {reason}"
    if code in _EXPIRED:
        return told, "is the clock of this machine right? Else its owner has to renew the certificate"
    if code in _OTHER_NAME:
        return told, "the certificate is for another name: check the address"
    if not isinstance(error, ssl.SSLCertVerificationError):
        return told, "does that port speak TLS? If not, the address begins with http://"
    named = next((name for name in _TRUST if os.environ.get(name)), None)
    named = f"{network.ca_file_from} ({network.ca_file})" if network.ca_file else named
    if named:
        return told, f"{named} does not hold the certificate that signed it"
    return told, "behind a company's proxy, or at a server of your own, name its CA: --ca-file FILE or SSL_CERT_FILE"


# X509_V_ERR_* of OpenSSL: not yet valid, expired; another host name, another IP address.
_EXPIRED = (9, 10)
_OTHER_NAME = (62, 64)


def _reason(error: BaseException) -> str:
    """Its words, without the file and line of OpenSSL's source."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return error.verify_message
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    return re.sub(r" \(_ssl\.c:\d+\)", "", str(error))


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


_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_TRUSTING = Lock()  # two threads that ask at once wait for the one context


def _trusting_nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def trusted(network: Network) -> ssl.SSLContext:
    """Whom to trust on the way. Raises UserError or SettingsError."""
    with _TRUSTING:
        return _trust(network.certificates(), network.ca_file_from, *map(os.environ.get, _TRUST))


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
        raise SettingsError(f"SSL_CERT_FILE: cannot use {file}: {_reason(error)}", hint=hint) from error
    try:
        if more:
            context.load_verify_locations(cadata=more)
    except ssl.SSLError as error:
        raise fault_of(more_from)(f"{more_from}: a certificate in it cannot be read: {_reason(error)}") from error
    return context


def _marks(network: Network, proxy: Proxy | None) -> Any:
    def mark(request: httpx2.Request) -> None:
        request.extensions[_WAY] = (network, proxy)

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
