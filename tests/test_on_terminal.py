"""The real command on a real terminal: Markdown in pieces, that stalls, is interrupted, or meets other output."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from llmcli.render.markdown.document import whole
from llmcli.render.markdown.layout import Layout
from llmcli.render.markdown.theme import Look, find_look
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, split, sse
from tests.screen import Screen
from tests.terminal import Terminal
from tests.test_markdown import ELEMENTS

TEXT = "\n\n".join(ELEMENTS[name] for name in ("headings", "list with code", "table", "quotes", "code", "wide"))


def shown(*options: str, size: tuple[int, int] = (60, 14), env: Mapping[str, str] | None = None) -> Screen:
    """The command on a terminal of (columns, height)."""
    args = ("-m", "openai:fake-1", "--no-usage", "--no-save", *options, "hi")
    return Screen(*args, columns=size[0], height=size[1], env={"TERM": "xterm-256color", **(env or {})})


@pytest.fixture
def openai(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    return provider


@pytest.mark.parametrize("options", [(), ("--no-stream",), ("--theme", "light")], ids=str)
@pytest.mark.parametrize("size", [(60, 14), (100, 30)], ids=str)
def test_the_screen_shows_one_rendering(openai: FakeProvider, options: tuple[str, ...], size: tuple[int, int]) -> None:
    pieces = [TEXT[at : at + 9] for at in range(0, len(TEXT), 9)]
    openai.answer(*split(chat_reply(*pieces), 1500))
    with shown(*options, size=size) as screen:
        assert screen.end() == 0
        layout = Layout(find_look("light" if "light" in options else "auto", None, terminal=True, environ={}))
        expected = Terminal(*size)
        expected.write("".join(f"{line}\n" for line in whole(TEXT, layout, size[0])))
        assert screen.rows == expected.rows()
        assert screen.terminal.looks() == expected.looks()
        assert "\x1b[?25l" not in screen.written


def test_a_stream_that_stalls_shows_its_last_piece(openai: FakeProvider) -> None:
    openai.answer(
        sse(chat_chunk({"content": "# Done\n\nan open "}), chat_chunk({"content": "*line"}), end=None), stall=True
    )
    with shown() as screen:
        screen.until(r"\*line")
        screen.interrupt()
        assert screen.end() == 130
        assert screen.rows[:4] == ["Done", "━━━━", "", "an open *line"]
        assert "error: interrupted" in screen.rows
        assert screen.terminal.screen.cursor.x == 0


def test_an_error_in_the_middle_comes_below_all_that_arrived(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "- a\n- b"}), end=None), cut=True)
    with shown() as screen:
        assert screen.end() == 6
        assert screen.rows[:2] == [" • a", " • b"]
        assert screen.rows[2].startswith("error: ")


def test_thinking_before_and_between_leaves_the_text_whole(openai: FakeProvider) -> None:
    said = (
        ("reasoning_content", "hm"),
        ("content", "# A\n\nb "),
        ("reasoning_content", "hm more"),
        ("content", "*c*\nd"),
    )
    openai.answer(sse(*(chat_chunk({kind: text}) for kind, text in said), chat_chunk(finish="stop")))
    with shown("--thinking") as screen:
        assert screen.end() == 0
        assert [row for row in screen.rows if not row.startswith("hm")][-5:] == ["A", "━", "", "b c", "d"]


def test_a_dumb_terminal_gets_the_text_and_nothing_else(openai: FakeProvider) -> None:
    openai.answer(chat_reply("# A\n\n*b*", "\x1b[2J\n"))
    for options, env in ((), {"TERM": "dumb"}), (("--format", "text"), {}):
        with shown("-q", *options, env=env) as screen:
            assert screen.end() == 0
            assert screen.written.replace("\r", "") == "# A\n\n*b*[2J\n"


def test_markdown_in_a_pipe_is_a_page_without_escapes(openai: FakeProvider) -> None:
    openai.answer(chat_reply(TEXT))
    layout = Layout(Look(None))
    for columns in (80, 44):
        result = llmcli("-m", "openai:m", "hi", "--format", "markdown", env={"COLUMNS": str(columns)})
        assert result.stdout.decode() == "".join(f"{line}\n" for line in whole(TEXT, layout, columns))
    colored = llmcli("-m", "openai:m", "hi", "--format", "markdown", "--color").stdout.decode()
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) != colored
    assert not re.search(r"\x1b(?!\[[\d;]*m)", colored)


def test_no_color_keeps_shapes(openai: FakeProvider) -> None:
    openai.answer(chat_reply(TEXT))
    for options, env in (("--no-color",), {}), ((), {"NO_COLOR": "1"}), (("--theme", "none"), {}):
        with shown("-q", *options, env=env) as screen:
            assert screen.end() == 0
            assert set(re.findall(r"\x1b\[([\d;]*)m", screen.written)) <= {
                "0",
                "1",
                "2",
                "3",
                "4",
                "9",
                "1;3",
                "1;2",
            }


def test_an_unknown_theme_is_an_error() -> None:
    assert llmcli("hi", "-m", "test", "--theme", "neon").code == 2
    result = llmcli("hi", "-m", "test", env={"LLMCLI_THEME": "neon"})
    assert (result.code, "LLMCLI_THEME" in result.stderr) == (3, True)
