"""Request a provider's list of models; values that the list does not have stay unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx2

from llmcli import __version__
from llmcli.errors import ProviderError, UserError
from llmcli.models.http.bounded import DOCUMENT, ERROR_BODY, read, read_whole
from llmcli.models.http.client import http_client, timeout
from llmcli.models.http.network_errors import address_errors, network_errors
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import no_reply, status_error
from llmcli.providers.credentials import key_for
from llmcli.providers.endpoint import Endpoint, endpoint_of
from llmcli.providers.prices import KnownModel
from llmcli.providers.table import Provider
from llmcli.secrets import redact, url_secrets

__all__ = ["live_models"]


@dataclass(slots=True)
class _Shape:
    """The form of a protocol's list of models."""

    path: str
    """The path below the address."""
    entries: str
    """The field that holds the list."""
    name: str
    """The field of an entry that holds the model's name."""
    windows: tuple[str, ...]
    """The fields of an entry that may hold the context window; the first that exists counts."""
    next_page: tuple[str, str] | None = None
    """The field that names a further page, and the parameter that requests it."""
    chat: tuple[str, str] | None = None
    """The field of an entry that lists its uses, and the word in it for chat."""
    key_header: str = "Authorization"
    headers: Mapping[str, str] = field(default_factory=dict)


# OpenAI sends no window; OpenRouter and Together, Groq and Vercel, Mistral, vLLM do, each under its own name.
_OPENAI = _Shape("/models", "data", "id", ("context_length", "context_window", "max_context_length", "max_model_len"))
_SHAPES = {
    "openai": _OPENAI,
    "openai-responses": _OPENAI,
    "anthropic": _Shape(
        "/v1/models",
        "data",
        "id",
        ("max_input_tokens",),
        next_page=("last_id", "after_id"),
        headers={"anthropic-version": "2023-06-01"},
    ),
    "gemini": _Shape(
        "/v1beta/models",
        "models",
        "name",
        ("inputTokenLimit",),
        next_page=("nextPageToken", "pageToken"),
        chat=("supportedGenerationMethods", "generateContent"),
        key_header="x-goog-api-key",
    ),
    "cohere": _Shape(
        "/v1/models",
        "models",
        "name",
        ("context_length",),
        next_page=("next_page_token", "page_token"),
        chat=("endpoints", "chat"),
    ),
}


def live_models(row: Provider, environ: Mapping[str, str], seconds: float) -> list[KnownModel]:
    """Ask the row's provider, at most `seconds` between two reads; in its own order.

    Raises UserError where it has no list, SettingsError for missing credentials, both before any network, and
    ProviderError for any failure of the provider or network.
    """
    shape = _SHAPES.get(row.protocol)
    if shape is None or row.deployments:
        hint = f"`llmcli models {row.name}` shows the known ones"
        if row.deployments:
            hint = f"its models are your own deployments: -m {row.name}:DEPLOYMENT"
        raise UserError(f"{row.name} has no list of models to ask", hint=hint)
    endpoint = endpoint_of(row, environ)
    endpoint.key = key = key_for(endpoint)
    headers = {"User-Agent": f"llmcli/{__version__}", **endpoint.headers, **shape.headers}
    if key:
        headers[shape.key_header] = f"Bearer {key}" if shape.key_header == "Authorization" else key
    try:
        entries = _all_pages(endpoint, shape, headers, seconds)
    except ProviderError as error:
        secrets = {key or "", *row.headers.values(), *endpoint.network.secrets, *url_secrets(endpoint.address)}
        error.message = redact(error.message, secrets)
        _advise(error, endpoint)
        raise
    return [_model(row, shape, entry) for entry in entries if _is_for_chat(shape, entry)]


def _all_pages(endpoint: Endpoint, shape: _Shape, headers: Mapping[str, str], seconds: float) -> list[dict[str, Any]]:
    row, key = endpoint.provider, endpoint.key
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    params: dict[str, str] = {}
    with http_client(endpoint.network, endpoint.address) as client:
        while True:
            request = client.build_request(
                "GET", endpoint.address + shape.path, params=params, headers=headers, timeout=timeout(seconds)
            )
            with address_errors(row.name), network_errors(row.name, request):
                response = client.send(request, stream=True)
                with closing(response):
                    if not response.is_success:
                        content, _ = read(response, ERROR_BODY, seconds)
                        raise status_error(row.name, response, content, key)
                    content = read_whole(response, DOCUMENT, seconds)
            entries, following = _page(row.name, shape, content, key)
            found += entries
            if not shape.next_page or not following:
                return found
            if following in seen:
                raise no_reply(row.name, "a list of models that leads back to itself")
            seen.add(following)
            params = {shape.next_page[1]: following}


def _page(who: str, shape: _Shape, content: bytes, key: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """The entries of a page, each known to have a name, and what names the next page, if there is one."""
    try:
        page = json.loads(content)
    except (ValueError, RecursionError):
        page = None
    if isinstance(page, list):
        page = {shape.entries: page}  # Together
    if not isinstance(page, dict):
        page = {}
    if page.get("error"):
        raise provider_error(who, None, page, secret=key)
    following = page.get(shape.next_page[0]) if shape.next_page and page.get("has_more") is not False else None
    entries = page.get(shape.entries)
    if entries is None and (shape.entries in page or following):
        entries = []  # Ollama without any model sends null; Google leaves an empty list out
    if (
        not isinstance(entries, list)
        or not isinstance(following, str | None)
        or not all(isinstance(entry, dict) and _is_name(entry.get(shape.name)) for entry in entries)
    ):
        is_html = content.lstrip()[:1] == b"<"
        what = "a web page instead of a list of models" if is_html else "an answer that is no list of models"
        raise no_reply(who, what)
    return entries, following


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _is_for_chat(shape: _Shape, entry: Mapping[str, Any]) -> bool:
    """Whether the model is for chat; assumed where the list does not say."""
    if entry.get("lifecycle") == "retired":  # Anthropic keeps them in its list
        return False
    told = entry.get(shape.chat[0]) if shape.chat else None
    return not shape.chat or not isinstance(told, list) or shape.chat[1] in told


def _model(row: Provider, shape: _Shape, entry: Mapping[str, Any]) -> KnownModel:
    window = next((tokens for name in shape.windows if (tokens := _tokens(entry.get(name)))), None)
    pricing = entry.get("pricing")
    told = pricing if isinstance(pricing, Mapping) else {}
    name = entry[shape.name].removeprefix("models/")  # Google's names are paths
    return KnownModel(row.name, name, window, _per_million(told.get("prompt")), _per_million(told.get("completion")))


def _tokens(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _per_million(value: object) -> Decimal | None:
    """A price per million of OpenRouter's price per token, a text; "-1" is its word for "it depends"."""
    try:
        price = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        return None
    return round(price * 1_000_000, 6) if price.is_finite() and 0 <= price <= 1 else None


def _advise(error: ProviderError, endpoint: Endpoint) -> None:
    """Add the hint that needs the provider's row."""
    row = endpoint.provider
    host = httpx2.URL(endpoint.address).netloc.decode("ascii", "replace")
    if error.exit_code == 3:
        error.hint = f"check {' or '.join(row.key_env) or 'the key'}, and that it belongs to {host}"
    elif row.start_hint and "refused the connection" in error.message:
        error.hint = row.start_hint.replace("{model}", "MODEL")
    elif error.kind == "not_found":
        error.hint = f"there may be no list at {host}; `llmcli models {row.name}` shows the known models"
