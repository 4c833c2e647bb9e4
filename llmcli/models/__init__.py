"""The Model interface, and `build_model`, which makes one from `provider:model`. Imports protocols on demand."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from llmcli.cancel import current_cancel
from llmcli.errors import NetworkError, UserError
from llmcli.messages import Attachment, ModelMessage, ModelSettings, StreamEvent, UserPromptPart
from llmcli.providers.credentials import environment_key, key_for
from llmcli.providers.endpoint import Cloud, Endpoint, endpoint_of, refuse_another_vendors
from llmcli.providers.lookup import split_chain, split_model
from llmcli.providers.table import PROVIDERS, Provider

__all__ = [
    "FoundModel",
    "HTTPRequest",
    "Model",
    "allow_model_requests",
    "build_model",
    "find_model",
    "refuse_forbidden",
]

# The class of each protocol; imported only when a provider that speaks it is chosen.
_PROTOCOLS = {
    "openai": ("llmcli.models.chat", "ChatProtocol"),
    "openai-responses": ("llmcli.models.responses", "ResponsesProtocol"),
    "anthropic": ("llmcli.models.anthropic", "MessagesProtocol"),
    "gemini": ("llmcli.models.gemini", "GeminiProtocol"),
    "vertex": ("llmcli.models.vertex", "VertexProtocol"),
    "bedrock": ("llmcli.models.bedrock", "ConverseProtocol"),
    "cohere": ("llmcli.models.cohere", "CohereProtocol"),
    "local": ("llmcli.models.local", "LocalModel"),
    "replay": ("llmcli.models.replay", "ReplayModel"),
    "test": ("llmcli.models.test", "TestModel"),
}
PROTOCOLS = tuple(name for name in _PROTOCOLS if name != "replay")  # that providers speak


_forbidden = 0  # how many blocks of `allow_model_requests(False)` are open


@contextmanager
def allow_model_requests(allowed: bool) -> Iterator[None]:
    """With False, let no model send a request inside the block, in any thread; models for tests still answer."""
    global _forbidden
    before = _forbidden
    _forbidden = 0 if allowed else before + 1
    try:
        yield
    finally:
        _forbidden = before


def refuse_forbidden(who: str) -> None:
    """Raise UserError where requests are not allowed, NetworkError where the run was cancelled; `who` is the model."""
    if _forbidden:
        raise UserError(f"{who}: model requests are not allowed here; nothing was sent")
    if (cancel := current_cancel()) and cancel.is_set:
        raise NetworkError(f"{who}: cancelled before it was sent")


@dataclass(slots=True)
class HTTPRequest:
    """The HTTP request of a dry run, with secrets masked; `notes` name settings that the API does not take."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    notes: tuple[str, ...] = ()


class Model(ABC):
    """One model of one provider. `id` is `provider:model` with the canonical prefix, `address` its base URL.

    `members` are the models that a chain is made of, in order; of any other model it is the model alone.
    """

    id: str
    address: str = ""
    debug = False
    """Whether the model may write its log to stderr."""

    @property
    def members(self) -> tuple[Model, ...]:
        """See the class."""
        return (self,)

    @abstractmethod
    def stream(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Generator[StreamEvent]:
        """Yield the events of the reply as they arrive, then one StreamEnd.

        Raises UserError for a setting or a file that this API does not take, before anything is sent, and
        only ProviderError for any failure of the provider or network.
        """

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """The settings that this API does not take: field name and why. Default: takes all."""
        return {}

    def takes(self, file: Attachment) -> bool:
        """Whether a prompt may hold this file. Default: any."""
        return True

    def check(self, settings: ModelSettings, messages: Sequence[ModelMessage] = ()) -> None:
        """Raise UserError for a file, or without `lenient` a setting, that the API does not take. Sends nothing."""
        refused = self.refused(settings)
        if refused and not settings.lenient:
            name, why = next(iter(refused.items()))
            raise UserError(f"{self.id} does not take {option(name)}: {why}", hint="leave it out, or add --lenient")
        prompts = [part for message in messages for part in message.parts if isinstance(part, UserPromptPart)]
        for file in (file for prompt in prompts for file in prompt.attachments):
            if not self.takes(file):
                what = f"{file.media_type} by its address" if file.url else file.media_type
                raise UserError(f"{self.id} takes no {what}: {file.name}", hint="choose another model, or leave it out")

    def renew_key(self) -> bool:
        """Run the key_command again after the key was refused; return whether it printed another key."""
        return False

    def load(self) -> None:
        """Import the modules that the first request needs; may take a second."""
        for one in self.members:
            if one is not self:
                one.load()

    @property
    def secrets(self) -> frozenset[str]:
        """The texts to redact everywhere: the key, and the values of custom headers."""
        return frozenset()

    def preview(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> HTTPRequest:
        """The request that `stream` would send; sends nothing. Raises UserError where there is none to show."""
        raise UserError(f"{self.id} sends no request")


@dataclass(slots=True)
class FoundModel:
    """A model whose name, address and key were validated; `build` imports its protocol."""

    endpoint: Endpoint
    model: str
    cloud: Cloud

    @property
    def id(self) -> str:
        """See `Model.id`."""
        return f"{self.endpoint.provider.name}:{self.model}"

    def build(self) -> Model:
        """The model itself. Touches no network."""
        module, class_name = _PROTOCOLS[self.endpoint.protocol]
        build = vars(import_module(module))[class_name]
        return cast(Model, build(self.endpoint, self.model, self.cloud))


def option(name: str) -> str:
    """The command-line option of a field of ModelSettings."""
    return "--" + name.replace("_", "-")


def find_model(
    name: str,
    *,
    providers: Mapping[str, Provider] = PROVIDERS,
    environ: Mapping[str, str] = os.environ,
    base_url: str | None = None,
    api_key: str | None = None,
    cloud: Cloud | None = None,
) -> FoundModel:
    """Find the model of `provider:model`, with its provider's credentials from `environ`.

    Raises UserError for an unknown name, SettingsError for missing credentials; sends nothing.
    """
    row, model = split_model(name, providers)
    endpoint = endpoint_of(row, environ, base_url)
    if base_url and api_key is None:  # an address from a variable: assume that its key was set to match
        refuse_another_vendors(endpoint)
    endpoint.key = key_for(endpoint, api_key)
    endpoint.key_is_printed = api_key is None and bool(row.key_command) and not environment_key(endpoint)
    return FoundModel(endpoint, model, cloud or Cloud())


def build_model(
    name: str,
    *,
    providers: Mapping[str, Provider] = PROVIDERS,
    environ: Mapping[str, str] = os.environ,
    base_url: str | None = None,
    api_key: str | None = None,
    cloud: Cloud | None = None,
) -> Model:
    """Find the model, see `find_model`, and build it; names with commas between become a FallbackModel.

    With an `environ` other than that of the process only its keys and tokens are used: neither the file of keys nor the
    logins of cloud tools.
    """
    models = [
        find_model(one, providers=providers, environ=environ, base_url=base_url, api_key=api_key, cloud=cloud).build()
        for one in split_chain(name)
    ]
    if len(models) == 1:
        return models[0]
    if base_url or api_key:
        raise UserError("a base_url and an api_key go with one model, not with a chain")
    fallback = vars(import_module("llmcli.models.fallback"))["FallbackModel"]  # it is of a floor above
    return cast(Model, fallback(*models))
