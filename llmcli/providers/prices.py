"""Known models with their context windows and prices, and the cost of a usage.

The figures come from the price list of genai-prices, which takes a fifth of a second to load, and from `[prices]` in
the settings file, which go before it. Costs are estimates where the provider does not tell them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from llmcli.providers.lookup import split_model
from llmcli.providers.price_list import price_list
from llmcli.providers.table import PROVIDERS, Provider
from llmcli.usage import Usage

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo

__all__ = ["KnownModel", "context_window", "cost_of", "known_models", "load_prices"]


@dataclass(slots=True)
class KnownModel:
    """A model of a provider, None for what is not known.

    The window is in tokens, the prices in USD per million tokens; where they are `tiered`, they rise with the length
    of the prompt, the lowest ones stand here, and the highest behind them.
    """

    provider: str
    model: str
    context_window: int | None = None
    input_usd: Decimal | None = None
    output_usd: Decimal | None = None
    tiered: bool = False
    highest_input_usd: Decimal | None = None
    highest_output_usd: Decimal | None = None


def load_prices() -> None:
    """Load the list now, so that later lookups do not wait; safe in any thread."""
    price_list()


def known_models(row: Provider) -> list[KnownModel]:
    """The models that the row names, its default first, then the other models of the price list."""
    now = datetime.now(UTC)
    snapshot = price_list()
    try:
        priced = snapshot.find_provider(None, row.price_id or row.name, None)
    except LookupError:
        return [_with_own_price(row, KnownModel(row.name, name)) for name in dict.fromkeys((*row.models, *row.prices))]
    own = {name: priced.find_model(name, all_providers=snapshot.providers) for name in row.models}
    # Where the row spells a model otherwise than the price list does, the row's spelling stands alone.
    told = {info.id for info in own.values() if info}
    rest = {
        name: info
        for info in priced.models
        if not info.deprecated and info.id not in told and not _is_foreign(row, info) and (name := _name(info))
    }
    priced_here: dict[str, ModelInfo | None] = dict.fromkeys(row.prices)
    found = {**own, **{name: info for name, info in priced_here.items() if name not in own | rest}, **rest}
    return [_with_own_price(row, _with_figures(row, name, info, now)) for name, info in found.items()]


def cost_of(model: str, usage: Usage, rows: Mapping[str, Provider] = PROVIDERS) -> float | None:
    """The USD for a usage of `provider:model`: the provider's amount, else an estimate; 0 for free servers.

    None where the price list does not have the model, or where the provider did not count request and reply tokens.
    """
    if usage.cost is not None:
        return usage.cost
    row, name = split_model(model, rows)
    if row.is_free:
        return 0.0
    if usage.request_tokens is None or usage.response_tokens is None:
        return None
    provider = row.price_id or row.name
    fee = _search_fee(provider, usage)
    if fee is None:
        return None
    if own := row.prices.get(name):
        cost = own.cost(usage)
        return None if cost is None else cost + fee
    if not _is_listed(provider, row):
        return None
    from genai_prices import Usage as Counts

    details = usage.details or {}
    counts = Counts(
        input_tokens=details.get("billed_input_tokens", usage.request_tokens),
        output_tokens=details.get("billed_output_tokens", usage.response_tokens),
        input_audio_tokens=details.get("audio_input_tokens"),
        input_video_tokens=details.get("video_input_tokens"),
        input_image_tokens=details.get("image_input_tokens"),
        output_audio_tokens=details.get("audio_output_tokens"),
        cache_read_tokens=details.get("cached_tokens"),
        cache_write_tokens=details.get("cache_write_tokens"),
    )
    try:
        return float(price_list().calc(counts, name, provider, None, None).total_price) + fee
    except (LookupError, ValueError):  # not in the list, or counts that contradict each other
        return None


def _is_listed(provider: str, row: Provider) -> bool:
    """Whether the price list means this provider: it finds `openai` in any name that contains the word."""
    built_in = row.name in PROVIDERS or row.price_id is not None
    return built_in or any(one.id == provider for one in price_list().providers)


def _search_fee(provider: str, usage: Usage) -> float | None:
    """The USD for web searches of the vendor; None where there were some, and their price is not known."""
    searches = (usage.details or {}).get("web_search_requests", 0)
    price = {"anthropic": 0.01, "openai": 0.01}.get(provider)  # USD for one, by the vendors' price lists
    return 0.0 if not searches else None if price is None else searches * price


def context_window(model: str, rows: Mapping[str, Provider] = PROVIDERS) -> int | None:
    """The tokens that `provider:model` can hold; None where the price list does not tell."""
    row, name = split_model(model, rows)
    if (own := row.prices.get(name)) and own.context:
        return own.context
    try:
        _, info = price_list().find_provider_model(name, None, row.price_id or row.name, None)
    except LookupError:
        return None
    return info.context_window


def _with_figures(row: Provider, name: str, info: ModelInfo | None, now: datetime) -> KnownModel:
    if info is None:
        return KnownModel(row.name, name)
    from genai_prices.types import TieredPrices

    price = info.get_prices(now)
    told = [price.input_mtok, price.output_mtok]
    first, second = (value if value is None or isinstance(value, Decimal) else value.base for value in told)
    highest = [
        max(tier.price for tier in one.tiers) if isinstance(one, TieredPrices) and one.tiers else None for one in told
    ]
    return KnownModel(row.name, name, info.context_window, first, second, told != [first, second], *highest)


def _with_own_price(row: Provider, known: KnownModel) -> KnownModel:
    """The model with what the settings file says of its price and its window."""
    own = row.prices.get(known.model)
    if own is None:
        return known
    prices = Decimal(str(own.input)), Decimal(str(own.output))
    return replace(
        known,
        input_usd=prices[0],
        output_usd=prices[1],
        tiered=False,
        context_window=own.context or known.context_window,
    )


def _is_foreign(row: Provider, info: ModelInfo) -> bool:
    """Whether the price list has it under this provider although our protocol does not reach it: Claude on Vertex."""
    return row.protocol in ("gemini", "vertex") and info.id.startswith("claude-")


def _name(info: ModelInfo) -> str | None:
    """What to write after the provider; None where the price list has only a pattern of names.

    The list's own id is a name that the vendor takes, unless its own rule says otherwise. Bedrock's `regional.` stands
    for us., eu. and so on.
    """
    names = (re.sub(r"^regional\.", "us.", info.id), *_exact_names(info.match))
    return next((name for name in names if info.is_match(name) and not name.endswith("-")), None)


def _exact_names(rule: MatchLogic) -> Iterator[str]:
    from genai_prices.types import ClauseEquals, ClauseOr

    if isinstance(rule, ClauseEquals):
        yield rule.equals
    elif isinstance(rule, ClauseOr):
        for one in rule.or_:
            yield from _exact_names(one)
