"""Explain a failed connection: map what httpx2 raises to a NetworkError with a hint."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from llmcli.errors import NetworkError, SettingsError, causes_of
from llmcli.providers.network import Network, Proxy

WAY = "llmcli.way"  # the extension of a request that names the proxy it used

TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@contextmanager
def network_errors(who: str, request: httpx2.Request | None = None) -> Iterator[None]:
    """Turn the exceptions of httpx2 into a NetworkError that names the failure and a hint."""
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
    network, proxy = (request.extensions.get(WAY) if request else None) or (Network(), None)
    waited = request.extensions.get("timeout", {}) if request else {}
    reason = next((told for cause in reversed(causes) if (told := reason_of(cause))), "") or type(error).__name__
    in_handshake = isinstance(error, httpx2.ConnectError)  # after the handshake, an SSLError is a broken connection
    tls = next((cause for cause in causes if in_handshake and isinstance(cause, ssl.SSLError)), None)
    if isinstance(tls, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # the server left: a connection that failed
        tls = None
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
    failure = NetworkError(f"{who}: {told}", hint=hint, kind=kind)
    refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes)
    failure.may_pass = not (refused and not proxy and request and _is_local(request.url.host))
    return failure


def _is_local(host: str) -> bool:
    """Whether the host is this machine, where a server that is not running will not run a second later."""
    return host in ("localhost", "::1") or host.startswith("127.")


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
    reason = reason_of(error)
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    told = f"TLS with {goal} failed: {reason}"
    if code in _EXPIRED:
        return told, "is the clock of this machine right? Else its owner has to renew the certificate"
    if code in _OTHER_NAME:
        return told, "the certificate is for another name: check the address"
    if not isinstance(error, ssl.SSLCertVerificationError):
        return told, "does that port speak TLS? If not, the address begins with http://"
    named = next((name for name in TRUST if network.environ.get(name)), None)
    named = f"{network.ca_file_from} ({network.ca_file})" if network.ca_file else named
    if named:
        return told, f"{named} does not hold the certificate that signed it"
    return told, "behind a company's proxy, or at a server of your own, name its CA: --ca-file FILE or SSL_CERT_FILE"


# X509_V_ERR_* of OpenSSL: not yet valid, expired; another host name, another IP address.
_EXPIRED = (9, 10)


_OTHER_NAME = (62, 64)


def reason_of(error: BaseException) -> str:
    """Its words, without the file and line of OpenSSL's source."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return error.verify_message
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror
    return re.sub(r" \(_ssl\.c:\d+\)", "", str(error))
