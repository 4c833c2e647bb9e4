"""Decide each tool call: deny rules, then allow rules, then the user, who is asked on the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

from llmcli.tools.naming import is_selected
from llmcli.tools.tool import Hints, Tool
from llmcli.tools.toolset import MCPTool

__all__ = ["READ_ONLY", "Answer", "Approval", "Ask", "Decision", "Rules", "Verdict", "always_line", "fits"]

Decision = Literal["allowed", "denied", "yes", "no", "unasked"]
READ_ONLY = "hint:read-only"


@dataclass(slots=True)
class Answer:
    """What the user answered: y, n, a (always), d (never) or q (stop); with `args`, y to other arguments."""

    key: Literal["y", "n", "a", "d", "q"]
    args: Mapping[str, Any] | None = None


Ask = Callable[[Tool, Mapping[str, Any]], Answer | None]
"""Ask the user; None where no terminal is there to ask on."""


@dataclass(slots=True)
class Rules:
    """The globs of `--allow` and `--deny`; those of the settings are in the entries of the servers."""

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()


@dataclass(slots=True)
class Verdict:
    """The decision on one call: the arguments to run it with, or None and a reason for the model."""

    decision: Decision
    args: Mapping[str, Any] | None
    reason: str = ""


@dataclass(slots=True)
class Approval:
    """Decides calls, and remembers "always" and "never" for the session. Raises KeyboardInterrupt where q is pressed.

    `ask` is None where questions are not allowed; `tell` gets lines for stderr.
    """

    rules: Rules
    ask: Ask | None
    tell: Callable[[str], None]
    _always: dict[str, str] = field(default_factory=dict)
    _never: set[str] = field(default_factory=set)
    _one: Lock = field(default_factory=Lock)  # one question at a time, also where several prompts run

    def __call__(self, tool: Tool, args: Mapping[str, Any]) -> Verdict:
        """Decide one call."""
        with self._one:
            return self._decide(tool, args)

    def _decide(self, tool: Tool, args: Mapping[str, Any]) -> Verdict:
        if tool.title in self._never or fits(tool, self.rules.deny, _entry_rules(tool, "deny")):
            return Verdict("denied", None, "The user does not allow this tool. Do not call it again.")
        if self.allows(tool):
            return Verdict("allowed", args)
        answer = self.ask(tool, args) if self.ask else None
        if answer is None:
            self.tell(
                f"note: the call of {tool.title} was declined, because it needs approval and there is no terminal to "
                f"ask on; to allow it: --allow {_quoted(tool.title)}"
            )
            return Verdict("unasked", None, "The call was declined: it needs approval, and the user cannot be asked.")
        if answer.key == "q":
            raise KeyboardInterrupt
        if answer.key == "a":
            self._always[tool.title] = _digest(tool)
            self.tell(f"allowed in this session; to allow it always: {always_line(tool)}")
        elif answer.key == "d":
            self._never.add(tool.title)
        if answer.key in ("y", "a"):
            return Verdict("yes", args if answer.args is None else answer.args)
        return Verdict("no", None, "The user declined this call.")

    def allows(self, tool: Tool) -> bool:
        """Whether an allow rule, or "always", covers the tool."""
        if self._always.get(tool.title) == _digest(tool):
            return True
        return fits(tool, self.rules.allow, _entry_rules(tool, "allow"))


def fits(tool: Tool, globs: Sequence[str], own: Sequence[str] = ()) -> bool:
    """Whether a rule covers the tool: `globs` match `server.tool`, `own` also the name that the server gives it.

    `hint:read-only` covers what a server marked `trusted` calls read-only.
    """
    if is_selected(tool.title, (*globs, *own)):
        return True
    if isinstance(tool, MCPTool):
        believed = tool.entry.trusted and tool.hints.read_only
        return is_selected(tool.own_name, own) or (believed and READ_ONLY in (*globs, *own))
    return False


def _entry_rules(tool: Tool, kind: Literal["allow", "deny"]) -> Sequence[str]:
    if not isinstance(tool, MCPTool):
        return ()
    return tool.entry.allow if kind == "allow" else tool.entry.deny


def _digest(tool: Tool) -> str:
    """Changes with the definition: an "always" holds only as long as the tool stays the same."""
    return tool.digest if isinstance(tool, MCPTool) else json.dumps([tool.description, dict(tool.parameters)])


def always_line(tool: Tool) -> str:
    """What allows the tool in every run: a line for the settings file, or an option."""
    if isinstance(tool, MCPTool) and tool.entry.from_settings:
        return f"[mcp.{tool.entry.name}] allow = [{json.dumps(tool.own_name)}]"
    return f"--allow {_quoted(tool.title)}"


def _quoted(title: str) -> str:
    import shlex

    return shlex.quote(title)


def hints_text(tool: Tool) -> str:
    """What the server says of the tool, in words; an own command has no hints."""
    if not isinstance(tool, MCPTool):
        return "your own command"
    hints: Hints = tool.hints
    words = [
        "read-only" if hints.read_only else "may delete or overwrite" if hints.destructive else "may change things"
    ]
    words += ["talks to the outside"] if hints.open_world else []
    return f"{', '.join(words)}, says the {'trusted ' if tool.entry.trusted else ''}server"
