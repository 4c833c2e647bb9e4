"""Find where a prompt would be sent, with which key, settings and price, and the source of each."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from llmcli import __version__
from llmcli.config.load import Config
from llmcli.config.settings import default_of, meta_of, names
from llmcli.errors import LlmcliError, ProviderError, SettingsError, UserError
from llmcli.factory import model_settings
from llmcli.messages import ModelRequest, UserPromptPart
from llmcli.models import Model, find_model
from llmcli.providers.credentials import key_for, key_sources
from llmcli.providers.endpoint import Endpoint
from llmcli.providers.lookup import split_model
from llmcli.providers.prices import known_models
from llmcli.providers.table import Provider
from llmcli.secrets import public_address

__all__ = ["Examination", "about_installation", "as_json", "examine", "ping"]

_NO_KEY = "no-key-is-set"
_BYTES_PER_TOKEN = 4


@dataclass(slots=True)
class Examination:
    """The facts about one model that are known before a request; None: unknown."""

    model: str
    """`provider:model`, or the name as the user wrote it where it is not valid."""
    protocol: str | None = None
    url: str | None = None
    """Where the request would go."""
    address_from: str | None = None
    key: str | None = None
    """`set`, `none`, or `missing`; never a character of it."""
    key_from: str | None = None
    key_instead_of: list[str] = field(default_factory=list)
    """Further places that have a key, which the first one goes before."""
    proxy: str | None = None
    proxy_from: str | None = None
    certificates: str = "the system's"
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Each setting that would be sent: its value and its source."""
    dropped: list[str] = field(default_factory=list)
    """The settings that the API does not take."""
    context_window: int | None = None
    system_tokens: int | None = None
    """About how many tokens the system prompt has."""
    max_tokens: int | None = None
    input_usd_per_million: list[float] | None = None
    """The lowest and the highest price."""
    output_usd_per_million: list[float] | None = None
    ping: str | None = None
    """The outcome of a request for the list of models."""
    error: dict[str, Any] | None = None
    exit_code: int = 0


def about_installation(config: Config) -> dict[str, Any]:
    """The versions and the files that are in use."""
    from llmcli.providers.price_list import fetched_on

    return {
        "version": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "encoding": sys.getfilesystemencoding(),
        "settings_file": str(config.path) if config.path.exists() else None,
        "price_list": fetched_on() or "as installed",
    }


def examine(name: str, config: Config) -> Examination:
    """Examine one model; a fault goes into `error`. Sends nothing and runs no key_command."""
    found = Examination(name)
    try:
        row, model = split_model(name, config.providers)
        found.model = f"{row.name}:{model}"
        _price(found, row, model)
        built = _built(found, name, row, config)
        if built:
            _request(found, built, config)
    except LlmcliError as error:
        _fail(found, error)
    return found


def ping(found: Examination, config: Config) -> None:
    """Ask the provider for its list of models, which costs nothing, and record what came of it."""
    from llmcli.models.http.list_models import live_models

    row, model = split_model(found.model, config.providers)
    if row.offline:
        found.ping = "offline: nothing to ask"
        return
    start = time.monotonic()
    try:
        models = [one.model for one in live_models(row, os.environ, min(config.settings.timeout, 30.0))]
    except UserError as error:
        found.ping = f"not asked: {error.message}"
        return
    except (ProviderError, SettingsError) as error:
        found.ping = "failed"
        _fail(found, error)
        return
    known = "is in it" if model in models else "is not in it"
    found.ping = f"a list of {len(models)} models in {time.monotonic() - start:.1f} s; {model} {known}"


def _fail(found: Examination, error: LlmcliError) -> None:
    found.error = {"kind": error.kind, "message": error.message, "hint": error.hint}
    found.exit_code = error.exit_code


def _built(found: Examination, name: str, row: Provider, config: Config) -> Model | None:
    """The model with its address and key examined; None where they do not let it be built."""
    sources = key_sources(row, os.environ)
    found.key_from, found.key_instead_of = next(iter(sources), None), sources[1:]
    missing: SettingsError | None = None
    model = find_model(name, providers=config.providers, api_key=_NO_KEY)
    endpoint = model.endpoint
    if not sources and not row.other_login:
        try:
            key_for(endpoint)
        except SettingsError as error:
            missing = error
    if row.other_login and not sources:
        found.key, found.key_from = "other login", row.other_login
    else:
        found.key = "set" if sources else "missing" if missing else "none"
    endpoint.key = _NO_KEY if sources or missing else None
    _address(found, endpoint)
    if missing:
        _fail(found, missing)
    return model.build()


def _address(found: Examination, endpoint: Endpoint) -> None:
    row = endpoint.provider
    found.protocol, found.url = endpoint.protocol, public_address(endpoint.address) or None
    variables = filter(None, (row.address_variable, *row.base_url_env, row.host_env))
    named = next((name for name in variables if os.environ.get(name, "").strip()), None)
    found.address_from = named or ("settings file" if row.settings_url else "default" if found.url else None)
    network = endpoint.network
    if found.url and (proxy := network.proxy_to(endpoint.address)):
        found.proxy, found.proxy_from = public_address(proxy.url), proxy.source
    if network.ca_file:
        network.certificates()
        found.certificates = f"the system's, and {network.ca_file} ({network.ca_file_from})"
    elif variable := next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None):
        found.certificates = f"{os.environ[variable]} ({variable})"


def _request(found: Examination, model: Model, config: Config) -> None:
    """The settings that the request would hold, and those that the API does not take."""
    settings = model_settings(config)
    found.dropped = [f"{name}: {why}" for name, why in model.refused(settings).items()]
    for name in names(lambda meta: meta.section == "Model"):
        value = getattr(config.settings, name)
        if config.sources[name] != "default" and value != default_of(name) and meta_of(name).table is not None:
            found.settings[name] = {"value": value, "source": config.sources[name]}
    system = config.settings.system
    found.system_tokens = -(-len(system.encode()) // _BYTES_PER_TOKEN) if system else 0
    found.max_tokens = settings.max_tokens
    if found.url:
        settings.lenient = True
        try:
            request = model.preview([ModelRequest((UserPromptPart.of("ping"),))], settings)
        except UserError as error:
            if found.error is None and "sends no request" not in error.message:
                _fail(found, error)
        else:
            found.url = public_address(request.url)


def _price(found: Examination, row: Provider, model: str) -> None:
    known = next((one for one in known_models(row) if one.model == model), None)
    if known is None:
        return
    found.context_window = known.context_window
    for side, low, high in (
        ("input", known.input_usd, known.highest_input_usd),
        ("output", known.output_usd, known.highest_output_usd),
    ):
        if low is not None:
            setattr(found, f"{side}_usd_per_million", [float(low), float(high if high is not None else low)])


def as_json(found: Examination) -> Mapping[str, Any]:
    """The examination as an object of JSON."""
    return asdict(found)
