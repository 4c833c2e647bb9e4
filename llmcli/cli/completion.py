"""Shell completion: the candidates after a Tab, and the scripts for bash, zsh, fish and PowerShell.

This module must be quick to import: it knows the table of providers, and the names of models that were kept.

The scripts in `llmcli/completions/` speak one protocol: `_LLMCLI_COMPLETE=complete_SHELL COMP_WORDS=LINE
COMP_CWORD=INDEX llmcli` prints the candidates for that word of the line up to the cursor. Each stands on a line of its
own as a whole word, then perhaps a tab and its help. The shell completes file names itself. The scripts of Typer fail
here: that of bash breaks at the first `:`, that of PowerShell splits `ollama:`, that of fish takes a wrapped help text
for two candidates, and rich costs 50 ms a TAB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmcli.providers.lookup import BARE_STARTS, FAMILIES, models_like
from llmcli.providers.names_cache import known_names
from llmcli.providers.table import PROVIDERS

__all__ = [
    "COMPLETIONS",
    "SCRIPTS",
    "complete_conversation",
    "complete_model",
    "complete_own_tool",
    "complete_provider",
    "complete_server",
    "complete_setting",
    "complete_template",
    "complete_tool",
    "script",
]

SCRIPTS = {"bash": "llmcli.bash", "zsh": "llmcli.zsh", "fish": "llmcli.fish", "powershell": "llmcli.ps1"}


def complete_model(incomplete: str) -> list[str]:
    """What -m takes and begins like `incomplete`; after a comma, the next member of a chain.

    Without a colon: `provider:`, its own few models, aliases, words of families, and names that need no provider once
    one of these begins. Behind a colon: every model of the price list, and of the last `llmcli models --live`.
    """
    head, comma, last = incomplete.rpartition(",")
    prefix, colon, _ = last.partition(":")
    file = _settings_file()
    own = {name: _texts(row.get("models")) for name, row in _tables(file.get("providers")).items()}
    found = models_like(last, PROVIDERS)
    found += [f"{name}:{model}" for name, models in own.items() for model in ("", *models)]
    found += [*_tables_or_texts(file.get("aliases")), *FAMILIES]
    if colon and prefix == "local":
        from llmcli.models.local_files import names_of_files

        found += [f"local:{name}" for name in names_of_files()]
    elif colon or last.startswith(BARE_STARTS):
        known = known_names(PROVIDERS)
        row = next((row for row in PROVIDERS.values() if prefix in row.names), None)
        if row and colon:
            found += [f"{prefix}:{model}" for model in known[row.name]]
        elif not colon:
            found += [model for name in ("anthropic", "openai", "google-gla") for model in known[name]]
    whole = [one for one in dict.fromkeys(found) if one.startswith(last) and (one != last or not one.endswith(":"))]
    return [f"{head}{comma}{one}" for one in whole]


def _settings_file() -> dict[str, Any]:
    """The settings file as it stands; empty where it cannot be read. Checking it would take longer than a TAB may."""
    import tomllib

    from llmcli.config.load import config_path

    try:
        return tomllib.loads(config_path().read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}


def _tables(value: object) -> dict[str, dict[str, Any]]:
    return {name: row for name, row in value.items() if isinstance(row, dict)} if isinstance(value, dict) else {}


def _tables_or_texts(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, dict) else []


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


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


def complete_setting(incomplete: str) -> list[str]:
    """The settings that the settings file may hold, and its tables with a dot, that begin like `incomplete`."""
    from llmcli.config.settings import names

    known = [*names(lambda meta: meta.table is not None), "aliases.", "providers."]
    return [name for name in known if name.startswith(incomplete)]


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
    return _tables_or_texts(_settings_file().get(table))


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
