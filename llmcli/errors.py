"""Everything that can go wrong, as one tree; each class owns its exit code, each error its kind and hint.

LlmcliError                 1    a fault of ours, and the root
├── UserError               2    wrong use: an option, a name, a file
├── SettingsError           3    settings or credentials are missing or broken
├── ProviderError           4    the provider refused, or answered something that is no reply
│   ├── AuthenticationError 3    the provider refused the credentials
│   ├── OverloadedError     5    overloaded or rate limited: worth another try later
│   ├── NetworkError        6    name, connection, TLS, proxy, time-out, cut
│   └── FallbackExceptionGroup   every model of a chain failed: it holds their errors, and ends as the last one
├── IncompleteReply         7    the reply is not whole
├── UsageLimitExceeded      8    a limit of the person's own was reached
├── ReplyMismatch           9    the reply is not what was asked for
├── Interrupted             130  Ctrl-C; 143 for SIGTERM, 129 for SIGHUP
└── ClosedPipe              141  the reader of stdout has left

Stopped is no error of ours: it is the KeyboardInterrupt that any of these signals raises.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self

__all__ = [
    "PROVIDER_KINDS",
    "AuthenticationError",
    "ClosedPipe",
    "FallbackExceptionGroup",
    "IncompleteReply",
    "Interrupted",
    "LlmcliError",
    "NetworkError",
    "OverloadedError",
    "ProviderError",
    "ReplyMismatch",
    "SettingsError",
    "Stopped",
    "UsageLimitExceeded",
    "UserError",
    "causes_of",
    "error_details",
    "provider_error",
    "redact",
]


class LlmcliError(Exception):
    """What went wrong in one line, and in `hint` what to do about it (may be None)."""

    exit_code = 1
    kind = "internal"

    def __init__(self, message: str, *, hint: str | None = None, kind: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind or self.kind
        self.status: int | None = None


class UserError(LlmcliError):
    """Wrong use; nothing was sent."""

    exit_code = 2
    kind = "usage"


class SettingsError(LlmcliError):
    """Settings or credentials are missing, or cannot be read; nothing was sent."""

    exit_code = 3
    kind = "settings"


class IncompleteReply(LlmcliError):
    """The reply ended before it was whole; what arrived has been passed on."""

    exit_code = 7
    kind = "incomplete"


class UsageLimitExceeded(LlmcliError):
    """A limit that the person set was reached; what arrived has been passed on."""

    exit_code = 8
    kind = "limit"


class ReplyMismatch(LlmcliError):
    """The reply is whole, but not what was asked for."""

    exit_code = 9
    kind = "mismatch"


class Stopped(KeyboardInterrupt):
    """A signal asks the process to stop: SIGTERM or SIGHUP. SIGINT is Python's own KeyboardInterrupt."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Interrupted(LlmcliError):
    """Ctrl-C or another signal that stops; what arrived has been passed on."""

    exit_code = 130
    kind = "interrupted"

    @classmethod
    def by(cls, stop: KeyboardInterrupt) -> Self:
        """The error for what Ctrl-C or a signal raised; its exit code is 128 and the signal's number, as in shells."""
        signum = stop.signum if isinstance(stop, Stopped) else signal.SIGINT
        error = cls("interrupted" if signum == signal.SIGINT else f"stopped by {signal.Signals(signum).name}")
        error.exit_code = 128 + signum
        return error


class ClosedPipe(LlmcliError):
    """The reader of stdout has left: nothing more to say, and nobody to say it to."""

    exit_code = 141
    kind = "closed_pipe"


class ProviderError(LlmcliError):
    """The provider did not give a reply; raised by every model, whatever the wire did.

    `status` is the HTTP status or its equivalent inside a stream (None: not told), `retry_after` the seconds to
    wait (None: not told), `request_id` what to quote to the provider's support, `model` who failed.
    """

    exit_code = 4
    kind = "refused"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        kind: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, kind=kind)
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        self.model: str | None = None

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return False


class AuthenticationError(ProviderError):
    """The provider refused the credentials."""

    exit_code = 3
    kind = "authentication"


class OverloadedError(ProviderError):
    """The provider is overloaded or limits the rate."""

    exit_code = 5
    kind = "overloaded"

    @property
    def is_passing(self) -> bool:
        """See `ProviderError.is_passing`: an account without credit stays so."""
        return self.kind != "quota"


class NetworkError(ProviderError):
    """The connection failed, stalled or broke."""

    exit_code = 6
    kind = "network"

    @property
    def is_passing(self) -> bool:
        """See `ProviderError.is_passing`: not a time-out, which has cost enough time, nor what is no connection's."""
        return self.kind == "network"


class FallbackExceptionGroup(ProviderError, ExceptionGroup[ProviderError]):
    """Every model of a chain failed; `exceptions` are their errors in order. It ends as the `last` does."""

    message: str = ""  # else ExceptionGroup's own, which is read-only, stands before ours

    def __new__(cls, message: str, errors: Sequence[ProviderError]) -> Self:
        """See the class."""
        return ExceptionGroup.__new__(cls, message, errors)

    def __init__(self, message: str, errors: Sequence[ProviderError]) -> None:
        self.last = last = errors[-1]
        super().__init__(message, hint=last.hint, kind=last.kind, status=last.status, request_id=last.request_id)
        self.exit_code = last.exit_code

    def derive(self, errors: Sequence[ProviderError]) -> Self:  # type: ignore[override]  # only ours are in it
        """What `except*` makes of a part."""
        return type(self)(self.message, errors)


PROVIDER_KINDS = (
    *("refused", "not_found", "context_length", "content_filter", "no_reply", "authentication"),
    *("overloaded", "rate_limit", "quota", "network", "timeout", "tls", "proxy", "stream"),
)
"""What the `kind` of a ProviderError may be."""

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
    r"incorrect api key|invalid api[ -]?key|api[ _]key[ _](not[ _](valid|found)|invalid|expired)|ExpiredToken",
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
    """Make the one error of all protocols out of what a provider said.

    Args:
        who: the model as the person named it, for the message.
        status: the HTTP status; None or 200 for an error inside a stream, whose own code or type then decides.
        body: the decoded JSON body, or its raw text; see `error_details` for the known shapes.
        retry_after: seconds to wait, as told.
        request_id: the provider's name for the request.
        secret: the key in use; never shown, even where the provider echoes it.
    """
    message, words = error_details(body)
    if status is None or status < 400:
        status = next((code for word in words if (code := _status_of(word))), None)
    said = " ".join([message, *words])
    message = " ".join(redact(message, [secret or ""]).split())[:800] or "the provider gave no reason"
    if status is None:
        return NetworkError(f"{who}: {message}", kind="stream", request_id=request_id)
    told = f"{who}: {message} (status {status})"
    if status in (401, 403) or (status == 400 and _WRONG_KEY.search(said)):
        return AuthenticationError(told, status=status, request_id=request_id)
    if status in _OVERLOADED or status >= 500:
        kind, hint = _pressure(status, words, retry_after)
        return OverloadedError(
            told, kind=kind, hint=hint, status=status, retry_after=retry_after, request_id=request_id
        )
    kind, hint = _refusal(status, words, said)
    return ProviderError(told, kind=kind, hint=hint, status=status, request_id=request_id)


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what stands behind it, one after the other."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _pressure(status: int, words: Sequence[str], retry_after: float | None) -> tuple[str, str | None]:
    """The kind and the hint where the provider cannot now."""
    if "insufficient_quota" in words:
        return "quota", "the account has no credit left: see the provider's billing page"
    return "rate_limit" if status == 429 else "overloaded", _wait(retry_after)


def _refusal(status: int, words: Sequence[str], said: str) -> tuple[str, str | None]:
    """The kind and the hint where the provider will not."""
    if status == 404:
        return "not_found", None
    if status == 413 or _TOO_LONG.search(said):
        return "context_length", "the prompt is longer than this model takes: shorten it, or choose another model"
    return "content_filter" if "content_filter" in words else "refused", None


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets; those of up to four characters are placeholders, and stay."""
    for secret in secrets:
        if len(secret) > 4:
            text = text.replace(secret, "***")
    return text


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
