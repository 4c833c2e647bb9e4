"""JSON-RPC messages of a tool server: decode, sort and limit its messages, and answer its requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from llmcli.errors import LlmcliError, ToolServerError

__all__ = ["MOST_IN_CALL", "MOST_IN_MESSAGE", "ConnectionEnded", "Inbox", "Message", "Transport", "encode"]

Message = dict[str, Any]

MOST_IN_MESSAGE = 16 << 20  # bytes; a picture of 10 MB in base64 fits
MOST_IN_CALL = 64 << 20  # bytes that a server may send while one request runs
_MOST_PROGRESS = 100  # messages that wait to be shown
_METHOD_NOT_FOUND = -32601
_PROGRESS = "notifications/progress"
_LIST_CHANGED = "notifications/tools/list_changed"


class ConnectionEnded(ToolServerError):
    """The server has ended, or closed the connection."""


class Transport(Protocol):
    """A connection to a server. What arrives goes into the `Inbox` that it was made with."""

    version: str | None
    """The version of the protocol, once it is agreed on."""

    def send(self, message: Message, headers: Mapping[str, str]) -> None:
        """Send a message and return at once; `headers` are for HTTP."""

    def cancel(self, number: int) -> bool:
        """Give a request up; False where the server is to be told by a notification."""

    def close(self) -> None:
        """End the connection, and the program that it leads to."""


def encode(message: Message) -> bytes:
    """A message as one line of JSON, without the newline."""
    return json.dumps(message, separators=(",", ":")).encode()


class Inbox:
    """What a server has sent: the answer that is waited for, and progress; all else is dealt with on arrival.

    `receive` and `fail` are called by the threads that read, `expect` and `get` by the one that waits. Memory is
    bounded: a server that sends more than MOST_IN_CALL bytes for one request fails. `answer` sends a message back.
    """

    def __init__(self, who: str, answer: Callable[[Message], None]) -> None:
        self.who = who
        self.list_changed = False
        self._answer = answer
        self._waiting: int | None = None
        self._arrived: SimpleQueue[Message | LlmcliError] = SimpleQueue()
        self._failure: LlmcliError | None = None
        self._bytes = 0
        self._junk = 0

    def expect(self, number: int) -> None:
        """Wait for the answer to this request from now on, and for no other."""
        self._arrived = SimpleQueue()
        self._bytes = self._junk = 0
        self._waiting = number
        if self._failure:
            self._arrived.put(self._failure)

    def get(self, seconds: float) -> Message | None:
        """The answer, or a notification of progress; None where nothing comes in so many seconds.

        Raises what `fail` or `fail_request` was given.
        """
        try:
            message = self._arrived.get(timeout=max(seconds, 0))
        except Empty:
            return None
        if isinstance(message, LlmcliError):
            raise message
        return message

    def fail(self, error: LlmcliError) -> None:
        """The connection is at an end; the first reason counts."""
        self._failure = self._failure or error
        self._arrived.put(self._failure)

    def fail_request(self, number: object, error: LlmcliError) -> None:
        """One request has failed, the connection goes on."""
        if number is not None and number == self._waiting:
            self._waiting = None
            self._arrived.put(error)

    def refuse(self, number: int, error: Message) -> None:
        """Let one request fail with a JSON-RPC error of our own."""
        self._sort({"id": number, "error": error})

    def count(self, size: int) -> bool:
        """Count bytes that arrived; False, and a failure, where they are too many for one request."""
        self._bytes += size
        if self._bytes > MOST_IN_CALL:
            self.fail(ToolServerError(f"{self.who} sends without end: more than {MOST_IN_CALL >> 20} MiB"))
        return self._failure is None

    def too_long(self) -> None:
        """A message was longer than MOST_IN_MESSAGE, and was left out; it may have been the answer."""
        if self._waiting is not None:
            told = f"{self.who} sent a message of more than {MOST_IN_MESSAGE >> 20} MiB"
            self.refuse(self._waiting, {"code": None, "message": told})

    def receive(self, content: bytes) -> None:
        """Take in one message, or a list of them; what is none is left out."""
        try:
            decoded = json.loads(content)
        except (ValueError, RecursionError):
            self._junk += 1
            return
        for message in decoded if isinstance(decoded, list) else [decoded]:
            if isinstance(message, dict):
                self._sort(message)

    def _sort(self, message: Message) -> None:
        number, method = message.get("id"), message.get("method")
        if isinstance(method, str):
            if "id" in message:
                self._reply(number, method)
            elif method == _LIST_CHANGED:
                self.list_changed = True
            elif method == _PROGRESS and self._is_progress(message) and self._arrived.qsize() < _MOST_PROGRESS:
                self._arrived.put(message)
        elif type(number) is int and number == self._waiting:  # True equals 1
            self._waiting = None
            self._arrived.put(message)

    def _is_progress(self, message: Message) -> bool:
        params = message.get("params")
        token = params.get("progressToken") if isinstance(params, dict) else None
        return type(token) is int and token == self._waiting

    def _reply(self, number: object, method: str) -> None:
        """Answer a ping; refuse what else a server may ask: sampling, elicitation, roots."""
        if isinstance(number, int | str):
            error = {"code": _METHOD_NOT_FOUND, "message": "llmcli does not offer this"}
            said = {"result": {}} if method == "ping" else {"error": error}
            self._answer({"jsonrpc": "2.0", "id": number, **said})
