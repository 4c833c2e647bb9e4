"""Lines of text wrapped between words at the columns of a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from llmcli.render.region import cells

__all__ = ["elided", "hanging", "wrapped"]


def wrapped(line: str, columns: int, *, cut: bool = True) -> list[str]:
    """The rows of a line; a word that is wider than a row is cut into pieces, unless `cut` is false."""
    rows, row, width = [], "", 0
    for word in line.split(" "):
        for piece in _pieces(word, columns) if cut else (word,):
            size = cells(piece)
            if row and width + 1 + size > columns:
                rows.append(row)
                row, width = piece, size
            else:
                row, width = (f"{row} {piece}", width + 1 + size) if row else (piece, size)
    return [*rows, row]


def hanging(label: str, text: str, columns: int) -> str:
    """A label and a text whose further rows begin below the text's first one."""
    room = columns - len(label)
    if room < 10:
        return label + text
    rows = [row for line in text.split("\n") for row in wrapped(line, room, cut=False)]
    return label + ("\n" + " " * len(label)).join(rows)


def elided(text: str, columns: int) -> str:
    """The beginning of a text, with an ellipsis where it does not fit."""
    if cells(text) <= columns:
        return text
    end, filled = 0, 1
    while end < len(text) and filled + cells(text[end]) <= columns:
        filled += cells(text[end])
        end += 1
    return text[:end] + "…" if columns > 0 else ""


def _pieces(word: str, columns: int) -> Iterator[str]:
    """A word that is wider than a row, in pieces that are not: no wide character takes more than two columns."""
    half = columns if word.isascii() else columns // 2
    return (word[start : start + half] for start in range(0, len(word) or 1, half))
