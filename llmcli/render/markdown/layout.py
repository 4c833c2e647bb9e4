"""Lay out parsed Markdown as rows of a given width. Blocks before and after a block do not change its rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from rich.cells import cell_len, get_character_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from llmcli.render.markdown.code import code_lines
from llmcli.render.markdown.inline import Inline, Styles
from llmcli.render.markdown.table import table_rows
from llmcli.render.markdown.theme import Look
from llmcli.render.streams import harmless

__all__ = ["Layout", "is_blank"]

Row = list[Segment]
_NARROW = 10  # columns; where less would be left, nothing is indented any more
_BULLETS = "•◦▪"
_INDENT = "    "  # of code that was indented instead of fenced
_RULE = 60  # columns of the rules around code, at most


def is_blank(line: str) -> bool:
    """Whether a line of the source, also one inside a quote, parts what stands above it from what stands below."""
    return not line.strip(" \t>")


class Layout:
    """Lays parsed blocks out in one look.

    Whatever comes from the text is made harmless here, after parsing: `&#27;` is an escape character, too.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._console = Console(color_system=None)  # only wraps; it never writes
        self._style = Styles(look)

    def lines(
        self,
        tokens: Sequence[Token],
        source: Sequence[str],
        columns: int,
        *,
        number: int | None = None,
        fold: bool = False,
        goes_on: bool = False,
        unfinished: bool = False,
    ) -> list[str]:
        """The rows of the blocks, painted. A line of code that is too long for a row is one line, unless `fold`.

        `source` are the lines that `tokens` were parsed from; `number` is the first one of an ordered list that the
        blocks begin with, where it is not the list's own. Code at the beginning has no opening rule where it `goes_on`,
        and code at the end no closing rule where it is `unfinished`.
        """
        lines: list[str] = []
        tree = SyntaxTreeNode(tokens)
        blocks = tree.children
        for place, node in enumerate(blocks):
            if place:
                lines.append("")
            first, last = place == 0, place == len(blocks) - 1
            width = max(columns, _NARROW)
            if node.type == "fence":
                rows = self._code(node, width, upper=not (first and goes_on), lower=not (last and unfinished))
            else:
                rows = self._block(node, width, source, number if first else None)
            for row in rows:
                lines += [self._style.painted(part) for part in (_fold(row, columns) if fold else [row])]
        for node in list(tree.walk()):
            node.parent = None  # a tree without cycles is freed at once, and not when the garbage is collected
        return lines

    # ---- blocks

    def _block(self, node: SyntaxTreeNode, width: int, source: Sequence[str], number: int | None = None) -> list[Row]:
        kind = node.type
        if kind == "heading":
            return self._heading(node, width)
        if kind in ("fence", "code_block"):
            return self._code(node, width)
        if kind == "math_block":
            lines = harmless(node.content).expandtabs(4).split("\n")
            return self._as_it_stands([[Segment(line)] for line in lines], node, width)
        if kind == "blockquote":
            bar = Segment("▌ ", self._style("mark")) if self._look.styles is not None else Segment("> ")
            return self._prefixed(bar, bar, width, node.children, source, loose=True)
        if kind in ("bullet_list", "ordered_list"):
            return self._list(node, width, source, number)
        if kind == "hr":
            return [[Segment("─" * width, self._style("mark"))]]
        if kind == "table":
            return self._table(node, width)
        return self._wrapped(Inline(self._style).text(node), width)

    def _heading(self, node: SyntaxTreeNode, width: int) -> list[Row]:
        """The upper two levels are underlined; the others are bold, or keep their hashes where nothing can be bold.

        Addresses of links stand in rows of their own below it.
        """
        inline, level = Inline(self._style, apart=True), int(node.tag[1])
        mark = self._style("mark")
        text = inline.text(node, "heading" if level < 4 else "subheading")
        below = [row for url in inline.addresses for row in self._wrapped(Text.assemble((url, mark)), width)]
        if level > 2:
            if self._look.styles is None:
                text = Text.assemble("#" * level, " ", text)
            return [*self._wrapped(text, width), *below]
        rows = self._wrapped(text, width)
        longest = max(map(Segment.get_line_length, rows))
        return [*rows, [Segment("━─"[level - 1] * max(1, longest), mark)], *below]

    def _code(self, node: SyntaxTreeNode, width: int, *, upper: bool = True, lower: bool = True) -> list[Row]:
        """At the left margin, so that what is copied from the screen is the code; indented code keeps its indentation.

        Fenced code stands between rules, with its language in the upper one; between its fences where the look has no
        rules.
        """
        info, code = harmless(node.info).strip(), harmless(node.content).expandtabs(4)
        if node.type == "code_block":
            rows = [[Segment(_INDENT), *row] if row else [] for row in code_lines(code, "", self._style)]
            return self._as_it_stands(rows, node, width)
        language = re.split(r"[\s{},:]+", info.lstrip("{."))[0] if self._look.styles is not None else ""
        rows = self._as_it_stands(code_lines(code, language, self._style), node, width)
        if self._look.style("fence"):
            style, size = self._style("fence"), min(width, _RULE)
            label = f"── {info} " if info else ""
            above = Text.assemble((label + "─" * max(size - cell_len(label), 1), style))
            below = Text.assemble(("─" * size, style))
        else:
            fence, style = node.markup or "```", self._style("mark")
            above, below = Text.assemble((fence + info, style)), Text.assemble((fence, style))
        return [*(self._wrapped(above, width) if upper else ()), *rows, *(self._wrapped(below, width) if lower else ())]

    def _as_it_stands(self, rows: list[Row], node: SyntaxTreeNode, width: int) -> list[Row]:
        """Rows that are not wrapped at words; inside another block they are cut where the terminal would wrap them."""
        return [part for row in rows for part in _fold(row, width)] if node.level else rows

    def _list(self, node: SyntaxTreeNode, width: int, source: Sequence[str], number: int | None) -> list[Row]:
        """Blank rows stand where they stand in the source; each number is as wide as it is: no item needs the next."""
        if number is None:
            number = int(node.attrs.get("start", 1))
        depth = sum(above.type in ("bullet_list", "ordered_list") for above in _ancestors(node))
        bullet = _BULLETS[depth % len(_BULLETS)]
        rows: list[Row] = []
        for place, item in enumerate(node.children):
            if rows and _parted(item, source):
                rows.append([])
            sign = f" {bullet} " if node.type == "bullet_list" else f" {number + place}{node.markup} "
            first, more = Segment(sign, self._style("mark")), Segment(" " * len(sign))
            rows += self._prefixed(first, more, width, item.children, source, loose=False)
        return rows

    def _prefixed(
        self,
        first: Segment,
        more: Segment,
        width: int,
        nodes: Sequence[SyntaxTreeNode],
        source: Sequence[str],
        *,
        loose: bool,
    ) -> list[Row]:
        """Blocks behind a sign, `first` in the first row and `more` in the others; above them where it is narrow."""
        narrow = width - first.cell_length < _NARROW
        rows: list[Row] = []
        for node in nodes:
            if rows and (loose or _parted(node, source)):
                rows.append([])
            rows += self._block(node, width if narrow else width - first.cell_length, source)
        if narrow:
            return [_behind(first, []), *rows]
        return [_behind(more if place else first, row) for place, row in enumerate(rows or [[]])]

    def _table(self, node: SyntaxTreeNode, width: int) -> list[Row]:
        header, *body = [
            [Inline(self._style).text(cell, "header" if part.type == "thead" else "") for cell in line.children]
            for part in node.children
            for line in part.children
        ]
        cells = node.children[0].children[0].children
        aligns = [str(cell.attrs.get("style", "")).rpartition(":")[2] for cell in cells]
        return table_rows(header, body, aligns, width, self._wrapped, lambda rule: [Segment(rule, self._style("mark"))])

    # ---- rows

    def _wrapped(self, text: Text, width: int) -> list[Row]:
        rows = []
        for line in text.wrap(self._console, width) or [Text()]:
            line.rstrip()
            rows.append([part for part in line.render(self._console, end="") if part.text])
        return rows


def _ancestors(node: SyntaxTreeNode) -> Sequence[SyntaxTreeNode]:
    found = []
    while node.parent and not node.parent.is_root:
        node = node.parent
        found.append(node)
    return found


def _parted(node: SyntaxTreeNode, source: Sequence[str]) -> bool:
    return bool(node.map and node.map[0] and is_blank(source[node.map[0] - 1]))


def _behind(sign: Segment, row: Row) -> Row:
    """A row behind its sign; an empty one gets no spaces at its end."""
    if row:
        return [sign, *row]
    return [Segment(sign.text.rstrip(), sign.style)] if sign.text.strip() else []


def _fold(row: Row, width: int) -> list[Row]:
    """Cut a row where the terminal would wrap it."""
    if Segment.get_line_length(row) <= width:
        return [row]
    rows: list[Row] = [[]]
    free = width
    for part in row:
        begin = 0
        for place, character in enumerate(part.text):
            size = get_character_cell_size(character)
            if size > free:
                rows[-1].append(Segment(part.text[begin:place], part.style))
                rows.append([])
                begin, free = place, width
            free -= size
        rows[-1].append(Segment(part.text[begin:], part.style))
    return rows
