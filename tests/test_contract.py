"""The request of each OpenAI and Anthropic row equals the one that the vendor's SDK sends for the same call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import anthropic
import openai
import pytest

from llmcli.errors import ProviderError
from llmcli.messages import ModelRequest, ModelSettings, SystemPromptPart, UserPromptPart
from llmcli.models import build_model
from llmcli.models.http.protocol import ProtocolModel
from llmcli.providers.table import PROVIDERS
from tests.fake_provider import Answer, FakeProvider, Request

KEY = "sk-test-0123456789"
SETTINGS = ModelSettings(max_tokens=100, stop=("END",), lenient=True)
MESSAGES = [ModelRequest((SystemPromptPart("Be brief."), UserPromptPart('Grüße, "Welt" 🌍')))]
NAMES = [
    f"{row.name}{suffix}:vendor/model-1"
    for row in PROVIDERS.values()
    for suffix in ({"openai": ("-chat", "-responses"), "openai-responses": ("-chat", "-responses")}).get(
        row.protocol, ("",)
    )
    if row.protocol in ("openai", "openai-responses", "anthropic")
]
# Telemetry of the SDKs and what differs between any two clients.
OWN = {"user-agent", "accept-encoding", "connection", "host"}
TELEMETRY = "x-stainless-"


def sent_headers(request: Request) -> Mapping[str, str]:
    """The headers of a request that both clients must agree on."""
    return {
        name: value for name, value in request.headers.items() if name not in OWN and not name.startswith(TELEMETRY)
    }


def answer(provider: FakeProvider) -> None:
    provider.answers = [Answer((b'{"error": {"message": "no"}}',), 400, "application/json")]


def ours(name: str, provider: FakeProvider, **variables: str) -> tuple[Request, dict[str, Any]]:
    """Our request, and the body that the SDK shall send as well."""
    model = build_model(name, environ={**os.environ, **variables})
    assert isinstance(model, ProtocolModel)
    with pytest.raises(ProviderError):
        list(model.stream(MESSAGES, SETTINGS))
    return provider.requests[-1], model.body(MESSAGES, model._fitting(SETTINGS, MESSAGES)[0])


def by_sdk(client: Any, path: str, body: Mapping[str, Any]) -> None:
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
        client.post(path, body=body, cast_to=object, stream=True, stream_cls=client_stream(client))


def client_stream(client: Any) -> Any:
    return (anthropic if isinstance(client, anthropic.Anthropic) else openai).Stream[object]


def same(mine: Request, theirs: Request) -> None:
    assert (mine.method, mine.path) == (theirs.method, theirs.path)
    assert mine.content == theirs.content
    assert sent_headers(mine) == sent_headers(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_request_equals_that_of_the_sdk(name: str, provider: FakeProvider) -> None:
    answer(provider)
    row = PROVIDERS[name.partition(":")[0].removesuffix("-chat").removesuffix("-responses")]
    variables = {row.key_env[0]: KEY, row.address_variable: f"{provider.url}/v1"}
    mine, body = ours(name, provider, **variables)
    if row.protocol == "anthropic":
        by_sdk(anthropic.Anthropic(api_key=KEY, base_url=f"{provider.url}/v1", max_retries=0), "/v1/messages", body)
    else:
        path = "/responses" if "input" in body else "/chat/completions"
        by_sdk(openai.OpenAI(api_key=KEY, base_url=f"{provider.url}/v1", max_retries=0), path, body)
    same(mine, provider.requests[-1])


def test_named_methods_of_the_sdks_send_the_same_body(provider: FakeProvider) -> None:
    answer(provider)
    address = f"{provider.url}/v1"
    variables = {"OPENAI_API_KEY": KEY, "LLMCLI_OPENAI_BASE_URL": address}
    client = openai.OpenAI(api_key=KEY, base_url=address, max_retries=0)
    mine, body = ours("openai-chat:gpt-x", provider, **variables)
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(**body)
    assert mine.body == provider.requests[-1].body
    mine, body = ours("openai-responses:gpt-x", provider, **variables)
    with pytest.raises(openai.APIStatusError):
        client.responses.create(**body)
    assert mine.body == provider.requests[-1].body
    mine, body = ours("anthropic:claude-x", provider, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=provider.url)
    with pytest.raises(anthropic.APIStatusError):
        anthropic.Anthropic(api_key=KEY, base_url=provider.url, max_retries=0).messages.create(**body)
    assert mine.body == provider.requests[-1].body


def test_auth_token_of_anthropic_is_sent_as_the_sdk_sends_it(provider: FakeProvider) -> None:
    answer(provider)
    mine, body = ours("anthropic:claude-x", provider, ANTHROPIC_AUTH_TOKEN=KEY, ANTHROPIC_BASE_URL=provider.url)
    by_sdk(anthropic.Anthropic(auth_token=KEY, base_url=provider.url, max_retries=0), "/v1/messages", body)
    same(mine, provider.requests[-1])


@pytest.mark.parametrize("prefix", ["azure", "azure-responses"])
@pytest.mark.parametrize("token", [False, True])
def test_azure_request_equals_that_of_the_sdk(prefix: str, token: bool, provider: FakeProvider) -> None:
    answer(provider)
    key = "eyJhbGciOiJub25lIn0.e30.x" if token else KEY
    variables = {"AZURE_OPENAI_ENDPOINT": provider.url, "OPENAI_API_VERSION": "2024-10-21", "AZURE_OPENAI_API_KEY": key}
    mine, body = ours(f"{prefix}:dep", provider, **variables)
    auth: dict[str, Any] = {"azure_ad_token": key} if token else {"api_key": key}
    client = openai.AzureOpenAI(azure_endpoint=provider.url, api_version="2024-10-21", max_retries=0, **auth)
    by_sdk(client, "/responses" if "input" in body else "/chat/completions", body)
    same(mine, provider.requests[-1])
