"""The MCP client against programs that behave, and against programs that do not."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from llmcli.errors import LlmcliError, SettingsError, ToolServerError
from llmcli.tools.mcp import MCPServer
from llmcli.tools.mcp_stdio import StdioTransport
from llmcli.tools.process import inherited
from tests import fake_tool_server

FAKE = (sys.executable, fake_tool_server.__file__)
_HARMFUL = ("\x1b", "\x9b", "\u202e", "\u200b", "\x07", "\U000e0041")

Start = Callable[..., MCPServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a fake server in a mode; its log is `tmp_path/log`."""
    servers: list[MCPServer] = []

    def start(mode: str, timeout: float = 30, log: Callable[[str], None] | None = None) -> MCPServer:
        command = (*FAKE, mode, str(tmp_path / "log"))
        env = inherited(os.environ)
        server = MCPServer("fake", lambda inbox: StdioTransport(inbox.who, command, env, inbox, log), timeout)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def received(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


@pytest.mark.parametrize("mode", ["modern", "legacy", "legacy-exits"])
def test_a_tool_is_listed_and_called_in_both_eras(start: Start, mode: str) -> None:
    server = start(mode)
    assert [tool["name"] for tool in server.open()] == ["echo", "send"]
    result = server.call("echo", {"text": "hi ☃"})
    assert (result.content, result.is_error) == ("you said hi ☃", False)


def test_a_modern_request_names_version_and_client(start: Start, tmp_path: Path) -> None:
    server = start("modern")
    server.open()
    _, discover, listing = received(tmp_path)
    assert [discover["method"], listing["method"]] == ["server/discover", "tools/list"]
    meta = listing["params"]["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "llmcli"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {}


def test_a_legacy_server_gets_the_handshake(start: Start, tmp_path: Path) -> None:
    start("legacy").open()
    methods = [message.get("method") for message in received(tmp_path)[1:]]
    assert methods == ["server/discover", "initialize", "notifications/initialized", "tools/list"]
    assert received(tmp_path)[2]["params"]["capabilities"] == {}
    assert "_meta" not in received(tmp_path)[4]["params"]


@pytest.mark.parametrize("mode", ["old", "new"])
def test_a_server_without_a_common_version_is_an_error(start: Start, mode: str) -> None:
    with pytest.raises(ToolServerError) as raised:
        start(mode).open()
    assert raised.value.exit_code == 6
    assert raised.value.kind == "tool_server"


def test_a_server_gets_six_variables_and_no_key(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("SHELL", "() { :; }")
    start("modern").open()
    environment = received(tmp_path)[0]["environment"]
    assert set(environment) <= {"HOME", "LOGNAME", "PATH", "TERM", "USER", "LC_CTYPE", "PWD"}


def test_pages_are_followed_and_a_cycle_of_cursors_ends(start: Start) -> None:
    assert [tool["name"] for tool in start("paged").open()] == ["echo0", "echo1", "echo2", "echo0"]


def test_a_changed_list_is_noticed_and_listed_again(start: Start) -> None:
    server = start("changes")
    server.open()
    assert not server.list_changed
    server.call("echo", {})
    assert server.list_changed
    assert [tool["name"] for tool in server.list_tools()] == ["renamed", "send"]
    assert not server.list_changed


def test_progress_is_passed_on_cleaned_and_bounded(start: Start) -> None:
    server = start("progress")
    server.open()
    lines: list[str] = []
    assert server.call("echo", {}, progress=lines.append).content == "done"
    assert 0 < len(lines) <= 500
    assert lines[0] == "0 of 500: red"
    assert not any(sign in line for line in lines for sign in _HARMFUL)


def test_requests_of_the_server_are_refused_and_a_ping_is_answered(start: Start) -> None:
    server = start("asks")
    server.open()
    answers = json.loads(server.call("echo", {}).content)
    assert answers == {"s1": -32601, "e1": -32601, "r1": -32601, "p1": "pong"}


def test_answers_to_other_ids_are_ignored(start: Start) -> None:
    server = start("lies")
    server.open()
    for _ in range(3):
        assert server.call("echo", {}).content == "the truth"


def test_junk_on_stdout_is_skipped(start: Start) -> None:
    server = start("junk")
    server.open()
    assert server.call("echo", {}).content == "after the junk"


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("dies", "ended with exit code 3: out of memory"),
        ("floods", "sends without end"),
        ("giant", "sent a message of more than 16 MiB"),
        ("error", "no such thing"),
        ("hostile", "said red"),
    ],
)
def test_a_call_that_goes_wrong_is_one_bounded_result(start: Start, mode: str, told: str) -> None:
    server = start(mode)
    server.open()
    result = server.call("echo", {})
    assert result.is_error == (mode != "hostile")
    assert told in result.content
    assert "\n" not in result.content
    assert len(result.content) < 500
    assert not any(sign in result.content for sign in _HARMFUL)


def test_a_server_that_died_fails_every_further_call_at_once(start: Start) -> None:
    server = start("dies")
    server.open()
    for _ in range(2):
        assert server.call("echo", {}).is_error


def test_an_odd_result_is_an_empty_one(start: Start) -> None:
    server = start("odd")
    server.open()
    result = server.call("echo", {})
    assert (result.content, result.is_error, result.files) == ("", False, ())


def test_a_call_that_takes_too_long_is_cancelled(start: Start, tmp_path: Path) -> None:
    server = start("cancelled", timeout=20)
    server.open()
    server.timeout = 0.2
    result = server.call("echo", {})
    assert result.is_error
    assert "did not answer tools/call within 0.2 s" in result.content
    until = time.monotonic() + 20
    while "cancelled" not in (last := received(tmp_path)[-1]):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert last["cancelled"]["method"] == "notifications/cancelled"
    assert last["cancelled"]["params"]["requestId"] == 3


@pytest.mark.parametrize("mode", ["dies-at-start", "silent", "floods-at-start"])
def test_a_server_that_does_not_start_is_one_line(start: Start, mode: str) -> None:
    with pytest.raises(ToolServerError) as raised:
        start(mode, timeout=2 if mode == "silent" else 60).open()
    assert raised.value.exit_code == 6
    assert not any(sign in raised.value.message for sign in _HARMFUL)
    if mode == "dies-at-start":
        assert "Error: no database" in raised.value.message


def test_a_missing_program_is_a_settings_error() -> None:
    server = MCPServer("fake", lambda inbox: StdioTransport(inbox.who, ("no-such-program",), {}, inbox), 5)
    with pytest.raises(SettingsError) as raised:
        server.open()
    assert (raised.value.exit_code, raised.value.kind) == (3, "tool_server")
    assert "no-such-program" in raised.value.message


def test_stderr_of_the_server_reaches_the_log(start: Start) -> None:
    lines: list[str] = []
    server = start("dies", log=lines.append)
    server.open()
    server.call("echo", {})
    assert lines == ["tool server fake: out of memory"]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_a_server_that_ignores_signals_is_ended_with_its_children(start: Start, tmp_path: Path) -> None:
    server = start("child")
    server.open()
    pids = [received(tmp_path)[0]["pid"], received(tmp_path)[1]["child"]]
    assert all(map(is_running, pids))
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 30
    until = time.monotonic() + 20
    while any(map(is_running, pids)):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_closing_while_a_call_runs_ends_the_call(start: Start) -> None:
    server = start("hangs")
    server.open()
    results: list[object] = []
    thread = Thread(target=lambda: results.append(server.call("echo", {})))
    thread.start()
    time.sleep(0.1)
    server.close()
    thread.join(20)
    assert not thread.is_alive()
    assert "ended" in str(results)


def test_a_call_before_the_start_is_an_error() -> None:
    def never(inbox: object) -> Any:
        raise AssertionError

    result = MCPServer("fake", never, 1).call("echo", {})
    assert result.is_error
    assert issubclass(ToolServerError, LlmcliError)
