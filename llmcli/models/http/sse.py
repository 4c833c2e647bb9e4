"""Decode server-sent events of an open HTTP response, and turn a failed response into a ProviderError.

The SDKs' own decoders are not used: a BOM or a `retry:` block costs the openai one its first event or the whole stream,
and an `event: error` passes for text. httpx2's EventSource would be right, at twice the time for each event.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import IncrementalNewlineDecoder
from itertools import chain
from time import monotonic
from typing import Any, cast

import httpx2

from llmcli.errors import NetworkError, ProviderError
from llmcli.models.http.bounded import DOCUMENT, ERROR_BODY, decoded
from llmcli.models.http.network_errors import network_errors
from llmcli.models.http.provider_errors import error_details, provider_error
from llmcli.secrets import shortened

# An event's name and its decoded JSON object. Two names are ours: DONE for `data: [DONE]` (its object is empty), BODY
# for a whole JSON document where a stream was asked for, which some gateways send.
Event = tuple[str, dict[str, Any]]
DONE = "[DONE]"
BODY = "body"

_DECODER = json.JSONDecoder()
_UTF8 = getincrementaldecoder("utf-8-sig")  # looked up here, not when the first token is there
_BLANK = b"\xef\xbb\xbf \t\r\n"  # BOM and white space, which no event begins with


def no_reply(who: str, what: str) -> ProviderError:
    """Make the error for a response with status 200 that is not a reply."""
    return ProviderError(f"{who}: {what}", kind="no_reply", hint="check the address (`llmcli providers`) and any proxy")


def events(who: str, response: httpx2.Response, body: Iterable[bytes] | None = None) -> Iterator[Event]:
    """Decode a stream of server-sent events, or a JSON document sent in its place.

    The first byte decides which, not the content type: vendors mislabel both. `who` names the model in messages,
    `body` replaces the body of a response that was partly read before.
    Raises ProviderError for a web page, an empty answer and an event that is not JSON, NetworkError for a broken wire.
    """
    with network_errors(who, response.request):
        seconds = response.request.extensions.get("timeout", {}).get("read")
        chunks = _bounded(iter(body) if body is not None else decoded(response), seconds, response.request)
        head = b""
        for chunk in chunks:
            head = (head + chunk)[-len(chunk) - 3 :]  # of blanks, no more than a BOM needs
            if head.lstrip(_BLANK):
                break
        start = head.lstrip(_BLANK)[:1]
        if not start:
            raise no_reply(who, "an empty answer")
        if start in b"{[<":
            yield from ((BODY, part) for part in _document(who, _joined(who, head, chunks)))
        else:
            yield from _stream(who, chain([head], chunks), seconds, response.request)


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
        raise no_reply(
            who, f"a web page instead of a reply: {shortened(' '.join(error_details(body)[0].split()), 200)}"
        )
    raise no_reply(who, "JSON that is no reply")


def _joined(who: str, head: bytes, chunks: Iterable[bytes]) -> bytes:
    found = bytearray(head)
    most = ERROR_BODY if head.lstrip(_BLANK)[:1] == b"<" else DOCUMENT
    for chunk in chunks:
        found += chunk
        if len(found) > most:
            if most == ERROR_BODY:  # of a web page only the title is of use
                break
            raise no_reply(who, f"an answer of more than {DOCUMENT // 1024 // 1024} MiB")
    return bytes(found)


def _bounded(chunks: Iterator[bytes], seconds: float | None, request: httpx2.Request) -> Iterator[bytes]:
    """The chunks, as long as one that is more than blanks comes at least every `seconds` before the reply begins."""
    begun = monotonic()
    for chunk in chunks:
        if chunk.strip(_BLANK):
            yield chunk
            break
        if seconds is not None and monotonic() - begun > seconds:
            raise httpx2.ReadTimeout("only blanks arrived", request=request)
        yield chunk
    yield from chunks


def _stream(who: str, chunks: Iterable[bytes], seconds: float | None, request: httpx2.Request) -> Iterator[Event]:
    """The events; comments and blank lines are none, so that `seconds` of them alone are a timeout."""
    broken, any_event = False, False
    for name, text in server_sent(chunks, seconds, request):
        data = _object(text)
        if data is None and (not text or text.isspace()):
            continue
        if broken:
            raise NetworkError(f"{who}: an event of the stream is not JSON", kind="stream")
        if data is not None:
            any_event = True
            yield name, data
        elif text.startswith(DONE):
            if any_event:
                yield DONE, {}
                return
            break
        elif name == "error":
            yield name, {"error": text}
        else:
            broken = True  # if nothing follows, the stream was cut inside this event
    if not any_event:
        raise no_reply(who, "a stream without any event")


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object that the text is; None where it is none."""
    if text[:1] == "{":  # without the two searches for white space around it, half the time of `json.loads`
        try:
            data, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            return None
        if end == len(text):
            return cast(dict[str, Any], data)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def server_sent(
    chunks: Iterable[bytes], seconds: float | None = None, request: httpx2.Request | None = None
) -> Iterator[tuple[str, str]]:
    """The name and the data of each event (HTML standard, 9.2), as UTF-8 whatever the headers say."""
    size, quiet_since = 0, monotonic()
    decoder = IncrementalNewlineDecoder(_UTF8("replace"), translate=True)
    rest = [""]  # of an event that is not whole yet, in pieces: one of many megabytes costs no more than its length
    for chunk in chain(chunks, [b"\n\n"]):  # a last event without its blank line counts
        text = decoder.decode(chunk)
        if "\n\n" not in rest[-1][-1:] + text:
            rest += [text] if text else []
            size += len(text)
            if size > DOCUMENT:
                raise httpx2.ReadError(f"an event of more than {DOCUMENT // 1024 // 1024} MiB", request=request)
            if seconds is not None and monotonic() - quiet_since > seconds:
                raise httpx2.ReadTimeout("no whole event arrived", request=request)
            continue
        *blocks, tail = "".join([*rest, text]).split("\n\n")
        rest, size, any_data = [tail], len(tail), False
        for block in blocks:
            if block.startswith("data: ") and "\n" not in block:  # as nearly all are
                any_data = True
                yield "message", block[6:]
                continue
            name, data = _event(block)
            any_data = any_data or bool(data)
            yield name, data
        if any_data:
            quiet_since = monotonic()
        elif seconds is not None and monotonic() - quiet_since > seconds:
            raise httpx2.ReadTimeout("nothing but comments arrived", request=request)


def _event(block: str) -> tuple[str, str]:
    """The name and the data of one block of lines."""
    name, data = "message", []
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            name = value.removeprefix(" ") or name
    return name, "\n".join(data)


def _blocks(text: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The named JSON objects of a text that came whole."""
    for block in re.split(r"\r?\n\r?\n", text):
        name, data = _event(block.replace("\r\n", "\n"))
        yield name, _object(data)


def status_error(who: str, response: httpx2.Response, content: bytes, secret: str | None) -> ProviderError:
    """The error for a response with a failing status and this body; its shapes: `provider_errors.error_details`."""
    text = content.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError):
        body = next((data for _, data in _blocks(text) if data), text)  # an error in the shape of a stream
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
