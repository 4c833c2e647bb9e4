"""MCP client: connect to a tool server, list its tools and call them, in both eras of the protocol.

Modern servers (2026-07-28) answer `server/discover`, and every request says the version and the client; older ones get
the `initialize` handshake. Sources: the MCP specification of 2025-11-25 and of 2026-07-28.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from threading import Lock, RLock
from typing import Any

from llmcli import __version__
from llmcli.errors import LlmcliError, ToolServerError
from llmcli.tools.mcp_messages import ConnectionEnded, Inbox, Message, Transport
from llmcli.tools.mcp_results import result_of
from llmcli.tools.text import one_line
from llmcli.tools.tool import Progress, ToolResult

__all__ = ["Connect", "MCPServer"]

Connect = Callable[[Inbox], Transport]
"""Makes the connection whose messages go into the inbox."""

_MODERN = ("2026-07-28",)
_LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_UNSUPPORTED_VERSION = -32022
_METHOD_NOT_FOUND = -32601
_META = "io.modelcontextprotocol"
_CLIENT = {"name": "llmcli", "version": __version__}
_PROBE_S = 20.0  # a server that does not answer the probe for so long gets the handshake
_START_S = 2.0
_MOST_PAGES, _MOST_TOOLS = 100, 1000


class MCPServer:
    """A tool server that `open` connects to. One request at a time, from any thread.

    `timeout` in seconds bounds the start and each call.
    """

    def __init__(self, name: str, connect: Connect, timeout: float) -> None:
        self.name = name
        self.timeout = timeout
        self._who = f"tool server {name}"
        self._connect = connect
        self._inbox = Inbox(self._who, self._answer)
        self._transport: Transport | None = None
        self._modern: str | None = None  # the version of a modern server
        self._abandoned = False
        self._starting = Lock()
        self._ids = count(1)
        self._lock = RLock()

    @property
    def list_changed(self) -> bool:
        """Whether the server says that its tools have changed since they were listed."""
        return self._inbox.list_changed

    def open(self) -> list[dict[str, Any]]:
        """Connect, agree on a version, and return the definitions of all tools.

        Raises SettingsError where the program is missing or the login is refused, ToolServerError for all else.
        """
        until = time.monotonic() + self.timeout
        try:
            self._begin()
            capabilities = self._agree(until)
            tools = self.list_tools(until)
            listens = capabilities.get("tools")
            if self._modern and isinstance(listens, dict) and listens.get("listChanged"):
                self._listen()
        except BaseException:
            self.close()
            raise
        return tools

    def _begin(self) -> None:
        with self._starting:
            if self._abandoned:
                raise ToolServerError(f"{self._who} is no longer wanted")
            self._transport = self._connect(self._inbox)

    def abandon(self) -> bool:
        """Close nothing yet, but let no start go on; whether there is something to close."""
        self._abandoned = True
        if self._starting.acquire(timeout=_START_S):  # a program that is just being started is known afterwards
            self._starting.release()
        return self._transport is not None

    def close(self) -> None:
        """End the connection, and the server where we started it."""
        if self._transport:
            self._transport.close()

    @property
    def transport(self) -> Transport | None:
        """The connection; None before `open`."""
        return self._transport

    def list_tools(self, until: float | None = None) -> list[dict[str, Any]]:
        """The definitions of all tools, page by page. Raises ToolServerError."""
        until = time.monotonic() + self.timeout if until is None else until
        found: list[dict[str, Any]] = []
        cursors: set[str] = set()
        params: Message = {}
        self._inbox.list_changed = False
        for _ in range(_MOST_PAGES):
            try:
                page = self._request("tools/list", params, until)
            except ToolServerError as error:
                if error.code == _METHOD_NOT_FOUND:
                    return found
                raise
            tools = page.get("tools")
            found += [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or cursor in cursors or len(found) >= _MOST_TOOLS:
                break
            cursors.add(cursor)
            params = {"cursor": cursor}
        return found[:_MOST_TOOLS]

    def call(
        self,
        tool: str,
        args: Mapping[str, Any],
        progress: Progress | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ToolResult:
        """Call a tool and wait for its result; a failure is a result with `is_error`. Ctrl-C cancels the call."""
        params = {"name": tool, "arguments": dict(args)}
        try:
            result = self._request("tools/call", params, time.monotonic() + self.timeout, progress, headers)
        except LlmcliError as error:
            return ToolResult(one_line(error.message, 2000), is_error=True)
        if result.get("resultType", "complete") not in ("complete", None):
            return ToolResult("the server asks for input in the middle of a call, which is refused", is_error=True)
        return result_of(result)

    def _agree(self, until: float) -> Message:
        """Agree on a version, modern or legacy; return the capabilities of the server."""
        try:
            if (found := self._discover(_MODERN[-1], until)) is not None:
                return found
        except ConnectionEnded:  # as programs of the Rust SDK do when the first message is not `initialize`
            self.close()
            self._modern = None
            self._inbox = Inbox(self._who, self._answer)
            self._begin()
        try:
            return self._initialize(until)
        except ToolServerError as error:
            if error.code == _UNSUPPORTED_VERSION and _mutual(error):  # a slow start: the probe was answered too late
                found = self._discover(_MODERN[-1], until)
                if found is not None:
                    return found
            raise

    def _discover(self, version: str, until: float) -> Message | None:
        """Probe for the modern era; None for a server that is not of it."""
        now = time.monotonic()
        self._modern = version
        try:
            said = self._request("server/discover", {}, min(until, now + max((until - now) / 2, 0), now + _PROBE_S))
        except ToolServerError as error:
            if error.code is None and not _is_timeout(error):
                raise  # the connection failed, which says nothing of the era
            if error.code == _UNSUPPORTED_VERSION and (names := _supported(error)) and not set(names) & {*_LEGACY}:
                raise
            self._modern = None
            return None
        versions = said.get("supportedVersions")
        if not isinstance(versions, list) or version not in versions:
            self._modern = None
            return None
        return _object(said.get("capabilities"))

    def _initialize(self, until: float) -> Message:
        params = {"protocolVersion": _LEGACY[0], "capabilities": {}, "clientInfo": _CLIENT}
        said = self._request("initialize", params, until)
        version = said.get("protocolVersion")
        if version not in _LEGACY:
            raise ToolServerError(
                f"{self._who} speaks version {one_line(str(version), 40)} of MCP, which is not supported",
                hint=f"supported are {', '.join((*_MODERN, *_LEGACY))}",
            )
        if self._transport:
            self._transport.version = version
        self._notify("notifications/initialized", {})
        return _object(said.get("capabilities"))

    def _listen(self) -> None:
        """Ask a modern server to tell of changes; its answer comes only when it ends."""
        params = {"notifications": {"toolsListChanged": True}, "_meta": self._meta()}
        if self._transport:
            message = {"jsonrpc": "2.0", "id": next(self._ids), "method": "subscriptions/listen", "params": params}
            self._transport.send(message, {})

    def _request(
        self,
        method: str,
        params: Message,
        until: float,
        progress: Progress | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Message:
        """Send a request and return its result. Raises ToolServerError, and SettingsError for a refused login."""
        with self._lock:
            if self._transport is None:
                raise ToolServerError(f"{self._who} is not started")
            number = next(self._ids)
            meta = self._meta() | ({"progressToken": number} if progress else {})
            self._inbox.expect(number)
            try:
                message = {"jsonrpc": "2.0", "id": number, "method": method}
                self._transport.send(message | {"params": params | ({"_meta": meta} if meta else {})}, headers or {})
                while (answer := self._inbox.get(until - time.monotonic())) is not None and "method" in answer:
                    if progress:
                        progress(_progress_line(_object(answer.get("params"))))
            except KeyboardInterrupt:
                self._cancel(number, method)
                raise
            if answer is None:
                self._cancel(number, method)
                told = f"{self._who} did not answer {method} within {self.timeout:g} s"
                raise ToolServerError(told, hint=_WAIT)
            return self._result(answer)

    def _result(self, answer: Message) -> Message:
        if isinstance(result := answer.get("result"), dict):
            return result
        error = _object(answer.get("error"))
        code, told = error.get("code"), error.get("message")
        words = one_line(told, 500) if isinstance(told, str) else "an error without a message"
        message = words if words.startswith(self._who) else f"{self._who}: {words}"
        raise ToolServerError(message, code=code if type(code) is int else None, data=error.get("data"))

    def _cancel(self, number: int, method: str) -> None:
        """Tell the server that nothing waits for a request any more; `initialize` must not be cancelled."""
        with suppress(LlmcliError):
            if self._transport and not self._transport.cancel(number) and method != "initialize":
                self._notify("notifications/cancelled", {"requestId": number, "reason": "not waited for"})

    def _notify(self, method: str, params: Message) -> None:
        self._answer({"jsonrpc": "2.0", "method": method, "params": params})

    def _answer(self, message: Message) -> None:
        if self._transport:
            self._transport.send(message, {})

    def _meta(self) -> Message:
        if not self._modern:
            return {}
        named = {"protocolVersion": self._modern, "clientInfo": _CLIENT, "clientCapabilities": {}}
        return {f"{_META}/{name}": value for name, value in named.items()}


_WAIT = "wait longer with --timeout SECONDS, or with timeout in its [mcp] table"


def _is_timeout(error: ToolServerError) -> bool:
    return error.hint == _WAIT


def _supported(error: ToolServerError) -> list[str]:
    """The versions that an error of the server names."""
    versions = _object(error.data).get("supported")
    return [version for version in versions if isinstance(version, str)] if isinstance(versions, list) else []


def _mutual(error: ToolServerError) -> bool:
    return bool(set(_supported(error)) & {*_MODERN})


def _object(value: object) -> Message:
    return value if isinstance(value, dict) else {}


def _progress_line(params: Message) -> str:
    """A notification of progress as a line: `3 of 10: indexing`."""
    done, total, words = params.get("progress"), params.get("total"), params.get("message")
    numbers = [f"{number:g}" for number in (done, total) if isinstance(number, int | float) and abs(number) < 1e15]
    told = one_line(words) if isinstance(words, str) else ""
    return ": ".join(filter(None, (" of ".join(numbers), told)))
