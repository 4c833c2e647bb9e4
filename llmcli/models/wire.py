"""From an open HTTP response to decoded events, and from a failed one to a ProviderError; the same for every vendor.

The SDKs' own decoders are not used: a BOM or a `retry:` block costs the openai one its first event or the whole stream,
and an `event: error` passes for text. httpx2's EventSource would be right, at twice the time for each event.
"""

from __future__ import annotations

import json
import socket
import ssl
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import IncrementalNewlineDecoder
from itertools import chain
from threading import Thread
from typing import Any
from urllib.request import getproxies

import httpx2

from llmcli.errors import NetworkError, ProviderError, SettingsError, error_details, provider_error

# An event's name and its decoded JSON object. Two names are ours: DONE for `data: [DONE]` (its object is empty), BODY
# for a whole JSON document where a stream was asked for, which some gateways send.
Event = tuple[str, dict[str, Any]]
DONE = "[DONE]"
BODY = "body"

_BLANK = b"\xef\xbb\xbf \t\r\n"  # BOM and white space, which no event begins with


def no_reply(who: str, what: str) -> ProviderError:
    """The error for an answer with status 200 that is no reply at all."""
    return ProviderError(f"{who}: {what}", kind="no_reply", hint="check the address (`llmcli providers`) and any proxy")


def events(who: str, response: httpx2.Response, body: Iterable[bytes] | None = None) -> Iterator[Event]:
    """Decode a stream of server-sent events, or a JSON document sent in its place.

    The first byte decides which, not the content type: vendors mislabel both. `who` names the model in messages,
    `body` stands for the response's where somebody has begun to read it.
    Raises ProviderError for a web page, an empty answer and an event that is not JSON, NetworkError for a broken wire.
    """
    with network_errors(who, response.request):
        chunks = iter(body) if body is not None else response.iter_bytes()
        head = b""
        for chunk in chunks:
            head += chunk
            if head.lstrip(_BLANK):
                break
        start = head.lstrip(_BLANK)[:1]
        if not start:
            raise no_reply(who, "an empty answer")
        if start in b"{[<":
            yield from ((BODY, part) for part in _document(who, head + b"".join(chunks)))
        else:
            yield from _stream(who, chain([head], chunks))


def _document(who: str, content: bytes) -> list[dict[str, Any]]:
    """The JSON objects of a document: one, or a list of them, which is Gemini's stream without `alt=sse`."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = content.decode("utf-8", "replace")
    parts = body if isinstance(body, list) else [body]
    if parts and all(isinstance(part, dict) for part in parts):
        return parts
    if content.lstrip(_BLANK)[:1] == b"<":
        raise no_reply(who, f"a web page instead of a reply: {' '.join(error_details(body)[0].split())[:200]}")
    raise no_reply(who, "JSON that is no reply")


def _stream(who: str, chunks: Iterable[bytes]) -> Iterator[Event]:
    broken, any_event = False, False
    for name, text in _server_sent(chunks):
        if not text or text.isspace():
            continue
        if broken:
            raise NetworkError(f"{who}: an event of the stream is not JSON", kind="stream")
        if text.startswith(DONE):
            if any_event:
                yield DONE, {}
                return
            break
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict):
            any_event = True
            yield name, data
        elif name == "error":
            yield name, {"error": text}
        else:
            broken = True  # if nothing follows, the stream was cut inside this event
    if not any_event:
        raise no_reply(who, "a stream without any event")


def _server_sent(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """The name and the data of each event (HTML standard, 9.2), as UTF-8 whatever the headers say."""
    decoder = IncrementalNewlineDecoder(getincrementaldecoder("utf-8-sig")("replace"), translate=True)
    rest = [""]  # of an event that is not whole yet, in pieces: one of many megabytes costs no more than its length
    for chunk in chain(chunks, [b"\n\n"]):  # a last event without its blank line counts
        text = decoder.decode(chunk)
        if "\n\n" not in rest[-1][-1:] + text:
            rest += [text] if text else []
            continue
        *blocks, tail = "".join([*rest, text]).split("\n\n")
        rest = [tail]
        for block in blocks:
            if block.startswith("data: ") and "\n" not in block:  # as nearly all are
                yield "message", block[6:]
                continue
            name, data = "message", []
            for line in block.split("\n"):
                field, _, value = line.partition(":")
                if field == "data":
                    data.append(value.removeprefix(" "))
                elif field == "event":
                    name = value.removeprefix(" ") or name
            yield name, "\n".join(data)


def status_error(who: str, response: httpx2.Response, secret: str | None) -> ProviderError:
    """The error for a response (already read) with a failing status; shapes of its body: `errors.provider_error`."""
    try:
        body: Any = json.loads(response.content)
    except (ValueError, RecursionError):
        body = response.content.decode("utf-8", "replace")
    headers = response.headers
    if response.status_code < 400:  # a redirect is not followed: it could take key and prompt anywhere
        return no_reply(who, f"status {response.status_code}, which points to {headers.get('location', 'nothing')}")
    inside = body.get("request_id") if isinstance(body, dict) else None
    if isinstance(body, dict) and "x-amzn-errortype" in headers:
        body = {"code": headers["x-amzn-errortype"].partition(":")[0], **body}
    request_id = headers.get("x-request-id") or headers.get("request-id") or inside
    return provider_error(
        who,
        response.status_code,
        body or response.reason_phrase,
        retry_after=_retry_after(headers),
        request_id=str(request_id) if request_id else None,
        secret=secret,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After, which holds seconds or a date (RFC 9110, 10.2.3), or of Azure's more exact twin.

    None where there is none, or none that makes sense.
    """
    value, milliseconds = headers.get("retry-after", ""), headers.get("retry-after-ms")
    try:
        seconds = float(milliseconds) / 1000 if milliseconds else float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return seconds if 0 <= seconds < float("inf") else None


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
    causes = list(_causes(error))
    reason = next((str(cause) for cause in reversed(causes) if str(cause)), "") or type(error).__name__
    host = request.url.netloc.decode("ascii", "replace").rpartition("@")[2] if request else "the provider"
    waited = request.extensions.get("timeout", {}) if request else {}
    if isinstance(error, httpx2.ConnectTimeout):
        told, hint = (
            f"no connection to {host} within {waited.get('connect', 0):g} s",
            "check the address and your network",
        )
    elif isinstance(error, httpx2.TimeoutException):
        told, hint = (
            f"nothing arrived from {host} for {waited.get('read', 0):g} s",
            "wait longer with --timeout SECONDS",
        )
    elif any(isinstance(cause, ssl.SSLError) for cause in causes):
        told = f"TLS with {host} failed: {reason}"
        hint = "behind a company proxy, name its certificate file in SSL_CERT_FILE"
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        told, hint = f"{host} refused the connection", "is the server running, and is the address right?"
        if proxies := {name: url for name, url in getproxies().items() if name in ("http", "https", "all")}:
            told, hint = f"the connection to {host} was refused", f"a proxy is set: check {', '.join(proxies)}_proxy"
    elif isinstance(error, httpx2.ConnectError):
        told, hint = f"no connection to {host}: {reason}", "check the address, your network and HTTPS_PROXY"
    elif isinstance(error, httpx2.ProxyError):
        told, hint = f"the proxy did not let the request through: {reason}", "check HTTPS_PROXY and NO_PROXY"
    else:
        told, hint = f"the connection to {host} broke: {reason}", "what arrived is on stdout; try again"
    kind = "timeout" if isinstance(error, httpx2.TimeoutException) else None
    return NetworkError(f"{who}: {told}", hint=hint, kind=kind)


def timeout(seconds: float) -> httpx2.Timeout:
    """Seconds between two reads; a connection must stand after ten at the latest."""
    return httpx2.Timeout(seconds, connect=min(seconds, 10.0))


def http_client(transport: httpx2.BaseTransport | None = None, address: str = "") -> httpx2.Client:
    """A client for an `address`, with the environment's proxies; `transport` stands in for the network.

    Raises SettingsError where the environment asks for a SOCKS proxy, which needs a package of its own.
    """
    # Where TLS has no part, not to read the system's certificates saves 30 ms. Such a client trusts nobody.
    without_tls = address.startswith("http://") and not getproxies()
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if without_tls else True
    try:
        return httpx2.Client(transport=transport, verify=verify)
    except ImportError as error:
        raise SettingsError(str(error), hint="unset ALL_PROXY, or: pip install 'httpx2[socks]'") from error
    except (OSError, ValueError, httpx2.InvalidURL) as error:
        hint = "check SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY and ALL_PROXY"
        raise SettingsError(f"the connection cannot be set up: {error}", hint=hint) from error


@contextmanager
def interruptible_names() -> Iterator[None]:
    """Let Ctrl-C through while a host name is being resolved.

    C code holds the calling thread there, for many seconds where the name server is silent, and Python's signal
    handler has to wait for it; so another thread resolves, and the calling one can be interrupted.
    """
    resolve = socket.getaddrinfo

    def resolve_elsewhere(*args: Any, **named: Any) -> Any:
        answer: Future[Any] = Future()

        def work() -> None:
            try:
                answer.set_result(resolve(*args, **named))
            except (OSError, UnicodeError) as error:
                answer.set_exception(error)

        Thread(target=work, daemon=True).start()
        return answer.result()

    socket.getaddrinfo = resolve_elsewhere
    try:
        yield
    finally:
        socket.getaddrinfo = resolve


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
