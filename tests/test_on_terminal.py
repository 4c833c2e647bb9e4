"""The real command on a real terminal: Markdown in pieces, that stalls, is interrupted, or meets other output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping

import pytest

from llmcli.render.document import whole
from llmcli.render.layout import Layout
from llmcli.render.theme import Look, find_look
from tests.command import COMMAND, llmcli
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, split, sse
from tests.terminal import Terminal
from tests.test_markdown import ELEMENTS

_HANG_S = 60  # only a process that hangs takes so long
TEXT = "\n\n".join(ELEMENTS[name] for name in ("headings", "list with code", "table", "quotes", "code", "wide"))


class Session:
    """`llmcli ARGS` with stdout and stderr on a terminal of its own."""

    def __init__(self, *args: str, size: tuple[int, int] = (60, 14), env: Mapping[str, str] | None = None) -> None:
        self.terminal = Terminal(*size)
        self.terminal.screen.reset_mode(20)  # the driver of this one is real
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (size[1], size[0]))
        self.process = subprocess.Popen(
            [*COMMAND, "-m", "openai:fake-1", "--no-usage", *args, "hi"],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        )
        os.close(theirs)
        self.sent = b""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # how Linux says that the last process has left
                piece = b""
            with self._more:
                self.sent += piece
                self._more.notify_all()
            if not piece:
                return

    def wait_for(self, seen: Callable[[bytes], bool]) -> None:
        with self._more:
            assert self._more.wait_for(lambda: seen(self.sent), _HANG_S), self.sent

    def end(self) -> int:
        code = self.process.wait(_HANG_S)
        self._reader.join(_HANG_S)
        os.close(self._ours)
        self.terminal.write(self.sent.decode())
        return code


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
    session = Session(*options, size=size)
    assert session.end() == 0
    layout = Layout(find_look("light" if "light" in options else "auto", None, terminal=True, environ={}))
    expected = Terminal(*size)
    expected.write("".join(f"{line}\n" for line in whole(TEXT, layout, size[0])))
    assert session.terminal.rows() == expected.rows()
    assert session.terminal.looks() == expected.looks()
    assert b"\x1b[?25l" not in session.sent


def test_a_stream_that_stalls_shows_its_last_piece(openai: FakeProvider) -> None:
    openai.answer(
        sse(chat_chunk({"content": "# Done\n\nan open "}), chat_chunk({"content": "*line"}), end=None), stall=True
    )
    session = Session()
    session.wait_for(lambda sent: b"*line" in sent)
    session.process.send_signal(signal.SIGINT)
    assert session.end() == 130
    assert session.terminal.rows()[:4] == ["Done", "━━━━", "", "an open *line"]
    assert "error: interrupted" in session.terminal.rows()
    assert session.terminal.screen.cursor.x == 0


def test_an_error_in_the_middle_comes_below_all_that_arrived(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "- a\n- b"}), end=None), cut=True)
    session = Session()
    assert session.end() == 6
    assert session.terminal.rows()[:2] == [" • a", " • b"]
    assert session.terminal.rows()[2].startswith("error: ")


def test_thinking_before_and_between_leaves_the_text_whole(openai: FakeProvider) -> None:
    said = (
        ("reasoning_content", "hm"),
        ("content", "# A\n\nb "),
        ("reasoning_content", "hm more"),
        ("content", "*c*\nd"),
    )
    openai.answer(sse(*(chat_chunk({kind: text}) for kind, text in said), chat_chunk(finish="stop")))
    session = Session("--thinking")
    assert session.end() == 0
    assert [row for row in session.terminal.rows() if not row.startswith("hm")][-4:] == ["A", "━", "", "b c d"]


def test_a_dumb_terminal_gets_the_text_and_nothing_else(openai: FakeProvider) -> None:
    openai.answer(chat_reply("# A\n\n*b*", "\x1b[2J\n"))
    for options, env in ((), {"TERM": "dumb"}), (("--format", "text"), {}):
        session = Session("-q", *options, env=env)
        assert session.end() == 0
        assert session.sent.replace(b"\r", b"") == b"# A\n\n*b*[2J\n"


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
        session = Session("-q", *options, env=env)
        assert session.end() == 0
        assert set(re.findall(rb"\x1b\[([\d;]*)m", session.sent)) <= {
            b"0",
            b"1",
            b"2",
            b"3",
            b"4",
            b"9",
            b"1;3",
            b"1;2",
        }


def test_an_unknown_theme_is_an_error() -> None:
    assert llmcli("hi", "-m", "test", "--theme", "neon").code == 2
    result = llmcli("hi", "-m", "test", env={"LLMCLI_THEME": "neon"})
    assert (result.code, "LLMCLI_THEME" in result.stderr) == (3, True)
