"""Parse Markdown in linear time: text that is nested too deep, or has too many brackets, stays plain text."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, blockquote, list_block
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from llmcli.render.markdown.math import math_block, math_inline, table_with_math

__all__ = ["make_parser"]

_DEEPEST = 40  # blocks, or emphasis, links and images, in one another: a list takes two, 80 columns hold 20 lists
_DEEPEST_QUOTE = 12  # each looks through all lines for its end: 5 µs, as much as half a line of text takes
# For each `[` in a paragraph the library looks ahead for its end, as deep as may be: 50 to 100 µs, a word takes 2.
_MOST_BRACKETS = 1000
_INTERRUPTS = ["paragraph", "reference", "blockquote", "list"]  # blocks that end where a block of mathematics begins


def make_parser() -> MarkdownIt:
    """CommonMark with tables, strikethrough and mathematics; the time it takes is in proportion to the text.

    HTML stays text: a terminal cannot show it, and leaving it out would lose words.
    """
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST}).enable(["table", "strikethrough"])
    # What is too deep for the library's own limit is left out by it, with all that follows.
    parser.block.ruler.at("blockquote", _blockquote, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.block.ruler.at("list", _list, {"alt": ["paragraph", "reference", "blockquote"]})
    parser.block.ruler.before("fence", "math_block", math_block, {"alt": _INTERRUPTS})
    parser.block.ruler.at("table", table_with_math, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.at("newline", _newline)
    parser.inline.ruler.before("escape", "math_inline", math_inline)
    parser.core.ruler.at("inline", _inline)
    return parser


def _blockquote(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < _DEEPEST_QUOTE and blockquote(state, start, end, silent)


def _list(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level + 2 < _DEEPEST and list_block(state, start, end, silent)


def _newline(state: StateInline, silent: bool) -> bool:
    """In the place of the library's rule: a line break, whose content is the indentation of the line that follows."""
    if state.src[state.pos] != "\n":
        return False
    begin = end = state.pos + 1
    while end < state.posMax and state.src[end] in " \t":
        end += 1
    if not silent:
        state.pending = state.pending.rstrip(" ")
        state.push("softbreak", "br", 0).content = state.src[begin:end]
    state.pos = end
    return True


def _inline(state: StateCore) -> None:
    """In the place of the library's rule of that name."""
    for token in state.tokens:
        if token.type == "inline":
            found: list[Token] = []
            if within := token.content.count("[") <= _MOST_BRACKETS:
                state.md.inline.parse(token.content, state.md, state.env, found)
            as_it_stands = Token("text", "", 0, content=token.content)
            token.children = found if within and _depth(found) <= _DEEPEST else [as_it_stands]


def _depth(tokens: Sequence[Token]) -> int:
    """How many elements stand in one another, at most."""
    depth = deepest = 0
    for token in tokens:
        depth += token.nesting
        deepest = max(deepest, depth + (1 + _depth(token.children) if token.children else 0))
    return deepest
