"""The tables of `llmcli providers` and `llmcli config show`, for people and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from llmcli.config import load_config
from llmcli.credentials import with_address
from llmcli.errors import SettingsError
from llmcli.providers import Provider

__all__ = ["providers_json", "providers_table", "settings_json", "settings_table"]


def providers_json() -> str:
    """One object a provider, in a list."""
    return json.dumps(_providers(), indent=2, ensure_ascii=False) + "\n"


def providers_table() -> str:
    """One line a provider."""
    rows = [
        (
            row["prefix"],
            ", ".join(row["aliases"]),
            row["protocol"],
            row["address"] or "none yet",
            " or ".join(row["key_variables"]) or "none needed",
            "set" if row["key_set"] else "-",
        )
        for row in _providers()
    ]
    return _table(("prefix", "aliases", "protocol", "address", "key", "key is"), rows)


def _providers() -> list[dict[str, Any]]:
    config = load_config({})
    return [_provider(row) for row in config.providers.values()]


def _provider(row: Provider) -> dict[str, Any]:
    try:
        address = with_address(row, os.environ).address
    except SettingsError:
        address = ""
    return {
        "prefix": row.name,
        "aliases": list(row.aliases),
        "protocol": row.protocol,
        "address": _public(address) or None,
        "address_variable": row.address_variable,
        "key_variables": list(row.key_env),
        "key_needed": row.needs_key,
        "key_set": any(os.environ.get(name) for name in row.key_env) or bool(row.key_command),
        "default_model": next(iter(row.models), None),
    }


def settings_json() -> str:
    """One object: path, and for each setting its value and source."""
    config = load_config({})
    settings = {name: {"value": one.value, "source": one.source} for name, one in config.settings.items()}
    return json.dumps({"path": str(config.path), "settings": settings}, indent=2, ensure_ascii=False) + "\n"


def settings_table() -> str:
    """One line a setting."""
    config = load_config({})
    rows = [(name, _value(one.value), one.source) for name, one in config.settings.items()]
    rows += [(f"aliases.{name}", _value(target), str(config.path)) for name, target in config.aliases.items()]
    return _table(("setting", "value", "from"), rows)


def _value(value: object) -> str:
    return "not set" if value is None or value == () else json.dumps(value, ensure_ascii=False)


def _public(address: str) -> str:
    """The address without a user's name and password."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )
