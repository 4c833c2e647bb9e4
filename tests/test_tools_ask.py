"""A reply with tools through the real command: approval, output in each form, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import fake_tool_server
from tests.command import llmcli, started
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse
from tests.pty_terminal import Terminal
from tests.test_mcp import is_running

FAKE = [sys.executable, fake_tool_server.__file__]


def wants(*calls: tuple[str, Mapping[str, Any]], text: str = "") -> bytes:
    """A Chat Completions stream that ends in tool calls."""
    deltas = [
        {"index": at, "id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
        for at, (name, args) in enumerate(calls)
    ]
    said = [chat_chunk({"content": text})] if text else []
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    last = {"id": "c1", "model": "fake-1", "choices": [], "usage": usage}
    return sse(*said, chat_chunk({"tool_calls": deltas}), chat_chunk(finish="tool_calls"), last)


@pytest.fixture
def model(openai: FakeProvider, tmp_path: Path) -> FakeProvider:
    """The model, which calls echo and then answers; the settings name the server `fake`."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(
        f"[mcp.fake]\ncommand = {json.dumps([*FAKE, 'modern', str(tmp_path / 'log')])}\n"
        f"[mcp.trusted]\ncommand = {json.dumps([*FAKE, 'legacy'])}\ntrusted = true\n"
        f"[tools.shout]\ncommand = {json.dumps([sys.executable, '-c', 'print(input().upper())'])}\n"
        'description = "Shout."\n'
    )
    openai.answer(wants(("fake__echo", {"text": "hi"}), text="Let me look. "))
    openai.answer(chat_reply("It says ", "hi."))
    return openai


def sent(model: FakeProvider, at: int) -> Any:
    return model.requests[at].body


def test_a_pipe_gets_the_text_of_the_last_step(model: FakeProvider) -> None:
    done = llmcli("--mcp", "fake", "--allow", "fake.echo", "look")
    assert (done.code, done.stdout) == (0, b"It says hi.\n")
    assert 'fake.echo {"text":"hi"} -> 11 bytes, ' in done.stderr
    assert [tool["function"]["name"] for tool in sent(model, 0)["tools"]] == ["fake__echo", "fake__send"]
    assert sent(model, 1)["messages"][-1] == {"role": "tool", "tool_call_id": "call_0", "content": "you said hi"}


def test_json_holds_the_calls_and_the_usage_of_all_steps(model: FakeProvider) -> None:
    done = llmcli("--mcp", "fake", "--allow", "fake.*", "--json", "look")
    assert done.code == 0
    assert done.json["text"] == "It says hi."
    assert done.json["usage"]["requests"] == 2
    assert done.json["usage"]["request_tokens"] == 18
    assert done.json["tool_calls"] == [
        {
            "name": "fake.echo",
            "args": {"text": "hi"},
            "result": "you said hi",
            "is_error": False,
            "decision": "allowed",
        }
    ]


def test_ndjson_numbers_the_steps(model: FakeProvider) -> None:
    done = llmcli("--mcp", "fake", "--allow", "fake.*", "--format", "ndjson", "look")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["type"], line.get("step")) for line in lines] == [
        ("start", None),
        ("text", 1),
        ("tool_call", 1),
        ("tool_result", 1),
        ("text", 2),
        ("text", 2),
        ("end", None),
    ]
    assert (lines[2]["name"], lines[2]["id"], lines[2]["args"]) == ("fake.echo", "call_0", {"text": "hi"})
    assert (lines[3]["result"], lines[3]["decision"], lines[3]["is_error"]) == ("you said hi", "allowed", False)


def test_without_tools_ndjson_has_no_steps(openai: FakeProvider) -> None:
    openai.answer(chat_reply("hi"))
    lines = [json.loads(line) for line in llmcli("--format", "ndjson", "x").stdout.splitlines()]
    assert lines[1] == {"seq": 1, "type": "text", "text": "hi"}


def test_a_call_that_no_rule_allows_is_declined_and_named(model: FakeProvider) -> None:
    done = llmcli("--mcp", "fake", "--json", "look")
    assert done.code == 0  # text follows
    assert done.json["tool_calls"][0]["decision"] == "unasked"
    assert "--allow fake.echo" in done.stderr
    assert "declined" in sent(model, 1)["messages"][-1]["content"]


@pytest.mark.parametrize("options", [["--no-input"], ["--deny", "*.echo"], []])
def test_no_text_after_a_declined_call_is_exit_11(
    openai: FakeProvider, model: FakeProvider, options: list[str]
) -> None:
    openai.answers[1:] = []
    openai.answer(chat_reply())
    done = llmcli("--mcp", "fake", *options, "--json", "look")
    assert done.code == 11
    assert done.json["error"]["kind"] == "tool_declined"
    assert ("a deny rule" if "--deny" in options else "--allow fake.echo") in done.json["error"]["hint"]


def test_trusted_hints_allow_without_a_question(model: FakeProvider) -> None:
    model.answers[0:1] = []
    model.answers.insert(0, model.answers[0])
    model.answers[0] = type(model.answers[0])((wants(("trusted__echo", {}), ("trusted__send", {})),))
    done = llmcli("--mcp", "trusted", "--allow", "hint:read-only", "--json", "look")
    assert [one["decision"] for one in done.json["tool_calls"]] == ["allowed", "unasked"]


def test_an_own_command_runs(openai: FakeProvider, model: FakeProvider) -> None:
    openai.answers.clear()
    openai.answer(wants(("shout", {"text": "hi"})))
    openai.answer(chat_reply("done"))
    done = llmcli("--tool", "shout", "--allow", "shout", "--json", "look")
    assert done.json["tool_calls"][0]["result"] == '{"TEXT": "HI"}\n'


def test_max_steps_is_exit_8(openai: FakeProvider, model: FakeProvider) -> None:
    openai.answers[1:] = []
    done = llmcli("--mcp", "fake", "--allow", "fake.*", "--max-steps", "3", "--json", "look")
    assert done.code == 8
    assert done.json["finish_reason"] == "limit"
    assert len(openai.requests) == 3


@pytest.mark.parametrize(
    ("value", "code"),
    [("nothing", 2), ("./no-such-program", 3), (f"{FAKE[0]} {FAKE[1]} dies-at-start", 6), ("http://127.0.0.1:9/", 6)],
)
def test_a_server_that_does_not_start_is_an_error_before_anything_is_sent(
    model: FakeProvider, value: str, code: int
) -> None:
    done = llmcli("--mcp", value, "--json", "look")
    assert (done.code, done.json["exit_code"]) == (code, code)
    assert done.json["error"]["kind"] == ("usage" if code == 2 else "tool_server")
    assert not model.requests


@pytest.mark.parametrize("mode", ["dies", "giant", "junk", "asks", "lies", "hostile", "error", "odd"])
def test_a_misbehaving_server_does_not_end_the_reply(openai: FakeProvider, model: FakeProvider, mode: str) -> None:
    openai.answers[0:1] = []
    openai.answers.insert(0, type(openai.answers[0])((wants(("bad__echo", {"text": "hi"}), ("bad__echo", {})),)))
    home = Path(os.environ["LLMCLI_HOME"])
    (home / "config.toml").write_text(f"[mcp.bad]\ncommand = {json.dumps([*FAKE, mode])}\n")
    done = llmcli("--mcp", "bad", "--allow", "bad.echo", "look")
    assert (done.code, done.stdout) == (0, b"It says hi.\n")
    assert len(done.stderr.splitlines()) == 2
    assert all(sign not in done.stderr for sign in ("\x1b", "\x9b", "\u202e", "\u200b"))


def test_a_dry_run_shows_the_definitions(model: FakeProvider) -> None:
    done = llmcli("--mcp", "fake", "--dry-run", "--json", "look")
    assert [tool["function"]["name"] for tool in done.json["body"]["tools"]] == ["fake__echo", "fake__send"]
    assert "the tool servers were started" in done.stderr
    assert llmcli("--mcp", "fake", "--dry-run", "--no-input", "look").code == 2
    assert not model.requests


def test_a_risky_combination_of_rules_is_warned_about(model: FakeProvider) -> None:
    done = llmcli("--mcp", "fake", "--allow", "fake.*", "look")
    assert "fake.echo may read private data and fake.send may send data out" in done.stderr
    assert "may send data out" not in llmcli("--mcp", "fake", "--allow", "fake.echo", "look").stderr


def test_no_key_reaches_a_server(model: FakeProvider, tmp_path: Path) -> None:
    llmcli("--mcp", "fake", "--allow", "fake.*", "look")
    assert "sk-test" not in (tmp_path / "log").read_text()


def test_ctrl_c_ends_a_running_tool_and_keeps_what_there_is(model: FakeProvider, tmp_path: Path) -> None:
    log = tmp_path / "log"
    home = Path(os.environ["LLMCLI_HOME"])
    (home / "config.toml").write_text((home / "config.toml").read_text().replace('"modern"', '"hangs"'))
    process = started("--mcp", "fake", "--allow", "fake.*", "look")
    while not log.exists() or "tools/call" not in log.read_text():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == b"Let me look. \n"
    pid = json.loads(log.read_text().splitlines()[0])["pid"]
    assert not Path("/proc").exists() or not is_running(pid)


def test_a_terminal_is_asked_and_shows_every_step(model: FakeProvider) -> None:
    with Terminal("--mcp", "fake", "--format", "text", "look") as shown:
        shown.see("run it?")
        shown.type("y")
        assert shown.wait() == 0
        lines = shown.lines
    assert "Let me look." in lines
    assert "It says hi." in lines
    call = next(at for at, line in enumerate(lines) if line.startswith('fake.echo {"text":"hi"} -> 11 bytes'))
    assert lines.index("Let me look.") < call < lines.index("It says hi.")


@pytest.mark.parametrize("form", ["markdown", "text"])
def test_markdown_and_text_show_every_step_once(model: FakeProvider, form: str) -> None:
    with Terminal("--mcp", "fake", "--allow", "fake.echo", "--format", form, "look") as shown:
        assert shown.wait() == 0
        assert shown.text.count("Let me look.") == 1
        assert shown.text.count("It says hi.") == 1


def test_the_question_is_asked_while_stdout_and_stdin_are_pipes(model: FakeProvider, tmp_path: Path) -> None:
    command = f"{sys.executable} -m llmcli --mcp fake - <{tmp_path}/in >{tmp_path}/out"
    (tmp_path / "in").write_text("y\ny\nlook\n")
    with Terminal("-c", command, command=("sh",)) as shown:
        shown.see("run it?")
        shown.type("n")
        assert shown.wait() == 0
    assert (tmp_path / "out").read_text() == "It says hi.\n"
    assert sent(model, 0)["messages"][-1]["content"] == "y\ny\nlook\n"
    assert "declined" in sent(model, 1)["messages"][-1]["content"]


def test_start_up_without_tools_imports_nothing_of_them(openai: FakeProvider) -> None:
    openai.answer(chat_reply("hi"))
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))\n"
        "from llmcli.__main__ import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "x"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert b"llmcli.turn" in done.stderr
    assert b"llmcli.tools" not in done.stderr
    assert b"llmcli.toolbox" not in done.stderr
