"""The Streamable HTTP transport of MCP: each message is a POST, and the response is JSON or a stream of events."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from threading import Thread
from typing import Any

import httpx2

from llmcli import __version__
from llmcli.errors import LlmcliError, SettingsError, ToolServerError
from llmcli.models.http.client import http_client
from llmcli.models.http.network_errors import network_error
from llmcli.models.http.sse import server_sent
from llmcli.providers.network import PLAIN, Network
from llmcli.secrets import public_address
from llmcli.tools.mcp_headers import header_value
from llmcli.tools.mcp_messages import MOST_IN_MESSAGE, Inbox, Message, encode
from llmcli.tools.text import one_line

__all__ = ["HTTPTransport"]

_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_NOT_FOUND, _INTERNAL = -32601, -32603
_CLOSE_S = 2.0
_FIRST_S = 10.0


class HTTPTransport:
    """A server at `url`. `token` is sent as a bearer token, to this address only: redirects are not followed."""

    def __init__(
        self,
        who: str,
        url: str,
        inbox: Inbox,
        timeout: float,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        network: Network = PLAIN,
    ) -> None:
        self.version: str | None = None
        self._who = who
        self._url = url
        self._inbox = inbox
        self._timeout = httpx2.Timeout(timeout, connect=min(timeout, 10.0))
        self._token = token
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._session: str | None = None
        self._open: dict[object, httpx2.Response | None] = {}  # by the id of the request; None: no response yet
        self._client = http_client(network, url)

    def send(self, message: Message, headers: Mapping[str, str]) -> None:
        """See `Transport.send`: a thread sends it, and reads what comes back."""
        thread = Thread(target=self._post, args=(message, headers), daemon=True, name=f"{self._who} post")
        thread.start()
        if message.get("method") == "notifications/initialized":
            thread.join(_FIRST_S)  # it must not be overtaken by the first request

    def cancel(self, number: int) -> bool:
        """See `Transport.cancel`: in the modern era closing the stream is the way to cancel."""
        modern = self.version is None
        response = self._open.pop(number, None)
        if response is not None and modern:
            _break_off(response)
        return modern

    def close(self) -> None:
        """See `Transport.close`: a session is ended by DELETE, within two seconds."""
        for response in list(self._open.values()):
            if response is not None:
                _break_off(response)
        if self._session:
            thread = Thread(target=self._delete, daemon=True, name=f"{self._who} close")
            thread.start()
            thread.join(_CLOSE_S)
        self._client.close()

    def _delete(self) -> None:
        with suppress(httpx2.HTTPError):
            self._client.delete(self._url, headers=self._all_headers({}, {}), timeout=_CLOSE_S)

    def _all_headers(self, message: Message, more: Mapping[str, str]) -> dict[str, str]:
        headers = {
            "user-agent": f"llmcli/{__version__}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            **self._headers,
        }
        params = message.get("params", {})
        if version := params.get("_meta", {}).get(_VERSION_KEY):
            headers |= {"mcp-protocol-version": version, "mcp-method": message["method"]}
            if message["method"] == "tools/call":
                headers["mcp-name"] = header_value(params["name"])
        elif self.version:
            headers["mcp-protocol-version"] = self.version
        if self._session:
            headers["mcp-session-id"] = self._session
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        return headers | dict(more)

    def _post(self, message: Message, more: Mapping[str, str]) -> None:
        number = message.get("id") if "method" in message else None
        request = None
        try:
            headers = self._all_headers(message, more)
            request = self._client.build_request(
                "POST", self._url, content=encode(message), headers=headers, timeout=self._timeout
            )
            if isinstance(number, int):
                self._open[number] = None
            with closing(self._client.send(request, stream=True)) as response:
                if isinstance(number, int):
                    if number not in self._open:
                        return  # it was given up
                    self._open[number] = response
                    self._read(message, number, response)
        except LlmcliError as error:
            self._inbox.fail_request(number, error)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, ValueError) as error:
            if number in self._open:  # else it was given up, or nothing waits for it
                self._inbox.fail_request(number, self._network_failure(error, request))
        finally:
            self._open.pop(number, None)

    def _read(self, message: Message, number: int, response: httpx2.Response) -> None:
        """Pass on what answers the request; a request that gets no answer fails."""
        if response.status_code in (401, 403):
            raise self._refused(response)
        if response.is_success and message["method"] == "initialize":
            self._session = response.headers.get("mcp-session-id")
        kind = response.headers.get("content-type", "").lower()
        if response.is_success and kind.startswith("text/event-stream"):
            for _, text in server_sent(self._chunks(response)):
                self._inbox.receive(text.encode("utf-8", "surrogatepass"))
            self._inbox.refuse(
                number, {"code": _INTERNAL, "message": f"{self._who} ended its stream without an answer"}
            )
            return
        content = b"".join(self._chunks(response, MOST_IN_MESSAGE))
        try:
            body: Any = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict) and isinstance(error := body.get("error"), dict):
            self._inbox.refuse(number, error)  # its id may be null
        elif response.is_success:
            self._inbox.receive(content)
            self._inbox.refuse(number, {"code": _INTERNAL, "message": f"{self._who} answered something else than MCP"})
        else:
            self._inbox.refuse(number, self._status_error(response))

    def _chunks(self, response: httpx2.Response, most: int | None = None) -> Iterator[bytes]:
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if most is not None and size > most:
                self._inbox.too_long()
                return
            if not self._inbox.count(len(chunk)):
                return
            yield chunk

    def _status_error(self, response: httpx2.Response) -> Message:
        told = f"{self._who} answered with status {response.status_code}"
        if response.is_redirect:
            told += f", which points to {one_line(public_address(response.headers.get('location', 'nothing')))}"
        return {"code": _NOT_FOUND if response.status_code in (404, 405) else _INTERNAL, "message": told}

    def _refused(self, response: httpx2.Response) -> SettingsError:
        told = f"{self._who} wants a login (status {response.status_code})"
        hint = "name a bearer token with key_env or key_command in its [mcp] table"
        if self._token or "authorization" in self._headers:
            told = f"{self._who} refused the token with status {response.status_code}"
            hint = "check its key_env, key_command or headers"
        bridge = f"--mcp 'npx mcp-remote {public_address(self._url)}'"
        return SettingsError(told, hint=f"{hint}; for OAuth use a bridge: {bridge}", kind="tool_server")

    def _network_failure(self, error: Exception, request: httpx2.Request | None) -> ToolServerError:
        if not isinstance(error, httpx2.HTTPError):
            return ToolServerError(f"{self._who}: not an address: {error}")
        told = network_error(self._who, error, request)
        return ToolServerError(told.message, hint=told.hint)


def _break_off(response: httpx2.Response) -> None:
    """End a stream that another thread reads: only a shutdown of the socket wakes it."""
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream else None
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
