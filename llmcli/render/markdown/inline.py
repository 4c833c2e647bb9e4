"""Lay out text inside a block: emphasis, code, links and mathematics."""

from __future__ import annotations

import re
import zlib
from urllib.parse import urlsplit

from markdown_it.tree import SyntaxTreeNode
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from llmcli.render.markdown.theme import Look
from llmcli.render.streams import harmless

__all__ = ["Inline", "Styles"]

_BREAK = re.compile(r"<br ?/?> ?")
_LINKED = re.compile(r"(?:https?://|mailto:)[!-~]{1,2000}")  # what may go into an escape sequence
_ADDRESS = re.compile(r"\S*[\w-](?:\.|://|@)\w\S*")  # words that a reader takes for an address
_LONGEST_DATA = 40  # characters shown of a `data:` address: the rest is the file itself


class Styles:
    """The styles of a look by their names, and rows painted with them."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self._named: dict[str, Style] = {}
        self._bare: dict[Style, Style] = {}

    def __call__(self, name: str) -> Style:
        """The style of that name; an empty one where the look has none."""
        if name not in self._named:
            self._named[name] = Style.parse(self.look.style(name))
        return self._named[name]

    def painted(self, row: list[Segment]) -> str:
        """The row as the terminal gets it."""
        if self.look.styles is None:
            return "".join(part.text for part in row)
        return "".join(self._part(part.text, part.style) if part.style else part.text for part in Segment.simplify(row))

    def _part(self, text: str, style: Style) -> str:
        if not style.link:
            return style.render(text, color_system=ColorSystem.EIGHT_BIT)
        if style not in self._bare:
            self._bare[style] = style.update_link()
        shown = self._bare[style].render(text, color_system=ColorSystem.EIGHT_BIT)
        # The same id in every row tells the terminal that the parts of a wrapped link belong together.
        return f"\x1b]8;id={zlib.crc32(style.link.encode()):x};{style.link}\x1b\\{shown}\x1b]8;;\x1b\\"


class Inline:
    """The text of one block. Each address is written once, behind the first words that lead there.

    With `apart` addresses are not written into the text; they are collected in `addresses`.
    """

    def __init__(self, styles: Styles, *, apart: bool = False) -> None:
        self._style = styles
        self._apart = apart
        self._marked = styles.look.styles is None
        self._code_marked = not styles.look.style("code")
        self.addresses: list[str] = []

    def text(self, node: SyntaxTreeNode, name: str = "") -> Text:
        """The content of a node, in the style of that name."""
        text = Text()
        for child in node.children:
            self._put(text, child, self._style(name))
        return text

    def _put(self, text: Text, node: SyntaxTreeNode, style: Style) -> None:
        kind = node.type
        if kind == "inline":
            self._put_all(text, node, style)
        elif kind == "softbreak":
            text.append("\n" + node.content.expandtabs(4))
        elif kind == "hardbreak":
            text.append("\n")
        elif kind == "code_inline":
            self._put_code(text, node, style)
        elif kind in ("em", "strong", "s"):
            mark = node.markup if self._marked else ""
            text.append(mark)
            self._put_all(text, node, style + self._style(kind))
            text.append(mark)
        elif kind == "link":
            self._put_link(text, node, style, str(node.attrs.get("href", "")))
        elif kind == "image":
            text.append("image: ", style + self._style("mark"))
            self._put_link(text, node, style, str(node.attrs.get("src", "")))
        elif kind == "math_inline":
            text.append(harmless(node.content), style)
        else:
            text.append(_BREAK.sub("\n", harmless(node.content)), style)

    def _put_all(self, text: Text, node: SyntaxTreeNode, style: Style) -> None:
        for child in node.children:
            self._put(text, child, style)

    def _put_code(self, text: Text, node: SyntaxTreeNode, style: Style) -> None:
        """By its colour; between its backticks where the look has no colour for code."""
        content = harmless(node.content)
        if not self._code_marked:
            text.append(content, style + self._style("code"))
            return
        mark = style + self._style("mark")
        space = " " if content[:1] == "`" or content[-1:] == "`" else ""
        text.append(node.markup + space, mark)
        text.append(content, style + self._style("code"))
        text.append(space + node.markup, mark)

    def _put_link(self, text: Text, node: SyntaxTreeNode, style: Style, url: str) -> None:
        """The words, and where they lead if they do not say so.

        A hyperlink of the terminal's own (OSC 8) holds the address where the terminal knows them, except when the words
        look like another address.
        """
        url = harmless(url)
        if url.startswith("data:") and len(url) > _LONGEST_DATA:
            url = url[:_LONGEST_DATA] + "…"
        linked = self._style.look.hyperlinks and bool(_LINKED.fullmatch(url))
        begin = len(text)
        words_style = style + self._style("link")
        self._put_all(text, node, words_style + Style(link=url) if linked else words_style)
        words = text.plain[begin:]
        if not url or words in (url, url.removeprefix("mailto:")):
            return
        if not words:
            text.append(url, style + self._style("mark"))
        elif (not linked or _misleading(words, url)) and url not in self.addresses:
            self.addresses.append(url)
            if not self._apart:
                text.append(f" ({url})", style + self._style("mark"))


def _misleading(words: str, url: str) -> bool:
    """Whether the words look like an address on another host."""
    parts = urlsplit(url)
    return bool(_ADDRESS.fullmatch(words.strip())) and not (parts.hostname and parts.hostname in words)
