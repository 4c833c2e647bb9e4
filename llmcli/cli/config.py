"""The config command: the settings in force and their sources, and where the settings file is."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import Config, config_path, load_config
from llmcli.config.settings import names
from llmcli.render.columns import table
from llmcli.secrets import public_address

app = new_group("Settings: what is in force, and where it comes from.")


@app.command("show", cls=QuickCommand)
def show(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Every setting in force, and where it comes from."""
    console_of(ctx).stdout.write(settings_json() if json else settings_table())


@app.command("path", cls=QuickCommand)
def path(ctx: typer.Context) -> None:
    """Where the settings file is, or would be."""
    console_of(ctx).stdout.write(f"{config_path()}\n")


def settings_json() -> str:
    """One object: path, and for each setting its value and source."""
    config = load_config({})
    settings = {name: {"value": value, "source": source} for name, value, source in _in_force(config)}
    shown = {"path": str(config.path), "settings": settings, "aliases": dict(config.aliases), "providers": config.own}
    shown |= config.public_tables()
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def settings_table() -> str:
    """One line a setting."""
    config = load_config({})
    rows = [(name, _value(value), source) for name, value, source in _in_force(config)]
    rows += [(f"aliases.{name}", _value(target), str(config.path)) for name, target in config.aliases.items()]
    rows += [
        (f"{title}.{owner}.{name}", _value(value), str(config.path))
        for title, tables in {"providers": config.own, **config.public_tables()}.items()
        for owner, fields in tables.items()
        for name, value in fields.items()
    ]
    return table(("setting", "value", "from"), rows)


def _in_force(config: Config) -> Iterator[tuple[str, Any, str]]:
    """Name, value and source of each setting that the settings file may hold; a proxy without its password."""
    for name in names(lambda meta: meta.table is not None):
        value = getattr(config.settings, name)
        yield name, public_address(value) if name == "proxy" and value else value, config.sources[name]


def _value(value: object) -> str:
    return "not set" if value is None or value == () else json.dumps(value, ensure_ascii=False)
