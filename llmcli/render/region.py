"""The live region: rows at the bottom of a terminal that are redrawn; rows above them never change."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

__all__ = ["Region", "cells", "folded"]

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[!-~]*\x1b\\")  # colours, moves and hyperlinks
# The row of the cursor first, then all below it: erasing below the upper left corner is, to tmux, clearing the screen,
# and it keeps in the scrollback what it clears.
_ERASE_BELOW = "\x1b[K\x1b[1B\x1b[J\x1b[1A"
# A row that the terminal takes to be wider than we do is cut, not wrapped: else all later moves were a row too short.
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


class Region:
    """Rows that are drawn again and again; the cursor waits on the line below them.

    `write` takes one frame, escape sequences and all; `size` tells (columns, rows) of the terminal now. Between two
    calls no other code may write to the terminal, unless `clear` or `leave` came before. Not safe for two threads.
    """

    def __init__(self, write: Callable[[str], None], size: Callable[[], tuple[int, int]]) -> None:
        self._write = write
        self._size = size
        self._drawn: list[str] = []
        self._columns = 0
        self._complete = True  # no row is left out above the drawn ones
        self._gone: list[str] = []  # first rows that a smaller terminal moved into its scrollback

    def draw(self, rows: Sequence[str], above: Sequence[str] = ()) -> None:
        """Show `rows` in the place of the ones before, and put `above` above them for good; one write, or none.

        A row is a line's text with its colors, ended by nothing, at most as wide as the terminal. Of rows that do not
        fit on the screen, or would not if it were half as wide, only the last are shown. Lines of `above` may be
        longer: the terminal wraps them, so that they are copied as one line.
        """
        columns, height = self._size()
        above, rows = self._not_gone(above, rows, columns, height)
        shown = _fitting(rows, columns, max(1, height - 1))
        self._complete = len(shown) == len(rows)
        wanted = [*above, *shown]
        kept, stale = 0, self._height(columns)
        if columns == self._columns:
            kept = self._kept(wanted, len(above))
            stale = len(self._drawn) - kept
        for_good = wanted[kept : len(above)]
        live = wanted[max(kept, len(above)) :]
        # The terminal may have echoed a key, as ^C, where the cursor waits.
        frame = f"\r\x1b[{stale}A{_ERASE_BELOW}" if stale else "\r\x1b[K" if for_good or live else ""
        frame += "".join(f"{line}\n" for line in for_good)
        if live:
            frame += _NO_WRAP + "".join(f"{row}\n" for row in live) + _WRAP
        self._drawn, self._columns = shown, columns
        if frame:
            self._write(frame)

    def _not_gone(
        self, above: Sequence[str], rows: Sequence[str], columns: int, height: int
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Without the first rows, where these are out of reach in the scrollback since the terminal became smaller."""
        lost = len(self._drawn) - max(1, height - 1)
        if lost > 0 and columns == self._columns and self._complete:
            self._gone += self._drawn[:lost]
            self._drawn = self._drawn[lost:]
        count = len(self._gone)
        if not count:
            return above, rows
        final = min(count, len(above))
        if [*above[:final], *rows[: count - final]] != self._gone:
            self._gone.clear()
            return above, rows
        del self._gone[:final]
        return above[final:], rows[count - final :]

    def clear(self) -> None:
        """Take the rows off the screen."""
        self.draw(())

    def leave(self) -> None:
        """Keep what is drawn, and go on below it."""
        self._drawn, self._gone = [], []

    def _kept(self, wanted: Sequence[str], for_good: int) -> int:
        """How many rows from the first on stand on the screen as they shall; the first ones will stay for good."""
        for number, row in enumerate(wanted):
            if self._drawn[number : number + 1] != [row] or (number < for_good and _doubtful(row)):
                return number
        return len(wanted)

    def _height(self, columns: int) -> int:
        """The rows that the drawn ones take up now: a terminal that was made narrower has wrapped them."""
        if columns >= self._columns:
            return len(self._drawn)
        return sum(_wrapped(row, self._columns, columns) for row in self._drawn)


def _fitting(rows: Sequence[str], columns: int, most: int) -> list[str]:
    """The last rows that fit on the screen, and would still do so if the terminal were made half as wide."""
    shown, filled = list(rows[-most:]), 0
    for count, row in enumerate(reversed(shown), 1):
        filled += 2 if len(row) > columns // 2 and cells(row) > columns // 2 else 1
        if filled > most and count > 1:
            return shown[len(shown) - count + 1 :]
    return shown


def _wrapped(row: str, drawn_at: int, columns: int) -> int:
    """The rows that a row drawn at one width takes up at a smaller one; a wide character is never cut in two."""
    rows, filled, total = 1, 0, 0
    for character in _ESCAPE.sub("", row):
        width = _width(character)
        total += width
        if total > drawn_at:
            break
        if filled + width > columns:
            rows, filled = rows + 1, 0
        filled += width
    return rows


def _doubtful(row: str) -> bool:
    """Whether terminals disagree on the width, so that a row may have been cut: it is written again when it stays."""
    return not row.isascii() and any(
        character >= "\U0001f000" or unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") for character in row
    )


def cells(row: str) -> int:
    """The columns that a row with its escape sequences takes up, as nearly as can be known without the terminal."""
    return sum(map(_width, _ESCAPE.sub("", row)))


def _width(character: str) -> int:
    if character < "\u0300":
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def folded(line: str, columns: int) -> list[str]:
    """A line without escape sequences, cut into rows where the terminal would wrap it."""
    rows, begin, filled = [], 0, 0
    for place, character in enumerate(line):
        width = _width(character)
        if filled + width > columns:
            rows.append(line[begin:place])
            begin, filled = place, 0
        filled += width
    return [*rows, line[begin:]]
