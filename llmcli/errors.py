"""The exception classes of llmcli, as one tree; each class owns its exit code, each error its kind and hint.

LlmcliError                 1    the root; raised itself only for a bug of llmcli or an output that fails
├── UserError               2    wrong use: an option, a name, a file
├── SettingsError           3    settings or credentials are missing or broken
├── ProviderError           4    the provider refused the request, or its response is not a reply
│   ├── AuthenticationError 3    the provider refused the credentials
│   ├── OverloadedError     5    the provider is overloaded or limits the rate: retry later
│   ├── NetworkError        6    name, connection, TLS, proxy, timeout, broken connection
│   └── FallbackExceptionGroup   every model of a chain failed; has the exit code of the last one
├── IncompleteReply         7    the reply is truncated or withheld
├── UsageLimitExceeded      8    a usage or cost limit was exceeded
├── ReplyMismatch           9    the reply does not fit the schema, or has no code block
├── ToolServerError         6    a tool server does not answer, or breaks the protocol
├── ToolDeclined            11   a tool call that was not allowed kept the prompt from a reply
├── Interrupted             130  Ctrl-C; 143 for SIGTERM, 129 for SIGHUP
└── ClosedPipe              141  the reader of stdout closed the pipe

Stopped is not an LlmcliError: it is the KeyboardInterrupt that SIGTERM and SIGHUP raise.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Self

__all__ = [
    "PROVIDER_KINDS",
    "AuthenticationError",
    "ClosedPipe",
    "FallbackExceptionGroup",
    "IncompleteReply",
    "Interrupted",
    "LlmcliError",
    "ModelHTTPError",
    "NetworkError",
    "OverloadedError",
    "ProviderError",
    "ReplyMismatch",
    "SettingsError",
    "Stopped",
    "ToolDeclined",
    "ToolServerError",
    "UsageLimitExceeded",
    "UserError",
    "causes_of",
    "internal_error",
]


class LlmcliError(RuntimeError):
    """An error with one line that says what failed, and a `hint` that names one thing to do (may be None)."""

    exit_code = 1
    kind = "internal"

    def __init__(
        self, message: str, *, hint: str | None = None, kind: str | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind or self.kind
        self.reason = reason
        """Distinguishes errors of one kind in the table of hints; never shown."""
        self.status: int | None = None


def internal_error(error: Exception) -> LlmcliError:
    """The error for an exception that no code expected: a bug of llmcli, or memory that ran out."""
    if isinstance(error, LlmcliError):
        return error
    found = LlmcliError(
        f"internal error: {type(error).__name__}: {error}", hint="please report it, with what --debug prints"
    )
    found.__cause__ = error
    return found


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
    """A usage or cost limit was exceeded; the text that arrived has been passed on."""

    exit_code = 8
    kind = "limit"


class ReplyMismatch(LlmcliError):
    """The reply is whole, but does not have the form that the options require."""

    exit_code = 9
    kind = "mismatch"


class ToolServerError(LlmcliError):
    """A tool server cannot be reached, does not answer, or breaks the protocol.

    `code` is the code of a JSON-RPC error that the server answered with, None for every other failure.
    """

    exit_code = 6
    kind = "tool_server"

    def __init__(self, message: str, *, hint: str | None = None, code: int | None = None, data: object = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.data = data


class ToolDeclined(LlmcliError):
    """The model called a tool, no rule and no answer of the user allowed it, and no text followed."""

    exit_code = 11
    kind = "tool_declined"


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
    """The reader of stdout closed the pipe: the command ends without a message."""

    exit_code = 141
    kind = "closed_pipe"


class ModelHTTPError(LlmcliError):
    """A model did not give a reply; models of your own may raise it with an HTTP status."""

    exit_code = 4
    kind = "refused"

    def __init__(self, status_code: int, model_name: str, body: object = None) -> None:
        super().__init__(f"status_code: {status_code}, model_name: {model_name}, body: {body}")
        self.status = status_code
        self.model: str | None = model_name
        self.body = body

    @property
    def status_code(self) -> int | None:
        """The HTTP status, as `status`."""
        return self.status

    @property
    def model_name(self) -> str | None:
        """The model that failed, as `model`."""
        return self.model


class ProviderError(ModelHTTPError):
    """The provider did not give a reply; every model raises this class for every failure of the provider or network.

    `status` is the HTTP status or its equivalent inside a stream (None: unknown), `retry_after` the seconds to
    wait (None: unknown), `request_id` the ID for the provider's support, `model` the model that failed, `body` the
    provider's response, redacted, at most 64 KiB. `may_pass` is False where the same request cannot succeed soon.
    """

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
        LlmcliError.__init__(self, message, hint=hint, kind=kind)
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        self.model = None
        self.body: str | None = None
        self.may_pass = True

    @property
    def is_passing(self) -> bool:
        """Whether a retry of the same request may succeed soon."""
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
        """See `ProviderError.is_passing`: only kind "network"; never timeout, TLS, proxy or stream."""
        return self.kind == "network" and self.may_pass


class FallbackExceptionGroup(ProviderError, ExceptionGroup[Exception]):
    """Every model of a chain failed; `exceptions` are their errors in order. It ends as the `last` does."""

    message: str = ""  # else ExceptionGroup's own, which is read-only, stands before ours

    def __new__(cls, message: str, errors: Sequence[Exception]) -> Self:
        """See the class."""
        return ExceptionGroup.__new__(cls, message, errors)

    def __init__(self, message: str, errors: Sequence[Exception]) -> None:
        last = errors[-1]
        self.last = last = last if isinstance(last, ProviderError) else ProviderError(str(last))
        super().__init__(message, hint=last.hint, kind=last.kind, status=last.status, request_id=last.request_id)
        self.exit_code = last.exit_code
        self.model, self.body, self.may_pass = last.model, last.body, last.may_pass

    def derive(self, errors: Sequence[Exception]) -> Self:  # type: ignore[override]  # a part is of the same class
        """Make the group for a part of the errors, as `except*` needs."""
        return type(self)(self.message, errors)

    def __reduce__(self) -> tuple[type[Self], tuple[str, list[Exception]]]:
        """How to pickle it."""
        return type(self), (self.message, list(self.exceptions))


PROVIDER_KINDS = (
    *("refused", "not_found", "context_length", "content_filter", "no_reply", "authentication"),
    *("overloaded", "rate_limit", "quota", "network", "timeout", "tls", "proxy", "stream"),
)
"""What the `kind` of a ProviderError may be."""


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, then its cause or context, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
