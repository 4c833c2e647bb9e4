"""The keys command: store, list and delete API keys. No key is an argument, and none is shown."""

import json
import os
from collections.abc import Sequence
from typing import Annotated

import typer

from llmcli.cli.completion import complete_provider
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import load_config
from llmcli.console import Console
from llmcli.errors import SettingsError, UserError
from llmcli.inputs import read_text
from llmcli.providers.credentials import clean_key, key_sources
from llmcli.providers.keystore import changing_keys, keys_path, read_keys
from llmcli.providers.lookup import find_provider
from llmcli.providers.table import Provider
from llmcli.render.pager import page_table

app = new_group("API keys, kept in a private file.")

_Owner = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="The provider of the key.", autocompletion=complete_provider)
]


@app.command("set", cls=QuickCommand, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def set_(ctx: typer.Context, provider: _Owner) -> None:
    """Store a key: asked for without echo, or read from stdin."""
    set_key(console_of(ctx), provider, ctx.args)


@app.command("list", cls=QuickCommand)
def list_(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Where each key in force comes from; never the key."""
    console = console_of(ctx)
    if json:
        console.stdout.write(keys_json())
    else:
        page_table(("provider", "key from", "instead of"), key_rows(console), console.stdout, whole=(0,))


@app.command("rm", cls=QuickCommand)
def remove(ctx: typer.Context, provider: _Owner) -> None:
    """Delete a stored key."""
    forget_key(console_of(ctx), provider)


def set_key(console: Console, provider: str, more: Sequence[str]) -> None:
    """Ask for the key of a provider without echo, or read it from stdin where that is no terminal, and keep it.

    Raises UserError for an unknown provider, one without keys, what is no key, and `more` arguments.
    """
    if more:
        raise UserError(
            "a key is never an argument, where the shell's history and the list of processes show it",
            hint=f"llmcli keys set {provider} asks for it, or reads stdin; a key that was shown is best renewed",
        )
    row = _row(provider)
    stdin = console.stdin
    text = _asked(row.name) if stdin.is_terminal else read_text("-", "keys set", stdin)
    if not text.strip():
        hint = f"llmcli keys set {row.name} <FILE, or the same on a terminal"
        raise UserError(f"no key for {row.name} was given; nothing is changed", hint=hint)
    try:
        key = clean_key(text, "what was given")
    except SettingsError as error:
        raise UserError(error.message, hint=error.hint) from None
    path = keys_path(os.environ)
    with changing_keys(path) as keys:
        keys[row.name] = key
    stderr = console.stderr
    stderr.line(f"the key of {row.name} is kept in {path}")
    if (first := key_sources(row, os.environ)[0]) != str(path):
        stderr.line(f"note: {first} goes before it")


def forget_key(console: Console, provider: str) -> None:
    """Take the key of a provider out of the file of keys. Raises UserError where there is none."""
    row = _row(provider)
    path = keys_path(os.environ)
    if row.name not in read_keys(path):
        raise UserError(f"{path} holds no key of {row.name}", hint="`llmcli keys list` shows where keys come from")
    with changing_keys(path) as keys:
        keys.pop(row.name, None)
    console.stderr.line(f"the key of {row.name} is no longer in {path}")


def keys_json() -> str:
    """One object a provider that has a key: where it comes from, and what that goes before."""
    found = [{"provider": name, "source": first, "instead_of": others} for name, (first, *others) in _sources().items()]
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def key_rows(console: Console) -> list[tuple[str, str, str]]:
    """One row a provider that has a key."""
    rows = [(name, first, ", ".join(others) or "-") for name, (first, *others) in _sources().items()]
    if not rows:
        console.stderr.line("note: no provider has a key; llmcli keys set PROVIDER enters one")
    return rows


def _sources() -> dict[str, list[str]]:
    rows = load_config({}).providers.values()
    return {row.name: sources for row in rows if (sources := key_sources(row, os.environ))}


def _row(provider: str) -> Provider:
    config = load_config({})
    row = find_provider(provider, config.providers)
    if row.offline or (row.other_login and not row.key_env):
        raise UserError(f"{row.name} takes no key", hint=row.other_login and f"it takes {row.other_login}")
    return row


def _asked(name: str) -> str:
    """The answer of the user at the terminal, unseen."""
    import getpass
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"Key of {name} (it stays unseen): ")
    except getpass.GetPassWarning:
        hint = f"llmcli keys set {name} <FILE"
        raise UserError("this terminal would show the key", hint=hint) from None
    except EOFError:
        return ""
