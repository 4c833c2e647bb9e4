"""Resolve the tool servers of settings and options: by name, URL or command line."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmcli.errors import SettingsError, UserError
from llmcli.providers.credentials import clean_key, run_key_command
from llmcli.secrets import header_secrets, is_secret_header, url_secrets
from llmcli.spelling import did_you_mean
from llmcli.tools.naming import shown_name

__all__ = ["ServerEntry", "named_servers", "read_mcp_file", "server_of"]

_MOST_FILE = 1 << 20  # bytes of the mcpServers file


@dataclass(slots=True)
class ServerEntry:
    """One tool server: a `command`, or a `url`, and the rules for its tools."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    key_env: str | None = None
    key_command: str | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    trusted: bool = False
    timeout: float | None = None
    """Seconds for the start and for each call; None: those of `--timeout`."""
    globs: tuple[str, ...] = ()
    """The tools that are offered; all where it is empty."""
    from_settings: bool = False

    def token(self, environ: Mapping[str, str]) -> str | None:
        """The bearer token. Raises SettingsError that names the variable or the command."""
        if self.key_env:
            if not environ.get(self.key_env, "").strip():
                told = f"tool server {self.name}: no token: {self.key_env} is not set"
                raise SettingsError(told, hint=f"export {self.key_env}=...", kind="credentials")
            return clean_key(environ[self.key_env], self.key_env)
        if self.key_command:
            table = f"mcp.{self.name}"
            printed = run_key_command(self.key_command, f"tool server {self.name}", table)
            return clean_key(printed, f"what {table}.key_command printed")
        return None

    @property
    def secrets(self) -> frozenset[str]:
        """Texts of the entry that must not be shown."""
        in_env = {value for name, value in self.env.items() if is_secret_header(name)}
        return header_secrets(self.headers) | url_secrets(self.url) | in_env


def server_of(name: str, fields: Mapping[str, Any], where: str) -> ServerEntry:
    """The entry of a table `[mcp.NAME]` whose types have been checked. Raises SettingsError."""
    entry = ServerEntry(name, from_settings=True, **fields)
    if bool(entry.command) == bool(entry.url):
        raise SettingsError(f"{where}: mcp.{name}: give either a command or a url", kind="settings")
    if entry.url:
        _check_url(entry.url, lambda told: SettingsError(f"{where}: mcp.{name}: {told}"))
    elif entry.key_env or entry.key_command or entry.headers:
        told = f"{where}: mcp.{name}: key_env, key_command and headers are for a server with a url"
        raise SettingsError(told, hint="a program gets its token through env")
    return entry


def read_mcp_file(path: Path) -> dict[str, ServerEntry]:
    """The servers of a JSON file with `mcpServers`, as other tools write it. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_FILE + 1)
        servers = json.loads(content)["mcpServers"]
        return {name: _json_entry(name, one, path) for name, one in servers.items()}
    except OSError as error:
        raise SettingsError(f"mcp_file: cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        told = f"mcp_file: {path} is not a JSON object with mcpServers"
        raise SettingsError(told, hint='it looks like {"mcpServers": {"time": {"command": "..."}}}') from error


def _json_entry(name: str, one: Mapping[str, Any], path: Path) -> ServerEntry:
    where = f"mcp_file: {path}: {shown_name(name)}"
    command, url, args = one.get("command"), one.get("url"), one.get("args") or []
    maps = [one.get(key) or {} for key in ("env", "headers")]
    texts = [command or "", url or "", *args, *maps[0].values(), *maps[1].values()]
    if not all(isinstance(text, str) for text in texts) or bool(command) == bool(url):
        raise SettingsError(f"{where}: give a command with args and env, or a url with headers, all of them texts")
    if one.get("type") == "sse":
        told = f"{where}: the SSE transport of 2024 is not supported"
        raise SettingsError(told, hint=f"use its Streamable HTTP address, or a bridge: --mcp 'npx mcp-remote {url}'")
    if url:
        _check_url(url, lambda told: SettingsError(f"{where}: {told}"))
    words = (command, *args) if command else ()
    return ServerEntry(name, words, url or "", maps[0], maps[1], from_settings=True)


def named_servers(values: Sequence[str], known: Mapping[str, ServerEntry]) -> list[ServerEntry]:
    """The servers of `--mcp` values: names, `NAME.GLOB`, URLs and command lines; `known` are those of the settings.

    Raises UserError for an unknown name, and for two servers of one name.
    """
    found: dict[str, ServerEntry] = {}
    for value in values:
        entry = _named(value, known)
        before = found.get(entry.name)
        if before is not None and (not before.from_settings or not entry.from_settings):
            hint = "give one of them a name of its own: a [mcp.NAME] table in the settings file"
            raise UserError(f"--mcp: two servers are called {entry.name}", hint=hint)
        if before is not None:  # a part, and another part
            entry = replace(entry, globs=(*before.globs, *entry.globs) if before.globs and entry.globs else ())
        found[entry.name] = entry
    return list(found.values())


def _named(value: str, known: Mapping[str, ServerEntry]) -> ServerEntry:
    if re.match(r"https?://", value, re.IGNORECASE):
        _check_url(value, lambda told: UserError(f"--mcp: {told}"))
        return ServerEntry(_plain((urlsplit(value).hostname or "").partition(".")[0]), url=value)
    if "://" in value.partition(" ")[0]:
        raise UserError(f"--mcp: not an http address: {value!r}")
    if re.search(r"[\s/]", value):
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise UserError(f"--mcp: {value!r}: {error}") from error
        if not words:
            raise UserError("--mcp: an empty command")
        program = re.sub(r"\.(py|js|mjs|sh|exe|cmd|bat)$", "", os.path.basename(words[0]), flags=re.IGNORECASE)
        return ServerEntry(_plain(program), tuple(words))
    if value in known:
        return known[value]
    for at in (place.start() for place in re.finditer(r"\.", value)):
        if value[:at] in known and value[at + 1 :]:
            return replace(known[value[:at]], globs=(value[at + 1 :],))
    name = value.partition(".")[0]
    listed = f"the settings name {', '.join(map(shown_name, known))}" if known else "the settings name none"
    near = did_you_mean(name, known)
    hint = near or "name a [mcp.NAME] table of the settings file, a URL, or a command in quotes"
    raise UserError(f"--mcp: unknown tool server {value!r}; {listed}", hint=hint)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "server"


def _check_url(url: str, error: Any) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise error(f"not an http address: {url!r}")
