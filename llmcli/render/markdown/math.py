"""Markdown rules that keep mathematics as written: `$..$`, `$$..$$`, `\\(..\\)`, `\\[..\\]` and LaTeX environments."""

from __future__ import annotations

import re

from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_inline import StateInline

__all__ = ["math_block", "math_inline", "table_with_math"]

_LONGEST = 2000  # characters of a formula inside a line: the search for its end stays linear
# Between dollars as in Pandoc: no blank inside the dollars, no letter or digit outside them, so that prices are none.
_DOLLARS = re.compile(r"\$(?![\s$])(?:\\.|[^\\$`])*+(?<!\s)\$(?![\w$])", re.DOTALL)
_PAIRS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_ESCAPED_TEXT = re.compile(r"\s*x?\s*", re.IGNORECASE)  # what `\[..\]` holds in a task list that was escaped
_BLOCK = re.compile(r"(\$\$)(?!\$)|(\\\[)|\\begin\{(\w+\*?)\}")
_AFTER = re.compile(r"\s*[.,;:]?\s*")  # what may follow a formula that stands on a line of its own
_MARKS = re.compile(r"[-:|][-:|\s]*")  # the line below the head of a table
_HIDDEN_BAR = "\ufdd0"  # a noncharacter of Unicode in the place of a `|` that ends no cell


def math_inline(state: StateInline, silent: bool) -> bool:
    """Rule for a formula inside a line: a token `math_inline` with all of its characters."""
    end = _end(state.src, state.pos)
    if not end:
        return False
    if not silent:
        state.push("math_inline", "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _end(text: str, begin: int) -> int:
    """Where the formula that begins there ends; 0 where none begins."""
    if text[begin] not in "$\\":
        return 0
    opening = text[begin : begin + 2]
    if opening in _PAIRS:
        closing = text.find(_PAIRS[opening], begin + 2, begin + _LONGEST)
        if closing < 0 or (opening == "\\[" and _is_escape(text, begin, closing)):
            return 0
        return closing + 2
    if begin and (text[begin - 1].isalnum() or text[begin - 1] == "$"):
        return 0
    found = _DOLLARS.match(text, begin)
    return found.end() if found else 0


def _is_escape(text: str, begin: int, closing: int) -> bool:
    """Whether the brackets are text that was escaped so that it is no link and no task."""
    return text[closing + 2 : closing + 3] in ("(", ":") or bool(_ESCAPED_TEXT.fullmatch(text, begin + 2, closing))


def math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Rule for a formula that begins a line: a token `math_block` up to its end mark, or else to a blank line.

    That is decided line by line, so that text which arrives in pieces needs no line that is still to come.
    """
    if state.is_code_block(start):
        return False
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    if first[:1] not in ("$", "\\") or not (opening := _BLOCK.match(first)):
        return False
    closing = "$$" if opening[1] else "\\]" if opening[2] else f"\\end{{{opening[3]}}}"
    place = first.find(closing, opening.end())
    if place >= 0 and not _AFTER.fullmatch(first, place + len(closing)):
        return False  # a sentence that begins with a formula
    if place < 0 and opening[2] and "]" in first:
        return False
    if place >= 0 and opening[2] and _is_escape(first, 0, place):
        return False
    if silent:
        return True
    line = start + 1
    while place < 0 and line < end and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        place = state.src.find(closing, state.bMarks[line] + state.tShift[line], state.eMarks[line])
        line += 1
    token = state.push("math_block", "", 0)
    token.content = state.getLines(start, line, state.blkIndent, False)
    token.map = [start, line]
    state.line = line
    return True


def table_with_math(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The library's rule for tables, except that a `|` inside a formula does not end a cell."""
    if start + 2 > end:
        return False
    marks = state.src[state.bMarks[start + 1] + state.tShift[start + 1] : state.eMarks[start + 1]]
    if not _MARKS.fullmatch(marks):
        return False
    if not _with_bars_hidden(state, start, start + 1, end, silent=True):
        return False
    last = start + 1
    while not silent and last + 1 < end and not state.isEmpty(last + 1):
        last += 1
    return silent or _with_bars_hidden(state, start, last, end, silent=False)


def _with_bars_hidden(state: StateBlock, start: int, last: int, end: int, *, silent: bool) -> bool:
    """What the library's rule says where the lines up to the `last` one have no bar inside a formula."""
    source = state.src
    begin, stop = state.bMarks[start], state.eMarks[last]
    rows = source[begin:stop]
    if "$" not in rows and "\\(" not in rows:
        return table(state, start, end, silent)
    known = len(state.tokens)
    state.src = source[:begin] + "\n".join(map(_bars_hidden, rows.split("\n"))) + source[stop:]
    try:
        return table(state, start, end, silent)
    finally:
        state.src = source
        for token in state.tokens[known:]:
            token.content = token.content.replace(_HIDDEN_BAR, "|")


def _bars_hidden(line: str) -> str:
    """A row of a table, as long as it was, without the bars that stand inside a formula."""
    parts, done, at = [], 0, 0
    while (at := _next(line, at)) >= 0:
        end = _end(line, at)
        inside = line[at + 1 : end - 1]
        if end and not (inside.count("|") == 1 and "|" in (inside[:1], inside[-1:])):  # "|$5|$|": two cells
            parts += [line[done:at], line[at:end].replace("|", _HIDDEN_BAR)]
            done = at = end
        else:
            at += 2 if line[at] == "\\" else 1
    return "".join((*parts, line[done:]))


def _next(line: str, at: int) -> int:
    found = [place for place in (line.find("$", at), line.find("\\", at)) if place >= 0]
    return min(found, default=-1)
