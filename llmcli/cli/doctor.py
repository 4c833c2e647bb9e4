"""The doctor command: show where a prompt would be sent, with which key, settings and price, and why."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from llmcli.cli.completion import complete_model
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import Config, load_config
from llmcli.errors import LlmcliError

app = new_group("What would be sent where, with which key, and why.")


@app.command(cls=QuickCommand)
def doctor(
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROVIDER:MODEL]",
            help="The model; a comma makes a chain. Default: the one in force.",
            show_default=False,
            autocompletion=complete_model,
        ),
    ] = None,
    ping: Annotated[bool, typer.Option("--ping", help="Also ask the provider for its list of models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for a report of a bug.")] = False,
) -> None:
    """Show what would be sent where, with which key, and why.

    Nothing is sent without --ping, and no character of a key is shown. The exit code is 0 where a prompt could be sent.
    """
    from llmcli import doctor as core

    console = console_of(ctx)
    config = load_config({"model": model} if model else {})
    about = core.about_installation(config)
    about["model"], about["model_from"], about["models"] = None, None, []
    examined: Sequence[core.Examination] = []
    error: LlmcliError | None = None
    try:
        name, chosen_because = config.model_name(os.environ)
    except LlmcliError as caught:
        error = caught
    else:
        about["model"] = name
        about["model_from"] = _source(config, model, chosen_because)
        examined = [core.examine(one, config) for one in config.chain(name)]
        for one in examined:
            if ping and one.exit_code == 0:
                core.ping(one, config)
        about["models"] = [core.as_json(one) for one in examined]
    if as_json:
        about["error"] = {"kind": error.kind, "message": error.message, "hint": error.hint} if error else None
        console.stdout.write(json.dumps(about, indent=2, ensure_ascii=False, default=str) + "\n")
    else:
        console.stdout.write("".join(_lines(about)))
    if error:
        raise error
    raise typer.Exit(next((one.exit_code for one in examined if one.exit_code), 0))


def _source(config: Config, given: str | None, chosen_because: str | None) -> str:
    if given:
        return "argument"
    return "the first provider with a key" if chosen_because else config.sources["model"]


def _lines(about: dict[str, Any]) -> Iterator[str]:
    """The report as text: a paragraph for the installation, then one for each model."""
    head = {
        "llmcli": f"{about['version']}, Python {about['python']}, {about['system']}",
        "settings": about["settings_file"] or "no file",
        "price list": about["price_list"],
        "model": f"{about['model']} (from {about['model_from']})" if about["model"] else "none",
    }
    yield from _paragraph(head)
    for one in about["models"]:
        yield "\n"
        yield from _paragraph(_facts(one))


def _facts(one: dict[str, Any]) -> dict[str, str | None]:
    instead = f", instead of {', '.join(one['key_instead_of'])}" if one["key_instead_of"] else ""
    error = one["error"]
    return {
        "model": one["model"],
        "protocol": one["protocol"],
        "sent to": f"{one['url']} (from {one['address_from']})" if one["url"] else "nowhere: it is offline",
        "key": f"{one['key'] or 'unknown'}" + (f", from {one['key_from']}{instead}" if one["key_from"] else ""),
        "proxy": f"{one['proxy']} (from {one['proxy_from']})" if one["proxy"] else "none",
        "certificates": one["certificates"],
        "settings": ", ".join(f"{name}={fact['value']} ({fact['source']})" for name, fact in one["settings"].items())
        or "none",
        "not taken": "; ".join(one["dropped"]) or None,
        "window": _window(one),
        "price": _price(one),
        "ping": one["ping"],
        "error": error and error["message"],
        "hint": error and error["hint"],
    }


def _window(one: dict[str, Any]) -> str:
    window = f"{one['context_window']:,} tokens" if one["context_window"] else "unknown"
    taken = [
        f"the system prompt takes about {one['system_tokens']:,}" if one["system_tokens"] else "",
        f"the reply at most {one['max_tokens']:,}" if one["max_tokens"] else "",
    ]
    return "; ".join(filter(None, (window, *taken)))


def _price(one: dict[str, Any]) -> str:
    prices = one["input_usd_per_million"], one["output_usd_per_million"]
    if None in prices:
        return "unknown: --max-cost refuses it without --allow-unknown-cost"
    told = [f"${low:g}" if low == high else f"${low:g} to ${high:g}" for low, high in prices]
    return f"{told[0]} in, {told[1]} out, per million tokens (estimate)"


def _paragraph(facts: dict[str, Any]) -> Iterator[str]:
    width = max(map(len, facts))
    return (f"{name:{width}}  {value}\n" for name, value in facts.items() if value is not None)
