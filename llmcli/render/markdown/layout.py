"""From parsed Markdown to rows of a given width. A block looks the same whatever stands before or after it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from llmcli.render.markdown.code import code_lines
from llmcli.render.markdown.table import table_rows
from llmcli.render.markdown.theme import Look
from llmcli.render.streams import harmless

__all__ = ["Layout", "is_blank"]

Row = list[Segment]
_NARROW = 10  # columns; where less would be left, nothing is indented any more
_BULLETS = "•◦▪"
_BREAK = re.compile(r"<br ?/?> ?")


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
        self._styles: dict[str, Style] = {}

    def lines(
        self, tokens: Sequence[Token], source: Sequence[str], columns: int, *, number: int | None, fold: bool
    ) -> list[str]:
        """The rows of the blocks, painted. A line of code that is too long for a row is one line, unless `fold`.

        `source` are the lines that `tokens` were parsed from; `number` is the first one of an ordered list that the
        blocks begin with, where it is not the list's own.
        """
        rows: list[Row] = []
        for place, node in enumerate(SyntaxTreeNode(tokens).children):
            if place:
                rows.append([])
            rows += self._block(node, max(columns, _NARROW), source, None if place else number)
        if fold:
            rows = [part for row in rows for part in _fold(row, columns)]
        return [self._painted(row) for row in rows]

    # ---- blocks

    def _block(self, node: SyntaxTreeNode, width: int, source: Sequence[str], number: int | None = None) -> list[Row]:
        kind = node.type
        if kind == "heading":
            return self._heading(node, width)
        if kind in ("fence", "code_block"):
            return self._code(node, width)
        if kind == "blockquote":
            bar = Segment("▌ ", self._style("mark")) if self._look.styles is not None else Segment("> ")
            return self._prefixed(bar, bar, width, node.children, source, loose=True)
        if kind in ("bullet_list", "ordered_list"):
            return self._list(node, width, source, number)
        if kind == "hr":
            return [[Segment("─" * width, self._style("mark"))]]
        if kind == "table":
            return self._table(node, width)
        return self._wrapped(self._inline(node), width)

    def _heading(self, node: SyntaxTreeNode, width: int) -> list[Row]:
        """As Markdown itself has it: the upper two levels are underlined, the others begin with their marks."""
        text, level = self._inline(node, "heading"), int(node.tag[1])
        if level > 2:
            return self._wrapped(Text.assemble(("#" * level, self._style("mark")), " ", text), width)
        rows = self._wrapped(text, width)
        longest = max(map(Segment.get_line_length, rows))
        return [*rows, [Segment("━─"[level - 1] * max(1, longest), self._style("mark"))]]

    def _code(self, node: SyntaxTreeNode, width: int) -> list[Row]:
        """Between its fences, at the left margin, so that what is copied from the screen is the code."""
        fence, info = node.markup or "```", harmless(node.info).strip()
        code = harmless(node.content).expandtabs(4)
        language = re.split(r"[\s{},:]+", info.lstrip("{."))[0] if self._look.styles is not None else ""
        mark = self._style("mark")
        rows = code_lines(code, language, self._style)
        if node.level:
            rows = [part for row in rows for part in _fold(row, width)]
        return [*self._wrapped(Text.assemble((fence + info, mark)), width), *rows, [Segment(fence, mark)]]

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
            [self._inline(cell, "header" if part.type == "thead" else "") for cell in line.children]
            for part in node.children
            for line in part.children
        ]
        cells = node.children[0].children[0].children
        aligns = [str(cell.attrs.get("style", "")).rpartition(":")[2] for cell in cells]
        return table_rows(header, body, aligns, width, self._wrapped, lambda rule: [Segment(rule, self._style("mark"))])

    # ---- inside a block

    def _inline(self, node: SyntaxTreeNode, name: str = "") -> Text:
        text = Text()
        for child in node.children:
            self._put(text, child, self._style(name))
        return text

    def _put(self, text: Text, node: SyntaxTreeNode, style: Style) -> None:
        kind = node.type
        if kind == "inline":
            self._put_all(text, node, style)
        elif kind in ("softbreak", "hardbreak"):
            text.append(" " if kind == "softbreak" else "\n")
        elif kind == "code_inline":
            self._put_code(text, node, style)
        elif kind in ("em", "strong", "s"):
            mark = node.markup if self._look.styles is None else ""
            text.append(mark)
            self._put_all(text, node, style + self._style(kind))
            text.append(mark)
        elif kind == "link":
            self._put_link(text, node, style, str(node.attrs.get("href", "")))
        elif kind == "image":
            text.append("image: ", style + self._style("mark"))
            self._put_link(text, node, style, str(node.attrs.get("src", "")))
        else:
            text.append(_BREAK.sub("\n", harmless(node.content)), style)

    def _put_all(self, text: Text, node: SyntaxTreeNode, style: Style) -> None:
        for child in node.children:
            self._put(text, child, style)

    def _put_code(self, text: Text, node: SyntaxTreeNode, style: Style) -> None:
        """With its backticks: no colour is needed to see what is code, and where it ends."""
        content, mark = harmless(node.content), style + self._style("mark")
        space = " " if content[:1] == "`" or content[-1:] == "`" else ""
        text.append(node.markup + space, mark)
        text.append(content, style + self._style("code"))
        text.append(space + node.markup, mark)

    def _put_link(self, text: Text, node: SyntaxTreeNode, style: Style, url: str) -> None:
        """The words, and where they lead if they do not say so: no reader is led astray, and any terminal will do.

        A hyperlink of the terminal's own (OSC 8) would hide the address, and is not shown by every terminal.
        """
        begin = len(text)
        self._put_all(text, node, style + self._style("link"))
        url, words = harmless(url), text.plain[begin:]
        if url and words not in (url, url.removeprefix("mailto:")):
            text.append(f" ({url})" if words else url, style + self._style("mark"))

    # ---- rows

    def _wrapped(self, text: Text, width: int) -> list[Row]:
        rows = []
        for line in text.wrap(self._console, width) or [Text()]:
            line.rstrip()
            rows.append([part for part in line.render(self._console, end="") if part.text])
        return rows

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = Style.parse(self._look.style(name))
        return self._styles[name]

    def _painted(self, row: Row) -> str:
        if self._look.styles is None:
            return "".join(part.text for part in row)
        return "".join(
            part.style.render(part.text, color_system=ColorSystem.EIGHT_BIT) if part.style else part.text
            for part in Segment.simplify(row)
        )


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
