"""The providers command: one row a provider, with its address and whether a key is set."""

import json
import os
from typing import Annotated, Any

import typer

from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import load_config
from llmcli.errors import SettingsError
from llmcli.providers.credentials import key_sources
from llmcli.providers.endpoint import Endpoint, endpoint_of
from llmcli.providers.network import Network
from llmcli.providers.table import Provider
from llmcli.render.pager import page_table
from llmcli.secrets import public_address

_WIDE = 120  # columns that leave room for all columns of the table

app = new_group("Providers: prefix, aliases, address, key variables.")


@app.command(cls=QuickCommand)
def providers(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Providers: prefix, aliases, address, key variables, and whether a key is set."""
    stdout = console_of(ctx).stdout
    if json:
        stdout.write(providers_json())
        return
    rows: list[tuple[str, ...]] = provider_rows()
    head: tuple[str, ...] = ("prefix, aliases", "key", "protocol", "address", "key variable")
    if stdout.is_terminal and stdout.size()[0] < _WIDE:
        rows = [(names.partition(",")[0], key, address) for names, key, _, address, _ in rows]
        head = ("prefix", "key", "address")
        console_of(ctx).stderr.line("note: a wider terminal, and --json, show aliases, protocols and key variables")
    page_table(head, rows, stdout, whole=(0,))


def providers_json() -> str:
    """One object a provider, in a list."""
    return json.dumps(_providers(), indent=2, ensure_ascii=False) + "\n"


def provider_rows() -> list[tuple[str, ...]]:
    """One row a provider."""
    return [
        (
            ", ".join((row["prefix"], *row["aliases"])),
            _key_state(row),
            row["protocol"],
            row["address"] or ("offline" if row["protocol"] in ("test", "local") else f"set {row['address_variable']}"),
            row["other_login"] or " or ".join(row["key_variables"]),
        )
        for row in _providers()
    ]


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
