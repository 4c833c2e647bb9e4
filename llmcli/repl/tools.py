"""The /tools command of a session: the tools that are offered, their cost in tokens, and switching them on and off."""

from __future__ import annotations

from collections.abc import Iterable

from llmcli.errors import UserError
from llmcli.render.columns import table
from llmcli.repl.session import Session
from llmcli.toolbox import Toolbox, token_estimate
from llmcli.tools.naming import is_selected
from llmcli.tools.text import one_line

__all__ = ["tool_words", "use_tools"]


def use_tools(session: Session, argument: str) -> None:
    """List the tools, or switch those that match a glob `on` or `off`. Raises UserError."""
    toolbox = _toolbox(session)
    word, _, globs = argument.partition(" ")
    if word:
        _switch(toolbox, word, globs.split())
    rows = [
        (
            tool.title,
            "off" if tool.title in toolbox.off else "on",
            "allowed" if toolbox.approve.allows(tool) else "asks",
            one_line(tool.description, 50),
        )
        for tool in toolbox.all()
    ]
    tokens = token_estimate(toolbox.offered())
    session.say(table(("tool", "", "calls", "description"), rows).rstrip("\n"))
    session.say(f"about {tokens:,} tokens of every request; /tools off GLOB saves some")


def tool_words(session: Session, argument: str) -> Iterable[str]:
    """`on` and `off`, then the tools that may be switched so."""
    word, blank, start = argument.partition(" ")
    if not blank:
        return [one for one in ("on ", "off ") if one.startswith(word)]
    toolbox = session.toolbox
    titles = toolbox.titles.values() if isinstance(toolbox, Toolbox) else ()
    return [f"{word} {title}" for title in titles if title.startswith(start)]


def _toolbox(session: Session) -> Toolbox:
    if session.toolbox is None:
        raise UserError("no tools are offered", hint="name them at the start: llmcli chat --mcp NAME, or --tool NAME")
    return session.toolbox


def _switch(toolbox: Toolbox, word: str, globs: list[str]) -> None:
    found = [tool.title for tool in toolbox.all() if is_selected(tool.title, globs)]
    if word not in ("on", "off") or not globs:
        raise UserError(f"/tools {word}: not a command", hint="/tools on GLOB or /tools off GLOB; alone it lists them")
    if not found:
        raise UserError(f"no tool matches {' '.join(globs)}", hint="/tools lists them")
    if word == "off":
        toolbox.off.update(found)
    else:
        toolbox.off.difference_update(found)
