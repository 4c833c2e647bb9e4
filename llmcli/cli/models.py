"""The models command: the models of the price list, or those that a provider lists itself."""

import json
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal

import typer

from llmcli.cli.completion import complete_provider
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import Config, load_config
from llmcli.console import Console
from llmcli.errors import UserError
from llmcli.providers.catalogue import is_chat_model, matching, ordered
from llmcli.providers.credentials import key_sources
from llmcli.providers.lookup import find_provider, provider_names
from llmcli.providers.prices import KnownModel, known_models
from llmcli.providers.table import Provider
from llmcli.render.pager import page_table
from llmcli.spelling import did_you_mean

app = new_group("Known models: context window and estimated price.")


@app.command(cls=QuickCommand)
def models(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORDS]...",
            help="Providers, and parts of names; all must match.",
            show_default=False,
            autocompletion=complete_provider,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also providers without a key, and models that are not for chat.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Ask the provider for its list.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Fetch the current price list first.")] = False,
    update_url: Annotated[
        str | None, typer.Option("--update-url", metavar="URL", help="Where --update fetches, for a mirror.")
    ] = None,
    sort: Annotated[
        Literal["price", "context", "name"] | None,
        typer.Option("--sort", metavar="ORDER", help="price, context or name."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Known models: context window and estimated price.

    Shows the chat models of the providers that have a key or a login, of all providers where none has. The window is
    in tokens, the price in USD per million tokens, in and out. A + marks a price that rises with the length of the
    prompt, a - what is not known.
    """
    console, config = console_of(ctx), load_config({})
    if update or update_url:
        _update(config, console, update_url)
        if not words and not live and not as_json and not everything and not sort:
            return
    found = _models(console, config, words or [], everything=everything, live=live)
    found = ordered(found, sort)
    if as_json:
        console.stdout.write(models_json(found))
        return
    money = "USD/M" if live else "est. USD/M"  # a provider knows its own prices
    head = ("model", "context", f"{money} in", f"{money} out")
    page_table(head, model_rows(found), console.stdout, numbers=3, whole=(0,))


def models_json(models: Sequence[KnownModel]) -> str:
    """A list with one object for each model; null marks an unknown value."""
    rows = [
        {
            "provider": one.provider,
            "model": one.model,
            "context_window": one.context_window,
            "input_usd_per_million": None if one.input_usd is None else float(one.input_usd),
            "output_usd_per_million": None if one.output_usd is None else float(one.output_usd),
        }
        for one in models
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def model_rows(models: Sequence[KnownModel]) -> list[tuple[str, ...]]:
    """One row a model; what it begins with can be given to -m."""
    return [
        (
            f"{one.provider}:{one.model}",
            "-" if one.context_window is None else f"{one.context_window:,}",
            _price(one.input_usd, one.tiered),
            _price(one.output_usd, one.tiered),
        )
        for one in models
    ]


def _models(
    console: Console, config: Config, words: Sequence[str], *, everything: bool, live: bool
) -> list[KnownModel]:
    prefixes = provider_names(config.providers)
    named = [find_provider(word, config.providers) for word in words if word in prefixes]
    filters = [word for word in words if word not in prefixes]
    if live:
        if len(named) != 1:
            if filters:
                find_provider(filters[0], config.providers)  # its message suggests the nearest name
            raise UserError("--live needs a provider to ask", hint="name one: llmcli models openai --live")
        return matching(_asked(named[0], config), filters)
    rows = named or (list(config.providers.values()) if everything else _usable(config.providers))
    found = [model for row in rows for model in known_models(row)]
    if not everything:
        found = [one for one in found if is_chat_model(one.model)]
    found = matching(found, filters)
    if found:
        return found
    if named and not filters:
        console.stderr.line(
            f"note: no model of {named[0].name} is known; `llmcli models {named[0].name} --live` asks it"
        )
        return []
    hint = next(filter(None, (did_you_mean(word, prefixes) for word in filters)), None)
    raise UserError(f"no known model matches {' '.join(words)}", hint=hint or "--all also looks where no key is set")


def _usable(providers: Mapping[str, Provider]) -> list[Provider]:
    """The providers that have a key or a login; all of them where none has."""

    def is_open(row: Provider) -> bool:
        return bool(key_sources(row, os.environ)) or any(os.environ.get(name, "").strip() for name in row.login_env)

    return [row for row in providers.values() if is_open(row)] or list(providers.values())


def _asked(row: Provider, config: Config) -> list[KnownModel]:
    from llmcli.models.http.list_models import live_models
    from llmcli.providers.names_cache import keep_live_names

    found = live_models(row, os.environ, config.settings.timeout)
    keep_live_names(row.name, [one.model for one in found])
    return found


def _update(config: Config, console: Console, url: str | None) -> None:
    from llmcli.models.http.fetch_prices import fetch_prices
    from llmcli.providers.network import Network
    from llmcli.providers.price_list import prices_path

    settings = config.settings
    network = Network(environ=os.environ)
    for name in ("proxy", "ca_file"):
        if value := getattr(settings, name):
            setattr(network, name, value)
            setattr(network, f"{name}_from", config.sources[name])
    count = fetch_prices(network, min(settings.timeout, 60.0), url)
    console.stderr.line(f"the price list of {count:,} models is kept in {prices_path()}")


def _price(usd: Decimal | None, tiered: bool) -> str:
    """With two places at least, and no digit lost."""
    if usd is None:
        return "-"
    whole, _, part = f"{usd.normalize():f}".partition(".")
    return f"{whole}.{part:0<2}{'+' if tiered else ''}"
