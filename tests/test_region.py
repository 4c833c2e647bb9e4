"""The rows that still change, on an emulated terminal: drawn, cleared, left, resized; no trace and no loss above."""

from __future__ import annotations

import random

import pytest

from llmcli.render.region import Region, cells
from tests.terminal import Terminal


def region(terminal: Terminal) -> Region:
    return Region(terminal.write, terminal.size)


@pytest.mark.parametrize("height", [2, 6, 14])
def test_only_what_changes_is_drawn_again(height: int) -> None:
    terminal = Terminal(20, height)
    live = region(terminal)
    live.draw(["one", "two"][: height - 1])
    live.draw(["one", "2"][: height - 1])
    assert terminal.rows() == ["one", "2"][: height - 1]
    written = terminal.written
    live.draw(["one", "2"][: height - 1])
    assert terminal.written == written, "an equal frame costs nothing"


def test_a_change_in_the_last_row_rewrites_that_row_alone() -> None:
    terminal = Terminal(20, 10)
    live = region(terminal)
    live.draw(["first", "second"])
    terminal.frames.clear()
    live.draw(["first", "second!"])
    assert "first" not in terminal.frames[-1]
    assert len(terminal.frames) == 1


def test_rows_that_do_not_fit_show_their_end_and_leave_nothing_in_the_scrollback() -> None:
    terminal = Terminal(20, 6)
    live = region(terminal)
    for count in range(1, 40):
        live.draw([f"row {n}" for n in range(count)])
        assert terminal.rows() == [f"row {n}" for n in range(count)][-5:]
    live.draw([], [f"row {n}" for n in range(40)])
    assert terminal.rows() == [f"row {n}" for n in range(40)]


def test_what_is_above_stays_and_what_was_live_is_not_written_twice() -> None:
    terminal = Terminal(20, 6)
    live = region(terminal)
    live.draw(["a", "b", "c"])
    terminal.frames.clear()
    live.draw(["c", "d"], above=["a", "b"])
    assert terminal.rows() == ["a", "b", "c", "d"]
    assert "".join(terminal.frames).count("a") == 0


def test_clear_leaves_no_trace_and_leave_keeps_all() -> None:
    terminal = Terminal(20, 6)
    live = region(terminal)
    terminal.write("before\n")
    live.draw(["x"] * 9)
    live.clear()
    assert terminal.rows() == ["before"]
    live.draw(["kept"])
    live.leave()
    live.draw(["below"])
    live.clear()
    terminal.write("others\n")
    assert terminal.rows() == ["before", "kept", "others"]


def test_a_long_line_above_is_wrapped_by_the_terminal_not_by_us() -> None:
    terminal = Terminal(10, 6)
    live = region(terminal)
    live.draw(["0123456789", "abc"])
    live.draw(["live"], above=["0123456789abc"])
    assert terminal.rows() == ["0123456789", "abc", "live"]
    assert "0123456789abc\n" in terminal.frames[-1]


def test_a_row_that_the_terminal_takes_for_wider_is_cut() -> None:
    terminal = Terminal(10, 6)
    live = region(terminal)
    live.draw(["0123456789abcdef", "second"])
    live.draw(["changed", "second"])
    assert terminal.rows() == ["changed", "second"]


@pytest.mark.parametrize(("columns", "height"), [(8, 12), (5, 12), (40, 12), (20, 4), (20, 30), (3, 20)])
def test_a_resize_leaves_no_trace_on_a_terminal_that_wraps_anew(columns: int, height: int) -> None:
    terminal = Terminal(20, 12)
    live = region(terminal)
    terminal.write("above\n")
    live.draw(["exactly twenty cells", "表示 wide", "\x1b[1mshort\x1b[0m"])
    terminal.resize(columns, height)
    live.draw(["new", "ok"])
    assert "".join(terminal.rows()) == "abovenewok"


def test_many_random_frames() -> None:
    chance = random.Random(7)
    for _ in range(200):
        terminal = Terminal(chance.randint(4, 20), chance.randint(2, 9))
        live = region(terminal)
        done: list[str] = []
        rows: list[str] = []
        for _ in range(12):
            rows = [chance.choice(["a", "bb", "", "表", "x" * terminal.columns]) for _ in range(chance.randint(0, 12))]
            above = [chance.choice(["done", "", "表" * (terminal.columns // 2)]) for _ in range(chance.randint(0, 4))]
            live.draw(rows, above)
            done += above
        shown, room = list[str](), terminal.height - 1
        for row in reversed(rows):
            room -= (
                2 if cells(row) > terminal.columns // 2 else 1
            )  # all of it fits if the terminal is made half as wide
            if room < 0 and shown:
                break
            shown.insert(0, row)
        assert terminal.rows(whole=True)[: len(done + shown)] == done + shown
        live.clear()
        assert terminal.rows() == "\n".join(done).rstrip("\n").split("\n") or not any(done)


def test_cells_of_a_row() -> None:
    assert cells("\x1b[1;31mabc\x1b[0m") == 3
    assert cells("表示é e\u0301\u200d") == 7
