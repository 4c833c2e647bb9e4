"""Code with its colours, line by line; the text of the lines is the code's, character for character."""

from __future__ import annotations

from collections.abc import Callable

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from rich.segment import Segment
from rich.style import Style

__all__ = ["code_lines"]

Row = list[Segment]


def code_lines(code: str, language: str, style: Callable[[str], Style | None]) -> list[Row]:
    """The lines of `code`, coloured where Pygments knows the language; `style` finds a style by a token's name."""
    lexer = _lexer(language)
    tokens = [(str(kind)[6:], text) for kind, text in lexer.get_tokens(code)] if lexer else []
    if "".join(text for _, text in tokens) != code:  # some lexers drop what they do not know
        tokens = [("", code)]
    rows: list[Row] = [[]]
    for name, text in tokens:
        first, *others = text.split("\n")
        rows[-1].append(Segment(first, style(name)))
        rows += [[Segment(other, style(name))] for other in others]
    return [[segment for segment in row if segment.text] for row in (rows[:-1] if code.endswith("\n") else rows)]


def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language else None
    except ClassNotFound:
        return None
