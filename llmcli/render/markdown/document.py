"""Lay out Markdown while it arrives: final lines are returned once, and only the open block is laid out again."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from markdown_it.token import Token

from llmcli.render.markdown.layout import Layout, is_blank
from llmcli.render.markdown.parser import make_parser
from llmcli.render.streams import harmless

__all__ = ["LARGEST", "Document", "whole"]

LARGEST = 64 * 1024  # characters that are laid out at once
# Blocks that are laid out in parts where they are longer, and how many of their first lines each part begins with.
_DIVISIBLE = {"fence": 1, "table_open": 2, "paragraph_open": 0, "blockquote_open": 0, "code_block": 0}
_GIANT = 4  # screens that a block must be long before its middle is left out while it grows


def whole(text: str, layout: Layout, columns: int) -> list[str]:
    """The lines of a whole text at once."""
    document, lines = Document(layout), []
    for begin in range(0, len(text), LARGEST):
        document.feed(text[begin : begin + LARGEST])
        while found := document.final(columns):
            lines += found
    return lines + document.rest(columns)


class Document:
    """Takes text in pieces, and gives lines: those that are final, and rows of what is still open.

    A block is final when the next one begins, an item of an outermost list when its next one does; both are decided on
    whole lines. What that leaves is what one rendering of the whole text gives, with one exception: the definition of a
    link that comes after the paragraph which refers to it comes too late. A block of more than `LARGEST` characters is
    divided between two of its lines, so that time and memory stay in proportion to the text.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._parser = make_parser()
        self._source = ""  # of what is not final
        self._seen = 0  # characters of it in which no end of a block was found
        self.done = 0  # characters, as they are on a terminal, that are final
        self._links: MutableMapping[str, Any] = {}
        self._begun = False
        self._parted = False  # a blank row stands before what comes next
        self._number: int | None = None  # of the item that comes next, in an ordered list that goes on
        self._head = 0  # characters at the beginning that repeat the first lines of a divided block

    def feed(self, text: str) -> None:
        """One more piece of the text."""
        self._source += harmless(text)

    def final(self, columns: int) -> list[str]:
        """Lines that have become final since the last call, of few characters more than `LARGEST`.

        Call it again until it returns none.
        """
        end = self._source.rfind("\n") + 1
        if end == self._seen:
            return []
        largest = self._head + LARGEST
        large = end > largest
        lines = self._source[: self._source.find("\n", largest) + 1 if large else end].split("\n")
        cut, parted, number = self._cut(lines)
        if not cut and large:
            head = self._head_of(lines)
            if head and _size(lines[:-2]) > _size(head):
                return self._divided(lines[:-2], head, columns)
            lines = self._source[:end].split("\n")
            cut, parted, number = self._cut(lines)
        if not cut:
            self._seen = end
            return []
        found = self._laid_out([*lines[:cut], ""], columns, self._links)
        self._take(lines[:cut])
        self._parted, self._number = parted, number
        return found

    def _head_of(self, lines: list[str]) -> list[str] | None:
        """The first lines of the block that all lines are, where it is one that can be divided, and an empty one."""
        block = next(iter(self._blocks(lines)[1]), None)
        if not block or block.type not in _DIVISIBLE or not block.map or block.map[1] < len(lines) - 1:
            return None
        first = block.map[0]
        return [*lines[first : first + _DIVISIBLE[block.type]], ""]

    def _divided(self, lines: list[str], head: list[str], columns: int) -> list[str]:
        """The first part of a block; the next one begins with the same `head`."""
        found = self._laid_out([*lines, ""], columns, self._links, unfinished=True)
        self._take(lines)
        repeated = "\n".join(head)
        self._source = repeated + self._source
        self._head = len(repeated)
        self._parted, self._number = False, None
        return found

    def _take(self, lines: list[str]) -> None:
        """Leave the lines: they are final."""
        size = _size(lines)
        self._source = self._source[size:]
        self._seen = 0
        self.done += size - self._head
        self._head, self._begun = 0, True

    def open(self, columns: int, height: int) -> list[str]:
        """Rows of what is not final yet; of a giant block only its end, which is all that `height` rows can show."""
        links = {"references": dict(self._links.get("references", {}))}
        return self._laid_out(self._end(self._source.split("\n"), height), columns, links, fold=True)

    def rest(self, columns: int) -> list[str]:
        """End the text, and return the remaining rows as final lines."""
        lines = []
        while found := self.final(columns):
            lines += found
        lines += self._laid_out(self._source.split("\n"), columns, self._links)
        self._source = ""
        return lines

    def _laid_out(
        self,
        lines: list[str],
        columns: int,
        links: MutableMapping[str, Any],
        *,
        fold: bool = False,
        unfinished: bool = False,
    ) -> list[str]:
        tokens = self._parser.parse("\n".join(lines), links)
        if not tokens:
            return []
        gap = [""] if self._begun and self._parted else []
        goes_on = self._head > 0
        return gap + self._layout.lines(
            tokens, lines, columns, number=self._number, fold=fold, goes_on=goes_on, unfinished=unfinished
        )

    def _blocks(self, lines: list[str]) -> tuple[list[Token], list[Token]]:
        """All tokens of the blocks' structure, and those that begin an outermost block."""
        tokens: list[Token] = []
        self._parser.block.parse("\n".join(lines), self._parser, {}, tokens)
        return tokens, [token for token in tokens if token.level == 0 and token.nesting >= 0]

    def _cut(self, lines: list[str]) -> tuple[int, bool, int | None]:
        """How many lines are final, whether a blank row follows, and the number of the list item that comes next."""
        tokens, blocks = self._blocks(lines)
        if not blocks:
            return 0, True, None
        last = blocks[-1]
        begins = _first_line(last)
        if not last.type.endswith("_list_open"):
            return (begins if len(blocks) > 1 else 0), True, None
        items = [t for t in tokens if t.type == "list_item_open" and t.level == 1 and _first_line(t) >= begins]
        if len(items) == 1:
            return (begins if len(blocks) > 1 else 0), True, None
        cut = _first_line(items[-1])
        first = self._number if len(blocks) == 1 else None
        number = (int(last.attrs.get("start", 1)) if first is None else first) + len(items) - 1
        return cut, is_blank(lines[cut - 1]), number

    def _end(self, lines: list[str], height: int) -> list[str]:
        """Without the middle of a giant block of code or table: its beginning says what it is, its end is shown."""
        if len(lines) < _GIANT * height:
            return lines
        last = next(reversed(self._blocks(lines)[1]), None)
        begins = {"fence": 1, "table_open": 2}.get(last.type, 0) if last else 0
        if not last or not begins:
            return lines
        first = _first_line(last)
        return lines[first : first + begins] + lines[-2 * height :]


def _size(lines: list[str]) -> int:
    """The characters of lines, with their ends."""
    return sum(map(len, lines)) + len(lines)


def _first_line(token: Token) -> int:
    return token.map[0] if token.map else 0
