"""Select the tools of a run from the settings: servers, own commands, and the rules for their calls."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llmcli.config.load import Config
from llmcli.errors import SettingsError, UserError
from llmcli.providers.network import Network
from llmcli.spelling import did_you_mean
from llmcli.tools.approval import Rules
from llmcli.tools.command import CommandTool
from llmcli.tools.mcp_stdio import Log
from llmcli.tools.process import inherited
from llmcli.tools.servers import ServerEntry, named_servers, read_mcp_file, server_of
from llmcli.tools.toolset import Toolset

__all__ = ["known_servers", "named_toolset", "rules_of"]

_MOST_SCHEMA_FILE = 1 << 20  # bytes


def named_toolset(
    config: Config,
    *,
    environ: Mapping[str, str] = os.environ,
    progress: Callable[[str, str], None] | None = None,
    log: Log | None = None,
    secrets: Callable[..., None] = lambda *texts: None,
) -> Toolset:
    """The servers of `--mcp` and the commands of `--tool`, not started.

    Raises UserError for unknown names, SettingsError for tables and files that cannot be used.
    """
    settings = config.settings
    servers = named_servers(settings.mcp, known_servers(config)) if settings.mcp else []
    return Toolset(
        servers,
        [_command(name, config, environ) for name in dict.fromkeys(settings.tool)],
        environ=environ,
        timeout=settings.timeout,
        network=_network(config),
        progress=progress,
        log=log,
        secrets=secrets,
    )


def rules_of(config: Config) -> Rules:
    """The rules of the command line."""
    return Rules(config.settings.allow, config.settings.deny)


def known_servers(config: Config) -> dict[str, ServerEntry]:
    """The servers of the settings file and of the `mcp_file`; a table goes before an entry of the same name."""
    found: dict[str, ServerEntry] = {}
    if config.settings.mcp_file:
        found = read_mcp_file(config.path.parent / Path(config.settings.mcp_file).expanduser())
    return found | {name: server_of(name, fields, str(config.path)) for name, fields in config.mcp.items()}


def _command(name: str, config: Config, environ: Mapping[str, str]) -> CommandTool:
    fields = config.tools.get(name)
    if fields is None:
        hint = did_you_mean(name, config.tools) or f"name a [tools.NAME] table of {config.path}"
        raise UserError(f"--tool: unknown tool {name!r}", hint=hint)
    return CommandTool(
        name,
        fields["command"],
        {**inherited(environ), **fields.get("env", {})},
        description=fields["description"],
        parameters=_parameters(name, fields.get("parameters", {}), config.path),
        timeout=fields.get("timeout", config.settings.timeout),
        **({"max_output": fields["max_output"]} if "max_output" in fields else {}),
    )


def _parameters(name: str, given: str | Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The JSON Schema of a table, or of the file that it names, relative to the settings file."""
    schema: Any = given
    where = f"{path}: tools.{name}.parameters"
    if isinstance(given, str):
        file = path.parent / Path(given).expanduser()
        try:
            with file.open("rb") as reader:
                schema = json.loads(reader.read(_MOST_SCHEMA_FILE))
        except OSError as error:
            raise SettingsError(f"{where}: cannot read {file}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{where}: {file} is not JSON: {error}") from error
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        raise SettingsError(f"{where}: not a JSON Schema of an object")
    return {"type": "object", **schema}


def _network(config: Config) -> Network:
    def source(name: str) -> str:
        return f"--{name.replace('_', '-')}" if config.sources.get(name) == "option" else config.sources.get(name, name)

    settings = config.settings
    return Network(settings.proxy, source("proxy"), settings.ca_file, source("ca_file"))
