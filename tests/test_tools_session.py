"""Tools in a session: approval that lasts, /tools, and Ctrl-C while a tool runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fake_tool_server
from tests.fake_provider import Answer, FakeProvider, chat_reply
from tests.pty_terminal import Terminal
from tests.test_mcp import is_running
from tests.test_tools_ask import wants

FAKE = [sys.executable, fake_tool_server.__file__]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"[mcp.fake]\ncommand = {json.dumps([*FAKE, 'modern', str(tmp_path / 'log')])}\n")
    return path


@pytest.fixture
def session(openai: FakeProvider, settings: Path) -> Iterator[Terminal]:
    with Terminal("--mcp", "fake", "--no-usage", columns=100, rows=40) as shown:
        shown.ready()
        yield shown


def test_always_lasts_for_the_session(openai: FakeProvider, session: Terminal) -> None:
    for number in range(2):
        openai.answers = [
            Answer((wants(("fake__echo", {"text": str(number)})),)),
            Answer((chat_reply(f"end {number}"),)),
        ]
        session.say("look")
        if number == 0:
            session.see("run it?")
            session.type("a")
        session.see(f"end {number}")
        session.ready()
    assert session.text.count("run it?") == 1
    assert '[mcp.fake] allow = ["echo"]' in session.text
    assert 'fake.echo {"text":"1"} -> 10 bytes' in session.text
    session.say("/tools")
    session.see("allowed")
    session.say("/exit")
    assert session.wait() == 0


def test_a_tool_that_is_switched_off_is_not_offered(openai: FakeProvider, session: Terminal) -> None:
    openai.answer(chat_reply("one"))
    session.say("/tools off *.send")
    session.see("fake.send  off")
    session.say("look")
    session.see("one")
    assert [tool["function"]["name"] for tool in openai.requests[0].body["tools"]] == ["fake__echo"]
    session.say("/tools on *")
    session.see(lambda: session.text.count("fake.send  on") == 1)
    session.say("/tools off nothing")
    session.see("no tool matches nothing")


def test_q_stops_the_reply_and_the_next_prompt_is_valid(openai: FakeProvider, session: Terminal) -> None:
    openai.answers = [Answer((wants(("fake__echo", {}), ("fake__send", {})),))]
    session.say("look")
    session.see("run it?")
    session.type("q")
    session.see("interrupted")
    openai.answers = [Answer((chat_reply("all well"),))]
    session.say("and now")
    session.see("all well")
    messages = openai.requests[-1].body["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant", "tool", "tool", "user"]


def test_ctrl_c_cancels_a_tool_and_the_session_goes_on(openai: FakeProvider, settings: Path, tmp_path: Path) -> None:
    settings.write_text(settings.read_text().replace('"modern"', '"cancelled"'))
    log = tmp_path / "log"
    with Terminal("--mcp", "fake", "--allow", "*", "--no-usage") as session:
        session.ready()
        openai.answers = [Answer((wants(("fake__echo", {})),))]
        session.say("look")
        session.see(lambda: not session._read(0.01) or "tools/call" in log.read_text())
        while "tools/call" not in log.read_text():
            session._read(0.01)
        session.interrupt()
        session.see("interrupted")
        openai.answers = [Answer((chat_reply("all well"),))]
        session.say("and now")
        session.see("all well")
        session.say("/exit")
        assert session.wait() == 0
    assert "notifications/cancelled" in log.read_text()
    pid = json.loads(log.read_text().splitlines()[0])["pid"]
    assert os.name == "nt" or not is_running(pid)


def test_a_server_that_does_not_start_ends_the_session(openai: FakeProvider, settings: Path) -> None:
    with Terminal("--mcp", "./no-such-program") as session:
        assert session.wait() == 3
        assert "no program" in session.text


def test_tools_without_tools_says_how_to_name_them(openai: FakeProvider) -> None:
    with Terminal() as session:
        session.say("/tools")
        session.see("no tools are offered")
