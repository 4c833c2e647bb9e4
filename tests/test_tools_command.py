"""`llmcli tools list` and `llmcli tools call`, and the tables of the settings file that they read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import fake_tool_server
from tests.command import COMMAND, llmcli
from tests.test_mcp import is_running

FAKE = [sys.executable, fake_tool_server.__file__]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file with servers, a JSON file of servers, and own commands; it may be added to."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    servers = {"other.one": {"command": FAKE[0], "args": [FAKE[1], "legacy"]}}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    (home / "shout.json").write_text('{"properties": {"text": {"type": "string"}}}')
    upper = "import sys; print(sys.stdin.read().upper())"
    path = home / "config.toml"
    path.write_text(
        'mcp_file = "mcp.json"\n'
        f"[mcp.fake]\ncommand = {json.dumps([*FAKE, 'modern', str(tmp_path / 'log')])}\n"
        'env = {SECRET_TOKEN = "hush-hush-hush"}\n'
        f"[mcp.slow]\ncommand = {json.dumps([*FAKE, 'hangs'])}\ntimeout = 0.5\n"
        f"[tools.shout]\ncommand = {json.dumps([sys.executable, '-c', upper])}\n"
        'description = "Shout."\nparameters = "shout.json"\n'
    )
    return path


def test_list_without_names_starts_nothing(settings: Path, tmp_path: Path) -> None:
    done = llmcli("tools", "list")
    assert done.code == 0
    assert [line.split()[:2] for line in done.stdout.decode().splitlines()[1:]] == [
        ["other.one", "server"],
        ["fake", "server"],
        ["slow", "server"],
        ["shout", "command"],
    ]
    assert not (tmp_path / "log").exists()


def test_list_shows_tools_of_servers_and_commands(settings: Path) -> None:
    done = llmcli("tools", "list", "fake", "other.one.e*", "shout", "--json")
    assert done.code == 0, done.stderr
    found = {one["name"]: one for one in done.json}
    assert list(found) == ["fake.echo", "fake.send", "other.one.echo", "shout"]
    assert found["fake.echo"]["wire_name"] == "fake__echo"
    assert found["fake.echo"]["hints"] == {
        "read_only": True,
        "destructive": True,
        "idempotent": False,
        "open_world": False,
    }
    assert found["shout"]["parameters"] == {"type": "object", "properties": {"text": {"type": "string"}}}


def test_a_listed_tool_is_completed_by_the_shell(settings: Path) -> None:
    llmcli("tools", "list", "fake")
    env = {"_LLMCLI_COMPLETE": "complete_bash", "COMP_WORDS": "llmcli tools call fake.", "COMP_CWORD": "3"}
    assert llmcli(env=env).stdout.split() == [b"fake.echo", b"fake.send"]


def test_call_prints_the_result(settings: Path) -> None:
    done = llmcli("tools", "call", "fake.echo", '{"text": "hi"}')
    assert (done.code, done.stdout, done.stderr) == (0, b"you said hi\n", "")
    assert llmcli("tools", "call", "other.one.echo", "-", stdin=b'{"text": "in"}').stdout == b"you said in\n"
    assert llmcli("tools", "call", "shout", '{"text": "hi"}').stdout == b'{"TEXT": "HI"}\n\n'


def test_call_takes_a_command_line(settings: Path) -> None:
    command = f"{FAKE[0]} {FAKE[1]} legacy"
    name = Path(FAKE[0]).name.replace(".", "_")
    assert llmcli("tools", "call", "--mcp", command, f"{name}.send").stdout == b"sent\n"


def test_a_secret_of_the_table_reaches_the_server_and_no_output(settings: Path, tmp_path: Path) -> None:
    llmcli("tools", "call", "fake.send")
    environment = json.loads((tmp_path / "log").read_text().splitlines()[0])["environment"]
    assert environment["SECRET_TOKEN"] == "hush-hush-hush"
    shown = llmcli("config", "show")
    assert b"hush" not in shown.stdout
    assert b"mcp.fake.command" in shown.stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["call", "fake.echo", "{"], 2, "not JSON"),
        (["call", "fake.echo", "[1]"], 2, "not a JSON object"),
        (["call", "fake.nothing"], 2, "the tools are fake.echo, fake.send"),
        (["call", "fak.echo"], 2, "did you mean fake?"),
        (["list", "nothing"], 2, "unknown tool server 'nothing'"),
        (["list", "fake.x*"], 2, "it has echo, send"),
        (["list", "./no-such-program"], 3, "no program"),
        (["list", "http://127.0.0.1:9/mcp"], 6, "refused the connection"),
        (["call", "slow.echo"], 4, "did not answer tools/call within 0.5 s"),
    ],
)
def test_what_goes_wrong_has_its_exit_code(settings: Path, words: list[str], code: int, told: str) -> None:
    done = llmcli("tools", *words)
    assert done.code == code
    assert told in done.stderr + done.stdout.decode()


@pytest.mark.parametrize(
    "table",
    [
        "[mcp.x]\n",
        "[mcp.x]\ncommand = []\n",
        '[mcp.x]\ncommand = ["a"]\nurl = "http://x"\n',
        '[mcp.x]\ncommand = ["a"]\ntimeout = 0\n',
        '[mcp.x]\ncommand = "a b"\n',
        '[mcp."a b"]\ncommand = ["a"]\n',
        '[tools.x]\ncommand = ["a"]\n',
        '[tools.x]\ncommand = ["a"]\ndescription = "b"\nparameters = {type = "string"}\n',
        '[tools.x]\ncommand = ["a"]\ndescription = "b"\nparameters = "missing.json"\n',
    ],
)
def test_a_wrong_table_is_a_settings_error(settings: Path, table: str) -> None:
    settings.write_text(table)
    done = llmcli("tools", "list", "x")
    assert done.code == 3, done.stderr
    assert str(settings) in done.stderr


def test_ctrl_c_ends_a_running_call_and_its_server(settings: Path, tmp_path: Path) -> None:
    log = tmp_path / "hanging"
    command = " ".join((*FAKE, "hangs", str(log)))
    name = Path(FAKE[0]).name.replace(".", "_")
    process = subprocess.Popen([*COMMAND, "tools", "call", "--mcp", command, f"{name}.echo"], stderr=subprocess.PIPE)
    while not log.exists() or "tools/call" not in log.read_text():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr is not None
    process.stderr.close()
    pid = json.loads(log.read_text().splitlines()[0])["pid"]
    assert os.name != "posix" or not Path("/proc").exists() or not is_running(pid)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_a_server_ends_when_llmcli_is_killed(settings: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings.write_text(settings.read_text().replace('"modern"', '"cancelled"'))
    process = subprocess.Popen([*COMMAND, "tools", "call", "fake.echo"])
    while not log.exists() or "tools/call" not in log.read_text():
        assert process.poll() is None
    process.kill()
    process.wait()
    pid = json.loads(log.read_text().splitlines()[0])["pid"]
    until = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
@pytest.mark.parametrize("words", [["tools", "list"], ["-m", "test", "hi", "--mcp"]])
def test_ctrl_c_while_a_server_starts_leaves_none_behind(tmp_path: Path, words: list[str]) -> None:
    log = tmp_path / "log"
    command = " ".join((*FAKE, "silent", str(log)))
    process = subprocess.Popen([*COMMAND, *words, command], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not log.exists() or not log.read_text().endswith("\n"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    pids = [json.loads(line)["pid"] for line in log.read_text().splitlines()]
    assert not any(map(is_running, pids))
    assert len(pids) == 1
