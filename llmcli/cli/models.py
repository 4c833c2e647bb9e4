"""The models command: the models of the price list, or those that a provider lists itself."""

import json
import os
from decimal import Decimal
from typing import Annotated

import typer

from llmcli.cli.completion import complete_provider
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import load_config
from llmcli.console import Console
from llmcli.errors import UserError
from llmcli.providers.lookup import find_provider
from llmcli.providers.prices import KnownModel, known_models
from llmcli.render.columns import table

app = new_group("Known models: context window and estimated price.")


@app.command(cls=QuickCommand)
def models(
    ctx: typer.Context,
    provider: Annotated[
        str | None,
        typer.Argument(
            metavar="PROVIDER", help="Only this provider.", show_default=False, autocompletion=complete_provider
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Ask the provider for its list.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Known models: context window and estimated price.

    The window is in tokens, the price in USD per million tokens, in and out. A + marks a price that rises with the
    length of the prompt, a - what is not known.
    """
    console = console_of(ctx)
    console.stdout.write((models_json if json else models_table)(console, provider, live))


def models_json(console: Console, provider: str | None, live: bool) -> str:
    """One object a model, in a list; null is what is not known."""
    models = [
        {
            "provider": one.provider,
            "model": one.model,
            "context_window": one.context_window,
            "input_usd_per_million": None if one.input_usd is None else float(one.input_usd),
            "output_usd_per_million": None if one.output_usd is None else float(one.output_usd),
        }
        for one in _models(console, provider, live)
    ]
    return json.dumps(models, indent=2, ensure_ascii=False) + "\n"


def models_table(console: Console, provider: str | None, live: bool) -> str:
    """One line a model; what it begins with can be given to -m."""
    rows = [
        (
            f"{one.provider}:{one.model}",
            "-" if one.context_window is None else f"{one.context_window:,}",
            _price(one.input_usd, one.tiered),
            _price(one.output_usd, one.tiered),
        )
        for one in _models(console, provider, live)
    ]
    money = "USD/M" if live else "est. USD/M"  # a provider knows its own prices
    return table(("model", "context", f"{money} in", f"{money} out"), rows, numbers=3)


def _models(console: Console, provider: str | None, live: bool) -> list[KnownModel]:
    config = load_config({})
    rows = [find_provider(provider, config.providers)] if provider else list(config.providers.values())
    if not live:
        found = [model for row in rows for model in known_models(row)]
        if not found:
            console.stderr.line(f"note: no model of {provider} is known; `llmcli models {provider} --live` asks it")
        return found
    if not provider:
        raise UserError("--live needs a provider to ask", hint="name one: llmcli models openai --live")
    from llmcli.models.http.list_models import live_models

    return live_models(rows[0], os.environ, config.settings.timeout)


def _price(usd: Decimal | None, tiered: bool) -> str:
    """With two places at least, and no digit lost."""
    if usd is None:
        return "-"
    whole, _, part = f"{usd.normalize():f}".partition(".")
    return f"{whole}.{part:0<2}{'+' if tiered else ''}"
