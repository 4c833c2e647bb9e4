"""Read the prompt file of --template; one that came with a repository needs the user's permission."""

from __future__ import annotations

from collections.abc import Mapping

from llmcli.config.load import bare_config
from llmcli.confirm import confirm
from llmcli.console import Console
from llmcli.errors import SettingsError
from llmcli.template import Found, Template, find_template, parse_template

__all__ = ["open_template", "template_of"]

_SHOWN_LINES = 30


def template_of(options: Mapping[str, object], console: Console) -> Template | None:
    """The prompt file that the options name; None where they name none. See `open_template`."""
    name = options.get("template")
    return open_template(str(name), options, console) if name else None


def open_template(name: str, options: Mapping[str, object], console: Console) -> Template:
    """Read a prompt file. One that came with a repository is used only with permission for its present content.

    Raises UserError where there is none, SettingsError without permission and for a wrong front matter.
    """
    found = find_template(name)
    if found.needs_permission:
        _ask(found, options, console)
    return parse_template(found.content, found.name)


def _ask(found: Found, options: Mapping[str, object], console: Console) -> None:
    settings = bare_config(options).settings
    lines = found.content.decode("utf-8", "replace").splitlines()
    shown = "\n".join(f"  {line}" for line in lines[:_SHOWN_LINES])
    more = f"\n  ... {len(lines) - _SHOWN_LINES} more lines" if len(lines) > _SHOWN_LINES else ""
    question = f"{found.path} came with this folder:\n{shown}{more}\nSHA-256 {found.digest}\nUse it from now on?"
    if confirm(question, settings, console):
        found.allow()
        return
    raise SettingsError(
        f"the prompt file {found.path} came with this folder, and was not allowed with its present content",
        hint=f"read it, then: llmcli templates allow {found.name}",
    )
