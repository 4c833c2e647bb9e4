"""Highlight code line by line, without changing a character of its text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from pygments.lexer import DelegatingLexer, Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from rich.segment import Segment
from rich.style import Style

__all__ = ["code_lines", "code_tokens"]

Row = list[Segment]
# Many lexers take the square of the time, or worse, for text made for it; for ordinary code 2 to 5 µs a character.
_BEGIN_S, _CHARACTER_S = 0.1, 20e-6  # CPU time that colours may take
_LONGEST = 2000  # characters in a line, or of blanks
_DELEGATED = 5000  # characters for a lexer that asks two others, and gives nothing before they are through
_COLORED = 256 * 1024  # characters that are coloured, at most: tokens take much more memory than text
_ENDLESS = ("Typographic Number Theory",)  # never comes to an end of what it does not know


def code_lines(code: str, language: str, style: Callable[[str], Style | None]) -> list[Row]:
    """The lines of `code`, coloured where Pygments knows the language; `style` finds a style by a token's name."""
    rows: list[Row] = [[]]
    for name, text in code_tokens(code, language):
        first, *others = text.split("\n")
        rows[-1].append(Segment(first, style(name)))
        rows += [[Segment(other, style(name))] for other in others]
    return [[segment for segment in row if segment.text] for row in (rows[:-1] if code.endswith("\n") else rows)]


def code_tokens(code: str, language: str) -> list[tuple[str, str]]:
    """Names and texts; one of no name where Pygments does not know the language, loses text, or would take too long."""
    plain = [("", code)]
    lexer = _lexer(language)
    if lexer is None or len(code) > _COLORED or _is_dear(lexer, code):
        return plain
    found, seen, begun = [], 0, time.thread_time()
    for kind, text in lexer.get_tokens(code):
        found.append((str(kind)[6:], text))
        seen += len(text)
        if seen > len(code) or time.thread_time() - begun > _BEGIN_S + seen * _CHARACTER_S:
            return plain
    return found if "".join(text for _, text in found) == code else plain


def _is_dear(lexer: Lexer, code: str) -> bool:
    """Whether a single step of the lexer could take too long: time is taken only between two of them."""
    if lexer.name in _ENDLESS or (isinstance(lexer, DelegatingLexer) and len(code) > _DELEGATED):
        return True
    return any(len(run) > _LONGEST for run in (*code.split("\n"), *re.findall(r"\s+", code)))


def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language else None
    except ClassNotFound:
        return None
