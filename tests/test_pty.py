"""A session in front of a person: every key, on a real terminal."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse
from tests.pty_terminal import Terminal

UP, DOWN, RIGHT = "\x1b[A", "\x1b[B", "\x1b[C"
_HANG_S = 60


def session(*args: str, **more: Any) -> Terminal:
    return Terminal("chat", "-m", "test:echo", "--no-usage", "--format", "text", *args, **more)


def talk(provider: FakeProvider, *args: str, **more: Any) -> Terminal:
    return Terminal("chat", "-m", "openai:fake-1", "--base-url", provider.url, "--format", "text", *args, **more)


def prompts(provider: FakeProvider) -> list[str]:
    """What the last request said, turn by turn."""
    return [f"{one['role']}: {one['content']}" for one in provider.requests[-1].body["messages"]]


def drafted(terminal: Terminal, draft: str) -> None:
    terminal.see(lambda: terminal.draft == draft, draft)


def test_a_bare_command_in_front_of_a_keyboard_begins_a_session() -> None:
    with Terminal("-m", "test:echo") as terminal:
        terminal.say("hello")
        terminal.see("\nhello\n\ntest:echo · 51 in")
        terminal.ready()
        terminal.type("\x04")
        assert terminal.wait() == 0
    assert "llmcli 0.1.0 · test:echo · /help" in terminal.text


def test_alt_enter_and_ctrl_j_break_the_line() -> None:
    with session() as terminal:
        terminal.ready()
        terminal.type("one\x1b\rtwo\nthree")
        drafted(terminal, "one\ntwo\nthree")
        terminal.type("\r")
        terminal.see("\none\ntwo\nthree\n")


def test_pasted_lines_stay_together() -> None:
    with session() as terminal:
        terminal.ready()
        terminal.type("\x1b[200~one\r\n\ttwo\nthree\n\x1b[201~")
        terminal.see(lambda: terminal.draft.startswith("one\n") and "three" in terminal.draft, "the pasted lines")
        assert "success" not in terminal.text
        terminal.type("!\r")
        terminal.see("\none\n        two\nthree\n!\n")


def test_up_down_and_ctrl_r_walk_a_history_that_outlives_the_session() -> None:
    with session() as terminal:
        terminal.say("the first prompt")
        terminal.say("a second one")
        terminal.ready()
        terminal.type("\x04")
        assert terminal.wait() == 0
    with session() as terminal:
        terminal.ready()
        terminal.type(UP)
        drafted(terminal, "a second one")
        terminal.type(UP)
        drafted(terminal, "the first prompt")
        terminal.type(DOWN)
        drafted(terminal, "a second one")
        terminal.type("\x03")
        terminal.ready()
        terminal.type("\x12first")
        terminal.see("> the first prompt")
        terminal.type("\r")
        drafted(terminal, "the")
        terminal.type("\r")
        terminal.see("\nthe first prompt\n")


def test_a_suggestion_from_the_history_is_taken_with_right() -> None:
    with session() as terminal:
        terminal.say("tell me about harbours")
        terminal.ready()
        terminal.type("tell")
        terminal.see("> tell me about harbours\n\n")
        terminal.type(RIGHT)
        drafted(terminal, "tell me about harbours")


@pytest.mark.parametrize("mask", [0, 0o777])
def test_the_history_is_private_whatever_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        with session(env={"LLMCLI_HOME": str(tmp_path)}) as terminal:
            terminal.say("a secret")
            terminal.ready()
    finally:
        os.umask(before)
    history = tmp_path / "state" / "prompt_history"
    assert "a secret" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700


def test_unwritable_history_file_is_reported_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with session(env={"LLMCLI_HOME": str(tmp_path)}) as terminal:
        terminal.say("hello")
        terminal.see("\nhello\n")
        assert "note: prompts are not kept for next time: " in terminal.text


def test_ctrl_x_ctrl_e_brings_the_draft_to_the_editor_and_back(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "%s, edited\\nand longer\\n" "$(cat "$1")" > "$1.new" && mv "$1.new" "$1"\n')
    editor.chmod(0o700)
    with session(env={"VISUAL": str(editor), "EDITOR": "false"}) as terminal:
        terminal.ready()
        terminal.type("a draft\x18\x05")
        drafted(terminal, "a draft, edited\nand longer")
        terminal.type("!\r")
        terminal.see("\na draft, edited\nand longer!\n")


def test_vi_mode(tmp_path: Path) -> None:
    with session(env={"LLMCLI_EDIT_MODE": "vi"}) as terminal:
        terminal.ready()
        terminal.type("one two\x1b")
        terminal.type("bdwAtwice\x1b")
        terminal.type("A!\r")
        terminal.see("\none twice!\n")
        terminal.say("/set edit_mode emacs")
        terminal.ready()
        terminal.type("end\x01the \x05.\r")
        terminal.see("\nthe end.\n")


def test_ctrl_c_clears_the_line_and_ctrl_d_leaves_only_an_empty_one() -> None:
    with session() as terminal:
        terminal.ready()
        terminal.type("never mind")
        drafted(terminal, "never mind")
        terminal.type("\x04")
        terminal.interrupt()
        terminal.ready()
        terminal.interrupt()
        terminal.see("Ctrl-D or /exit leaves")
        terminal.ready()
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_enter_on_an_empty_line_sends_nothing() -> None:
    with session() as terminal:
        terminal.ready()
        terminal.type("  \r\r")
        terminal.type("now\r")
        terminal.see("\n  now\n")
        terminal.ready()
        assert terminal.text.count("\n>") == 2


def test_tab_completes_commands_models_settings_and_files(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text('[aliases]\nswift = "test:markdown"\n')
    (tmp_path / "some notes.txt").write_text("text")
    with session(cwd=tmp_path) as terminal:
        for typed, completed in (
            ("/he", "/help"),
            ("/model swi", "/model swift"),
            ("/model test:ma", "/model test:markdown"),
            ("/model groq:openai/gpt-oss-2", "/model groq:openai/gpt-oss-20b"),
            ("/set temp", "/set temperature"),
            ("/set effort mi", "/set effort minimal"),
            ("/set stream fa", "/set stream false"),
            ("/file so", "/file some\\ notes.txt"),
        ):
            terminal.ready()
            terminal.type(f"{typed}\t")
            drafted(terminal, completed)
            terminal.interrupt()


def test_a_menu_shows_what_there_is_to_choose() -> None:
    with session() as terminal:
        terminal.ready()
        terminal.type("/")
        terminal.see("all commands, or what one does")
        terminal.type("help\r")
        terminal.see("Alt-Enter, Ctrl-J")


def test_ctrl_c_stops_the_reply_and_keeps_what_arrived(provider: FakeProvider) -> None:
    provider.answer(sse(chat_chunk({"content": "Half a"}), end=None), stall=True)
    provider.answer(chat_reply(" reply."))
    with talk(provider) as terminal:
        terminal.say("go")
        terminal.see("\nHalf a")
        terminal.interrupt()
        terminal.see("interrupted; /continue goes on")
        assert provider.left.wait(_HANG_S), "the request was not stopped"
        terminal.ready()
        assert "^C" not in terminal.text
        terminal.see(lambda: "~" in terminal.bar, "an estimate of what it used")
        terminal.say("/continue")
        terminal.see("\n reply.\n")
        assert prompts(provider)[:2] == ["user: go", "assistant: Half a"]
        assert prompts(provider)[2].startswith("user: Go on exactly where you stopped.")


def test_many_ctrl_c_at_once_lose_no_text_and_no_session(provider: FakeProvider) -> None:
    provider.answer(sse(chat_chunk({"content": "Half a"}), end=None), stall=True)
    provider.answer(chat_reply("fine"))
    with talk(provider) as terminal:
        terminal.say("go")
        terminal.see("\nHalf a")
        terminal.type("\x03" * 20)
        terminal.see("interrupted; /continue goes on")
        terminal.see(lambda: terminal.waiting, "the prompt")
        terminal.type("\x03")
        terminal.ready()
        terminal.say("and now?")
        terminal.see("\nfine\n")
        assert prompts(provider) == ["user: go", "assistant: Half a", "user: and now?"]


def test_ctrl_c_before_the_first_byte_keeps_the_prompt(provider: FakeProvider) -> None:
    provider.answer(stall=True)
    provider.answer(chat_reply("here"))
    with talk(provider) as terminal:
        terminal.say("patience")
        assert provider.asked.wait(_HANG_S)
        terminal.interrupt()
        terminal.see("\ninterrupted\n")
        terminal.ready()
        terminal.type(UP)
        drafted(terminal, "patience")
        terminal.interrupt()
        terminal.say("/retry")
        terminal.see("\nhere\n")
        assert prompts(provider) == ["user: patience"]


def test_what_is_typed_during_a_reply_waits_for_the_next_line(provider: FakeProvider) -> None:
    provider.answer(sse(chat_chunk({"content": "Slowly"}), end=None), stall=True)
    with talk(provider) as terminal:
        terminal.say("go")
        terminal.see("\nSlowly")
        terminal.type("typed ahead")
        terminal.interrupt()
        drafted(terminal, "typed ahead")
        assert "\nSlowly\n" in terminal.text


def test_replies_go_to_stdout_and_the_line_to_the_terminal(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out, session(stdout=out) as terminal:
        terminal.say("into the file")
        terminal.say("and more")
        terminal.ready()
        terminal.type("\x04")
        assert terminal.wait() == 0
    assert (tmp_path / "out").read_bytes() == b"into the file\nand more\n"


def test_a_reader_of_stdout_that_leaves_ends_the_session() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with session(stdout=write_end) as terminal:
        os.close(write_end)
        terminal.say("hello")
        assert terminal.wait() == 141


def test_a_pipe_is_no_keyboard() -> None:
    done = llmcli("chat", "-m", "test", stdin=b"one\ntwo\n")
    assert (done.code, done.stdout) == (2, b"")
    assert "stdin is no terminal" in done.stderr
    assert "llmcli <FILE" in done.stderr


def test_no_input_begins_no_session() -> None:
    for args in (["--no-input"], ["chat", "--no-input"]):
        with Terminal("-m", "test", *args) if args[0] != "chat" else Terminal(*args, "-m", "test") as terminal:
            assert terminal.wait() == 2
        assert "error: " in terminal.text


@pytest.mark.parametrize(
    ("args", "said", "code"),
    [
        (["-m", "grok:"], "no API key: XAI_API_KEY is not set", 3),
        (["-m", "opnai:x"], "did you mean openai?", 2),
        (["-m", "test:nonesuch"], "Unknown model: test:nonesuch", 2),
        (["-m", "test", "-f", "/nonesuch"], "cannot read /nonesuch", 2),
        (["-m", "test", "-f", "-"], "stdin can be read only once: the session", 2),
        (["-m", "test", "--format", "json"], "a session has no JSON", 2),
    ],
)
def test_wrong_settings_are_reported_before_the_first_prompt(args: list[str], said: str, code: int) -> None:
    with Terminal("chat", *args) as terminal:
        assert terminal.wait() == code
    assert said in terminal.text.replace("\n", "")
    assert "> " not in terminal.text


_STUCK_IMPORT = """
import os, sys, threading
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "httpx2":
            os.write(2, b"IMPORTING")
            threading.Event().wait()
sys.meta_path.insert(0, Finder())
from llmcli.__main__ import main
main()
"""
STUCK = (sys.executable, "-c", _STUCK_IMPORT)


def test_the_prompt_is_there_before_the_sdk_and_ctrl_d_waits_for_nothing(provider: FakeProvider) -> None:
    with talk(provider, command=STUCK) as terminal:
        terminal.see(lambda: b"IMPORTING" in terminal.raw, "import of the SDK")
        assert b"m>" in terminal.raw.partition(b"IMPORTING")[0]
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_ctrl_c_while_the_sdk_is_imported(provider: FakeProvider) -> None:
    with talk(provider, command=STUCK) as terminal:
        terminal.see(lambda: b"IMPORTING" in terminal.raw, "import of the SDK")
        terminal.type("hello\r")
        terminal.wait_for_reply()
        terminal.interrupt()
        terminal.see("\ninterrupted\n")
        terminal.type("\x04")
        assert terminal.wait() == 0


_BROKEN_IMPORT = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "llmcli.models.chat":
            os.write(2, b"IMPORTING")
            raise RuntimeError("broken")
sys.meta_path.insert(0, Finder())
from llmcli.__main__ import main
main()
"""


def test_background_import_failure_is_reported_at_first_use(provider: FakeProvider) -> None:
    command = (sys.executable, "-c", _BROKEN_IMPORT)
    with Terminal("chat", "-m", "openai:gpt-6-luna", "--base-url", provider.url, command=command) as terminal:
        terminal.see(lambda: b"IMPORTING" in terminal.raw, "import of the SDK")
        terminal.see(lambda: " of 1.05M tokens" in terminal.bar, "the bar with the prices")
        assert "Traceback" not in terminal.text
        terminal.type("hello\r")
        terminal.see("error: internal error: RuntimeError: broken")
        terminal.type("\x04")
        assert terminal.wait() == 0
        assert "Traceback" not in terminal.text


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_session_and_keeps_what_arrived(
    signum: signal.Signals, code: int, provider: FakeProvider
) -> None:
    provider.answer(chat_reply("one"))
    provider.answer(sse(chat_chunk({"content": "Half a"}), end=None), stall=True)
    provider.answer(chat_reply("more"))
    with talk(provider) as terminal:
        terminal.say("first")
        terminal.say("/save work")
        terminal.say("second")
        terminal.see("\nHalf a")
        terminal.kill(signum)
        assert terminal.wait() == code
    with talk(provider) as terminal:
        terminal.say("/sessions work")
        terminal.say("third")
        terminal.see("\nmore\n")
        assert prompts(provider)[2:] == ["user: second", "assistant: Half a", "user: third"]


def test_a_signal_at_the_prompt_ends_the_session_and_leaves_the_terminal_as_it_was() -> None:
    with session() as terminal:
        before = terminal.modes
        terminal.ready()
        assert terminal.modes != before
        terminal.kill(signal.SIGTERM)
        assert terminal.wait() == 143
        assert terminal.modes == before
