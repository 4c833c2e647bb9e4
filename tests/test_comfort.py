"""What a person meets on a terminal all day: messages, waiting, listings, the pager and the commands of a session."""

from __future__ import annotations

import base64
import re
import sys
from functools import partial
from pathlib import Path

import pytest

from llmcli.render.columns import table
from llmcli.render.pager import page
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse
from tests.pty_terminal import Terminal
from tests.screen import Screen

XTERM = {"TERM": "xterm-256color"}


def talk(provider: FakeProvider, *args: str, **more: object) -> Terminal:
    return Terminal("chat", "-m", "openai:m", "--base-url", provider.url, *args, **more)  # type: ignore[arg-type]


def test_error_is_red_and_wrapped_at_words_below_its_text(openai: FakeProvider) -> None:
    with Screen("hi", "-m", "no-such-provider-of-that-name:and-a-model", columns=40, env=XTERM) as screen:
        assert screen.end() == 2
        assert "\x1b[1;31merror:\x1b[0m" in screen.written
        first, second = screen.rows[:2]
        assert first.startswith("error: ")
        assert second.startswith("       ")
        assert re.search(r"\x1b\[2mhint: ", screen.written)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_error_keeps_its_word_without_color(openai: FakeProvider, env: dict[str, str]) -> None:
    with Screen("hi", "-m", "no-such:m", env=env) as screen:
        assert screen.end() == 2
        assert screen.written.startswith("error: ")
        assert "\x1b[1;31m" not in screen.written


def test_a_blank_line_stands_between_reply_and_usage_line(openai: FakeProvider) -> None:
    openai.answer(chat_reply("text"))
    with Screen("hi", env=XTERM) as screen:
        assert screen.end() == 0
        assert screen.rows[:2] == ["text", ""]
        assert " in · " in screen.rows[2]


def test_a_stalled_reply_shows_that_more_is_awaited(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "some text"}), end=None), stall=True)
    with Screen("hi", env=XTERM) as screen:
        screen.until(r"waiting for more text · \d")
        assert screen.rows[0] == "some text"
        screen.interrupt()
        assert screen.end() == 130
        assert not any("waiting" in row for row in screen.rows)


def test_control_characters_of_a_model_name_do_not_reach_the_terminal(openai: FakeProvider) -> None:
    openai.answer(chat_reply("hi"), stall=True)
    with Screen("hi", "-m", "openai-chat:m\x1b]0;title\x07x\x1b[2J", env=XTERM) as screen:
        screen.until("m.*title")
        screen.interrupt()
        screen.end()
        assert "\x1b]0" not in screen.written
        assert "\x1b[2J" not in screen.written


def test_ctrl_c_while_waiting_leaves_one_clean_line(openai: FakeProvider) -> None:
    openai.answer(sse(end=None), stall=True)
    with Terminal("-m", "openai-chat:slow", "hi") as terminal:
        terminal.see("openai-chat:slow · ")
        terminal.interrupt()
        assert terminal.wait() == 130
        assert [line for line in terminal.lines if line] == ["error: interrupted"]


def test_table_fits_the_terminal_and_keeps_numbers_and_addresses() -> None:
    rows = [("a-model-with-a-long-name", "words " * 20, "https://api.example.com/v1/very/long", "1,000,000")]
    (head, row) = table(("model", "remark", "address", "tokens"), rows, 1, columns=80, whole=(0,)).splitlines()
    assert "https://api.example.com/v1/very/long" in row
    assert row.endswith("1,000,000")
    assert "a-model-with-a-long-name" in row
    assert "…" in row
    assert len(row) <= max(80, 24 + 8 + 36 + 9 + 6)
    assert head.split() == ["model", "remark", "address", "tokens"]


def test_table_shows_a_hostile_cell_on_one_line() -> None:
    assert table(("a",), [("x\x1b[31m\ny",)]).splitlines()[1:] == ["x[31m y"]


def test_wide_characters_are_aligned_in_a_table() -> None:
    assert table(("a", "b"), [("表示", "x"), ("ab", "y")]).splitlines()[1:] == ["表示  x", "ab    y"]


class Paged:
    """A stand-in for stdout on a terminal of 10 rows."""

    is_terminal = True

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    steer = write

    def size(self) -> tuple[int, int]:
        return 80, 10


@pytest.mark.parametrize(
    ("pager", "lines", "paged"),
    [
        ("less 'open", 30, False),
        ("", 30, False),
        ("cat", 30, False),
        ("no-such-pager", 30, False),
        ("{}", 30, True),
        ("{}", 5, False),
    ],
)
def test_pager_gets_text_that_is_taller_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pager: str, lines: int, paged: bool
) -> None:
    out, script = tmp_path / "out", tmp_path / "pager"
    script.write_text(f"#!{sys.executable}\nimport sys\nopen({str(out)!r}, 'w').write(sys.stdin.read())\n")
    script.chmod(0o755)
    monkeypatch.setenv("PAGER", pager.format(script))
    monkeypatch.setenv("TERM", "xterm")
    stdout = Paged()
    page("line\n" * lines, stdout)  # type: ignore[arg-type]
    assert (out.exists(), stdout.text == "line\n" * lines) == (paged, not paged)


def copied(terminal: Terminal) -> str:
    found = re.findall(rb"\x1b\]52;c;([^\x07]*)\x07", terminal.raw)
    return base64.b64decode(found[-1]).decode() if found else ""


def was_copied(terminal: Terminal, text: str) -> bool:
    return copied(terminal) == text


def test_copy_takes_replies_and_code_blocks_by_number(provider: FakeProvider) -> None:
    provider.answer(chat_reply("old"))
    provider.answer(chat_reply("Do:\n\n```sh\nmake\n```\n\n- or\n  ```\n  make test\n  ```\n"))
    with talk(provider, "--no-usage") as terminal:
        for word in ("one", "two"):
            terminal.say(word)
        for command, text in (("/copy code 1", "make\n"), ("/copy code", "make test\n"), ("/copy 2", "old")):
            terminal.say(command)
            terminal.see(partial(was_copied, terminal, text), text)
        terminal.say("/copy code 3")
        terminal.see("there is no code block 3")
        terminal.say("/copy everything")
        terminal.see("/copy does not take everything")


def test_help_of_one_command(provider: FakeProvider) -> None:
    with talk(provider) as terminal:
        terminal.say("/help continue")
        terminal.see("/more (also /continue): ask for the rest")
        terminal.say("/help nothing")
        terminal.see("there is no command nothing")


def test_slash_opens_the_menu_of_commands(provider: FakeProvider) -> None:
    with talk(provider) as terminal:
        terminal.ready()
        terminal.type("/")
        terminal.see("/help")
        terminal.see("all commands, or what one does")


def test_edit_brings_the_last_prompt_back(provider: FakeProvider) -> None:
    for word in ("one", "two"):
        provider.answer(chat_reply(word))
    with talk(provider, "--no-usage") as terminal:
        terminal.say("a typo")
        terminal.say("/edit")
        terminal.see(lambda: terminal.draft == "a typo", "the draft")
        terminal.type(" fixed\r")
        terminal.see("\ntwo\n")
    said = [one["content"] for one in provider.requests[-1].body["messages"]]
    assert said == ["a typo fixed"]


@pytest.mark.parametrize("word", ["exit", "quit", "/quit"])
def test_a_word_leaves_the_session(provider: FakeProvider, word: str) -> None:
    with talk(provider) as terminal:
        terminal.say(word)
        assert terminal.wait() == 0
    assert not provider.requests


def test_a_piped_text_is_the_first_prompt_and_the_keyboard_goes_on(provider: FakeProvider, tmp_path: Path) -> None:
    for word in ("one", "two"):
        provider.answer(chat_reply(word))
    source = tmp_path / "notes"
    source.write_text("notes of a day\nsecond line\n")
    command = ("bash", "-c", f'cat {source} | "$@"', "sh", sys.executable, "-m", "llmcli")
    with talk(provider, "--no-usage", command=command) as terminal:
        terminal.see("\none\n")
        terminal.say("and then?")
        terminal.see("\ntwo\n")
    said = [one["content"] for one in provider.requests[-1].body["messages"]]
    assert said == ["notes of a day\nsecond line", "one", "and then?"]


def test_an_editor_that_writes_latin_1_is_an_error_of_one_line(provider: FakeProvider, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf 'gr\\374n' >\"$1\"\n")
    editor.chmod(0o755)
    with talk(provider, env={"VISUAL": str(editor)}) as terminal:
        terminal.ready()
        terminal.type("draft\x18\x05")
        terminal.see("error: what the editor wrote is not UTF-8 text")
        terminal.see(lambda: terminal.draft == "draft", "the draft")
        assert "Traceback" not in terminal.text
