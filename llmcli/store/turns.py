"""The values that describe a turn at its start and end; cheap to import, without the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmcli.store.ids import now
from llmcli.usage import Usage

__all__ = ["Place", "TurnEnd", "TurnStart"]


@dataclass(slots=True)
class Place:
    """Where a turn is run."""

    folder: str | None = None
    terminal: str | None = None


@dataclass(slots=True)
class TurnStart:
    """What is known of a turn when its request is sent."""

    model: str
    """As asked for."""
    address: str = ""
    """Of the provider, without credentials."""
    place: Place | None = None
    """None: the folder and the terminal of this process."""
    started: str = field(default_factory=now)


@dataclass(slots=True)
class TurnEnd:
    """What is known of a turn when it is over."""

    served_by: str | None = None
    model_name: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    """As the provider told it."""
    cost_usd: float | None = None
    """From the provider, or by estimate; None where it is unknown."""
    cost_is_told: bool = False
    priced: Usage | None = None
    """The usage to estimate the cost from later, where no cost was needed yet: loading the price list takes time."""
    first_text_s: float | None = None
    duration_s: float | None = None
    attempts: Sequence[Mapping[str, Any]] = ()
    error: Mapping[str, Any] | None = None
    """`kind`, `status`, `message` and `hint` of the error that ended the turn."""
    address: str = ""
    """Of the model that answered, without credentials."""

    @property
    def cost_source(self) -> str | None:
        """`told`, `est`, or `later`: to be estimated by `llmcli.store.prices`; None where the cost is unknown."""
        if self.cost_usd is None and self.priced is not None:
            return "later"
        return None if self.cost_usd is None else "told" if self.cost_is_told else "est"
