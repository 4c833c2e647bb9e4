"""Find the provider row and the model of a name such as `openai:gpt-6-luna`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from llmcli.errors import UserError
from llmcli.providers.table import PROVIDERS, REPLAY, Provider
from llmcli.spelling import did_you_mean, find_close

# Bare names that need no prefix; any other bare name is an error that asks for the provider.
_BARE_NAMES = {"gpt": "openai", "o1": "openai", "o3": "openai", "claude": "anthropic", "gemini": "google-gla"}

BARE_STARTS = tuple(_BARE_NAMES)
"""How the names begin that need no provider."""

_CLAUDE, _GEMINI, _GPT = r"claude-{}-(\d+)(?:-(\d+))?", r"gemini-(\d+)(?:\.(\d+))?-{}", r"gpt-(\d+)(?:\.(\d+))?-{}"
FAMILIES = {
    **{word: ("anthropic", _CLAUDE.format(word)) for word in ("haiku", "sonnet", "opus", "fable", "mythos")},
    **{word: ("google-gla", _GEMINI.format(word)) for word in ("flash", "flash-lite")},
    **{word: ("openai", _GPT.format(word)) for word in ("luna", "sol", "terra", "astra")},
}
"""Each word that stands for the newest model of a family: its provider, and the names of its models with a version."""


# What a suffix of an OpenAI-family prefix forces.
_FORCED = {"-chat": "openai", "-responses": "openai-responses"}


# Words for whole families of models, which are suggested before providers that are spelled alike.
_FAMILIES = ("claude", "sonnet", "haiku", "opus", "flash", "gemini", "grok", "llama", "qwen", "command")


# Providers that no longer exist, and the message for each.
_GONE = {"github": "GitHub Models was retired on 2026-07-30"}


def find_provider(prefix: str, rows: Mapping[str, Provider] = PROVIDERS) -> Provider:
    """The row of a prefix or an alias; `-chat` or `-responses` after one of the OpenAI family forces the protocol.

    Raises UserError, with the nearest name, for an unknown one.
    """
    for suffix, protocol in (("", None), *_FORCED.items()):
        for row in rows.values():
            if prefix in (name + suffix for name in row.names):
                if protocol is None:
                    return row
                if row.protocol in _FORCED.values():
                    return replace(row, protocol=protocol, home_protocol=None)
    if prefix in _GONE:
        raise UserError(f"Unknown provider: {prefix}: {_GONE[prefix]}", hint="`llmcli providers` lists the others")
    names = [name for row in rows.values() for name in row.names]
    raise UserError(
        f"Unknown provider: {prefix}",
        hint=did_you_mean(prefix.lower(), names) or "`llmcli providers` lists them all",
    )


def split_model(name: str, rows: Mapping[str, Provider] = PROVIDERS) -> tuple[Provider, str]:
    """The row and the model of `provider:model`, split at the first colon; a provider alone means its default model.

    Raises UserError, with the nearest name, for an unknown provider or a bare name that belongs to none.
    """
    prefix, colon, model = name.strip().partition(":")
    if prefix == REPLAY.name and model:
        return REPLAY, model
    if not colon:
        outer, slash, inner = prefix.partition("/")
        if slash and inner and any(outer in row.names for row in rows.values()):
            prefix, colon, model = outer, ":", inner  # as other tools write it
    if not colon:
        alone = next((row for row in rows.values() if prefix in row.names), None)
        bare = next((owner for start, owner in _BARE_NAMES.items() if prefix.startswith(start)), None)
        if alone is None and bare is None:
            if not name.strip():
                raise UserError("the name of the model is empty", hint="write it as provider:model")
            hint = _like(prefix, rows) or did_you_mean(prefix, rows)
            raise UserError(f"Unknown model: {name}", hint=hint or "write it as provider:model; see `llmcli providers`")
        row, model = (alone, "") if alone else (find_provider(bare or "", rows), prefix)
    else:
        try:
            row = find_provider(prefix, rows)
        except UserError as error:
            if prefix in _GONE:
                raise
            raise UserError(f"Unknown model: {name}: there is no provider {prefix}", hint=error.hint) from None
    model = model or next(iter(row.models), "")
    if not model:
        raise UserError(f"{row.name} has no default model", hint=f"name one: -m {row.name}:MODEL")
    return row, model


def split_chain(names: str) -> list[str]:
    """The models of a chain, which commas separate; a backslash before a comma keeps it in a name."""
    return [re.sub(r"\\,", ",", one).strip() for one in re.split(r"(?<!\\),", names)]


def _like(word: str, rows: Mapping[str, Provider]) -> str | None:
    """The question of a hint that names a known model: one like the word, or else of the family that the word names."""
    known = {model: f"{row.name}:{model}" for row in reversed(list(rows.values())) for model in row.models}
    family = (find_close(word, _FAMILIES, 0.75) or word) if word.isalpha() else word
    near = find_close(word, known, 0.7) or next((model for model in reversed(list(known)) if family in model), None)
    return f"did you mean {known[near]}?" if near and len(family) > 3 else None


def models_like(incomplete: str, rows: Mapping[str, Provider]) -> list[str]:
    """See `complete_model`, with the rows of the settings file as well."""
    return [
        full
        for row in rows.values()
        for name in row.names
        for full in (f"{name}:", *(f"{name}:{model}" for model in row.models))
        if full.startswith(incomplete) and (full != incomplete or not row.models)
    ]


def provider_names(rows: Mapping[str, Provider]) -> list[str]:
    """Every prefix that `find_provider` takes: names and aliases, with the suffixes that force a protocol."""
    suffixes = {row.name: (*_FORCED,) if row.protocol in _FORCED.values() else () for row in rows.values()}
    return [name + suffix for row in rows.values() for name in row.names for suffix in ("", *suffixes[row.name])]
