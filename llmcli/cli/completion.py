"""What the shell offers after a TAB, and the scripts that ask for it.

This module must be quick to import: it knows the table of providers, and no price list.

The scripts in `llmcli/completions/` speak one protocol: `_LLMCLI_COMPLETE=complete_SHELL COMP_WORDS=LINE
COMP_CWORD=INDEX llmcli` prints the candidates for that word of the line up to the cursor. Each stands on a line of its
own as a whole word, then perhaps a tab and its help. The shell completes file names itself. The scripts of Typer fail
here: that of bash breaks at the first `:`, that of PowerShell splits `ollama:`, that of fish takes a wrapped help text
for two candidates, and rich costs 50 ms a TAB.
"""

from __future__ import annotations

from pathlib import Path

from llmcli.providers.lookup import models_like
from llmcli.providers.table import PROVIDERS

__all__ = [
    "COMPLETIONS",
    "SCRIPTS",
    "complete_conversation",
    "complete_model",
    "complete_own_tool",
    "complete_provider",
    "complete_server",
    "complete_template",
    "complete_tool",
    "script",
]

SCRIPTS = {"bash": "llmcli.bash", "zsh": "llmcli.zsh", "fish": "llmcli.fish", "powershell": "llmcli.ps1"}


def complete_model(incomplete: str) -> list[str]:
    """`provider:model` for the models that the table knows, and `provider:` alone, that begin like `incomplete`."""
    if incomplete.startswith("local:"):
        from llmcli.models.local_files import SMALL_MODEL, names_of_files

        names = dict.fromkeys((SMALL_MODEL, *names_of_files()))
        return [full for name in names if (full := f"local:{name}").startswith(incomplete)]
    return models_like(incomplete, PROVIDERS)


def complete_provider(incomplete: str) -> list[str]:
    """The prefixes and aliases that begin like `incomplete`."""
    names = (name for row in PROVIDERS.values() for name in row.names)
    return [name for name in names if name.startswith(incomplete)]


def complete_conversation(incomplete: str) -> list[str]:
    """The names of saved conversations that begin like `incomplete`, and the IDs from 4 digits on."""
    from llmcli.errors import LlmcliError
    from llmcli.store.database import reading
    from llmcli.store.find import matching_names

    try:
        with reading() as database:
            return matching_names(database, incomplete) if database else []
    except LlmcliError:
        return []


def complete_template(incomplete: str) -> list[str]:
    """The names of prompt files that begin like `incomplete`."""
    from llmcli.template import template_names

    return [name for name, _, _ in template_names() if name.startswith(incomplete)]


def complete_server(incomplete: str) -> list[str]:
    """The tool servers of the settings, and the tools of them that were listed before."""
    return [name for name in (*_names("mcp"), *_listed_tools()) if name.startswith(incomplete)]


def complete_own_tool(incomplete: str) -> list[str]:
    """The own commands of the settings."""
    return [name for name in _names("tools") if name.startswith(incomplete)]


def complete_tool(incomplete: str) -> list[str]:
    """Own commands, and `server.tool` of the servers that were listed before."""
    return [name for name in (*_names("tools"), *_listed_tools()) if name.startswith(incomplete)]


def _names(table: str) -> list[str]:
    """The names of tables in the settings file; none where it cannot be read."""
    import tomllib

    from llmcli.config.load import config_path

    try:
        found = tomllib.loads(config_path().read_text(encoding="utf-8-sig")).get(table)
    except (OSError, ValueError, RecursionError):
        return []
    return list(found) if isinstance(found, dict) else []


def _listed_tools() -> list[str]:
    from llmcli.tools.names_cache import read_names

    return read_names()


COMPLETIONS = {
    "model": complete_model,
    "template": complete_template,
    "mcp": complete_server,
    "conversation": complete_conversation,
    "tool": complete_own_tool,
}
"""What completes the value of an option, by the `complete` of its setting."""


def script(shell: str) -> str:
    """The completion script for `shell`, a key of `SCRIPTS`."""
    return (Path(__file__).parent.parent / "completions" / SCRIPTS[shell]).read_text(encoding="utf-8")
