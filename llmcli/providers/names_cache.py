"""A cache of model names for shell completion: those of the price list and of `llmcli models PROVIDER --live`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from llmcli.paths import private_file, read_file, replace_file
from llmcli.providers.table import Provider

__all__ = ["keep_live_names", "known_names"]

_LIVE, _PRICED = "live_models.json", "model_names.json"
_MOST = 5000  # names of one provider


def keep_live_names(provider: str, names: Sequence[str]) -> None:
    """Keep what a provider listed; where that fails, completion knows less."""
    with suppress(OSError):
        path = private_file("state", _LIVE)
        kept = {**_read(_LIVE), provider: list(names)[:_MOST]}
        replace_file(path, json.dumps(kept).encode())


def known_names(rows: Mapping[str, Provider]) -> dict[str, list[str]]:
    """The names of models by provider: of the row, of its last list, and of the price list.

    The price list is read where nothing was kept of it yet, or it has changed since; later calls take a millisecond.
    """
    priced, live = _priced(rows), _read(_LIVE)
    return {
        row.name: list(dict.fromkeys((*row.models, *row.prices, *live.get(row.name, ()), *priced.get(row.name, ()))))
        for row in rows.values()
    }


def _priced(rows: Mapping[str, Provider]) -> dict[str, list[str]]:
    stamp = _stamp()
    kept = _read(_PRICED)
    if kept.get("") == [stamp]:
        return kept
    from llmcli.providers.catalogue import is_chat_model
    from llmcli.providers.prices import known_models

    found = {row.name: [one.model for one in known_models(row) if is_chat_model(one.model)] for row in rows.values()}
    with suppress(OSError):
        replace_file(private_file("state", _PRICED), json.dumps({"": [stamp], **found}).encode())
    return found


def _stamp() -> str:
    """What changes when the price list does: the files that hold it, installed and fetched."""
    from importlib.util import find_spec

    from llmcli.providers.price_list import prices_path

    spec = find_spec("genai_prices")
    paths: Iterable[str] = (spec.origin if spec and spec.origin else "", str(prices_path()), __file__)
    stamps = []
    for path in paths:
        with suppress(OSError):
            stamps.append(f"{path} {os.stat(path).st_mtime_ns}")
    return "; ".join(stamps)


def _read(name: str) -> dict[str, list[str]]:
    """A kept table; empty where it cannot be read, or is none."""
    try:
        found = json.loads(read_file(private_file("state", name))[0] or b"{}")
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        key: [name for name in names if isinstance(name, str) and name.isprintable()]
        for key, names in found.items()
        if isinstance(names, list)
    }
