"""Lay out a Markdown table as rows of text; on a screen that is too narrow, as one record after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text

__all__ = ["table_rows"]

Row = list[Segment]
_GAP = 2  # columns between two cells
_LEAST = 6  # columns that a cell needs to be wrapped and still be read


def table_rows(
    header: Sequence[Text],
    body: Sequence[Sequence[Text]],
    aligns: Sequence[str],
    width: int,
    wrap: Callable[[Text, int], list[Row]],
    mark: Callable[[str], Row],
) -> list[Row]:
    """The table at `width` columns: `aligns` holds left, right or center, `mark` makes a row of a rule."""
    widths = _widths([header, *body], width - _GAP * (len(header) - 1))
    if widths is None:
        return _records(header, body, width, wrap, mark)
    rows = _line(header, widths, aligns, wrap)
    rows.append(mark((" " * _GAP).join("─" * one for one in widths)))
    for cells in body:
        rows += _line(cells, widths, aligns, wrap)
    return rows


def _widths(table: Sequence[Sequence[Text]], room: int) -> list[int] | None:
    """The width of each column; what is too wide shares what the narrow ones leave. None: there is no room."""
    natural = [max(1, *(_natural(cell) for cell in column)) for column in zip(*table, strict=True)]
    left, widths = room, [0] * len(natural)
    by_width = sorted(range(len(natural)), key=lambda number: natural[number])
    for place, number in enumerate(by_width):
        widths[number] = min(natural[number], left // (len(natural) - place))
        left -= widths[number]
    if any(one < min(_LEAST, full) for one, full in zip(widths, natural, strict=True)):
        return None
    return widths


def _natural(cell: Text) -> int:
    return max(cell_len(line) for line in cell.plain.split("\n"))


def _line(
    cells: Sequence[Text], widths: Sequence[int], aligns: Sequence[str], wrap: Callable[[Text, int], list[Row]]
) -> list[Row]:
    wrapped = [wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    rows = []
    for number in range(max(map(len, wrapped))):
        row: Row = []
        owed = 0  # spaces are only written when something follows them
        for column, width, align in zip(wrapped, widths, aligns, strict=True):
            content = column[number] if number < len(column) else []
            free = width - Segment.get_line_length(content)
            before = {"right": free, "center": free // 2}.get(align, 0)
            if content:
                row += [Segment(" " * (owed + before)), *content]
                owed, free = 0, free - before
            owed += _GAP + free
        rows.append([segment for segment in row if segment.text])
    return rows


def _records(
    header: Sequence[Text],
    body: Sequence[Sequence[Text]],
    width: int,
    wrap: Callable[[Text, int], list[Row]],
    mark: Callable[[str], Row],
) -> list[Row]:
    rows: list[Row] = []
    for number, cells in enumerate(body or [header]):
        if number:
            rows.append(mark("─" * width))
        for name, cell in zip(header, cells, strict=True):
            if cell.plain:
                rows += wrap(Text.assemble(name, ": ", cell) if body else cell, width)
    return rows or [[]]
