"""Build a Conversation from settings and validate user input."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from llmcli.budget import Budget, Price
from llmcli.config.load import Config
from llmcli.config.settings import FIELDS, Settings, flag
from llmcli.console import Console
from llmcli.conversation import Conversation
from llmcli.errors import ProviderError, SettingsError, UserError
from llmcli.inputs import Stdin, read_text
from llmcli.messages import ModelSettings
from llmcli.models import FoundModel, Model, find_model
from llmcli.providers.credentials import keys_in
from llmcli.providers.endpoint import Cloud
from llmcli.providers.lookup import FAMILIES
from llmcli.secrets import public_address
from llmcli.spelling import find_close
from llmcli.usage import Usage, UsageLimits

if TYPE_CHECKING:
    from llmcli.models.http.recording import Recorder
    from llmcli.schema import Shape

__all__ = [
    "chained",
    "choose_model",
    "choose_name",
    "limits_of",
    "model_settings",
    "open_conversation",
    "price_of",
    "shape_of",
    "text_of",
    "wants_session",
]

_LONE = re.compile("[\ud800-\udfff]")  # how Python holds a byte of argv or the environment that is not UTF-8


def wants_session(config: Config, console: Console) -> bool:
    """Whether the command starts a session: stdin and stdout are terminals, and no option needs a single reply."""
    settings = config.settings
    one_reply = (
        settings.prompt
        or settings.file
        or settings.attach
        or settings.json
        or settings.extract
        or settings.get
        or settings.choice
        or settings.out
        or settings.template
        or settings.print
        or settings.dry_run
        or settings.no_input
    )
    screen = console.stdout.is_terminal or console.stderr.is_terminal
    return not one_reply and settings.format not in ("json", "ndjson") and console.stdin.is_terminal and screen


def open_conversation(config: Config, model_name: str, console: Console, *, lazy: bool = False) -> Conversation:
    """Build an empty conversation from the settings; nothing is sent. `lazy`: see `choose_model`.

    Raises UserError and SettingsError. From here on the console redacts the keys.
    """
    console.secrets.add(*keys_in(os.environ, config.providers))
    _check(config.settings)
    shape = shape_of(config.settings)
    model = choose_model(config, model_name, console, lazy=lazy)
    system = config.settings.system
    conversation = Conversation(
        model,
        settings=model_settings(config, shape),
        system=text_of(system, "--system", console.stdin) if system else None,
        limits=limits_of(config),
        price=price_of(config),
    )
    conversation.shape = shape
    return conversation


def choose_name(config: Config) -> tuple[str, str | None]:
    """See `Config.model_name`; where there is no model, the hint names a model server that runs on this machine."""
    try:
        return config.model_name(os.environ)
    except SettingsError as error:
        from llmcli.models.local_servers import find_running_server

        if found := find_running_server():
            error.hint = f"{found}; or {error.hint}" if error.hint else found
        raise


def shape_of(settings: Settings) -> Shape | None:
    """The shape that the reply must have; None without such an option. Raises UserError."""
    if settings.schema is not None and settings.choice is not None:
        raise UserError("--schema and --choice exclude each other")
    if settings.extract and (settings.schema is not None or settings.choice is not None):
        raise UserError("--extract excludes --schema and --choice", hint="--get FIELD prints one value of the JSON")
    if settings.choice is not None:
        if settings.get is not None:
            raise UserError("--get and --choice exclude each other: a choice is one word")
        from llmcli.schema import choice

        return choice(settings.choice.split(","))
    if settings.schema is None:
        for name in ("get", "schema_multi"):
            if getattr(settings, name):
                raise UserError(f"{flag(name)} needs --schema", hint="for example: --schema 'name, age int'")
        return None
    from llmcli.schema import shape_from

    shape = shape_from(settings.schema, multi=settings.schema_multi)
    if settings.get is not None:
        shape.check_path(settings.get)
    return shape


def model_settings(config: Config, shape: Shape | None = None) -> ModelSettings:
    """The settings of every request. Raises UserError."""
    settings = config.settings
    return ModelSettings(
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        seed=settings.seed,
        stop=tuple(settings.stop),
        effort=settings.effort,
        user_id=settings.user_id,
        timeout=settings.timeout,
        schema=shape.sent if shape else None,
        schema_name=shape.name if shape else "reply",
        web=settings.web,
        cache=settings.cache,
        retries=settings.retries,
        lenient=settings.lenient,
        extra=dict(map(_key_value, settings.option)),
    )


def choose_model(config: Config, name: str, console: Console, *, lazy: bool = False) -> Model:
    """The model of a name, an alias, or a chain of both with commas between.

    `lazy` leaves imports to the first use, or to `Model.load`. A dry run can do without a key.
    Raises UserError and SettingsError.
    """
    settings = config.settings
    names = config.chain(name)
    for one in name.split(","):
        if one.strip() in FAMILIES and one.strip() not in config.aliases:
            console.stderr.line(f"note: {one.strip()} is {config.meaning(one.strip())}, the newest in the price list")
    if len(names) > 1 and (settings.base_url or settings.api_key_file):
        raise UserError("--base-url and --api-key-file apply to one model, not to a chain")
    key = None
    if settings.api_key_file:
        key = read_text(settings.api_key_file, "--api-key-file", console.stdin)
        console.secrets.add(key.strip())
    recorder = _recorder(config, console)
    models = [_model(config, one, key, console, lazy=lazy, first=one is names[0], recorder=recorder) for one in names]
    for model in models:
        console.secrets.add(*model.secrets)
        if settings.verbose:
            console.stderr.line(f"model: {model.id}, {public_address(model.address) or 'offline'}")
    return chained(models, config)


def chained(models: Sequence[Model], config: Config) -> Model:
    """A chain of the models, which moves on as the settings say; one model is no chain."""
    if len(models) == 1:
        return models[0]
    from llmcli.models.fallback import FallbackModel

    reasons = frozenset(config.settings.fallback_on)
    return FallbackModel(*models, fallback_on=partial(_moves_on, reasons) if reasons else (ProviderError,))


def _moves_on(reasons: frozenset[str | int], error: ProviderError) -> bool:
    return error.kind in reasons or error.status in reasons


def _recorder(config: Config, console: Console) -> Recorder | None:
    if not config.settings.record or config.settings.dry_run:
        return None
    from llmcli.models.http.recording import Recorder

    return Recorder(config.settings.record, console.secrets.redact)


def _model(
    config: Config,
    name: str,
    key: str | None,
    console: Console,
    *,
    lazy: bool,
    first: bool,
    recorder: Recorder | None,
) -> Model:
    found = _found(config, name, key, console)
    if recorder:
        endpoint = found.endpoint
        if endpoint.provider.offline:
            raise UserError(f"--record: {found.id} sends no requests")
        console.secrets.add(endpoint.key, *endpoint.headers.values())
        endpoint.wrap = recorder.wrap(found.id, endpoint.protocol, endpoint.address)
    if lazy and not found.endpoint.provider.offline:
        from llmcli.models.lazy import LaterModel

        return LaterModel(found)
    if first and not config.settings.dry_run and found.endpoint.address.startswith("https:"):
        from llmcli.models.http.preconnect import connecting

        found = connecting(found, config.settings.timeout)
    model = found.build()
    model.debug = config.settings.debug
    return model


def _found(config: Config, name: str, key: str | None, console: Console) -> FoundModel:
    settings = config.settings
    find = partial(
        find_model,
        name,
        providers=config.providers,
        base_url=settings.base_url,
        cloud=Cloud(settings.region, settings.project, settings.service_account),
    )
    try:
        return find(api_key=key)
    except UserError as error:
        near = find_close(name, config.aliases)
        if near and near != name:
            error.hint = f"did you mean the alias {near}?"
        raise
    except SettingsError as error:
        if not settings.dry_run or error.kind != "credentials" or key is not None:
            raise
        console.stderr.line(f"note: {error.message}")
        return find(api_key="no-key-is-set")


def limits_of(config: Config) -> Budget:
    """The limits that were set. Once any limit is set, the others are unlimited; without any, 50 requests."""
    one = config.settings
    limits = (one.request_limit, one.request_tokens_limit, one.response_tokens_limit, one.total_tokens_limit)
    usage = UsageLimits(*limits) if any(limit is not None for limit in limits) else None
    return Budget(usage, one.max_cost, one.allow_unknown_cost)


def price_of(config: Config) -> Price:
    """The function that gives the USD for a usage; it loads the price list when it is first called."""

    def price(model: str, usage: Usage) -> float | None:
        from llmcli.providers.prices import cost_of

        return cost_of(model, usage, config.providers)

    return price


def text_of(value: str, option: str, stdin: Stdin) -> str:
    """An option's text, or the content of the file that it names with a leading `@`."""
    return read_text(value[1:], option, stdin) if value.startswith("@") else value


def _check(settings: Settings) -> None:
    """Refuse text that is not UTF-8, numbers that are not finite, and options that exclude each other."""
    words = [*settings.prompt, *settings.stop, settings.model, settings.system, settings.user_id]
    words += [settings.schema, settings.get, settings.choice]
    for word in filter(None, words):
        if place := _LONE.search(word):
            raise UserError(f"not UTF-8: the byte at position {place.start()} of {word!r}")
    for name in FIELDS:
        value = getattr(settings, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{flag(name)} must be a number, not {value}")
    if settings.extract and settings.format in ("json", "ndjson"):
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
