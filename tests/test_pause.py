"""Others may write between two texts: `pause` takes the open block away, the next text brings it back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from llmcli.errors import ClosedPipe
from llmcli.messages import TextDelta
from llmcli.render.markdown.renderer import MarkdownRenderer
from llmcli.render.markdown.theme import Look
from llmcli.render.streams import Stdout
from llmcli.result import Result
from tests.terminal import Terminal

_HANG_S = 60


class Screen(Stdout):
    """Standard output on an emulated terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.terminal = Terminal(40, 10)
        self.drawn = threading.Condition()
        self.closed = False

    def steer(self, text: str) -> None:
        with self.drawn:
            self.terminal.write(text)
            self.drawn.notify_all()
        if self.closed:
            raise ClosedPipe("gone")

    def size(self) -> tuple[int, int]:
        return self.terminal.size()

    def wait_for(self, seen: Callable[[list[str]], bool]) -> None:
        with self.drawn:
            assert self.drawn.wait_for(lambda: seen(self.terminal.rows()), _HANG_S), self.terminal.rows()


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def renderer(screen: Screen) -> MarkdownRenderer:
    return MarkdownRenderer(screen, Look(None))


def test_others_write_where_the_open_block_was(screen: Screen, renderer: MarkdownRenderer) -> None:
    renderer.event(TextDelta("# A\n\n- final\n- open\n"))
    screen.wait_for(lambda rows: rows[-1:] == [" • open"])
    renderer.pause()
    assert screen.terminal.rows() == ["A", "━", "", " • final"]
    screen.steer("note: something else\n")
    renderer.event(TextDelta("end"))
    renderer.end(Result("m"))
    assert screen.terminal.rows() == ["A", "━", "", " • final", "note: something else", " • open", "   end"]


def test_what_was_not_drawn_before_a_pause_comes_with_the_end(screen: Screen, renderer: MarkdownRenderer) -> None:
    renderer.event(TextDelta("one\n\ntwo"))
    renderer.pause()
    renderer.pause()
    renderer.end(Result("m"))
    assert screen.terminal.rows() == ["one", "", "two"]


def test_closed_terminal_is_raised_in_the_reading_thread(screen: Screen, renderer: MarkdownRenderer) -> None:
    screen.closed = True
    renderer.event(TextDelta("text"))
    with pytest.raises(ClosedPipe):
        renderer.end(Result("m"))


def test_without_text_nothing_is_written(screen: Screen, renderer: MarkdownRenderer) -> None:
    renderer.pause()
    renderer.end(Result("m"))
    assert screen.terminal.frames == []
