"""What the shell offers after a TAB; knows the table of providers only, and must stay quick."""

from __future__ import annotations

from llmcli.providers import PROVIDERS

__all__ = ["complete_model"]


def complete_model(incomplete: str) -> list[str]:
    """`provider:model` for the models that the table knows, and `provider:` alone, that begin like `incomplete`."""
    return [
        full
        for row in PROVIDERS.values()
        for name in (row.name, *row.aliases)
        for full in (f"{name}:", *(f"{name}:{model}" for model in row.models))
        if full.startswith(incomplete)
    ]
