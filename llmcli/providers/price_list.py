"""The price list in force: that of the installed genai-prices, or a newer one from `llmcli models --update`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from llmcli.errors import SettingsError
from llmcli.paths import data_folder, replace_file

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

__all__ = ["fetched_on", "keep_prices", "price_list", "prices_path"]


def prices_path() -> Path:
    """Where a fetched list is kept."""
    return data_folder() / "prices.json"


@cache
def price_list() -> DataSnapshot:
    """The list in force; loading takes a fifth of a second. A kept list that cannot be read does not count."""
    from genai_prices.data_snapshot import get_snapshot

    return _kept() or get_snapshot()


def keep_prices(content: bytes) -> int:
    """Check a list that was fetched, keep it, and return the number of its models.

    Raises ValueError for what is no price list, SettingsError where it cannot be kept.
    """
    import genai_prices

    snapshot = _snapshot(json.loads(content))
    models = sum(len(provider.models) for provider in snapshot.providers)
    if not models:
        raise ValueError("it holds no models")
    head = {"version": genai_prices.__version__, "fetched": datetime.now(UTC).isoformat(timespec="seconds")}
    text = f"{json.dumps(head)}\n".encode() + content
    try:
        replace_file(prices_path(), text)
    except OSError as error:
        raise SettingsError(f"cannot keep the price list: {error.strerror}: {error.filename}") from error
    price_list.cache_clear()
    return models


def fetched_on() -> str | None:
    """When the list in force was fetched, as ISO 8601 in UTC; None for the one that was installed."""
    kept = _read()
    return kept[0] if kept else None


def _read() -> tuple[str, bytes] | None:
    """The date and the content of a kept list, unless another version of genai-prices, with its own list, is here."""
    try:
        head, _, content = prices_path().read_bytes().partition(b"\n")
        told = json.loads(head)
        import genai_prices

        return (str(told["fetched"]), content) if told["version"] == genai_prices.__version__ else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _kept() -> DataSnapshot | None:
    kept = _read()
    try:
        return _snapshot(json.loads(kept[1])) if kept else None
    except (ValueError, RecursionError):
        return None


def _snapshot(providers: object) -> DataSnapshot:
    """What genai-prices makes of a fetched document. Raises ValueError where it is none."""
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import _providers_from_raw  # as its own UpdatePrices does; tests/test_price_list.py

    if not isinstance(providers, list):
        raise ValueError("not a list of providers")
    return DataSnapshot(_providers_from_raw(providers), from_auto_update=True)
