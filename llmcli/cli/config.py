"""The config command: the settings in force and their sources, and where the settings file is."""

import json
import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from llmcli.cli.completion import complete_setting
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import Config, config_path, load_config
from llmcli.config.settings import FIELDS, meta_of, names, variable
from llmcli.render.pager import page_table
from llmcli.secrets import public_address

app = new_group("Settings: what is in force, and where it comes from.", default="show")

_Setting = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A setting, or a place such as aliases.fast.", autocompletion=complete_setting),
]


@app.command("show", cls=QuickCommand)
def show(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Every setting in force, and where it comes from."""
    stdout = console_of(ctx).stdout
    if json:
        stdout.write(settings_json())
    else:
        page_table(("setting", "value", "from"), setting_rows(), stdout, whole=(0,))


@app.command("path", cls=QuickCommand)
def path(ctx: typer.Context) -> None:
    """Where the settings file is, or would be."""
    console_of(ctx).stdout.write(f"{config_path()}\n")


@app.command("set", cls=QuickCommand, context_settings={"ignore_unknown_options": True})
def set_(ctx: typer.Context, name: _Setting, value: Annotated[str, typer.Argument(metavar="VALUE")]) -> None:
    """Set a setting in the settings file; comments and order stay."""
    from llmcli.config.write import set_value

    path = config_path()
    done = set_value(path, name, value)
    console_of(ctx).stderr.line(f"{done} is set in {path}")
    _say_what_goes_before(ctx, done)


@app.command("unset", cls=QuickCommand)
def unset(ctx: typer.Context, name: _Setting) -> None:
    """Remove a setting from the settings file."""
    from llmcli.config.write import unset_value

    path = config_path()
    console_of(ctx).stderr.line(f"{unset_value(path, name)} is no longer in {path}")


@app.command("edit", cls=QuickCommand)
def edit(ctx: typer.Context) -> None:
    """Open the settings file in $VISUAL or $EDITOR; it is checked before it is written."""
    from llmcli.config.edit import edit_file

    changed = edit_file(config_path())
    console_of(ctx).stderr.line(f"{config_path()} is {'written' if changed else 'as it was'}")


def _say_what_goes_before(ctx: typer.Context, name: str) -> None:
    """Tell where a variable of the environment hides the value that was set."""
    setting = name.rpartition(".")[2]
    if setting in FIELDS and meta_of(setting).env and os.environ.get(variable(setting)):
        console_of(ctx).stderr.line(f"note: {variable(setting)} goes before it")


def settings_json() -> str:
    """One object: path, and for each setting its value and source."""
    config = load_config({})
    settings = {name: {"value": value, "source": source} for name, value, source in _in_force(config)}
    shown = {"path": str(config.path), "settings": settings, "aliases": dict(config.aliases), "providers": config.own}
    shown |= config.public_tables()
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def setting_rows() -> list[tuple[str, str, str]]:
    """One row a setting."""
    config = load_config({})
    rows = [(name, _value(value), source) for name, value, source in _in_force(config)]
    rows += [(f"aliases.{name}", _value(target), str(config.path)) for name, target in config.aliases.items()]
    rows += [
        (f"{title}.{owner}.{name}", _value(value), str(config.path))
        for title, tables in {"providers": config.own, **config.public_tables()}.items()
        for owner, fields in tables.items()
        for name, value in fields.items()
    ]
    return rows


def _in_force(config: Config) -> Iterator[tuple[str, Any, str]]:
    """Name, value and source of each setting that the settings file may hold; a proxy without its password."""
    for name in names(lambda meta: meta.table is not None):
        value = getattr(config.settings, name)
        yield name, public_address(value) if name == "proxy" and value else value, config.sources[name]


def _value(value: object) -> str:
    return "not set" if value is None or value == () else json.dumps(value, ensure_ascii=False)
