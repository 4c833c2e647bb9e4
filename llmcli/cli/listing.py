"""The tables of `llmcli providers`, `llmcli models` and `llmcli config show`, for people and as JSON."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from typing import Any

from llmcli.config.load import load_config
from llmcli.errors import SettingsError, UserError
from llmcli.providers.credentials import key_sources
from llmcli.providers.endpoint import Endpoint, endpoint_of
from llmcli.providers.lookup import find_provider
from llmcli.providers.network import Network
from llmcli.providers.prices import KnownModel, known_models
from llmcli.providers.table import Provider
from llmcli.render.columns import table
from llmcli.render.streams import Stderr
from llmcli.secrets import public_address

__all__ = [
    "models_json",
    "models_table",
    "providers_json",
    "providers_table",
    "settings_json",
    "settings_table",
]


def providers_json() -> str:
    """One object a provider, in a list."""
    return json.dumps(_providers(), indent=2, ensure_ascii=False) + "\n"


def providers_table() -> str:
    """One line a provider."""
    rows = [
        (
            ", ".join((row["prefix"], *row["aliases"])),
            _key_state(row),
            row["protocol"],
            row["address"] or ("offline" if row["protocol"] == "test" else f"set {row['address_variable']}"),
            row["other_login"] or " or ".join(row["key_variables"]),
        )
        for row in _providers()
    ]
    return table(("prefix, aliases", "key", "protocol", "address", "key variable"), rows)


def _key_state(row: dict[str, Any]) -> str:
    if row["key_set"]:
        return "set"
    if row["key_needed"]:
        return "not set"
    return "optional" if row["key_variables"] else "none"


def _providers() -> list[dict[str, Any]]:
    config = load_config({})
    return [_provider(row) for row in config.providers.values()]


def _provider(row: Provider) -> dict[str, Any]:
    try:
        endpoint = endpoint_of(row, os.environ)
    except SettingsError:  # it has no address yet
        endpoint = Endpoint(row, "", None, {}, Network(), os.environ)
    return {
        "prefix": row.name,
        "aliases": list(row.aliases),
        "protocol": endpoint.protocol,
        "address": public_address(endpoint.address) or None,
        "address_variable": row.address_variable,
        "key_variables": list(row.key_env),
        "other_login": row.other_login,
        "key_needed": endpoint.needs_key,
        "key_set": bool(key_sources(row, os.environ)),
        "default_model": next(iter(row.models), None),
    }


def models_json(provider: str | None, live: bool) -> str:
    """One object a model, in a list; null is what is not known."""
    models = [
        {
            "provider": one.provider,
            "model": one.model,
            "context_window": one.context_window,
            "input_usd_per_million": None if one.input_usd is None else float(one.input_usd),
            "output_usd_per_million": None if one.output_usd is None else float(one.output_usd),
        }
        for one in _models(provider, live)
    ]
    return json.dumps(models, indent=2, ensure_ascii=False) + "\n"


def models_table(provider: str | None, live: bool) -> str:
    """One line a model; what it begins with can be given to -m."""
    rows = [
        (
            f"{one.provider}:{one.model}",
            "-" if one.context_window is None else f"{one.context_window:,}",
            _price(one.input_usd, one.tiered),
            _price(one.output_usd, one.tiered),
        )
        for one in _models(provider, live)
    ]
    money = "USD/M" if live else "est. USD/M"  # a provider knows its own prices
    return table(("model", "context", f"{money} in", f"{money} out"), rows, numbers=3)


def _models(provider: str | None, live: bool) -> list[KnownModel]:
    config = load_config({})
    rows = [find_provider(provider, config.providers)] if provider else list(config.providers.values())
    if not live:
        found = [model for row in rows for model in known_models(row)]
        if not found:
            Stderr().line(f"note: no model of {provider} is known; `llmcli models {provider} --live` asks it")
        return found
    if not provider:
        raise UserError("--live needs a provider to ask", hint="name one: llmcli models openai --live")
    from llmcli.models.http.list_models import live_models

    return live_models(rows[0], os.environ, config["timeout"])


def _price(usd: Decimal | None, tiered: bool) -> str:
    """With two places at least, and no digit lost."""
    if usd is None:
        return "-"
    whole, _, part = f"{usd.normalize():f}".partition(".")
    return f"{whole}.{part:0<2}{'+' if tiered else ''}"


def settings_json() -> str:
    """One object: path, and for each setting its value and source."""
    config = load_config({})
    settings = {
        name: {"value": _public(name, one.value), "source": one.source} for name, one in config.settings.items()
    }
    shown = {"path": str(config.path), "settings": settings, "aliases": dict(config.aliases), "providers": config.own}
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def settings_table() -> str:
    """One line a setting."""
    config = load_config({})
    rows = [(name, _value(_public(name, one.value)), one.source) for name, one in config.settings.items()]
    rows += [(f"aliases.{name}", _value(target), str(config.path)) for name, target in config.aliases.items()]
    rows += [
        (f"providers.{provider}.{name}", _value(value), str(config.path))
        for provider, fields in config.own.items()
        for name, value in fields.items()
    ]
    return table(("setting", "value", "from"), rows)


def _public(name: str, value: Any) -> Any:
    return public_address(value) if name == "proxy" and value else value


def _value(value: object) -> str:
    return "not set" if value is None or value == () else json.dumps(value, ensure_ascii=False)
