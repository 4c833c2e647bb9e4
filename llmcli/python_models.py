"""Functions named like classes of PydanticAI: each makes a model, or the endpoint of a provider."""

# The functions are named as the classes of PydanticAI whose place they take.
# ruff: noqa: N802

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmcli.errors import UserError
from llmcli.models import FoundModel, Model, build_model
from llmcli.providers.credentials import clean_key, key_for
from llmcli.providers.endpoint import Cloud, Endpoint, endpoint_of
from llmcli.providers.lookup import find_provider
from llmcli.providers.table import PROVIDERS, Provider

__all__ = [
    "AnthropicModel",
    "AnthropicProvider",
    "AzureProvider",
    "BedrockConverseModel",
    "BedrockProvider",
    "CohereModel",
    "CohereProvider",
    "DeepSeekProvider",
    "GeminiModel",
    "GoogleGLAProvider",
    "GoogleVertexProvider",
    "GroqModel",
    "GroqProvider",
    "MistralModel",
    "MistralProvider",
    "ModelProvider",
    "OpenAIModel",
    "OpenAIProvider",
    "OpenAIResponsesModel",
    "infer_model",
]


@dataclass(slots=True)
class ModelProvider:
    """Where a model is reached, and with which credentials."""

    endpoint: Endpoint
    cloud: Cloud

    @property
    def name(self) -> str:
        """The canonical prefix of the provider."""
        return self.endpoint.provider.name

    @property
    def base_url(self) -> str:
        """The address in force."""
        return self.endpoint.address

    @property
    def client(self) -> object | None:
        """The ready-made client that requests go through; None for llmcli's own."""
        return self.endpoint.client


def infer_model(model: Model | str) -> Model:
    """The model of a name; a model as it is. Raises UserError or SettingsError; touches no network."""
    if isinstance(model, Model):
        return model
    if model == "test":
        from llmcli.testing import TestModel

        return TestModel()
    return build_model(model)


def OpenAIModel(
    model_name: str,
    *,
    provider: ModelProvider | str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    openai_client: Any = None,
    http_client: Any = None,
) -> Model:
    """A model behind Chat Completions: OpenAI's own, or of any provider that speaks it."""
    if provider is None:
        provider = OpenAIProvider(
            base_url=base_url, api_key=api_key, openai_client=openai_client, http_client=http_client
        )
    return _model("openai", model_name, provider, api_key, protocol="openai")


def OpenAIResponsesModel(
    model_name: str, *, provider: ModelProvider | str | None = None, api_key: str | None = None
) -> Model:
    """A model behind the Responses API."""
    return _model("openai", model_name, provider, api_key, protocol="openai-responses")


def AnthropicModel(
    model_name: str, *, provider: ModelProvider | str | None = None, api_key: str | None = None
) -> Model:
    """A model behind the Messages API."""
    return _model("anthropic", model_name, provider, api_key)


def GeminiModel(model_name: str, *, provider: ModelProvider | str | None = None, api_key: str | None = None) -> Model:
    """A Gemini model: by API key (`google-gla`, the default), or behind Vertex AI (`google-vertex`)."""
    return _model("google-gla", model_name, provider, api_key)


def GroqModel(model_name: str, *, provider: ModelProvider | str | None = None, api_key: str | None = None) -> Model:
    """A model of Groq."""
    return _model("groq", model_name, provider, api_key)


def MistralModel(model_name: str, *, provider: ModelProvider | str | None = None, api_key: str | None = None) -> Model:
    """A model of Mistral."""
    return _model("mistral", model_name, provider, api_key)


def CohereModel(model_name: str, *, provider: ModelProvider | str | None = None, api_key: str | None = None) -> Model:
    """A model of Cohere."""
    return _model("cohere", model_name, provider, api_key)


def BedrockConverseModel(model_name: str, *, provider: ModelProvider | str | None = None) -> Model:
    """A model behind the Converse API of Amazon Bedrock. Credentials are looked for at the first request."""
    return _model("bedrock", model_name, provider, None)


def OpenAIProvider(
    base_url: str | None = None, api_key: str | None = None, openai_client: Any = None, http_client: Any = None
) -> ModelProvider:
    """OpenAI, or with `base_url` any server that speaks its API, which gets no key but `api_key`.

    `openai_client` is an OpenAI, AsyncOpenAI, AzureOpenAI or AsyncAzureOpenAI client. It excludes the others.
    """
    if openai_client is None:
        return _provider("openai", api_key, http_client, base_url)
    if base_url or api_key or http_client:
        raise UserError("openai_client excludes base_url, api_key and http_client: it has its own")
    return _of_sdk("openai", openai_client)


def AzureProvider(
    azure_endpoint: str | None = None,
    api_version: str | None = None,
    api_key: str | None = None,
    openai_client: Any = None,
    http_client: Any = None,
) -> ModelProvider:
    """Azure OpenAI; what is not given is read from AZURE_OPENAI_ENDPOINT, OPENAI_API_VERSION, AZURE_OPENAI_API_KEY."""
    if openai_client is not None:
        return OpenAIProvider(openai_client=openai_client)
    environ = {**os.environ, "OPENAI_API_VERSION": api_version} if api_version else os.environ
    return _provider("azure", api_key, http_client, azure_endpoint, environ)


def AnthropicProvider(
    api_key: str | None = None,
    anthropic_client: Any = None,
    http_client: Any = None,
    base_url: str | None = None,
) -> ModelProvider:
    """Anthropic; `anthropic_client` is an Anthropic or AsyncAnthropic client, and excludes the others."""
    if anthropic_client is None:
        return _provider("anthropic", api_key, http_client, base_url)
    if base_url or api_key or http_client:
        raise UserError("anthropic_client excludes base_url, api_key and http_client: it has its own")
    return _of_sdk("anthropic", anthropic_client)


def DeepSeekProvider(api_key: str | None = None, http_client: Any = None) -> ModelProvider:
    """DeepSeek, for `OpenAIModel`."""
    return _provider("deepseek", api_key, http_client)


def GroqProvider(api_key: str | None = None, http_client: Any = None) -> ModelProvider:
    """Groq."""
    return _provider("groq", api_key, http_client)


def MistralProvider(api_key: str | None = None, http_client: Any = None) -> ModelProvider:
    """Mistral."""
    return _provider("mistral", api_key, http_client)


def CohereProvider(api_key: str | None = None, http_client: Any = None) -> ModelProvider:
    """Cohere."""
    return _provider("cohere", api_key, http_client)


def GoogleGLAProvider(api_key: str | None = None, http_client: Any = None) -> ModelProvider:
    """The Gemini API, with an API key."""
    return _provider("google-gla", api_key, http_client)


def GoogleVertexProvider(
    service_account_file: str | os.PathLike[str] | None = None,
    project_id: str | None = None,
    region: str | None = None,
    http_client: Any = None,
) -> ModelProvider:
    """Vertex AI. Without a service account the login of Google Cloud counts, which is looked for at the first request.

    A `project_id` that is not the one of the credentials is an error at the first request.
    """
    found = _provider("google-vertex", None, http_client)
    account = os.fspath(service_account_file) if service_account_file is not None else None
    found.cloud = Cloud(region, project_id, account)
    return found


def BedrockProvider(
    bedrock_client: Any = None,
    *,
    region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
) -> ModelProvider:
    """Amazon Bedrock. What is not given is read from AWS's variables and files at the first request.

    With a `bedrock_client` (`boto3.client("bedrock-runtime")`) the other arguments are ignored.
    """
    given = {
        "AWS_ACCESS_KEY_ID": aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": aws_secret_access_key,
        "AWS_SESSION_TOKEN": aws_session_token,
    }
    environ: Mapping[str, str] = os.environ
    if aws_access_key_id and aws_secret_access_key:
        others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_BEARER_TOKEN")}
        environ = {**others, "AWS_SESSION_TOKEN": "", **{name: value for name, value in given.items() if value}}
    elif any(given.values()):
        raise UserError("aws_access_key_id and aws_secret_access_key go together")
    found = _provider("bedrock", None, bedrock_client, environ=environ)
    found.cloud = Cloud(region_name or getattr(getattr(bedrock_client, "meta", None), "region_name", None))
    return found


def _provider(
    name: str,
    api_key: str | None,
    client: Any,
    base_url: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> ModelProvider:
    endpoint = endpoint_of(PROVIDERS[name], environ, base_url)
    endpoint.client = client
    if api_key is not None:
        endpoint.key = clean_key(api_key, "api_key") if api_key else None
    elif not base_url or endpoint.is_home or not endpoint.provider.compatible:
        endpoint.key = key_for(endpoint)  # never for an address of the caller's: a key of the vendor's stays at home
    return ModelProvider(endpoint, Cloud())


def _of_sdk(name: str, client: Any) -> ModelProvider:
    """The endpoint of a client of the vendor's package, which adds its own credentials and headers."""
    endpoint = endpoint_of(PROVIDERS[name], {}, str(client.base_url))
    endpoint.client = client
    endpoint.key = getattr(client, "api_key", None) or None
    return ModelProvider(endpoint, Cloud())


def _model(
    default: str,
    model_name: str,
    provider: ModelProvider | str | None,
    api_key: str | None,
    *,
    protocol: str | None = None,
) -> Model:
    if not isinstance(provider, ModelProvider):
        row = find_provider(provider or default)
        provider = _provider(row.name, api_key, None)
    endpoint = provider.endpoint
    if protocol:
        endpoint = replace(endpoint, provider=_speaking(endpoint.provider, protocol))
    return FoundModel(endpoint, model_name, provider.cloud).build()


def _speaking(row: Provider, protocol: str) -> Provider:
    """The row with another protocol. Raises UserError where the row speaks none of the family."""
    if row.protocol not in ("openai", "openai-responses"):
        raise UserError(f"{row.name} does not speak the API of OpenAI", hint=f"name the model: {row.name}:MODEL")
    return replace(row, protocol=protocol, home_protocol=None)
