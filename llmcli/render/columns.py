"""Lay out text tables in aligned columns that fit the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from llmcli.render.region import cells
from llmcli.render.streams import harmless
from llmcli.render.words import elided

__all__ = ["table"]

_GAP = 2  # columns between two cells
_LEAST = 8  # columns that a shortened column keeps


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: int = 0,
    *,
    columns: int | None = None,
    whole: Collection[int] = (),
) -> str:
    """A line for the head and one for each row; every cell on one line, without control characters.

    The last `numbers` columns are aligned to the right. Where `columns`, the width of the terminal, is given and the
    table is wider, text columns are shortened with an ellipsis, the widest first; never numbers, columns that hold an
    address, and those whose positions are in `whole`.
    """
    lines = [[" ".join(harmless(cell).split()) for cell in line] for line in (head, *rows)]
    text = len(head) - numbers
    widths = [max(cells(line[column]) for line in lines) for column in range(len(head))]
    kept = [column >= text or column in whole or _addresses(lines, column) for column in range(len(head))]
    if columns is not None:
        _shrink(widths, kept, columns - _GAP * (len(head) - 1))
    return "".join(f"{_line(line, widths, text)}\n" for line in lines)


def _addresses(lines: Sequence[Sequence[str]], column: int) -> bool:
    return any("://" in line[column] for line in lines)


def _shrink(widths: list[int], kept: Sequence[bool], room: int) -> None:
    """Make the columns that are not kept narrower, until all fit or none can be narrower."""
    excess = sum(widths) - room
    while excess > 0:
        widest = max((width for width, keep in zip(widths, kept, strict=True) if not keep), default=0)
        if widest <= _LEAST:
            return
        widths[next(n for n, width in enumerate(widths) if width == widest and not kept[n])] -= 1
        excess -= 1


def _line(line: Sequence[str], widths: Sequence[int], text: int) -> str:
    parts = []
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        shown = elided(cell, width)
        blank = " " * (width - cells(shown))
        parts.append(shown + blank if column < text else blank + shown)
    return (" " * _GAP).join(parts).rstrip()
