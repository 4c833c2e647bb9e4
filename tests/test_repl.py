"""The commands of a session, each as a person meets it; the provider sees what was meant."""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse
from tests.pty_terminal import Terminal
from tests.wire import KEY, wire


@pytest.fixture
def terminal(provider: FakeProvider) -> Iterator[Terminal]:
    """A session with a provider that answers `one`, `two`, `three`, and so on."""
    for word in ("one", "two", "three", "four"):
        provider.answer(chat_reply(word))
    with talk(provider) as found:
        yield found


def talk(provider: FakeProvider, *args: str, **more: Any) -> Terminal:
    return Terminal("chat", "-m", "openai:gpt-6-luna", "--base-url", provider.url, "--no-usage", *args, **more)


def turns(provider: FakeProvider, request: int = -1) -> list[str]:
    return [f"{one['role']}: {one['content']}" for one in provider.requests[request].body["messages"]]


def ask(terminal: Terminal, prompt: str, reply: str) -> None:
    terminal.say(prompt)
    terminal.see(f"\n{reply}\n")
    terminal.ready()


def order(terminal: Terminal, command: str, said: str) -> None:
    terminal.say(command)
    terminal.see(said)
    terminal.ready()


def test_help_names_every_command(terminal: Terminal) -> None:
    order(terminal, "/help", "Ctrl-D")
    for name in (
        *("/help", "/model", "/system", "/file", "/retry", "/more", "/undo", "/copy", "/save", "/sessions"),
        *("/name", "/fork", "/search"),
        *("/usage", "/set", "/clear", "/exit", "Enter", "Alt-Enter, Ctrl-J", "Ctrl-X Ctrl-E"),
    ):
        assert f"\n{name}" in terminal.text


def test_exit_leaves(terminal: Terminal) -> None:
    terminal.ready()
    terminal.type("/exit\r")
    assert terminal.wait() == 0


def test_an_unknown_command_sends_nothing(terminal: Terminal, provider: FakeProvider) -> None:
    order(terminal, "/modle x", "error: there is no command /modle\nhint: did you mean /model?")
    order(terminal, "/etc/passwd?", "A prompt that begins with a slash: //etc/passwd?")
    assert provider.requests == []
    ask(terminal, "//etc/passwd?", "one")
    assert turns(provider) == ["user: /etc/passwd?"]


def test_a_conversation_remembers(terminal: Terminal, provider: FakeProvider) -> None:
    ask(terminal, "first", "one")
    ask(terminal, "second", "two")
    assert turns(provider) == ["user: first", "assistant: one", "user: second"]


def test_model_keeps_the_history_and_goes_on_with_another_provider(
    terminal: Terminal, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(terminal, "first", "one")
    order(terminal, "/model", f"model: openai:gpt-6-luna, {provider.url}")
    order(terminal, "/model test:echo", "model: test:echo")
    ask(terminal, "second", "second")
    order(terminal, "/model openai:gpt-6-sol", "model: openai:gpt-6-sol")
    ask(terminal, "third", "two")
    assert provider.requests[-1].body["model"] == "gpt-6-sol"
    assert turns(provider)[1:4] == ["assistant: one", "user: second", "assistant: second"]


def test_an_address_and_a_key_for_one_provider_do_not_go_to_another(
    provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FakeProvider()
    other.answers = [wire("anthropic", "stop")]
    provider.answer(chat_reply("one"))
    (tmp_path / "key").write_text("sk-only-for-openai")
    env = {"ANTHROPIC_API_KEY": KEY, "LLMCLI_ANTHROPIC_BASE_URL": other.url}
    with other, talk(provider, "--api-key-file", str(tmp_path / "key"), env=env) as terminal:
        ask(terminal, "first", "one")
        order(terminal, "/model anthropic:claude-x", "model: anthropic:claude-x")
        terminal.say("second")
        assert other.asked.wait(60)
        terminal.ready()
    assert len(provider.requests) == 1
    assert provider.requests[0].headers["authorization"] == "Bearer sk-only-for-openai"
    assert KEY in other.requests[0].headers["authorization"]
    assert "only-for-openai" not in str(other.requests)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opnai:x", "did you mean openai?"),
        ("test:nonesuch", "error: Unknown model: test:nonesuch"),
        ("groq:openai/gpt-oss-20b", "error: groq: no API key: GROQ_API_KEY is not set"),
    ],
)
def test_a_model_that_cannot_be_had_leaves_the_old_one(
    terminal: Terminal, provider: FakeProvider, name: str, said: str
) -> None:
    order(terminal, f"/model {name}", said)
    ask(terminal, "hi", "one")
    assert terminal.bar.startswith("openai:gpt-6-luna")


def test_system_prompt(terminal: Terminal, provider: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "role").write_text("Be kind.")
    ask(terminal, "first", "one")
    order(terminal, "/system Be brief.", "system prompt: Be brief.")
    ask(terminal, "second", "two")
    assert turns(provider)[:2] == ["system: Be brief.", "user: first"]
    order(terminal, f"/system @{tmp_path}/role", "system prompt: Be kind.")
    ask(terminal, "third", "three")
    assert turns(provider)[0] == "system: Be kind."
    order(terminal, "/system -", "system prompt: none")
    ask(terminal, "fourth", "four")
    assert turns(provider)[0] == "user: first"


def test_files_stand_before_the_next_prompt_named_and_fenced(provider: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("```\nfenced\n```\n")
    (tmp_path / "c").write_text("C")
    provider.answer(chat_reply("one"))
    with talk(provider, cwd=tmp_path) as terminal:
        order(terminal, "/file", "no file waits")
        order(terminal, "/file 'a b.txt' c", "a b.txt\nc\n")
        assert terminal.bar.endswith("2 files waiting")
        order(terminal, "/file /nonesuch", "error: cannot read /nonesuch: No such file or directory")
        order(terminal, "/file 'x", "No closing quotation")
        ask(terminal, "compare", "one")
        assert turns(provider) == ["user: a b.txt:\n````\n```\nfenced\n```\n````\n\nc:\n```\nC\n```\n\ncompare"]
        ask(terminal, "and now", "one")
    assert turns(provider)[-1] == "user: and now"


def test_an_error_is_a_line_and_the_prompt_and_its_files_are_not_lost(provider: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("C")
    provider.answer_json({"error": {"message": "No such model"}}, status=404)
    provider.answer(chat_reply("at last"))
    with talk(provider, "-f", str(tmp_path / "c")) as terminal:
        order(terminal, "hello", "error: openai:gpt-6-luna: No such model (status 404)\nhint: ")
        assert "1 file waiting" in terminal.bar
        order(terminal, "/continue", "hint: /retry sends the last prompt again")
        ask(terminal, "/retry", "at last")
        assert turns(provider) == [f"user: {tmp_path}/c:\n```\nC\n```\n\nhello"]
        assert "waiting" not in terminal.bar


def test_retry_replaces_the_last_reply(terminal: Terminal, provider: FakeProvider) -> None:
    order(terminal, "/retry", "error: there is no prompt to send again")
    ask(terminal, "first", "one")
    ask(terminal, "second", "two")
    ask(terminal, "/retry", "three")
    assert turns(provider) == ["user: first", "assistant: one", "user: second"]
    ask(terminal, "/retry test:echo", "second")
    ask(terminal, "/retry openai:gpt-6-sol", "four")
    assert turns(provider) == ["user: first", "assistant: one", "user: second"]


def test_a_retry_that_fails_leaves_the_old_reply(provider: FakeProvider) -> None:
    provider.answer(chat_reply("precious"))
    provider.answer_json({"error": {"message": "No"}}, status=400)
    provider.answer(chat_reply("more"))
    with talk(provider) as terminal:
        ask(terminal, "first", "precious")
        order(terminal, "/retry", "error: openai:gpt-6-luna: No (status 400)")
        ask(terminal, "second", "more")
    assert turns(provider) == ["user: first", "assistant: precious", "user: second"]


def test_continue_asks_for_the_rest(provider: FakeProvider) -> None:
    provider.answer(chat_reply("Once upon", finish="length"))
    provider.answer(chat_reply("a time"))
    with talk(provider) as terminal:
        order(terminal, "/continue", "error: there is no reply to go on with")
        terminal.say("tell")
        terminal.see("hint: /more asks for the rest")
        ask(terminal, "/continue", "a time")
        assert turns(provider)[:2] == ["user: tell", "assistant: Once upon"]
        order(terminal, "/continue", "error: the last reply is whole")


def test_undo_takes_back_the_last_exchange(terminal: Terminal, provider: FakeProvider) -> None:
    order(terminal, "/undo", "error: there is nothing to take back")
    ask(terminal, "first", "one")
    ask(terminal, "second", "two")
    order(terminal, "/undo", "taken back: second")
    ask(terminal, "third", "three")
    assert turns(provider) == ["user: first", "assistant: one", "user: third"]


def test_clear_begins_anew(terminal: Terminal, provider: FakeProvider) -> None:
    ask(terminal, "first", "one")
    order(terminal, "/clear", "a new conversation")
    ask(terminal, "second", "two")
    assert turns(provider) == ["user: second"]


def test_copy_asks_the_terminal(terminal: Terminal) -> None:
    order(terminal, "/copy", "error: there is no reply to copy")
    ask(terminal, "first", "one")
    order(terminal, "/copy", "asked the terminal to copy 3 characters (OSC 52)")
    assert b"\x1b]52;c;" + base64.b64encode(b"one") + b"\x07" in terminal.raw


def test_copy_uses_the_systems_own_command(provider: FakeProvider, tmp_path: Path) -> None:
    command = tmp_path / "wl-copy"
    command.write_text(f'#!/bin/sh\ncat > "{tmp_path}/copied"\n')
    command.chmod(0o700)
    provider.answer(chat_reply("größe 😀"))
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "WAYLAND_DISPLAY": "w"}
    with talk(provider, env=env) as terminal:
        ask(terminal, "first", "größe 😀")
        order(terminal, "/copy", "copied 7 characters with wl-copy")
    assert (tmp_path / "copied").read_text() == "größe 😀"


def test_usage_and_bar(provider: FakeProvider) -> None:
    provider.answer(chat_reply("one", usage={"prompt_tokens": 1000, "completion_tokens": 200}))
    provider.answer(sse(chat_chunk({"content": "two"}), chat_chunk(finish="stop")))
    with talk(provider) as terminal:
        order(terminal, "/usage", "nothing has been used yet")
        ask(terminal, "first", "one")
        terminal.see(lambda: " · 1,200 of " in terminal.bar and terminal.bar.endswith(" est."), "tokens and cost")
        assert "$0." in terminal.bar
        ask(terminal, "second", "two")
        terminal.see(lambda: " · unknown of " in terminal.bar, "unknown tokens")
        assert terminal.bar.endswith(" est.")
        ask(terminal, "/retry test:echo", "second")
        terminal.say("/usage")
        terminal.see("\nall ")
        rows = [
            line.split() for line in terminal.lines if line.startswith(("openai:gpt-6-luna  ", "test:echo  ", "all "))
        ]
        assert [row[-4:] for row in rows[-3:]] == [
            ["2", "~1,004", "~201", "~1,205"],
            ["1", "52", "2", "54"],
            ["3", "~1,056", "~203", "~1,259"],
        ]


def test_set_shows_and_changes_settings(terminal: Terminal, provider: FakeProvider) -> None:
    order(terminal, "/set", "temperature")
    order(terminal, "/set temperature 0.5", "temperature  0.5    /set")
    order(terminal, "/set max-tokens=7", "max_tokens  7      /set")
    ask(terminal, "first", "one")
    assert provider.requests[-1].body["temperature"] == 0.5
    assert 7 in provider.requests[-1].body.values()
    order(terminal, "/set temperature default", "temperature  not set  default")
    order(terminal, "/set temperature hot", "error: temperature: not a number")
    order(terminal, "/set temprature 1", "error: /set has no setting temprature\nhint: did you mean temperature?")
    order(terminal, "/set model x", "error: model has a command of its own\nhint: /model")
    ask(terminal, "second", "two")
    assert "temperature" not in provider.requests[-1].body
    order(terminal, "/set usage true", "usage    true   /set")
    terminal.say("third")
    terminal.see("gpt-6-luna · 8 in · 3 out")


def test_set_refuses_what_the_model_does_not_take(provider: FakeProvider) -> None:
    provider.answers = [wire("anthropic", "stop")]
    env = {"ANTHROPIC_API_KEY": KEY, "LLMCLI_ANTHROPIC_BASE_URL": provider.url}
    with Terminal("chat", "-m", "anthropic:claude-x", env=env) as terminal:
        order(terminal, "/set seed 1", "error: anthropic:claude-x does not take --seed")
        order(terminal, "/set seed", "seed     not set  default")


def test_a_session_has_no_json(terminal: Terminal) -> None:
    order(terminal, "/set format json", "error: a session has no JSON\nhint: give a prompt: llmcli --json ...")
    order(terminal, "/set format", "format   auto   default")
    order(terminal, "/set format text", "format   text   /set")


def test_set_says_what_moves_a_chain_on(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": "no 500"}}, 500)
    provider.answer_json({"error": {"message": "no 500"}}, 500)
    provider.answer(chat_reply("two"))
    env = {f"LLMCLI_{name}_BASE_URL": provider.url for name in ("OPENAI", "GROQ")} | {"GROQ_API_KEY": KEY}
    with Terminal("chat", "-m", "openai:a,groq:b", "--no-usage", "--retries=0", env=env) as terminal:
        order(terminal, "/set fallback_on 429", "fallback_on  429    /set")
        order(terminal, "hi", "error: openai:a: no 500")
        order(terminal, "/set fallback_on overlaoded", "error: fallback_on: overlaoded is not an error kind")
        order(terminal, "/set fallback_on 429,overloaded", "fallback_on  429, overloaded  /set")
        terminal.say("/retry")
        terminal.see("; asking groq:b")
        terminal.see("\ntwo\n")
    assert [request.body["model"] for request in provider.requests] == ["a", "a", "b"]


def test_limits_hold_over_the_session(provider: FakeProvider) -> None:
    provider.answer(chat_reply("one"))
    with talk(provider, "--request-limit", "1") as terminal:
        ask(terminal, "first", "one")
        order(terminal, "second", "error: The next request would exceed the request_limit of 1")
        order(terminal, "/set request_limit 2", "request_limit  2")
        ask(terminal, "/retry", "one")
        assert turns(provider)[-1] == "user: second"


def test_a_saved_session_goes_on_in_another(provider: FakeProvider) -> None:
    provider.answer(chat_reply("one"))
    provider.answer(sse(chat_chunk({"content": "half"}), end=None), cut=True)
    provider.answer(chat_reply("three"))
    with talk(provider, "-s", "Be brief.") as terminal:
        ask(terminal, "first", "one")
        order(terminal, "/save my work", "named my work")
        order(terminal, "second", "error: ")
        terminal.see(lambda: terminal.bar.endswith("my work"), "the name in the bar")
    env = {"LLMCLI_OPENAI_BASE_URL": provider.url}
    with Terminal("chat", "-m", "test:echo", env=env) as terminal:
        order(terminal, "/sessions nonesuch", "error: there is no saved conversation nonesuch")
        order(terminal, "/sessions my work", "my work: 2 prompts, openai:gpt-6-luna")
        assert "> second\nhalf" in terminal.text
        order(terminal, "/system", "system prompt: Be brief.")
    with Terminal("chat", "-m", "test", "--no-usage", env=env) as terminal:
        terminal.ready()
        terminal.type("/sessions my\t")
        terminal.see(lambda: terminal.draft == "/sessions my work", "the name")
        terminal.type("\r")
        ask(terminal, "third", "three")
        assert turns(provider) == [
            "system: Be brief.",
            *("user: first", "assistant: one", "user: second", "assistant: half", "user: third"),
        ]


def test_an_unsaved_conversation_is_not_dropped_for_another(terminal: Terminal, provider: FakeProvider) -> None:
    ask(terminal, "first", "one")
    order(terminal, "/save a", "named a")
    provider.answers[:0] = []
    with talk(provider, "-n") as other:
        ask(other, "second", "two")
        order(other, "/sessions a", "hint: /save it, or /clear it")
        order(other, "/save a", "has the name a already")
        order(other, "/save", "named 20")
        order(other, "/sessions a", "a: 1 prompt, openai:gpt-6-luna")
        ask(other, "third", "three")
    assert turns(provider) == ["user: first", "assistant: one", "user: third"]


def rows(query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(Path(os.environ["LLMCLI_HOME"], "data", "conversations.db"))) as database:
        return database.execute(query).fetchall()


def test_every_turn_of_a_session_is_saved(terminal: Terminal) -> None:
    ask(terminal, "first", "one")
    terminal.see("conversations are saved in")
    ask(terminal, "second", "two")
    terminal.ready()
    assert rows("SELECT turns FROM conversations") == [(2,)]


def test_no_save_saves_nothing_until_save(provider: FakeProvider) -> None:
    provider.answer(chat_reply("one"))
    provider.answer(chat_reply("two"))
    with talk(provider, "-n") as terminal:
        ask(terminal, "first", "one")
        terminal.ready()
        assert rows("SELECT count(*) FROM messages") == [(0,)]
        order(terminal, "/save a", "named a")
        assert rows("SELECT count(*), (SELECT turns FROM conversations) FROM messages") == [(2, 1)]
        ask(terminal, "second", "two")
        terminal.see("conversations are saved in")
    assert rows("SELECT name, turns FROM conversations") == [("a", 2)]


def test_undo_and_retry_keep_the_other_branch(terminal: Terminal) -> None:
    ask(terminal, "first", "one")
    ask(terminal, "/retry", "two")
    order(terminal, "/undo", "taken back")
    ask(terminal, "other", "three")
    terminal.ready()
    found = rows("SELECT parent, json_extract(message, '$.parts[0].content') FROM messages ORDER BY id")
    assert [text for parent, text in found if parent is None] == ["first", "first", "other"]
    assert rows("SELECT count(*) FROM conversations") == [(1,)]


def test_a_retry_that_fails_leaves_the_branch_in_force(provider: FakeProvider) -> None:
    provider.answer(chat_reply("one"))
    provider.answer(b"{}", status=400, content_type="application/json")
    provider.answer(chat_reply("three"))
    with talk(provider) as terminal:
        ask(terminal, "first", "one")
        order(terminal, "/retry", "error: ")
        ask(terminal, "second", "three")
        terminal.ready()
    assert rows("SELECT state FROM turns ORDER BY id") == [("done",), ("failed",), ("done",)]
    assert rows("SELECT count(*) FROM messages WHERE parent IS NULL") == [(2,)]


def test_fork_goes_on_in_a_copy(terminal: Terminal) -> None:
    ask(terminal, "first", "one")
    order(terminal, "/name work", "named work")
    order(terminal, "/fork aside", "this is aside now; work stays as it is")
    ask(terminal, "second", "two")
    terminal.ready()
    assert rows("SELECT name, turns FROM conversations ORDER BY name") == [("aside", 2), ("work", 1)]


def test_search_finds_saved_messages(terminal: Terminal) -> None:
    ask(terminal, "a rare word", "one")
    order(terminal, "/search rare", "request  a rare word")
    order(terminal, "/search absent", "nothing found")


def test_sessions_are_chosen_with_the_arrow_keys(terminal: Terminal, provider: FakeProvider) -> None:
    ask(terminal, "first", "one")
    order(terminal, "/clear", "a new conversation")
    ask(terminal, "second", "two")
    terminal.say("/sessions")
    terminal.see("Enter continues it")
    terminal.see("> second")
    terminal.type("\x1b[B")
    terminal.see("> first")
    terminal.type("\r")
    terminal.see("1 prompt, openai:gpt-6-luna")
    terminal.ready()
    ask(terminal, "third", "three")
    assert turns(provider) == ["user: first", "assistant: one", "user: third"]
    terminal.say("/sessions")
    terminal.see("Enter continues it")
    terminal.type("\x1b")
    terminal.ready()


def test_resuming_shows_the_last_exchange(provider: FakeProvider) -> None:
    provider.answer(chat_reply("one"))
    with talk(provider, "--session", "work") as terminal:
        ask(terminal, "first", "one")
    with talk(provider, "--session", "work") as terminal:
        terminal.see("> first\none")
        terminal.see(lambda: terminal.bar.endswith("work"), "the name in the bar")


def test_a_new_system_prompt_of_a_saved_conversation_is_saved(terminal: Terminal, provider: FakeProvider) -> None:
    ask(terminal, "first", "one")
    order(terminal, "/name work", "named work")
    order(terminal, "/system Be nice.", "system prompt: Be nice.")
    ask(terminal, "second", "two")
    order(terminal, "/clear", "a new conversation")
    order(terminal, "/sessions work", "work: 2 prompts")
    order(terminal, "/system", "system prompt: Be nice.")


def test_hostile_text_is_only_text(provider: FakeProvider) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2Jfine"
    provider.answer(chat_reply(hostile))
    with talk(provider) as terminal:
        terminal.ready()
        terminal.type("\x1b[200~evil \x1b]0;owned\x07\x1b[201~\r")
        terminal.see("fine\n")
        terminal.ready()
        order(terminal, "/save a", "named a")
        terminal.say("/sessions")
        terminal.see("Enter continues it")
        terminal.type("\x1b")
        order(terminal, "/undo", "taken back")
    assert b"\x1b]0;" not in terminal.raw


def test_what_files_and_their_names_hold_does_not_steer_the_terminal(provider: FakeProvider, tmp_path: Path) -> None:
    hostile = "left\x07\x9b2J\x1b[2J\u202e\u061c\u2028\x85\rright"
    (tmp_path / f"a {hostile}").write_text("A")
    (tmp_path / "role").write_text(hostile)
    provider.answer(chat_reply("one"))
    with talk(provider, "-f", f"a {hostile}", cwd=tmp_path) as terminal:
        order(terminal, "/file", "a left2J[2Jright\n")
        order(terminal, "/system @role", "system prompt: left2J[2Jright\n")
        ask(terminal, "hi", "one")
    for one in ("\x07", "\x9b", "\u202e", "\u061c", "\u2028", "\x85", "left\r"):
        assert one.encode() not in terminal.raw
    assert turns(provider)[0] == f"system: {hostile}"
