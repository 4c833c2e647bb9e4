"""The shape of the settings file, checked by pydantic; loaded only where there is a file or a variable to check."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from llmcli.errors import PROVIDER_KINDS
from llmcli.messages import Effort


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _words(value: object) -> object:
    """A list of errors' kinds and statuses; in a variable they stand with commas between."""
    words = value.split(",") if isinstance(value, str) else value
    return [_reason(str(word).strip()) for word in words] if isinstance(words, list) else words


def _reason(word: str) -> int | str:
    if word in PROVIDER_KINDS:
        return word
    if word.isdecimal() and 400 <= int(word) <= 599:
        return int(word)
    near = difflib.get_close_matches(word, PROVIDER_KINDS, 1, 0.6)
    meant = f"did you mean {near[0]}?" if near else f"there are 400 to 599, {', '.join(PROVIDER_KINDS)}"
    raise PydanticCustomError("reason", f"{word or 'an empty word'} is no error of a provider; {meant}")


class Defaults(_Strict):
    """Values for options that are not given; the names are those of the options."""

    system: str | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    seed: int | None = None
    stop: Annotated[tuple[str, ...], BeforeValidator(lambda one: [one] if isinstance(one, str) else one)] | None = None
    effort: Effort | None = None
    user_id: str | None = None
    timeout: Annotated[float, Field(gt=0, le=1e6)] | None = None
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    fallback_on: Annotated[tuple[int | str, ...], BeforeValidator(_words)] | None = None
    format: Literal["auto", "text", "markdown", "json", "ndjson"] | None = None
    thinking: bool | None = None
    usage: bool | None = None
    theme: Literal["auto", "dark", "light", "ansi", "none"] | None = None
    color: bool | None = None
    stream: bool | None = None
    lenient: bool | None = None
    allow_incomplete: bool | None = None
    edit_mode: Literal["emacs", "vi"] | None = None
    proxy: str | None = None
    ca_file: str | None = None


class LimitSettings(_Strict):
    """What may be spent in a session; the names are those of the options."""

    request_limit: Annotated[int, Field(ge=0)] | None = None
    request_tokens_limit: Annotated[int, Field(ge=0)] | None = None
    response_tokens_limit: Annotated[int, Field(ge=0)] | None = None
    total_tokens_limit: Annotated[int, Field(ge=0)] | None = None
    max_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    allow_unknown_cost: bool | None = None


class Variables(Defaults, LimitSettings):
    """The same as variables of the environment, where all is text."""


class ProviderSettings(_Strict):
    """A provider of one's own, or changes to a built-in one; see `llmcli.providers.table.Provider` for the quirks."""

    protocol: Literal["openai", "openai-responses", "anthropic", "gemini", "cohere"] | None = None
    base_url: str | None = None
    key_env: Annotated[tuple[str, ...], BeforeValidator(lambda one: [one] if isinstance(one, str) else one)] | None = (
        None
    )
    key_command: str | None = None
    proxy: str | None = None
    ca_file: str | None = None
    headers: (
        dict[Annotated[str, Field(pattern=r"^[\w-]+$")], Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]] | None
    ) = None
    models: tuple[str, ...] | None = None
    price_id: str | None = None
    max_tokens_field: str | None = None
    seed_field: str | None = None
    effort_field: str | None = None
    user_field: str | None = None
    stream_usage: bool | None = None


class SettingsFile(_Strict):
    """The whole file."""

    model: str | None = None
    aliases: dict[str, str] = {}
    defaults: Defaults = Defaults()
    limits: LimitSettings = LimitSettings()
    providers: dict[str, ProviderSettings] = {}
