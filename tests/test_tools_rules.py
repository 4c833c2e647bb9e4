"""Names of tools, named servers, and the rules that decide a call."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llmcli.errors import LlmcliError, SettingsError, UserError
from llmcli.tools.approval import Answer, Approval, Rules
from llmcli.tools.command import CommandTool
from llmcli.tools.naming import wire_name
from llmcli.tools.servers import ServerEntry, named_servers, read_mcp_file, server_of
from llmcli.tools.text import clean, escaped, one_line
from llmcli.tools.tool import Tool
from llmcli.tools.toolset import Toolset
from tests import fake_tool_server

FAKE = (sys.executable, fake_tool_server.__file__)


def entry(mode: str, name: str = "fake", **more: Any) -> ServerEntry:
    return ServerEntry(name, (*FAKE, mode), from_settings=True, **more)


def tools_of(*entries: ServerEntry, commands: tuple[Tool, ...] = ()) -> dict[str, Tool]:
    with Toolset(entries, commands, environ={}, timeout=30) as toolset:
        return {tool.title: tool for tool in toolset.tools()}


def test_wire_names_fit_every_vendor() -> None:
    names: set[str] = set()
    for server, tool in (("time", "get"), ("a.b", "ü/x"), ("a_b", "__x"), ("s", "x" * 80), ("s", "x" * 81)):
        names.add(wire_name(server, tool, names))
    assert len(names) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
    assert "time__get" in names


def test_clean_removes_what_steers_or_hides() -> None:
    assert clean("a\x1b[31mb\x1b]0;title\x07c\x9b2Jd\u202ee\u200bf\U000e0041g\r\nh\ti\ud800", 100) == "abcdefg\nh\ti"
    assert clean("x" * 12, 10) == "x" * 10 + "\n[truncated: 2 more characters]"
    assert one_line("a\nb\x1b[1mc" + "d" * 500, 10) == "a bcddddd…"
    assert escaped("a\u202eb\x1bc") == "a\\u202eb\\u001bc"
    assert len(clean("\x9d" * 200_000, 100_000)) < 100


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["time"], ["time"]),
        (["time.get_*"], ["time"]),
        (["my.server.look"], ["my.server"]),
        (["https://mcp.example.com/mcp"], ["mcp"]),
        (["npx mcp-remote https://x"], ["npx"]),
        (["./tools/server.py"], ["server"]),
        (["time.a", "time.b"], ["time"]),
    ],
)
def test_values_of_mcp_are_told_apart(values: list[str], names: list[str]) -> None:
    known = {name: entry("modern", name) for name in ("time", "my.server")}
    assert [one.name for one in named_servers(values, known)] == names


def test_globs_of_one_server_add_up() -> None:
    known = {"time": entry("modern", "time")}
    assert named_servers(["time.a", "time.b"], known)[0].globs == ("a", "b")
    assert named_servers(["time", "time.b"], known)[0].globs == ()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["tim"], "unknown tool server 'tim'"),
        (["ftp://x/y"], "not an http address"),
        (["https://"], "not an http address"),
        (["a 'b"], "No closing quotation"),
        (["npx a", "npx b"], "two servers are called npx"),
        (["time", "time x"], "two servers are called time"),
        ([""], "unknown tool server"),
    ],
)
def test_wrong_values_of_mcp_are_wrong_use(values: list[str], told: str) -> None:
    with pytest.raises(UserError) as raised:
        named_servers(values, {"time": entry("modern", "time")})
    assert told in raised.value.message


def test_a_table_needs_a_command_or_a_url() -> None:
    for fields in ({}, {"command": ("a",), "url": "http://x"}, {"url": "x"}, {"command": ("a",), "key_env": "K"}):
        with pytest.raises(SettingsError):
            server_of("time", fields, "config.toml")


def test_the_json_file_of_other_tools_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    servers = {
        "time": {"command": "mcp-time", "args": ["--utc"], "env": {"A": "b"}},
        "web": {"type": "http", "url": "https://x/mcp", "headers": {"Authorization": "Bearer abcdefghijklmnop"}},
    }
    path.write_text(json.dumps({"mcpServers": servers, "other": 1}))
    found = read_mcp_file(path)
    assert found["time"].command == ("mcp-time", "--utc")
    assert found["time"].env == {"A": "b"}
    assert found["web"].url == "https://x/mcp"
    assert "abcdefghijklmnop" in found["web"].secrets


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"mcpServers": []}',
        '{"mcpServers": {"a": 1}}',
        '{"mcpServers": {"a": {}}}',
        '{"mcpServers": {"a": {"command": 1}}}',
        '{"mcpServers": {"a": {"command": "x", "args": [1]}}}',
        '{"mcpServers": {"a": {"command": "x", "args": 1}}}',
        '{"mcpServers": {"a": {"type": "sse", "url": "http://x"}}}',
        "[" * 100_000,
    ],
)
def test_a_broken_json_file_is_a_settings_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(content)
    with pytest.raises(SettingsError):
        read_mcp_file(path)


def test_a_token_comes_from_a_variable_or_a_command() -> None:
    assert ServerEntry("a", key_env="TOKEN").token({"TOKEN": " abc \n"}) == "abc"
    assert ServerEntry("a", key_command="printf abc").token({}) == "abc"
    for broken in (ServerEntry("a", key_env="TOKEN"), ServerEntry("a", key_command="false")):
        with pytest.raises(SettingsError) as raised:
            broken.token({})
        assert raised.value.exit_code == 3


def test_servers_start_in_parallel_and_offer_their_tools() -> None:
    found = tools_of(entry("modern", "one"), entry("legacy", "two", globs=("ec*",)))
    assert sorted(found) == ["one.echo", "one.send", "two.echo"]
    assert found["two.echo"].name == "two__echo"


def test_a_glob_without_a_tool_is_wrong_use() -> None:
    with pytest.raises(UserError) as raised:
        tools_of(entry("modern", globs=("nothing*",)))
    assert "it has echo, send" in raised.value.message


def test_one_broken_server_ends_the_others() -> None:
    with pytest.raises(LlmcliError) as raised:
        tools_of(entry("modern", "one"), entry("dies-at-start", "two"))
    assert "tool server two ended" in raised.value.message


def test_hostile_definitions_are_cleaned() -> None:
    found = tools_of(entry("hostile"))
    assert len(found) == 2
    tool = next(tool for title, tool in found.items() if "echo" in title)
    assert tool.title.isascii()
    assert tool.description == "red"
    assert tool.parameters["properties"] == {"a": {"description": "red"}}
    assert found["fake.deep"].parameters == {"type": "object"}


def test_long_and_equal_names_stay_apart() -> None:
    found = tools_of(entry("long-names"))
    names = [tool.name for tool in found.values()]
    assert len(set(names)) == len(names) == 4


class Asked:
    """Answers questions with these keys, and keeps what was asked and told."""

    def __init__(self, *keys: Any) -> None:
        self.keys = [*keys]
        self.questions: list[str] = []
        self.lines: list[str] = []

    def ask(self, tool: Tool, args: Mapping[str, Any]) -> Answer | None:
        self.questions.append(tool.title)
        key = self.keys.pop(0)
        return key if key is None or isinstance(key, Answer) else Answer(key)

    def approval(self, **rules: Any) -> Approval:
        return Approval(Rules(**rules), self.ask, self.lines.append)


def decisions(approval: Approval, tool: Tool, times: int = 1) -> list[str]:
    return [approval(tool, {"text": "x"}).decision for _ in range(times)]


def test_deny_goes_before_allow() -> None:
    echo = tools_of(entry("modern"))["fake.echo"]
    asked = Asked("y")
    assert decisions(asked.approval(allow=["fake.*"], deny=["*.echo"]), echo) == ["denied"]
    assert decisions(asked.approval(allow=["fake.*"]), echo) == ["allowed"]
    assert decisions(asked.approval(allow=["echo", "other.*"]), echo) == ["yes"]
    assert asked.questions == ["fake.echo"]


def test_rules_of_a_table_hold_for_its_own_tools_only() -> None:
    found = tools_of(entry("modern", "one", allow=("e*",), deny=("send",)), entry("modern", "two"))
    asked = Asked("n", "n")
    approval = asked.approval()
    assert decisions(approval, found["one.echo"]) == ["allowed"]
    assert decisions(approval, found["one.send"]) == ["denied"]
    assert decisions(approval, found["two.echo"]) == ["no"]


@pytest.mark.parametrize(("trusted", "decision"), [(True, "allowed"), (False, "no")])
def test_read_only_is_believed_of_trusted_servers_only(trusted: bool, decision: str) -> None:
    found = tools_of(entry("modern", trusted=trusted))
    approval = Asked("n", "n").approval(allow=["hint:read-only"])
    assert decisions(approval, found["fake.echo"]) == [decision]
    assert decisions(approval, found["fake.send"]) == ["no"]


def test_always_holds_while_the_definition_stays() -> None:
    echo = tools_of(entry("modern"))["fake.echo"]
    asked = Asked("a", "n")
    approval = asked.approval()
    assert decisions(approval, echo, 3) == ["yes", "allowed", "allowed"]
    assert '[mcp.fake] allow = ["echo"]' in asked.lines[0]
    echo.description = "Something else."  # type: ignore[misc]
    assert decisions(approval, echo) == ["no"]


def test_never_holds_for_the_session() -> None:
    echo = tools_of(entry("modern"))["fake.echo"]
    assert decisions(Asked("d").approval(), echo, 3) == ["no", "denied", "denied"]


def test_edited_arguments_are_run() -> None:
    echo = tools_of(entry("modern"))["fake.echo"]
    verdict = Asked(Answer("y", {"text": "other"})).approval()(echo, {"text": "x"})
    assert verdict.args == {"text": "other"}


def test_q_is_ctrl_c() -> None:
    echo = tools_of(entry("modern"))["fake.echo"]
    with pytest.raises(KeyboardInterrupt):
        Asked("q").approval()(echo, {})


def test_a_call_that_cannot_be_asked_about_names_the_option() -> None:
    echo = tools_of(entry("modern"))["fake.echo"]
    asked = Asked(None)
    assert decisions(asked.approval(), echo) == ["unasked"]
    assert "--allow fake.echo" in asked.lines[0]
    headless = Approval(Rules(), None, asked.lines.append)
    assert decisions(headless, echo) == ["unasked"]


def command(code: str, **more: Any) -> CommandTool:
    options: dict[str, Any] = {"description": "", "parameters": {}, "timeout": 30.0, **more}
    return CommandTool("own", [sys.executable, "-c", code], {"PATH": "/usr/bin:/bin"}, **options)


def test_an_own_command_reads_json_and_has_no_environment_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    code = "import json, os, sys; print(json.load(sys.stdin)['text'], sorted(os.environ))"
    result = command(code).run({"text": "$(id); `id`"})
    assert result.content.startswith("$(id); `id` ['")
    assert "OPENAI_API_KEY" not in result.content
    assert not result.is_error


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import sys; print('half'); sys.exit('no \\x1b[31mway')", "half\n\nown ended with exit code 1\nno way"),
        ("import os; os.kill(os.getpid(), 9)", "own ended with exit code -9"),
        ("import time; time.sleep(1000)", "own did not end within 0.5 s"),
        ("while True: print('x' * 100000, flush=True)", "own did not end within 0.5 s"),
        ("import sys; sys.stdin.close(); import time; time.sleep(1000)", "own did not end within 0.5 s"),
    ],
)
def test_an_own_command_that_fails_is_a_bounded_error(code: str, told: str) -> None:
    result = command(code, timeout=0.5 if "within" in told else 30.0).run({"text": "x" * 1_000_000})
    assert result.is_error
    assert result.content == told


def test_output_of_an_own_command_is_cut() -> None:
    result = command("print('x' * 5000)", max_output=100).run({})
    assert result.content == "x" * 100 + "\n[truncated: 4,901 more bytes]"


def test_a_command_with_a_child_that_keeps_its_pipe_open_ends() -> None:
    child = "[sys.executable, '-c', 'import time; time.sleep(1000)']"
    code = f"import subprocess, sys; subprocess.Popen({child}); print('done')"
    assert command(code).run({}).content == "done\n"


def test_a_missing_program_is_an_error_for_the_model() -> None:
    result = CommandTool("own", ["no-such-program"], {}, description="", parameters={}, timeout=1).run({})
    assert result.is_error


def test_definitions_that_take_much_of_the_window_are_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    from llmcli import toolbox as module
    from llmcli.config.load import load_config
    from llmcli.console import Console

    command = " ".join((*FAKE, "modern"))
    config = load_config({"mcp": [command], "allow": ["*"]})
    with module.open_toolbox(config, Console()) as toolbox:
        assert toolbox is not None
        for window, warned in ((1_000_000, False), (200, True), (None, False)):
            monkeypatch.setattr(module, "context_window", lambda *args, window=window: window)
            lines = [line for line in toolbox.warnings("openai:x", config) if "context window" in line]
            assert bool(lines) == warned
