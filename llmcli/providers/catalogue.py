"""Choose among known models: chat models, words of a family such as `sonnet`, filters and orders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache

from llmcli.providers.lookup import FAMILIES
from llmcli.providers.prices import KnownModel, known_models
from llmcli.providers.table import PROVIDERS

__all__ = ["ORDERS", "is_chat_model", "matching", "newest_of_family", "ordered"]

# Names of models that answer no chat request: other kinds of input and output, and completions of the first years.
_NOT_CHAT = re.compile(
    r"embed|rerank|whisper|transcri|moderation|(?<![a-z])tts|dall-e|realtime|robotics|nano-banana|veo-|imagen|sora"
    r"|(?<![a-z])(?:image|live|instruct-beta|ocr|safeguard|translate|computer-use)(?![a-z])"
    r"|^(?:ada|babbage|curie|davinci|text-(?:ada|babbage|curie|davinci)|gpt-3\.5-turbo-instruct|claude-v1)(?:$|-)",
    re.IGNORECASE,
)


def is_chat_model(name: str) -> bool:
    """Whether a model answers chat requests, judged by its name."""
    return not _NOT_CHAT.search(name)


@cache
def newest_of_family(word: str) -> str | None:
    """The newest `provider:model` of a family in the price list; None where the word names no family."""
    if word not in FAMILIES:
        return None
    provider, pattern = FAMILIES[word]
    found = []
    for one in known_models(PROVIDERS[provider]):
        if match := re.fullmatch(pattern, one.model):
            version = tuple(int(part or 0) for part in match.groups())
            if len(str(version[-1])) < 4:  # else a date
                found.append((version, one.model))
    return f"{provider}:{max(found)[1]}" if found else None


def matching(models: Iterable[KnownModel], words: Sequence[str]) -> list[KnownModel]:
    """The models whose `provider:model` holds every word, in any case."""
    return [one for one in models if all(word.lower() in f"{one.provider}:{one.model}".lower() for word in words)]


def _price(one: KnownModel) -> tuple[bool, Decimal]:
    known = one.input_usd is not None and one.output_usd is not None
    return not known, (one.input_usd or Decimal()) + (one.output_usd or Decimal())


ORDERS = {
    "price": _price,
    "context": lambda one: -(one.context_window or 0),
    "name": lambda one: (one.model.lower(), one.provider),
}
"""The words of --sort: cheapest first, largest window first, by name; what is not known stands last."""


def ordered(models: Sequence[KnownModel], order: str | None) -> list[KnownModel]:
    """The models in an order of `ORDERS`; None keeps theirs."""
    return sorted(models, key=ORDERS[order]) if order else list(models)
