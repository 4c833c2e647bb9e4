"""From options and settings to a conversation: all that can be wrong with what the person gave is found here."""

from __future__ import annotations

import difflib
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from llmcli.budget import Budget, Price
from llmcli.config.load import Config
from llmcli.conversation import Conversation
from llmcli.errors import ProviderError, SettingsError, UserError
from llmcli.inputs import Stdin, read_text
from llmcli.messages import ModelSettings
from llmcli.models import FoundModel, Model, find_model
from llmcli.providers.credentials import keys_in
from llmcli.providers.endpoint import Cloud
from llmcli.render import Stderr, Stdout
from llmcli.secrets import public_address
from llmcli.usage import Usage, UsageLimits

__all__ = [
    "Options",
    "chained",
    "choose_model",
    "limits_of",
    "model_settings",
    "open_conversation",
    "text_of",
    "wants_session",
]

_LONE = re.compile("[\ud800-\udfff]")  # how Python holds a byte of argv or the environment that is not UTF-8


@dataclass(frozen=True)
class Options:
    """The options of `ask` and `chat` as they were given; None means not given.

    Settings are named as in `config.DEFAULTS`.
    """

    prompt: Sequence[str] = ()
    model: str | None = None
    system: str | None = None
    file: Sequence[str] = ()
    attach: Sequence[str] = ()
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: Sequence[str] | None = None
    option: Sequence[str] = ()
    effort: str | None = None
    thinking: bool | None = None
    format: str | None = None
    json: bool = False
    extract: bool = False
    usage: bool | None = None
    base_url: str | None = None
    api_key_file: str | None = None
    proxy: str | None = None
    ca_file: str | None = None
    timeout: float | None = None
    retries: int | None = None
    request_limit: int | None = None
    request_tokens_limit: int | None = None
    response_tokens_limit: int | None = None
    total_tokens_limit: int | None = None
    max_cost: float | None = None
    allow_unknown_cost: bool | None = None
    user_id: str | None = None
    region: str | None = None
    project: str | None = None
    service_account: str | None = None
    stream: bool | None = None
    theme: str | None = None
    color: bool | None = None
    lenient: bool | None = None
    allow_incomplete: bool | None = None
    no_input: bool = False
    dry_run: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    def settings(self) -> dict[str, Any]:
        """What was given, under the names of `config.DEFAULTS`."""
        return vars(self) | {"format": "json" if self.json else self.format, "stop": self.stop or None}


def wants_session(options: Options) -> bool:
    """Whether somebody sits at a keyboard and a screen, and said neither a prompt nor what only a prompt can mean."""
    said = (
        options.prompt
        or options.file
        or options.attach
        or options.json
        or options.extract
        or options.dry_run
        or options.no_input
    )
    screen = Stdout().is_terminal or Stderr().is_terminal
    return not said and options.format not in ("json", "ndjson") and Stdin().is_terminal and screen


def open_conversation(
    options: Options, config: Config, model_name: str, stdin: Stdin, stderr: Stderr, *, later: bool = False
) -> Conversation:
    """The conversation that was asked for, without a message yet; nothing is sent. `later`: see `choose_model`.

    Raises UserError and SettingsError. From here on `stderr` keeps the keys to itself.
    """
    stderr.secrets = keys_in(os.environ, config.providers)
    _check(options, config)
    model = choose_model(options, config, model_name, stdin, stderr, later=later)
    system = config["system"]
    return Conversation(
        model,
        settings=model_settings(options, config),
        system=text_of(system, "--system", stdin) if system else None,
        limits=limits_of(config),
        price=_price(config),
    )


def model_settings(options: Options, config: Config) -> ModelSettings:
    """What goes with every request. Raises UserError."""
    return ModelSettings(
        max_tokens=config["max_tokens"],
        temperature=config["temperature"],
        top_p=config["top_p"],
        seed=config["seed"],
        stop=tuple(config["stop"]),
        effort=config["effort"],
        user_id=config["user_id"],
        timeout=config["timeout"],
        retries=config["retries"],
        lenient=config["lenient"],
        extra=dict(map(_key_value, options.option)),
    )


def choose_model(
    options: Options, config: Config, name: str, stdin: Stdin, stderr: Stderr, *, later: bool = False
) -> Model:
    """The model of a name, an alias, or a chain of both with commas between.

    `later` leaves the import of an SDK to the first use, or to `Model.load`. A dry run can do without a key.
    Raises UserError and SettingsError.
    """
    names = config.chain(name)
    if len(names) > 1 and (options.base_url or options.api_key_file):
        raise UserError("--base-url and --api-key-file go with one model, not with a chain")
    key = read_text(options.api_key_file, "--api-key-file", stdin) if options.api_key_file else None
    stderr.secrets |= {(key or "").strip()}
    models = [_model(options, config, one, key, stderr, later, first=one is names[0]) for one in names]
    for model in models:
        stderr.secrets |= model.secrets
        if options.verbose:
            stderr.line(f"model: {model.id}, {public_address(model.address) or 'offline'}")
    return chained(models, config)


def chained(models: Sequence[Model], config: Config) -> Model:
    """A chain of the models, which moves on as the settings say; one model is no chain."""
    if len(models) == 1:
        return models[0]
    from llmcli.models.fallback import FallbackModel

    reasons = frozenset(config["fallback_on"])
    return FallbackModel(*models, fallback_on=partial(_moves_on, reasons) if reasons else (ProviderError,))


def _moves_on(reasons: frozenset[str | int], error: ProviderError) -> bool:
    return error.kind in reasons or error.status in reasons


def _model(
    options: Options, config: Config, name: str, key: str | None, stderr: Stderr, later: bool, *, first: bool
) -> Model:
    found = _found(options, config, name, key, stderr)
    if later and not found.endpoint.provider.offline:
        from llmcli.models.lazy import LaterModel

        return LaterModel(found)
    if first and not options.dry_run and found.endpoint.address.startswith("https:"):
        from llmcli.models.http.preconnect import connecting

        found = connecting(found, config["timeout"])
    return found.build()


def _found(options: Options, config: Config, name: str, key: str | None, stderr: Stderr) -> FoundModel:
    find = partial(
        find_model,
        name,
        providers=config.providers,
        base_url=options.base_url,
        cloud=Cloud(options.region, options.project, options.service_account),
    )
    try:
        return find(api_key=key)
    except UserError as error:
        near = difflib.get_close_matches(name, config.aliases, 1, 0.6)
        if near and near[0] != name:
            error.hint = f"did you mean the alias {near[0]}?"
        raise
    except SettingsError as error:
        if not options.dry_run or error.kind != "credentials" or key is not None:
            raise
        stderr.line(f"note: {error.message}")
        return find(api_key="no-key-is-set")


def limits_of(config: Config) -> Budget:
    """The limits that were set: what nobody set stays without a limit, as soon as any of them is."""
    names = ("request_limit", "request_tokens_limit", "response_tokens_limit", "total_tokens_limit")
    tokens = {name: config[name] for name in names}
    usage = UsageLimits(**tokens) if any(limit is not None for limit in tokens.values()) else None
    return Budget(usage, config["max_cost"], config["allow_unknown_cost"])


def _price(config: Config) -> Price:
    def price(model: str, usage: Usage) -> float | None:
        from llmcli.providers.prices import cost_of

        return cost_of(model, usage, config.providers)

    return price


def text_of(value: str, option: str, stdin: Stdin) -> str:
    """An option's text, or what is in the file that it names with a leading `@`."""
    return read_text(value[1:], option, stdin) if value.startswith("@") else value


def _check(options: Options, config: Config) -> None:
    """Refuse what is no text, no number, or has no meaning together; argv and environment may hold any bytes."""
    words = (*options.prompt, config["model"], config["system"], config["user_id"], *config["stop"])
    for word in filter(None, words):
        if place := _LONE.search(word):
            raise UserError(f"not UTF-8: the byte at position {place.start()} of {word!r}")
    for name in ("temperature", "top_p", "timeout", "max_cost"):
        if config[name] is not None and not math.isfinite(config[name]):
            raise UserError(f"--{name.replace('_', '-')} must be a number, not {config[name]}")
    if options.extract and config["format"] in ("json", "ndjson"):
        raise UserError("--extract and JSON exclude each other", hint="take the text field, or leave out one of them")


def _key_value(text: str) -> tuple[str, Any]:
    """One `-o KEY=VALUE`: the value is JSON, or else text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UserError(f"--option {text!r} is not KEY=VALUE", hint="for example: -o top_k=40")
    try:
        parsed = json.loads(value)
        json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        parsed = value
    if _LONE.search(key + value):
        raise UserError(f"--option {text!r} is not UTF-8")
    return key, parsed
