"""A terminal in memory (pyte), with its scrollback, colours, and a resize that wraps anew as real ones do."""

from __future__ import annotations

import pyte
from wcwidth import wcwidth


class _Screen(pyte.HistoryScreen):
    """Does two things as real terminals do and pyte does not.

    A wide character that meets the last column is wrapped. Erasing all below the upper left corner, which is the whole
    screen, keeps it in the scrollback, as tmux does.
    """

    def erase_in_display(self, how: int = 0, *args: object, **more: object) -> None:
        """See `pyte.Screen.erase_in_display`."""
        if how == 0 and self.cursor.x == self.cursor.y == 0:
            filled = [y for y in range(self.lines) if self.display[y].strip()]
            for _ in range(filled[-1] + 1 if filled else 0):
                self.cursor.y = self.lines - 1
                self.index()
            self.cursor.y = 0
        super().erase_in_display(how, *args, **more)

    def draw(self, data: str) -> None:
        if data.isascii():
            super().draw(data)
            return
        for character in data:
            if self.cursor.x == self.columns - 1 and wcwidth(character) == 2 and pyte.modes.DECAWM in self.mode:
                super().draw(" ")
            super().draw(character)


class Terminal:
    """`write` is what the program sends; `rows` is what a person finds, from the first row of the scrollback on."""

    def __init__(self, columns: int, height: int) -> None:
        self.columns, self.height = columns, height
        self.frames: list[str] = []
        self._open()

    def _open(self) -> None:
        self.screen = _Screen(self.columns, self.height, history=1_000_000, ratio=0.5)
        self.screen.set_mode(pyte.modes.LNM)  # a terminal's driver makes \r\n of \n
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str) -> None:
        self.frames.append(text)
        self._stream.feed(text)

    def size(self) -> tuple[int, int]:
        return self.columns, self.height

    @property
    def written(self) -> int:
        return sum(len(frame.encode()) for frame in self.frames)

    def resize(self, columns: int, height: int) -> None:
        """Every row is taken for a line of its own and wrapped at the new width; its colours are not kept."""
        rows, frames = self.rows(), self.frames
        self.columns, self.height = columns, height
        self._open()
        self._stream.feed("".join(f"{row}\n" for row in rows))
        self.frames = frames

    def rows(self, *, whole: bool = False) -> list[str]:
        """The text of every row without the spaces at its end; without empty rows at the end, unless `whole`."""
        found = ["".join(cell.data for cell in line).rstrip() for line in self.cells()]
        while found and not found[-1] and not whole:
            found.pop()
        return found

    def looks(self) -> list[list[tuple[object, ...]]]:
        """Every row that is not empty, with the colours and shapes of its characters."""
        rows: list[list[tuple[object, ...]]] = [
            [(c.data, c.fg, c.bold, c.italics, c.underscore) for c in line] for line in self.cells()
        ]
        return [row for row in rows if any(look[0] != " " for look in row)]

    def cells(self) -> list[list[pyte.screens.Char]]:
        """All rows, cell by cell with colours; a wide character's second cell is empty."""
        lines = [*self.screen.history.top, *(self.screen.buffer[n] for n in range(self.screen.lines))]
        return [[line[n] for n in range(self.columns)] for line in lines]
