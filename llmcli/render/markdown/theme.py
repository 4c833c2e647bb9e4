"""Themes of Markdown: the styles of each theme, and the choice of one. No meaning depends on colour alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Look", "find_look"]

# Names are those of `layout`, and below "code" those of Pygments; values are style definitions of rich.
_SHAPES: Mapping[str, str] = {
    "mark": "dim",
    "heading": "bold",
    "subheading": "bold",
    "strong": "bold",
    "em": "italic",
    "s": "strike",
    "link": "underline",
    "header": "bold",
    "Comment": "italic",
    "Keyword": "bold",
    "Generic.Heading": "bold",
}
# The terminal's own colours, but only those that can be read on black and on white alike.
_ANSI: Mapping[str, str] = {
    **_SHAPES,
    "fence": "dim",
    "heading": "bold magenta",
    "code": "cyan",
    "link": "underline cyan",
    "Comment": "dim italic",
    "Keyword": "magenta",
    "Keyword.Constant": "cyan",
    "Name.Builtin": "cyan",
    "Name.Tag": "magenta",
    "Name.Attribute": "cyan",
    "Name.Decorator": "cyan",
    "Name.Function": "bold",
    "Name.Class": "bold",
    "Literal.String": "green",
    "Literal.Number": "cyan",
    "Generic.Inserted": "green",
    "Generic.Deleted": "red",
    "Generic.Prompt": "dim",
}
# Of the 256 colours, which every terminal of this century has; their contrast to black, or white, is 4.5 to 1 or more.
_DARK: Mapping[str, str] = {
    **_ANSI,
    "mark": "color(245)",
    "fence": "color(240)",
    "heading": "bold color(111)",
    "code": "color(222)",
    "link": "underline color(116)",
    "Comment": "italic color(245)",
    "Keyword": "color(176)",
    "Keyword.Constant": "color(216)",
    "Name.Builtin": "color(116)",
    "Name.Tag": "color(176)",
    "Name.Attribute": "color(222)",
    "Name.Decorator": "color(222)",
    "Name.Function": "color(111)",
    "Name.Class": "color(222)",
    "Literal.String": "color(150)",
    "Literal.Number": "color(216)",
    "Generic.Inserted": "color(150)",
    "Generic.Deleted": "color(210)",
    "Generic.Prompt": "color(245)",
}
_LIGHT: Mapping[str, str] = {
    **_ANSI,
    "mark": "color(242)",
    "fence": "color(249)",
    "heading": "bold color(25)",
    "code": "color(94)",
    "link": "underline color(24)",
    "Comment": "italic color(242)",
    "Keyword": "color(90)",
    "Keyword.Constant": "color(130)",
    "Name.Builtin": "color(24)",
    "Name.Tag": "color(90)",
    "Name.Attribute": "color(94)",
    "Name.Decorator": "color(94)",
    "Name.Function": "color(25)",
    "Name.Class": "color(94)",
    "Literal.String": "color(22)",
    "Literal.Number": "color(130)",
    "Generic.Inserted": "color(22)",
    "Generic.Deleted": "color(124)",
    "Generic.Prompt": "color(242)",
}
_THEMES: Mapping[str, Mapping[str, str]] = {"ansi": _ANSI, "dark": _DARK, "light": _LIGHT, "none": _SHAPES}

_LINKING_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "mintty", "Tabby", "rio", "zed")
_LINKING_TERMS = ("xterm-kitty", "xterm-ghostty", "foot", "foot-extra", "alacritty", "wezterm", "contour")


@dataclass(slots=True)
class Look:
    """How a reply is shown."""

    styles: Mapping[str, str] | None
    """Style definitions by name; None where nothing but characters may be written."""

    hyperlinks: bool = False
    """Whether the terminal shows links that hold their address (OSC 8)."""

    def style(self, name: str) -> str:
        """The style definition of `name`, or of the longest part of it, up to a dot, that has one; else ""."""
        styles = self.styles or {}
        while name and name not in styles:
            name = name.rpartition(".")[0]
        return styles.get(name, "")


def find_look(theme: str, color: bool | None, *, terminal: bool, environ: Mapping[str, str] = os.environ) -> Look:
    """The look for `--theme` and `--color` as they are in force; `terminal` says whether one will show it.

    NO_COLOR and --no-color drop colours and leave bold and italic. Where no terminal reads, only --color styles.
    """
    if not terminal and not color:
        return Look(None)
    hyperlinks = terminal and _knows_hyperlinks(environ)
    if color is False or (color is None and environ.get("NO_COLOR")):
        return Look(_SHAPES, hyperlinks)
    return Look(_THEMES[_background(environ.get("COLORFGBG", "")) if theme == "auto" else theme], hyperlinks)


def _knows_hyperlinks(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is known to show OSC 8 hyperlinks; FORCE_HYPERLINK says so, 0 says that it does not.

    A multiplexer (tmux, screen) drops them where the terminal around it is not known to take them.
    """
    if forced := environ.get("FORCE_HYPERLINK"):
        return forced != "0"
    term = environ.get("TERM", "")
    if environ.get("TMUX") or term.startswith(("tmux", "screen", "dumb")):
        return False
    for variable, first in (("VTE_VERSION", 5000), ("KONSOLE_VERSION", 201200)):
        version = environ.get(variable, "")
        if version.isdecimal() and len(version) < 9:
            return int(version) >= first
    return (
        environ.get("TERM_PROGRAM") in _LINKING_PROGRAMS
        or term in _LINKING_TERMS
        or any(environ.get(name) for name in ("KITTY_WINDOW_ID", "WT_SESSION", "DOMTERM"))
    )


def _background(colorfgbg: str) -> str:
    """The theme for what some terminals say of themselves, as "15;0" or "0;default;15"; ansi where it says nothing."""
    last = colorfgbg.rpartition(";")[2]
    if not last.isdecimal():
        return "ansi"
    return "light" if int(last) in (7, *range(9, 16)) else "dark"
