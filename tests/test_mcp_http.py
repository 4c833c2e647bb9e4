"""The MCP client over Streamable HTTP, against a server that answers byte for byte as the test says."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from llmcli.errors import SettingsError, ToolServerError
from llmcli.tools.mcp import MCPServer
from llmcli.tools.mcp_http import HTTPTransport
from tests.fake_provider import FakeProvider

TOOL = {
    "name": "look",
    "inputSchema": {
        "type": "object",
        "properties": {
            "place": {"type": "string", "x-mcp-header": "Place"},
            "deep": {"type": "object", "properties": {"on": {"type": "boolean", "x-mcp-header": "On"}}},
        },
    },
}
DISCOVERED = {"supportedVersions": ["2026-07-28"], "capabilities": {}}


def server_at(provider: FakeProvider, token: str | None = None, timeout: float = 20) -> MCPServer:
    url = f"{provider.url}/mcp"
    return MCPServer("fake", lambda inbox: HTTPTransport(inbox.who, url, inbox, timeout, token), timeout)


def reply(number: int, result: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def open_modern(provider: FakeProvider, token: str | None = None) -> MCPServer:
    provider.answer_json(reply(1, DISCOVERED))
    provider.answer_json(reply(2, {"tools": [TOOL]}))
    server = server_at(provider, token)
    assert [tool["name"] for tool in server.open()] == ["look"]
    provider.answers.clear()
    return server


def test_a_modern_call_mirrors_method_name_and_version_in_headers(provider: FakeProvider) -> None:
    server = open_modern(provider, "secret-token-1")
    provider.answer_json(reply(3, {"content": [{"type": "text", "text": "seen"}]}))
    assert server.call("look", {"place": "Zürich"}).content == "seen"
    headers = provider.requests[-1].headers
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert (headers["mcp-method"], headers["mcp-name"]) == ("tools/call", "look")
    assert headers["authorization"] == "Bearer secret-token-1"
    assert headers["accept"] == "application/json, text/event-stream"
    assert "mcp-session-id" not in headers


def test_parameters_marked_so_are_mirrored_in_headers(provider: FakeProvider) -> None:
    from llmcli.tools.mcp_headers import param_headers

    assert param_headers(TOOL["inputSchema"], {"place": "Zürich", "deep": {"on": True}}) == {  # type: ignore[arg-type]
        "mcp-param-place": "=?base64?WsO8cmljaA==?=",
        "mcp-param-on": "true",
    }


def test_a_legacy_session_keeps_its_id_and_is_deleted(provider: FakeProvider) -> None:
    provider.answer_json({"error": "no"}, status=400)
    provider.answer_json(
        reply(2, {"protocolVersion": "2025-06-18", "capabilities": {}}), headers={"mcp-session-id": "s-1"}
    )
    provider.answer(b"", status=202, content_type="")
    provider.answer_json(reply(3, {"tools": [TOOL]}))
    server = server_at(provider)
    server.open()
    assert {request.headers.get("mcp-session-id") for request in provider.requests[2:]} == {"s-1"}
    assert {request.headers.get("mcp-protocol-version") for request in provider.requests[2:]} == {"2025-06-18"}
    server.close()
    assert provider.requests[-1].method == "DELETE"


def test_events_of_a_stream_are_read_up_to_the_answer(provider: FakeProvider) -> None:
    server = open_modern(provider)
    events = [
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 3, "progress": 1}},
        {"jsonrpc": "2.0", "id": 99, "result": {}},
        reply(3, {"content": [{"type": "text", "text": "seen"}]}),
    ]
    content = b": ping\n\n" + b"".join(f"event: message\r\ndata: {json.dumps(one)}\r\n\r\n".encode() for one in events)
    provider.answer(content, stall=True)
    lines: list[str] = []
    assert server.call("look", {}, progress=lines.append).content == "seen"
    assert lines == ["1"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_is_refused_with_the_hint_of_a_bridge(provider: FakeProvider, status: int) -> None:
    provider.answer(b"", status=status, headers={"www-authenticate": 'Bearer resource_metadata="https://x"'})
    with pytest.raises(SettingsError) as raised:
        server_at(provider).open()
    assert (raised.value.exit_code, raised.value.kind) == (3, "tool_server")
    assert f"--mcp 'npx mcp-remote {provider.url}/mcp'" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status": 500, "content": b"<html>oops"}, "status 500"),
        ({"status": 302, "content": b"", "headers": {"location": "http://elsewhere/?token=1"}}, "http://elsewhere"),
        ({"content": b"<html>welcome", "content_type": "text/html"}, "something else than MCP"),
        ({"content": b"data: {}\n\n"}, "without an answer"),
        ({"content": b"", "drop": True}, "broke"),
    ],
)
def test_a_server_that_speaks_no_mcp_is_one_line(provider: FakeProvider, answer: dict[str, Any], told: str) -> None:
    provider.answer(answer.pop("content"), **answer)
    with pytest.raises(ToolServerError) as raised:
        server_at(provider).open()
    assert told in raised.value.message
    assert "token" not in raised.value.message
    assert raised.value.exit_code == 6


def test_nothing_listens(provider: FakeProvider) -> None:
    transport_url = "http://127.0.0.1:9/mcp"
    server = MCPServer("fake", lambda inbox: HTTPTransport(inbox.who, transport_url, inbox, 5), 5)
    with pytest.raises(ToolServerError) as raised:
        server.open()
    assert "refused the connection" in raised.value.message


def test_a_failed_request_is_not_the_end_of_the_server(provider: FakeProvider) -> None:
    server = open_modern(provider)
    provider.answer(b"", drop=True)
    assert server.call("look", {}).is_error
    provider.answers.clear()
    provider.answer_json(reply(4, {"content": [{"type": "text", "text": "seen"}]}))
    assert server.call("look", {}).content == "seen"


def test_a_giant_answer_is_refused(provider: FakeProvider) -> None:
    server = open_modern(provider)
    provider.answer(*[b"x" * (1 << 20)] * 20, content_type="application/json")
    result = server.call("look", {})
    assert result.is_error
    assert "more than 16 MiB" in result.content


def test_a_call_that_takes_too_long_closes_its_stream(provider: FakeProvider) -> None:
    server = open_modern(provider)
    provider.answer(b": wait\n\n", stall=True)
    server.timeout = 0.5
    began = time.monotonic()
    assert "did not answer" in server.call("look", {}).content
    assert time.monotonic() - began < 15
    assert provider.left.wait(15)
