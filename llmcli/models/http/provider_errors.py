"""Map a provider's error response to one ProviderError: status, machine-readable words, message."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

from llmcli.errors import AuthenticationError, NetworkError, OverloadedError, ProviderError
from llmcli.secrets import redact, shortened

_MOST_BODY = 64 * 1024  # characters of an error body that the error keeps
_OVERLOADED = {408, 409, 425, 429, 529}


# Error words that stand for a status where an error inside a stream has none: Anthropic's types, OpenAI's codes.
_STATUS_OF_WORD = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "engine_overloaded_error": 503,
    "service_unavailable": 503,
    "timeout_error": 504,
    "overloaded_error": 529,
    # Google's (google.rpc.Code)
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    # Bedrock's exceptions inside a stream (service model of bedrock-runtime)
    "validationException": 400,
    "modelTimeoutException": 408,
    "throttlingException": 429,
    "internalServerException": 500,
    "serviceUnavailableException": 503,
}


# xAI and Gemini answer a wrong key with 400.
_WRONG_KEY = re.compile(
    r"incorrect api key|no connected db|invalid api[ -]?key|"
    r"api[ _]key[ _](not[ _](valid|found)|invalid|expired)|ExpiredToken",
    re.IGNORECASE,
)


# What a model that takes text only says of a file; some servers call it an error of their own (500).
_UNSUPPORTED = re.compile(
    r"(image|vision|audio|video|multi-?modal)\w*\b[^.]{0,80}not support"
    r"|not support(ed)?\b[^.]{0,40}(image|vision|audio|video|multi-?modal)",
    re.IGNORECASE,
)


_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|too many tokens|prompt.{0,20}too long|too_many_prompt_tokens|too long\.$",
    re.IGNORECASE,
)


def provider_error(
    who: str,
    status: int | None,
    body: object,
    *,
    retry_after: float | None = None,
    request_id: str | None = None,
    secret: str | None = None,
) -> ProviderError:
    """Make a ProviderError from an error response, for every protocol.

    Args:
        who: the model as the user named it, for the message.
        status: the HTTP status; None or 200 for an error inside a stream, whose own code or type then decides.
        body: the decoded JSON body, or its raw text; see `error_details` for the known shapes.
        retry_after: seconds to wait, from the provider.
        request_id: the provider's name for the request.
        secret: the key in use; never shown, even where the provider echoes it.
    """
    error = _error(who, status, error_details(body), retry_after=retry_after, request_id=request_id, secret=secret)
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
    error.body = shortened(redact(text, [secret or ""]), _MOST_BODY)
    return error


def _error(
    who: str,
    status: int | None,
    details: tuple[str, list[str]],
    *,
    retry_after: float | None,
    request_id: str | None,
    secret: str | None,
) -> ProviderError:
    message, words = details
    if status is None or status < 400:
        status = next((code for word in words if (code := _status_of(word))), None)
    said = " ".join([message, *words])
    message = shortened(" ".join(redact(message, [secret or ""]).split()), 800) or "the provider gave no reason"
    if status is None:
        return NetworkError(f"{who}: {message}", kind="stream", request_id=request_id)
    told = f"{who}: {message} (status {status})"
    if status in (401, 403) or (status == 400 and _WRONG_KEY.search(said)):
        return AuthenticationError(told, status=status, request_id=request_id)
    if status in _OVERLOADED or (status >= 500 and not _UNSUPPORTED.search(said)):
        kind, hint = _pressure(status, words, retry_after)
        return OverloadedError(
            told, kind=kind, hint=hint, status=status, retry_after=retry_after, request_id=request_id
        )
    kind, hint = _refusal(status, words, said)
    return ProviderError(told, kind=kind, hint=hint, status=status, request_id=request_id)


def _pressure(status: int, words: Sequence[str], retry_after: float | None) -> tuple[str, str | None]:
    """The kind and the hint of a transient error: overloaded, rate limit, server error."""
    if "insufficient_quota" in words:
        return "quota", "the account has no credit left: see the provider's billing page"
    return "rate_limit" if status == 429 else "overloaded", _wait(retry_after)


def _refusal(status: int, words: Sequence[str], said: str) -> tuple[str, str | None]:
    """The kind and the hint of a refused request."""
    if status == 404:
        return "not_found", None
    if status == 413 or _TOO_LONG.search(said):
        return "context_length", "the prompt is longer than this model takes: shorten it, or choose another model"
    return "content_filter" if "content_filter" in words else "refused", None


def _wait(retry_after: float | None) -> str:
    if not retry_after:
        return "try again in a moment, or choose another model"
    for unit, seconds in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if retry_after >= 2 * seconds:
            return f"try again in {math.ceil(retry_after / seconds):,} {unit}, or choose another model"
    return f"try again in {math.ceil(retry_after)} s, or choose another model"


def _status_of(word: str) -> int | None:
    if len(word) == 3 and word.isdecimal() and 400 <= int(word) <= 599:
        return int(word)
    return _STATUS_OF_WORD.get(word)


def error_details(body: object) -> tuple[str, list[str]]:
    """The message of an error body, and its machine-readable words (codes, types, statuses) in order of worth.

    Shapes, all recorded: `{"error": {"message", "type", "code", "status_code"}}` (OpenAI family, Anthropic),
    `{"error": "text"}` (xAI, Ollama), `{"message"}` (Mistral, Cohere), `{"detail": "text" | [{"msg", "loc"}]}`
    (Mistral, FastAPI servers), `[{"error": ...}]` (Gemini), an HTML page of a proxy, nothing at all.
    """
    if isinstance(body, list) and body:
        return error_details(body[0])
    if isinstance(body, str):
        title = re.search(r"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
        return (title.group(1) if title else re.sub(r"<[^>]+>", " ", body)), []
    if not isinstance(body, Mapping):
        return "", []
    words = [str(body[key]) for key in ("status_code", "code", "type", "status") if body.get(key) is not None]
    details = body.get("details")
    for item in details if isinstance(details, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("reason"), str):
            words.append(item["reason"])  # Google's, which tells a wrong key from a wrong argument
    error = body.get("error")
    if isinstance(error, Mapping | list):
        message, inner = error_details(error)
        return message, inner + words
    detail = body.get("detail")
    if isinstance(detail, list):
        detail = "; ".join(
            f"{item.get('loc')}: {item.get('msg')}" if isinstance(item, Mapping) else str(item) for item in detail
        )
    message = str(error or body.get("message") or body.get("Message") or body.get("msg") or detail or "")
    metadata = body.get("metadata")  # OpenRouter: what the provider behind it said
    if isinstance(metadata, Mapping) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {metadata['raw']}"
    return message, words
